"""What workers say, as the journal gets it."""

from __future__ import annotations

import pytest

from device.edges.clock.fake import FakeClock
from device.supervisor.workers.journal import QUIET_S, UNKNOWN, Sayings
from device.wire.link import Level, Said
from device.wire.sayings import saying


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_each_wording_is_a_line_with_its_cameras_name_and_its_level(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    sayings = Sayings(clock)
    with caplog.at_level("INFO"):
        sayings.heard("front", Said(level=Level.INFO, text=saying("opened", "camera", 1280, 720, 25)))
        sayings.heard("rear", Said(level=Level.WARNING, text=saying("still")))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.messages[0] == 'worker.said camera=front text="camera opened: 1280 x 720 pixels, 25 Hz" times=1'
    assert caplog.messages[1].startswith("worker.said camera=rear")


def test_what_is_no_wording_is_said_to_have_come_and_is_not_printed(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    Sayings(clock).heard("front", Said(level=Level.INFO, text="QUdFLVNFQ1JFVC1LRVktMQ=="))
    assert UNKNOWN in caplog.text
    assert "QUdF" not in caplog.text
    assert caplog.records[0].levelname == "WARNING"


def test_a_worker_that_does_not_stop_talking_is_a_line_in_ten_seconds_a_wording(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    sayings = Sayings(clock)
    for tenth in range(round(3 * QUIET_S * 10)):
        sayings.heard("front", Said(level=Level.WARNING, text=saying("slow", tenth, 250, 10, "embed", 61)))
        clock.advance(0.1)
    assert [message.rpartition("=")[2] for message in caplog.messages] == ["1", "100", "100"]
