"""A program: holds the pulls of gpio-sim's lines where a housing's wires would hold them, every half millisecond.

On its standard input, one line each time a wire changes: `FOLDER KIND SOURCE`, folders of lines in sysfs. KIND is
`up`, `down`, `follow` (the level of SOURCE), `blink` (a light of its own, 7 times a second) or `off` (nobody pulls).
Each is answered with `so`, once it has been seen to hold.
"""

from __future__ import annotations

import os
import selectors
import sys
import time

TURN_S = 0.0005
BLINK_HZ = 7


class Wire:
    """One line's wire, which gives the level that the line should have now."""

    def __init__(self, folder: str, kind: str, source: str) -> None:
        self.kind = kind
        self.level = os.open(f"{folder}/value", os.O_RDONLY)
        self.pull = os.open(f"{folder}/pull", os.O_WRONLY)
        self.source = os.open(f"{source}/value", os.O_RDONLY) if kind == "follow" else None

    def hold(self) -> None:
        wanted = self.wanted()
        if os.pread(self.level, 1, 0) != wanted:
            os.pwrite(self.pull, b"pull-up" if wanted == b"1" else b"pull-down", 0)

    def wanted(self) -> bytes:
        if self.source is not None:
            return os.pread(self.source, 1, 0)
        if self.kind == "blink":
            return b"1" if time.monotonic() * BLINK_HZ * 2 % 2 < 1 else b"0"
        return b"1" if self.kind == "up" else b"0"


def main() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except OSError:
        sys.stderr.write("wires: not in real time\n")
    wires: dict[str, Wire] = {}
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    while True:
        asked = waiting.select(TURN_S)
        if asked:
            line = sys.stdin.readline()
            if not line:
                return
            folder, kind, source = line.split()
            wires.pop(folder, None)
            if kind != "off":
                wires[folder] = Wire(folder, kind, source)
        for folder in list(wires):
            try:
                wires[folder].hold()
            except OSError:
                del wires[folder]  # the chip is gone
        if asked:
            sys.stdout.write("so\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
