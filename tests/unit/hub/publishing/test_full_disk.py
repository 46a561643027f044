"""A disk that fills up at any write: an error with path and remedy, what was there stays, the next run works."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from device.errors import Unavailable
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin, delegations, rotate_root
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import make_key, open_key
from tools.hub.storage import files

SAYS = r"cannot be written: No space left on device; make room there \(df -h .+\), then run the command again"


class FullDisk:
    """The disk that refuses the n-th file: fsync is where the kernel says so at the latest (write(2), ENOSPC)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuse_at, self.written = 0, 0
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self.written += 1
                if self.written == self.refuse_at:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        monkeypatch.setattr("tools.hub.storage.files.os.fsync", fsync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


def everything(*folders: Path) -> dict[str, bytes]:
    """What counts: targets that no role names are nobody's (store.py, rule 4), and locks are empty."""
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(p): p.read_bytes() for p in found if "targets" not in p.parts and p.suffix != ".lock"}


def at_every_write(disk: FullDisk, folders: tuple[Path, ...], work: Callable[[], object]) -> int:
    """Run `work` with the disk full at its first write, its second, … until it goes through; how many refused."""
    before = everything(*folders)
    for refuse_at in itertools.count(1):
        disk.refuse_at, disk.written = refuse_at, 0
        output = ""
        try:
            work()
        except Unavailable as fault:
            output = str(fault)
        if not output:
            disk.refuse_at = 0
            return refuse_at - 1
        assert re.search(SAYS, output), output
        assert everything(*folders) == before, f"refused at write {refuse_at}"
    raise AssertionError


def test_devices_are_changed_whole_or_not_at_all(site: Site, disk: FullDisk) -> None:
    site.deployed()

    def more() -> None:
        wanted = ["cam-1", "cam-2", "cam-3"]
        site.publisher.change_delegations(delegations(site.publisher, site.ceremony, site.clock(), devices=wanted))

    assert at_every_write(disk, (site.hub, site.ceremony.folder), more) >= 4
    assert site.reader("cam-1").index() is not None
    assert site.reader("cam-3").index() is None


def test_a_root_is_made_whole_or_not_at_all_and_no_key_is_left_of_one_that_was_not(
    tmp_path: Path, site: Site, disk: FullDisk
) -> None:
    publisher, safe = Publisher(tmp_path / "new", site.clock), Ceremony(tmp_path / "medium")
    safe.folder.mkdir()
    plan = NewAuthority(mode=site.mode, devices=("cam-1",), make_officers=("AO-1", "AO-2"), root_keys=2)
    ours = (publisher.places.hub / "keys", publisher.store.root, publisher.places.hub / "trust", safe.folder)
    assert at_every_write(disk, ours, lambda: begin(publisher, safe, plan, site.clock())) >= 10
    assert publisher.store.root_role().signed.version == 1
    assert {p.name for p in safe.folder.rglob("*.key")} == {
        "root-1.key",
        "root-2.key",
        "targets.key",
        "AO-1.key",
        "AO-2.key",
    }


def test_a_rotation_that_finds_no_room_leaves_every_key_and_the_old_root(site: Site, disk: FullDisk) -> None:
    site.deployed()
    assert site.reader().index() is not None

    def rotate() -> None:
        rotate_root(
            site.publisher, site.ceremony, site.clock(), new_keys=1, threshold=1, targets_key=True, hub_key=True
        )

    assert at_every_write(disk, (site.hub, site.ceremony.folder), rotate) >= 8
    assert site.reader().index() is not None
    assert site.publisher.store.root_role().signed.version == 2


def test_a_change_and_its_signature_are_whole_or_not_there(site: Site, disk: FullDisk) -> None:
    pending = site.publisher.places.pending
    pending.mkdir(parents=True)
    assert at_every_write(disk, (pending,), site.proposed) >= 4
    change = site.proposed()
    assert at_every_write(disk, (pending,), lambda: change.sign([open_key(site.key("AO-1"))])) == 1


def test_an_envelope_and_an_end_reach_a_device_after_the_disk_has_room_again(site: Site, disk: FullDisk) -> None:
    import pyrage

    site.deployed()
    mine = str(pyrage.x25519.Identity.generate().to_public())
    metadata = site.publisher.store.metadata
    disk.refuse_at, disk.written = 3, 0
    with pytest.raises(Unavailable, match=SAYS):
        site.publisher.issue("cam-1", "d-1", mine)
    disk.refuse_at = 0
    assert site.publisher.issue("cam-1", "d-1", mine)
    disk.refuse_at, disk.written = 2, 0
    with pytest.raises(Unavailable, match=SAYS):
        operations.end(site.publisher, "d-1")
    assert site.publisher.records.content_key("d-1") is None, "keys go first, and need no room"
    disk.refuse_at = 0
    operations.end(site.publisher, "d-1")
    assert site.reader().index() is None
    assert not list(metadata.glob(".*"))


def test_sealed_files_and_keys_are_the_hubs_alone_and_metadata_is_for_everybody(site: Site, tmp_path: Path) -> None:
    site.deployed()
    kinds = {
        0o600: [*site.publisher.store.targets.rglob("*.payload"), *(site.hub / "keys").glob("*[!b]")],
        0o644: [*site.publisher.store.metadata.glob("*.json"), *(site.hub / "trust").rglob("root.json")],
    }
    for mode, found in kinds.items():
        assert found
        assert {stat.S_IMODE(file.stat().st_mode) for file in found if file.suffix != ".pub"} == {mode}
    operations.copy_to_usb(site.publisher, tmp_path / "stick")
    copied = [file for file in (tmp_path / "stick").rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in copied} == {0o644}, "a device reads it as another user"


def test_a_folder_that_cannot_be_written_is_refused_with_the_user_who_needs_it(tmp_path: Path) -> None:
    fault = files.cannot_write(tmp_path / "x", OSError(errno.EROFS, os.strerror(errno.EROFS)))
    assert str(fault).endswith("Read-only file system; it must be writable for the user who runs this")
    make_key(tmp_path, "AO-1")
    with pytest.raises(Unavailable, match=r"AO-1\.key/sub/\.x\.new|AO-1\.key/sub/x"):
        files.write_file(tmp_path / "AO-1.key" / "sub" / "x", b"y")
