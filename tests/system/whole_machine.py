"""A whole machine in QEMU that stays on: its own kernel, systemd or a program as first process, a hardware watchdog.

1. Root, shared folders and kernel are those of `emulated.py`; this one may reset itself and start again, as hardware
   does, and its power can be cut (`cut`: SIGKILL for QEMU).
2. The watchdog is an emulated Intel 6300ESB: a reset by it is stated to the next start, as by a board's.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.system.emulated import Emulated

WITHIN_S = 600.0
POLL_S = 0.02
WATCHDOG = ("-device", "i6300esb")


class WholeMachine:
    """A running machine; `scratch` is shared, at its own path."""

    def __init__(self, machine: Emulated, first: str, extra: Sequence[str] = ()) -> None:
        """first: the shell command that becomes the first process; extra: options of QEMU."""
        self._machine = machine
        self._console = machine.scratch / f"console-{time.monotonic_ns()}.log"
        command = [word for word in machine.prepared(first) if word != "-no-reboot"]
        with self._console.open("wb") as console:
            self._qemu = subprocess.Popen(
                [*command, *extra], stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )

    def until(self, what: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Wait for a condition. TimeoutError or, when the machine has gone, RuntimeError with its console."""
        begun = time.monotonic()
        while not what():
            if self._qemu.poll() is not None and not what():
                raise RuntimeError(f"the machine is off: {self.console()[-3000:]}")
            if time.monotonic() - begun > within_s:
                raise TimeoutError(f"not within {within_s:.0f} s: {self.console()[-3000:]}")
            time.sleep(POLL_S)

    def until_off(self, within_s: float = WITHIN_S) -> None:
        """Wait until it has switched itself off."""
        self.until(lambda: self._qemu.poll() is not None, within_s)

    def console(self) -> str:
        return self._console.read_text(errors="replace")

    def cut(self) -> None:
        """The power fails now."""
        self._qemu.kill()
        self._qemu.wait()


def seen(file: Path) -> str:
    """What a shared file has; empty while there is none."""
    return file.read_text(errors="replace") if file.exists() else ""
