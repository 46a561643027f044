"""The demo's processes: started in order, each with a log of its own, stopped in reverse.

1. Each runs in a session of its own, so Ctrl-C reaches the demo alone and the demo decides the order of stopping.
2. Each is started by tools.dev.demo.end_with_parent, so that it ends when the demo is killed.
3. Stopping is SIGTERM, a deadline, then SIGKILL; the deadlines add up to less than a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from device.errors import Unavailable

STOP_S = 12.0
LAST_LINES = 15


@dataclass(slots=True)
class Running:
    """One started program, with its name in the demo's messages."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def last_lines(self, count: int = LAST_LINES) -> str:
        """The end of its log, indented for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        return "\n".join(f"  | {line}" for line in lines) or "  | (no output)"

    def check(self) -> None:
        """Raise Unavailable with the last log lines when it has ended unexpectedly."""
        if self.exit_status is not None:
            raise Unavailable(
                f"{self.name} ended with status {self.exit_status}; the last lines of its log:\n{self.last_lines()}"
            )


class Processes:
    """Owner of all programs of one demo; use as a context manager."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Running] = []

    def __enter__(self) -> Processes:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *ending: object) -> None:
        self.stop_all()

    def start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Running:
        """Start one program; it is stopped before those started earlier."""
        log = self._logs / f"{name}.log"
        child = [sys.executable, "-m", "tools.dev.demo.end_with_parent", str(os.getpid()), *command]
        with log.open("ab") as sink:
            process = subprocess.Popen(
                child,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=without_manager() | (environment or {}),
                cwd=self._logs,
            )
        running = Running(name, process, log)
        self._running.append(running)
        return running

    def stop_all(self) -> None:
        """Stop everything in reverse order, also after a second Ctrl-C (rule 3)."""
        while self._running:
            try:
                self.stop(self._running[-1])
            except KeyboardInterrupt:
                kill_group(self._running[-1].process)
            self._running.pop()

    def stop(self, running: Running) -> None:
        """SIGTERM, wait, SIGKILL to what is left of its session."""
        process = running.process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        kill_group(process)


def without_manager() -> dict[str, str]:
    """This program's environment without its service manager, to which what it starts has nothing to report."""
    return {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a program's session and reap the program itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
