"""The journal's entries: priorities, fields that are listed and no others, whole tracebacks, and the catalog."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device import logs
from device.edges.service.journal_messages import FIELDS, MESSAGES, catalog
from device.edges.service.systemd import JournalHandler

ROOT = Path(__file__).resolve().parents[3]


class FakeJournal:
    """systemd.journal: keeps every entry; `full` refuses it as a journal without room does."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.full = False

    def send(self, message: str, **fields: Any) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.entries.append({"MESSAGE": message, **fields})


@pytest.fixture
def journal() -> Iterator[FakeJournal]:
    """Everything that is logged goes to it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    found = FakeJournal()
    logs.configure(handler=JournalHandler(found))
    yield found
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks


LOG = logging.getLogger("device.test")


def test_an_event_has_its_priority_its_message_id_and_the_fields_that_are_listed(journal: FakeJournal) -> None:
    logs.event(LOG, "camera.lost", level=logging.WARNING, camera="front", problem="it is gone")
    (entry,) = journal.entries
    assert entry["MESSAGE"] == 'W device.test camera.lost camera=front problem="it is gone"'
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("4", "lfr")
    assert (entry["LFR_EVENT"], entry["LFR_CAMERA"]) == ("camera.lost", "front")
    assert entry["MESSAGE_ID"] == MESSAGES["camera.lost"].id
    assert not any("gone" in str(value) for key, value in entry.items() if key != "MESSAGE")


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, 7),
        (logging.INFO, 6),
        (logs.NOTICE, 5),
        (logging.WARNING, 4),
        (logging.ERROR, 3),
        (logging.CRITICAL, 2),
    ],
)
def test_each_level_has_its_priority_also_without_systemd_python(level: int, priority: int) -> None:
    assert logs.priority_of(level) == priority
    assert logs.journal_line("text", level) == f"<{priority}>text"


def test_a_traceback_is_one_entry(journal: FakeJournal) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        LOG.exception("it failed")
    (entry,) = journal.entries
    assert entry["PRIORITY"] == "3"
    assert entry["MESSAGE"].count("\n") >= 4
    assert entry["MESSAGE"].endswith("ValueError: two\nlines")


def test_what_nobody_caught_is_one_entry_of_its_own(journal: FakeJournal) -> None:
    fault = RuntimeError("nobody caught it")
    sys.excepthook(RuntimeError, fault, None)
    (entry,) = journal.entries
    assert entry["PRIORITY"] == "2"
    assert "RuntimeError: nobody caught it" in entry["MESSAGE"]


def test_a_journal_without_room_ends_nothing(journal: FakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.full = True
    instead = io.StringIO()
    monkeypatch.setattr(sys, "stderr", instead)
    logs.event(LOG, "state", now="safe")
    assert "state now=safe" in instead.getvalue()
    assert "No space left" in instead.getvalue()


def test_the_stream_carries_priorities_and_whole_tracebacks_where_it_is_the_journal(tmp_path: Path) -> None:
    """A file stands for the journal: JOURNAL_STREAM names its device and inode, as systemd does for its socket."""
    program = (
        "import logging, threading\nfrom device import logs\nlogs.configure()\nlog = logging.getLogger('x')\n"
        "logs.event(log, 'stop.pressed', level=logs.NOTICE, who='a person')\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n"
    )
    with (tmp_path / "journal").open("w") as stream:
        now = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{now.st_dev}:{now.st_ino}"}
        subprocess.run([sys.executable, "-c", program], stderr=stream, env=environment, check=True, cwd=ROOT)
    first, second = (tmp_path / "journal").read_text().splitlines()
    assert first == '<5>N x stop.pressed who="a person"'
    assert second.startswith("<2>C uncaught ZeroDivisionError\\nTraceback")
    assert second.endswith("ZeroDivisionError: division by zero")


def test_no_field_is_of_a_person() -> None:
    assert not {"entry", "name", "subject", "template", "score", "text", "problem", "officer", "who"} & set(FIELDS)


def test_every_message_is_logged_somewhere_and_its_id_is_its_own() -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "device").rglob("*.py"))
    unused = [name for name in MESSAGES if not re.search(rf'"{re.escape(name)}"(?!: Journal)', source)]
    assert unused == []
    ids = [message.id for message in MESSAGES.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)


def test_the_catalog_is_the_tables_and_names_only_fields_that_there_are() -> None:
    again = "python -c 'from device.edges.service.journal_messages import catalog; print(catalog(), end=\"\")'"
    assert (ROOT / "systemd" / "lfr.catalog").read_text() == catalog(), f"{again} > systemd/lfr.catalog"
    assert set(re.findall(r"@(\w+)@", catalog())) <= set(FIELDS.values())
