"""What workers say, as the journal gets it."""

from __future__ import annotations

import pytest

from device.edges.clock.fake import FakeClock
from device.supervisor.timing import WORKER_JOURNAL_QUIET_S as QUIET_S
from device.supervisor.workers.journal import UNKNOWN, WorkerJournal
from device.wire.journal_texts import journal_text
from device.wire.link import JournalLine, Level


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_each_wording_is_a_line_with_its_cameras_name_and_its_level(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    writer = WorkerJournal(clock)
    with caplog.at_level("INFO"):
        writer.log("front", JournalLine(level=Level.INFO, text=journal_text("opened", "camera", 1280, 720, 25)))
        writer.log("rear", JournalLine(level=Level.WARNING, text=journal_text("still")))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.messages[0] == 'worker.journal camera=front text="camera opened: 1280 x 720 pixels, 25 Hz" times=1'
    assert caplog.messages[1].startswith("worker.journal camera=rear")


def test_an_unknown_text_is_logged_as_unknown_and_not_printed(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    WorkerJournal(clock).log("front", JournalLine(level=Level.INFO, text="QUdFLVNFQ1JFVC1LRVktMQ=="))
    assert UNKNOWN in caplog.text
    assert "QUdF" not in caplog.text
    assert caplog.records[0].levelname == "WARNING"


def test_a_worker_that_does_not_stop_talking_is_a_line_in_ten_seconds_a_wording(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    writer = WorkerJournal(clock)
    for tenth in range(round(3 * QUIET_S * 10)):
        writer.log("front", JournalLine(level=Level.WARNING, text=journal_text("slow", tenth, 250, 10, "embed", 61)))
        clock.advance(0.1)
    assert [message.rpartition("=")[2] for message in caplog.messages] == ["1", "100", "100"]
