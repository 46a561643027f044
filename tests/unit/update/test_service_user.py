"""What the service's unprivileged user can place for the updater, which is root: links, forged texts, half an inbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.errors import BadData, RefusedByCondition, Unavailable
from device.update import record
from device.update.updater import TriedAgain, attempt

Release = Callable[..., bytes]


def test_what_the_service_writes_of_itself_is_recorded_as_one_short_printable_line(
    board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status file is the unprivileged service's own; the reason is printed on root's terminal."""
    reading = board.service.reading

    def forged() -> Any:
        found = reading()
        if board.service.running == "0.3.0" and found.status is not None:
            found.status["sign"] = {"sensed": True, "problem": "\x1b]0;title\x07\nREADY=1" + "x" * 5_000}
        return found

    monkeypatch.setattr(board.service, "reading", forged)
    with pytest.raises(TriedAgain):
        board.updater().apply(board.hub.offer(release()))
    reason = record.read(board.updates).tries["0.3.0"].reason
    assert "sign: " in reason
    assert reason.isprintable()
    assert len(reason) == record.REASON_MOST


def test_an_inbox_that_is_a_link_deletes_nothing_behind_it(board: Any, tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "kept").touch()
    inbox = tmp_path / "inbox"
    inbox.symlink_to(behind)
    (behind / "metadata").mkdir()
    with pytest.raises(RefusedByCondition):
        attempt(board.updater(), inbox)
    assert not inbox.exists()
    assert (behind / "kept").exists()


def test_an_inbox_in_a_folder_that_is_a_link_deletes_nothing_behind_it(board: Any, tmp_path: Path) -> None:
    behind = tmp_path / "behind" / "ready"
    (behind / "metadata").mkdir(parents=True)
    (tmp_path / "update").symlink_to(behind.parent)
    with pytest.raises(Unavailable, match="cannot be deleted"):
        attempt(board.updater(), tmp_path / "update" / "ready")
    assert (behind / "metadata").is_dir()


def test_an_inbox_that_lacks_a_signed_file_leaves_it(board: Any, release: Release) -> None:
    """Otherwise it would be tried every five minutes, and the supervisor would never fetch that version again."""
    inbox = board.hub.offer(release())
    (index,) = (inbox / "targets" / "releases").glob("*.json")
    index.unlink()
    with pytest.raises(BadData, match="is not there"):
        attempt(board.updater(), inbox)
    assert not inbox.exists()
