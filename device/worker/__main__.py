"""`python -m device.worker FD`: the vision worker; only the supervisor starts it."""

import os
import sys

# A search of the list is a product of one row: BLAS threads cost six times the CPU and take a core from inference
# (measured 2026-11-23, 20,000 entries). The library reads this once, when numpy is first imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from device.worker.main import main

# Every buffer is wiped and every message sent: skip the libraries' own clean-up, the kernel frees memory faster.
os._exit(main(sys.argv))
