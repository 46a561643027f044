"""Updates: what is refused before anything is written, what is kept, what is taken back."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device import durable
from device.config.release import StateSchema
from device.errors import BadData, RefusedByCondition, Unavailable
from device.update import record
from device.update.slots import CURRENT
from device.update.updater import RolledBack, TriedAgain, attempt
from tests.failing_disks import failing_disk

Release = Callable[..., bytes]


def unchanged(board: Any) -> bool:
    """Whether the release of before runs, nothing else is there, and nothing is on trial."""
    return (
        board.named() == ("0.2.0", "0.2.0")
        and board.slots.versions() == ["0.2.0"]
        and not list(board.slots.folder.glob(".*"))
        and board.service.starts == ["0.2.0"]
        and record.trial(board.updates) is None
    )


def test_a_good_release_is_installed_watched_and_committed(board: Any, release: Release) -> None:
    assert board.updater().apply(board.hub.offer(release())) == "0.3.0"
    assert board.named() == ("0.3.0", "0.3.0")
    assert board.service.running == "0.3.0"
    assert board.slots.versions() == ["0.2.0", "0.3.0"], "the one before stays, for `lfr update rollback`"
    assert board.tested == [".0.3.0.new"], "tested before it gets its name"
    assert board.clock.now_s > 300


def test_a_slot_is_read_only(board: Any, release: Release) -> None:
    board.updater().apply(board.hub.offer(release()))
    slot = board.slots.place("0.3.0")
    paths = [path for path in (slot, *slot.rglob("*")) if not path.is_symlink()]
    assert len(paths) > 5
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o222 for path in paths)


@pytest.mark.parametrize("behaviour", ["crashes", "fails", "mute", "dies-later"])
def test_a_broken_release_is_rolled_back_and_not_tried_again(board: Any, release: Release, behaviour: str) -> None:
    stick = board.hub.offer(release(behaviour))
    with pytest.raises(RolledBack, match=r"0\.3\.0 was rolled back to 0\.2\.0"):
        board.updater().apply(stick)
    assert board.named() == ("0.2.0", "0.2.0")
    assert board.service.starts == ["0.2.0", "0.3.0", "0.2.0"]
    assert "rolled back" in record.read(board.updates).last
    with pytest.raises(RefusedByCondition, match="failed on this device before"):
        board.updater().apply(stick)
    assert board.service.starts == ["0.2.0", "0.3.0", "0.2.0"]


def test_the_release_after_a_broken_one_is_taken(board: Any, release: Release) -> None:
    with pytest.raises(RolledBack):
        board.updater().apply(board.hub.offer(release("crashes")))
    board.clock.sleep(10)
    assert board.updater().apply(board.hub.offer(release(version="0.3.1"), version="0.3.1")) == "0.3.1"
    assert board.slots.versions() == ["0.2.0", "0.3.1"]


def test_a_version_that_failed_can_be_allowed_again_by_hand(board: Any, release: Release) -> None:
    board.problem = "detector disagrees"
    with pytest.raises(RefusedByCondition, match="detector disagrees"):
        board.updater().apply(board.hub.offer(release()))
    assert unchanged(board)
    board.problem = ""
    assert board.updater().forget("0.3.0")
    assert board.updater().apply(board.hub.folder) == "0.3.0"


def test_a_bad_release_that_fills_the_disk_is_rolled_back_all_the_same(
    board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unavailable("the disk is full")

    restart = board.service.restart

    def restart_and_fill() -> None:
        restart()
        monkeypatch.setattr(record, "write", full)
        monkeypatch.setattr(record, "write_trial", full)

    monkeypatch.setattr(board.service, "restart", restart_and_fill)
    with pytest.raises(Unavailable, match="the disk is full"):
        board.updater().apply(board.hub.offer(release("crashes")))
    assert board.service.starts == ["0.2.0", "0.3.0", "0.2.0"]
    assert board.named() == ("0.2.0", "0.2.0")
    monkeypatch.undo()
    assert board.updater().resume() == ""


def test_nothing_is_changed_while_a_deployment_is_loaded(board: Any, release: Release) -> None:
    stick = board.hub.offer(release())
    board.service.deployment = "d-1"
    with pytest.raises(RefusedByCondition, match="d-1 is loaded"):
        board.updater().apply(stick)
    assert unchanged(board)


def test_a_deployment_that_arrives_while_the_slot_is_made_is_not_interrupted(board: Any, release: Release) -> None:
    def arrives(slot: Path) -> None:
        board.service.deployment = "d-1"

    with pytest.raises(RefusedByCondition, match="d-1 is loaded"):
        board.updater(compile=arrives).apply(board.hub.offer(release()))
    assert board.named() == ("0.2.0", "0.2.0")
    assert board.service.starts == ["0.2.0"]


def test_a_device_that_is_not_healthy_is_not_updated(board: Any, release: Release) -> None:
    (board.slots.place("0.2.0") / "behaviour").chmod(0o644)
    (board.slots.place("0.2.0") / "behaviour").write_text("no-sign")
    with pytest.raises(RefusedByCondition, match="sign"):
        board.updater().apply(board.hub.offer(release()))
    assert unchanged(board)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target": "debian-12-aarch64"}, "it is for debian-12-aarch64"),
        ({"python": "3.10"}, "/usr/bin/python3.10"),
        ({"state": StateSchema(writes=3, reads_from=2, rollback_to=1)}, "format 2 to 3"),
        ({"state": StateSchema(writes=2, reads_from=1, rollback_to=2)}, "cannot read"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(board: Any, release: Release, changed: Any, said: str) -> None:
    with pytest.raises(RefusedByCondition, match=said):
        board.updater().apply(board.hub.offer(release(**changed)))
    assert unchanged(board)


@pytest.mark.parametrize("version", ["0.1.9", "0.2.0", "0.2"])
def test_an_older_or_equal_version_is_refused(board: Any, release: Release, version: str) -> None:
    with pytest.raises(RefusedByCondition, match=r"and 0\.2\.0 runs"):
        board.updater().apply(board.hub.offer(release(version=version), version=version))
    assert unchanged(board)


def test_versions_are_compared_by_their_numbers(board: Any, release: Release) -> None:
    assert board.updater().apply(board.hub.offer(release(version="0.10.0"), version="0.10.0")) == "0.10.0"


def test_a_repository_of_another_root_is_refused(make_board: Any, release: Release) -> None:
    board, other = make_board(), make_board("other")
    with pytest.raises(RefusedByCondition, match="does not verify with this device's root of trust"):
        board.updater().apply(other.hub.offer(release()))
    assert unchanged(board)


def test_a_release_that_a_stranger_signed_is_refused(board: Any, release: Release) -> None:
    with pytest.raises(RefusedByCondition, match="does not verify"):
        board.updater().apply(board.hub.offer(release(), signer="hub"))
    assert unchanged(board)


def test_old_metadata_is_refused_once_newer_was_seen(board: Any, release: Release) -> None:
    first = board.hub.offer(release())
    board.hub.offer(release(version="0.3.1"), version="0.3.1")
    assert board.updater().apply(board.hub.folder) == "0.3.1"
    (first / "metadata" / "2.releases.json").unlink()
    with pytest.raises(RefusedByCondition, match="an old copy is offered"):
        board.updater().apply(first)


def test_metadata_that_was_verified_counts_although_its_release_was_not_taken(board: Any, release: Release) -> None:
    """Keys that were taken away since an old copy was made sign nothing any more."""
    board.hub.offer(release())
    board.hub.offer(release(version="0.3.1"), version="0.3.1")
    board.service.deployment = "d-1"
    with pytest.raises(RefusedByCondition, match="d-1"):
        board.updater().apply(board.hub.folder)
    board.service.deployment = None
    (board.hub.folder / "metadata" / "2.releases.json").unlink()
    with pytest.raises(RefusedByCondition, match="an old copy is offered"):
        board.updater().apply(board.hub.folder)
    assert unchanged(board)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda content: content[:-100], "cut off"),
        (lambda content: content + b"x", "longer"),
        (lambda content: content[:50] + b"?" + content[51:], "not what was signed"),
    ],
)
def test_a_damaged_copy_is_refused(board: Any, release: Release, harm: Any, said: str) -> None:
    board.hub.offer(release())
    file = board.hub.bundle_file()
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(BadData, match=said):
        board.updater().apply(board.hub.folder)
    assert unchanged(board)


def test_a_release_for_others_is_named(board: Any, release: Release) -> None:
    stick = board.hub.offer(release(target="ubuntu-22.04-aarch64"), target="ubuntu-22.04-aarch64")
    with pytest.raises(RefusedByCondition, match=r"no release for debian-12-x86_64.*ubuntu-22\.04-aarch64"):
        board.updater().apply(stick)


def test_a_folder_that_is_no_repository_is_named(board: Any, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="holds no copy of a hub's repository"):
        board.updater().apply(tmp_path / "nothing")


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, size
    return entry, bytes(size)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (_entry("../../outside"), "leads out of the slot"),
        (_entry("/etc/passwd"), "leads out of the slot"),
        (_entry("lib/one", tarfile.SYMTYPE, "/etc/shadow"), "no file of a slot"),
        (_entry("bin/python9", tarfile.SYMTYPE, "/tmp/evil"), "no file of a slot"),
        (_entry("lib/hard", tarfile.LNKTYPE, "/etc/shadow"), "no file of a slot"),
        (_entry("lib/node", tarfile.CHRTYPE), "no file of a slot"),
        (_entry("lib/large", size=200_000), "more than the 100000 bytes"),
        (_entry("systemd/lfr.service"), "there twice"),
        (_entry("systemd/lfr.service/one"), "below a file"),
    ],
)
def test_a_signed_release_still_cannot_write_outside_its_slot(
    board: Any, release: Release, entry: tuple[tarfile.TarInfo, bytes], said: str
) -> None:
    with pytest.raises(BadData, match=said):
        board.updater().apply(board.hub.offer(release(more=(entry,))))
    assert unchanged(board)


def test_what_is_signed_but_no_archive_is_refused(board: Any) -> None:
    with pytest.raises(BadData, match="damaged"):
        board.updater().apply(board.hub.offer(b"no archive at all"))
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w:gz").close()
    with pytest.raises(BadData, match="is no release"):
        board.updater().apply(board.hub.offer(empty.getvalue()))
    assert unchanged(board)


def test_a_full_and_a_read_only_disk_change_nothing_and_are_named(board: Any, release: Release) -> None:
    stick = board.hub.offer(release(unpacked_bytes=2_500_000_000), unpacked_bytes=2_500_000_000)
    with failing_disk(board.updates) as disk:
        disk.turn_read_only()
        with pytest.raises(Unavailable, match=r"read-only|cannot be written|Permission"):
            board.updater().apply(stick)
        disk.mend()
        disk.fill()
        with pytest.raises(Unavailable, match=r"MB free|No space"):
            board.updater().apply(stick)
        disk.mend()
    assert unchanged(board)


def test_a_disk_that_fills_up_while_a_slot_is_made_leaves_no_slot(board: Any, release: Release) -> None:
    def fills(slot: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="make room"):
        board.updater(compile=fills).apply(board.hub.offer(release()))
    assert unchanged(board)


def test_nothing_is_copied_when_there_is_no_room_for_the_slot(board: Any, release: Release) -> None:
    """It is tried again every few minutes: a copy each time would wear the card out."""
    stick = board.hub.offer(release(unpacked_bytes=2_900_000_000), unpacked_bytes=2_900_000_000)
    board.hub.bundle_file().unlink()
    with failing_disk(board.updates), pytest.raises(Unavailable, match="MB free"):
        board.updater().apply(stick)


def test_an_offer_that_states_another_size_than_the_release_is_refused(board: Any, release: Release) -> None:
    with pytest.raises(BadData, match="publish again"):
        board.updater().apply(board.hub.offer(release(), unpacked_bytes=99))
    assert unchanged(board)


def test_units_that_a_release_brings_are_linked_and_others_left_alone(board: Any, release: Release) -> None:
    wants, unit = "/etc/systemd/system/multi-user.target.wants/lfr-new.service", "/etc/systemd/system/lfr-new.service"
    links = {unit: "/opt/lfr/current/systemd/lfr-new.service", wants: unit}
    board.updater().apply(board.hub.offer(release(links=links)))
    assert str((board.folder / wants[1:]).readlink()) == unit
    assert str((board.folder / unit[1:]).readlink()) == links[unit]
    own = board.folder / "etc/systemd/system/lfr.service"
    own.write_text("of a person")
    links = {"/etc/systemd/system/lfr.service": "/opt/lfr/current/systemd/lfr.service"}
    board.updater().apply(board.hub.offer(release(version="0.4.0", links=links), version="0.4.0"))
    assert own.read_text() == "of a person"


def test_a_folder_that_is_made_for_a_link_is_on_the_disk_as_well(
    board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is made once: what a power cut loses of it, no later run makes again."""
    flushed: list[Path] = []
    monkeypatch.setattr(durable, "flush_folder", flushed.append)
    links = {"/etc/systemd/system/new.service.d/10.conf": "/opt/lfr/current/systemd/10.conf"}
    board.updater().apply(board.hub.offer(release(links=links)))
    assert board.folder / "etc/systemd/system" in flushed
    assert (board.folder / "etc/systemd/system/new.service.d").stat().st_mode & 0o777 == 0o755


