"""The demo's private folder is private, and goes in every case."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from device.errors import Unavailable
from tools.dev.demo.scratch import LOCK, PREFIX, scratch_folder


def test_folder_is_for_its_owner_only_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder((tmp_path,)) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "photo.jpg").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_folder_goes_when_the_demo_is_interrupted(tmp_path: Path) -> None:
    def demo() -> None:
        with scratch_folder((tmp_path,)) as folder:
            (folder / "clip.mp4").write_bytes(b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_left_by_a_killed_demo_goes_at_the_next_start(tmp_path: Path) -> None:
    orphan = tmp_path / f"{PREFIX}orphan"
    orphan.mkdir()
    (orphan / LOCK).touch()
    with scratch_folder((tmp_path,)):
        assert not orphan.exists()


def test_a_folder_that_another_demo_uses_stays(tmp_path: Path) -> None:
    with scratch_folder((tmp_path,)) as first, scratch_folder((tmp_path,)) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert first != second


def test_the_second_place_is_taken_when_the_first_is_not_there(tmp_path: Path) -> None:
    with scratch_folder((tmp_path / "absent", tmp_path)) as folder:
        assert folder.parent == tmp_path


def test_no_writable_place_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="TMPDIR"), scratch_folder((tmp_path / "absent",)):
        pass
