"""`python -m device.worker FD`: the vision worker; only the supervisor starts it."""

import sys

from device.worker.main import main

sys.exit(main(sys.argv))
