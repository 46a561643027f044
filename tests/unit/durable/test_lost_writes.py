"""The power fails after each write of audit log and outbox, and what was not flushed is lost: no promise is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from device.audit.key import device_key, read_public
from device.audit.log import Log
from device.audit.verify import Verdict, verify
from device.edges.clock.system import SystemClock
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.audit.writer import AuditWriter
from device.supervisor.runtime.executor import DiskInline
from tests.lost_writes.disk import Disk, recorded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return recorded("tests.lost_writes.audit_life", tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return recorded("tests.lost_writes.outbox_life", tmp_path_factory.mktemp("outbox"))


def test_the_audit_log_verifies_after_every_cut_and_has_every_row_that_was_promised(
    audit: Disk, tmp_path: Path
) -> None:
    seen = set()
    for number, marks in audit.cuts():
        state = audit.after(number, tmp_path / "cut") / "state"
        promised = max((int(mark.split()[1]) for mark in marks), default=-1)
        if promised >= 0 or (state / "audit" / "audit.jsonl").exists():
            found = found_in(state)
            if found.rows or promised >= 0:
                assert found.ok, f"cut {number}: {found.broken}"
                assert (found.last or 0) >= promised, f"cut {number}"
            seen.add(found.last)
        asyncio.run(next_life(state))
        assert found_in(state).ok, f"cut {number}, after the next start: {found_in(state).broken}"
    assert len(seen) > 10, "the cuts fall between rows"


def test_rows_that_reach_the_disk_by_half_cost_no_promise(audit: Disk, tmp_path: Path) -> None:
    for number, marks in audit.cuts():
        state = audit.after(number, tmp_path / "cut", torn=True) / "state"
        promised = max((int(mark.split()[1]) for mark in marks), default=-1)
        asyncio.run(next_life(state))
        found = found_in(state)
        assert found.ok, f"cut {number}, after the next start: {found.broken}"
        assert (found.last or 0) >= promised


def test_a_first_start_leaves_signed_rows_or_none(audit: Disk, tmp_path: Path) -> None:
    """Also when half of what was written reaches the disk: such rows could not be distinguished from forged ones."""
    for number, marks in audit.cuts():
        if marks:
            break
        state = audit.after(number, tmp_path / "cut", torn=True) / "state"
        if (state / "audit" / "audit.jsonl").exists() and (state / "audit" / "audit.jsonl").stat().st_size:
            assert found_in(state).ok, f"cut {number}: {found_in(state).broken}"


def found_in(state: Path) -> Verdict:
    return verify(state / "audit", read_public((state / "device.pub").read_text()))


async def next_life(state: Path) -> None:
    """The device starts again and is killed after its first head."""
    writer = AuditWriter(
        lambda: (device_key(state), Log(state / "audit")),
        DiskInline(),
        SystemClock(),
        "boot-3",
        on_head=lambda head: None,
    )
    await writer.open()
    writer.note("started", version="1")
    await writer.sign()


def test_two_lives_cut_off_before_their_first_head_was_kept_still_verify(audit: Disk, tmp_path: Path) -> None:
    """The head's row is written, its file is not; the next start must not read as a log that was cut."""
    for number, _ in audit.cuts():
        state = audit.after(number, tmp_path / "cut") / "state"
        log, head = state / "audit" / "audit.jsonl", state / "audit" / "head.json"
        if log.exists() and log.stat().st_size and not head.exists():
            break
    else:
        raise AssertionError("no cut falls between a head and its file")
    assert found_in(state).ok
    assert Log(state / "audit").found.headless is not None
    asyncio.run(next_life(state))
    head.unlink()
    asyncio.run(next_life(state))
    broken = found_in(state).broken
    assert broken is not None, "no power cut takes the head file away from a log with two heads"
    assert broken.kind == "head"


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"seq": 1}', b"\xff\xfe", b"[" * 100_000])
def test_junk_in_the_head_file_is_reported_and_stays_in_the_log(tmp_path: Path, junk: bytes) -> None:
    asyncio.run(next_life(tmp_path))
    assert found_in(tmp_path).ok
    (tmp_path / "audit" / "head.json").write_bytes(junk)
    broken = found_in(tmp_path).broken
    assert broken is not None
    assert broken.kind == "head"
    asyncio.run(next_life(tmp_path))
    broken = found_in(tmp_path).broken
    assert broken is not None, "a fresh head does not hide it"
    assert broken.kind == "head"


def test_the_outbox_opens_after_every_cut_and_keeps_every_promise(outbox: Disk, tmp_path: Path) -> None:
    held = set()
    for number, marks in outbox.cuts():
        folder = outbox.after(number, tmp_path / "cut") / "state"
        again = Outbox(folder / "outbox.sqlite", SystemClock().wall(), log_first=True)
        assert not list(folder.glob("*.broken-*")), f"cut {number}: {[p.name for p in folder.iterdir()]}"
        alerts, waiting = set(again.alerts_held()), again.waiting()
        kept = {mark.split()[1] for mark in marks if mark.startswith("kept")}
        if "erasing a-1" in marks:
            kept -= {"a-1"}
        assert alerts >= kept, f"cut {number}"
        assert "gone a-1" not in marks or "a-1" not in alerts, f"cut {number}"
        assert not {mark.split()[1] for mark in marks if mark.startswith("logged")} & set(again.unlogged())
        delivered = sum(mark.startswith("delivered") for mark in marks)
        assert waiting[MessageClass.ALERT] <= max(0, len(alerts) - delivered) + ("erasing a-1" in marks)
        held.add(len(alerts))
        again.close()
    assert held == {0, 1, 2, 3}


def test_device_pub_is_there_whenever_the_log_is(audit: Disk, tmp_path: Path) -> None:
    for number, _ in audit.cuts():
        state = audit.after(number, tmp_path / "cut") / "state"
        if (state / "audit").exists():
            assert read_public((state / "device.pub").read_text())
            assert device_key(state).public == (state / "device.pub").read_text().strip()
