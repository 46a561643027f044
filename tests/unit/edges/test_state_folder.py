"""Whether a folder takes writes, on file systems that really fail; and what an error reports of itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from device.edges.host.state_folder import refusal
from device.errors import reason_of
from tests.failing_disks import failing_disk


def test_a_folder_that_takes_writes_is_left_as_it_was(tmp_path: Path) -> None:
    assert refusal(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_mount_is_seen_without_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path, write=False) == ""
    found = os.statvfs(tmp_path)
    flags = [*found[:8], os.ST_RDONLY, *found[9:]]
    monkeypatch.setattr(os, "statvfs", lambda folder: os.statvfs_result(flags))
    assert refusal(tmp_path, write=False) == "it is mounted read-only"


def test_a_disk_that_turns_read_only_refuses_until_it_is_mended(tmp_path: Path) -> None:
    with failing_disk(tmp_path / "state") as disk:
        disk.turn_read_only()
        assert refusal(disk.folder) in ("it is mounted read-only", "Permission denied")
        disk.mend()
        assert refusal(disk.folder) == ""


def test_a_full_disk_is_seen_by_writing_and_its_room_again(tmp_path: Path) -> None:
    with failing_disk(tmp_path / "state") as disk:
        disk.fill()
        assert refusal(disk.folder) in ("No space left on device", "Permission denied")
        disk.mend()
        assert refusal(disk.folder) == ""


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == "No such file or directory"


def test_an_error_without_strerror_still_reports_something(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "file").write_text("x")
    with pytest.raises(shutil.Error) as copied:
        shutil.copytree(tmp_path / "from", tmp_path / "to", copy_function=_refused)
    assert copied.value.strerror is None
    assert "No space left" in reason_of(copied.value)
    assert reason_of(OSError()) == "OSError"
    assert reason_of(OSError("too long")) == "too long"
    assert reason_of(OSError(30, "Read-only file system")) == "Read-only file system"


def _refused(source: str, target: str) -> str:
    raise OSError(28, "No space left on device")
