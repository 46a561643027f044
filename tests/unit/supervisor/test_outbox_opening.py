"""A start on a state folder that takes no writes: what the lamps and the status line show, and how it goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from device.edges.clock.system import SystemClock
from device.edges.gpio.simulated import SimulatedGpio
from device.edges.service.systemd import NoServiceManager
from device.errors import Unavailable
from device.outbox.store import Outbox
from device.ports.gpio import Lamp
from device.supervisor.runtime import outbox_opening
from device.supervisor.runtime.executor import DiskInline
from device.supervisor.sign.indicators import Indicators


class Bench:
    """A folder that refuses writes until `repaired`, and what the device shows at each attempt."""

    def __init__(self, folder: Path) -> None:
        self.repaired = False
        self.lines = SimulatedGpio()
        self.service = NoServiceManager()
        self.indicators = Indicators(self.lines, SystemClock())
        self.on_attempt: Callable[[int], None] = lambda _: None
        self._attempts = 0
        self._file = folder / "outbox.sqlite"

    def open(self) -> Outbox:
        self._attempts += 1
        self.on_attempt(self._attempts)
        if not self.repaired:
            raise Unavailable("outbox: Read-only file system")
        return Outbox(self._file, SystemClock().wall())

    async def run(self) -> Outbox:
        return await outbox_opening.opened_outbox(
            self.open, disk=DiskInline(), lines=self.lines, service=self.service, indicators=self.indicators
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(outbox_opening, "STATE_FOLDER_WRITE_S", 0.05)
    monkeypatch.setattr(outbox_opening, "ALIVE_S", 0.01)
    return Bench(tmp_path)


def test_a_folder_that_takes_no_writes_lights_the_fault_lamp_and_the_start_goes_on_once_it_does(bench: Bench) -> None:
    seen: list[tuple[bool, str, str, bool]] = []

    def look(attempt: int) -> None:
        bench.repaired = attempt == 3
        if attempt > 1:
            lamp = bench.lines.lamps[Lamp.FAULT]
            seen.append((lamp, bench.indicators.code.text, bench.service.last_status, bench.service.is_ready))

    bench.on_attempt = look
    asyncio.run(bench.run()).close()
    lamp, code, status, ready = seen[0]
    assert (lamp, code, ready) == (True, "red, 8 blinks", True)
    assert "Read-only" in status
    assert "replace the card" in status
    assert bench.service.beats > 3, "the watchdog is fed meanwhile"
    assert not any(bench.lines.lamps.values())
    assert not bench.lines.sign_driven


def test_a_folder_that_takes_writes_shows_nothing(bench: Bench) -> None:
    bench.repaired = True
    asyncio.run(bench.run()).close()
    assert not bench.service.is_ready
    assert bench.service.last_status == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_in_order(bench: Bench, number: signal.Signals) -> None:
    bench.on_attempt = lambda attempt: None if attempt == 1 else os.kill(os.getpid(), number)
    with pytest.raises(SystemExit) as ended:
        asyncio.run(bench.run())
    assert ended.value.code == 0