def test_a_trial_that_restarts_the_machine_again_and_again_is_taken_back(board: Any, release: Release) -> None:
    class Off(BaseException):
        """The power goes."""

    def cut(seconds: float) -> None:
        raise Off

    from device.update.gate import Gate

    stick = board.hub.offer(release())
    with pytest.raises(Off):
        board.updater(gate=Gate(monotonic=board.clock.monotonic, sleep=cut)).apply(stick)
    for _ in range(2):
        board.service.boot()
        with pytest.raises(Off):
            board.updater(gate=Gate(monotonic=board.clock.monotonic, sleep=cut)).resume()
    board.service.boot()
    assert board.slots.named(CURRENT) == "0.3.0"
    with pytest.raises(TriedAgain, match="interrupted 3 times"):
        board.updater().resume()
    assert board.named() == ("0.2.0", "0.2.0")


class TestService:
    """lfr-update.service: what is in the inbox."""

    def test_it_installs_what_the_supervisor_placed_and_empties_the_inbox(self, board: Any, release: Release) -> None:
        inbox = board.hub.offer(release())
        assert attempt(board.updater(), inbox) == "0.3.0"
        assert not inbox.exists()
        assert attempt(board.updater(), inbox) == ""

    def test_it_waits_for_the_end_of_a_deployment(self, board: Any, release: Release) -> None:
        inbox = board.hub.offer(release())
        board.service.deployment = "d-1"
        assert attempt(board.updater(), inbox) == ""
        assert inbox.exists()
        board.service.deployment = None
        assert attempt(board.updater(), inbox) == "0.3.0"

    def test_what_is_refused_for_good_leaves_the_inbox(self, board: Any, release: Release) -> None:
        inbox = board.hub.offer(release("crashes"))
        with pytest.raises(RolledBack):
            attempt(board.updater(), inbox)
        assert not inbox.exists()
        assert attempt(board.updater(), inbox) == ""

    def test_a_full_disk_keeps_it_for_later(self, board: Any, release: Release) -> None:
        def fills(slot: Path) -> None:
            raise OSError(28, "No space left on device")

        inbox = board.hub.offer(release())
        with pytest.raises(Unavailable):
            attempt(board.updater(compile=fills), inbox)
        assert attempt(board.updater(), inbox) == "0.3.0"
