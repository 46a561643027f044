"""Run a program that ends with its parent: `python -m tools.dev.demo.end_with_parent PARENT_PID PROGRAM ARGUMENT…`.

The kernel sends SIGTERM on the parent's death (prctl(2), PR_SET_PDEATHSIG), which survives exec. A parent that died
before the call is noticed by its number.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from device.edges.sandbox.prctl import end_with_parent


def main(parent: int, command: list[str]) -> NoReturn:
    """Ask the kernel for SIGTERM when the parent ends, then exec the program."""
    end_with_parent()
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
