"""The power fails after each write of an update, and what was not flushed is lost: what boots is whole all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device.update import record
from device.update.unpack import manifest_of
from device.update.updater import attempt
from tests.lost_writes.disk import Disk, recorded
from tests.unit.update.conftest import board_at

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("update")


@pytest.fixture(scope="module")
def update(scratch: Path) -> Disk:
    return recorded("tests.lost_writes.update_life", scratch)


def whole(board: Any, version: str) -> bool:
    """Every file of a slot with its content, as the release has it."""
    slot = board.slots.place(version)
    if board.slots.manifest(version) is None or (slot / "behaviour").read_text() != "good":
        return False
    one = slot / "lib/python3.11/site-packages/one.py"
    return version == "0.2.0" or (one.read_text() == "VALUE = 1\n" and (slot / "bin/python").is_symlink())


def test_after_every_cut_a_whole_slot_boots_and_the_update_comes_to_its_end(
    update: Disk, scratch: Path, tmp_path: Path
) -> None:
    root, seen, cuts = (scratch / "root.json").read_bytes(), set(), 0
    for number, marks in update.cuts():
        if "begin" not in marks:
            continue
        cuts += 1
        board = board_at(update.after(number, tmp_path / "cut") / "board")
        board.hub.kept_root = root
        current, committed = board.named()
        seen.add((current, committed))
        for version in board.slots.versions():
            assert whole(board, version), f"cut {number}: {version} is damaged"
        assert current in ("0.2.0", "0.3.0"), f"cut {number}"
        assert committed in ("0.2.0", "0.3.0"), f"cut {number}"
        if current != committed:
            trial = record.trial(board.updates)
            assert trial is not None, f"cut {number}: on trial without a record"
        inbox = board.folder / "stick"
        attempt(board.updater(), inbox)
        assert board.named() == ("0.3.0", "0.3.0"), f"cut {number}, after the next run"
        if "0.3.0" in marks:
            assert current == committed == "0.3.0", "what was reported as committed stays"
    assert cuts > 30
    assert seen == {("0.2.0", "0.2.0"), ("0.3.0", "0.2.0"), ("0.3.0", "0.3.0")}


def test_what_the_recorder_saw_is_the_update(update: Disk, tmp_path: Path) -> None:
    """The last state that a power cut leaves has the release that was committed."""
    board = board_at(update.after(len(update.operations), tmp_path / "end") / "board")
    assert board.named() == ("0.3.0", "0.3.0")
    assert whole(board, "0.3.0")
    assert manifest_of(board.hub.bundle_file()).version == "0.3.0"
