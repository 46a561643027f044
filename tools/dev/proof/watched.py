"""A vision worker whose memory is opened before it locks itself down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.dev.proof.process_memory import ProcessMemory
from tools.dev.proof.worker import WorkerProcess

GATED = (
    "import os, runpy, sys\n"
    "os.read(0, 1)\n"  # the memory is opened meanwhile
    "sys.argv = ['device.worker', sys.argv[1]]\n"
    "runpy.run_module('device.worker', run_name='__main__')\n"
)


class Watched(WorkerProcess):
    """One worker. `before` is put in front of its command line (strace); then there is no view of its memory."""

    def __init__(self, place: Path, *, before: Sequence[str] = ()) -> None:
        super().__init__(place, (*before, sys.executable, "-c", GATED), stdin=subprocess.PIPE)
        self.process_memory = None if before else ProcessMemory(self.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def close(self) -> None:
        super().close()
        if self.process_memory is not None:
            self.process_memory.close()
