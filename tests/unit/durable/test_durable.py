"""The one atomic write: the old content or the new one after a power cut, and nothing half-made after a full disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from device.durable import create_file, replace_file
from tests.power_cut import Power, PowerCut

OLD, NEW = b"old" * 1000, b"new" * 2000


class Disk:
    """What survives a power cut: content that was flushed, and names in folders that were flushed.

    It looks at every fsync and rename; at a rename it notes what the file would hold if the power failed right after.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed: dict[int, bytes] = {}
        self.steps: list[str] = []
        real_fsync, real_replace = os.fsync, Path.replace

        def fsync(descriptor: int) -> None:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                self.flushed[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            self.steps.append("flush folder" if stat.S_ISDIR(found.st_mode) else "flush file")
            real_fsync(descriptor)

        def replace(fresh: Path, target: Path) -> Path:
            survives = self.flushed.get(fresh.stat().st_ino, b"")
            self.steps.append("rename whole" if survives == fresh.read_bytes() else "rename torn")
            return real_replace(fresh, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)


@pytest.fixture(scope="module")
def power() -> Power:
    return Power()


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    replace_file(tmp_path / "file", NEW)
    assert disk.steps == ["flush file", "rename whole", "flush folder"]


def test_a_volatile_file_is_never_flushed_and_never_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    replace_file(tmp_path / "file", NEW, synced=False)
    assert disk.steps == ["rename torn"], "a power cut may lose it, which is what volatile says"
    assert (tmp_path / "file").read_bytes() == NEW


def test_wherever_the_power_fails_the_file_is_the_old_one_or_the_new_one(tmp_path: Path, power: Power) -> None:
    file = tmp_path / "file"
    with power.over(tmp_path, None):
        replace_file(file, OLD)
    steps, seen = power.done, set()
    assert steps >= 2
    for cut in range(1, steps + 2):
        file.write_bytes(OLD)
        with power.over(tmp_path, cut), suppress(PowerCut):
            replace_file(file, NEW)
        seen.add(file.read_bytes())
        replace_file(file, NEW)
        assert file.read_bytes() == NEW
        assert [f.name for f in tmp_path.iterdir()] == ["file"], "what the cut left is gone after the next write"
    assert seen == {OLD, NEW}


def test_wherever_the_power_fails_a_created_file_is_whole_or_not_there(tmp_path: Path, power: Power) -> None:
    file = tmp_path / "key"
    with power.over(tmp_path, None):
        assert create_file(file, NEW)
    for cut in range(1, power.done + 1):
        file.unlink(missing_ok=True)
        with power.over(tmp_path, cut), suppress(PowerCut):
            create_file(file, NEW)
        assert not file.exists() or file.read_bytes() == NEW


def test_the_second_creator_changes_nothing(tmp_path: Path) -> None:
    assert create_file(tmp_path / "key", OLD)
    assert not create_file(tmp_path / "key", NEW)
    assert (tmp_path / "key").read_bytes() == OLD
    assert [f.name for f in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("write", [replace_file, create_file])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    write: Callable[[Path, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_bytes(OLD)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "file", NEW, mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
