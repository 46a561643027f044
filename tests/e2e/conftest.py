"""The real parts: broker, models, processes, and a demo as a person starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from tools.dev.demo.run import Hub
from tools.hub.report.tallies import Deployment, read_book

LIMIT_S = 600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is end to end."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def counted(book: Path) -> Deployment:
    """A hub's counts of its only deployment; all zero before the first."""
    return next(iter(read_book(book).deployments.values()), Deployment(deployment_id="none"))


def final_counts(book: Path, hub: Hub, is_final: Callable[[Deployment], object]) -> Deployment:
    """A hub's counts, once those of the device's end are in its book: they come through the broker after that end."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        assert hub.process.exit_status is None, hub.process.last_lines()
        tally = counted(book)
        if is_final(tally):
            return tally
        assert time.monotonic() < deadline, tally
        time.sleep(0.1)


class Demo:
    """One running `lfr demo`, as a person starts it: its lines, its end, what it leaves."""

    def __init__(self, *arguments: str) -> None:
        command = [str(Path(sys.executable).with_name("lfr")), "demo", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.output: list[str] = []
        self.folder: Path | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._out: list[str] = []
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self._out.extend(self.process.stdout)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)

    def wait_for(self, text: str) -> str:
        """The first line from now on that holds `text`."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                line = self._lines.get(timeout=0.2)
                self._keep(line)
                if text in line:
                    return line
            over = not self._readers[1].is_alive() and self._lines.empty()
            assert not over, f"ended without {text!r}:\n{self.text}"
        raise AssertionError(f"no {text!r} within {LIMIT_S:g} s:\n{self.text}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for its end and for all that it has printed; its exit status."""
        status = self.process.wait(LIMIT_S)
        for reader in self._readers:
            reader.join(LIMIT_S)
            assert not reader.is_alive(), "something that it started still holds its output"
        with contextlib.suppress(Empty):
            while True:
                self._keep(self._lines.get_nowait())
        return status

    @property
    def text(self) -> str:
        return "".join(self.output)

    @property
    def out(self) -> str:
        return "".join(self._out)

    def leftovers(self) -> list[str]:
        """Its private folder and processes that still name it."""
        assert self.folder is not None, self.text
        left = [str(self.folder)] if self.folder.exists() else []
        return left + [text for text in command_lines() if str(self.folder) in text]

    def _keep(self, line: str) -> None:
        self.output.append(line)
        if "private folder" in line and self.folder is None:
            self.folder = Path(line.rsplit(": ", 1)[1].strip())


def command_lines() -> Iterator[str]:
    """Command line of every process that can be read."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    """Start demos; whatever still runs at the end of the test is ended."""
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.kill(one.process.pid, signal.SIGTERM)
            one.process.wait(LIMIT_S)
