"""A log that was touched says so, and where: any change, omission, move, repetition, cut or forgery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.audit.key import device_key
from device.audit.log import HEAD_FILE
from device.audit.rows import GENESIS, SIGNED_AS, Links, genuine, read
from device.audit.verify import verify
from device.domain.audit_record import record
from device.domain.time import wall

NOW = wall(datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc))
LATER = "2026-11-24T11:11:11.111Z"
Build = Callable[..., Any]
LAW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def relinked(line: bytes, **changes: Any) -> bytes:
    """A row with other content and a hash made to fit, as somebody without the key can make it."""
    row = json.loads(line)
    row.pop("hash")
    row.update(changes)
    body = json.dumps(row, separators=(",", ":")).encode()
    return body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def rewritten_from(lines: list[bytes], first: int) -> list[bytes]:
    """Every row from `first` on linked anew, signatures left as they are."""
    done = lines[:first]
    for line in lines[first:]:
        done.append(relinked(line, prev=json.loads(done[-1])["hash"] if done else GENESIS))
    return done


def test_an_untouched_log_is_whole_and_balances(written: Build) -> None:
    log = written()
    verdict = verify(log.folder, log.key.public)
    assert verdict.ok
    assert (verdict.first, verdict.last, verdict.heads, verdict.unsigned_tail, verdict.counts) == (0, 13, 3, 2, 11)
    assert verdict.notes == []


@pytest.mark.slow
@LAW
@given(data=st.data())
def test_any_changed_byte_is_found_in_its_row(written: Build, data: st.DataObject) -> None:
    log = written()
    lines = log.lines
    row = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[row]) - 2))
    flipped = bytearray(lines[row])
    flipped[place] ^= data.draw(st.integers(1, 255))
    log.put([*lines[:row], bytes(flipped), *lines[row + 1 :]])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.row, broken.line) == (row, row + 1)


@LAW
@given(data=st.data())
def test_any_dropped_rows_before_the_last_head_are_found_where_they_were(written: Build, data: st.DataObject) -> None:
    log = written(tail=0)
    lines = log.lines
    first = data.draw(st.integers(0, len(lines) - 1))
    number = data.draw(st.integers(1, len(lines) - first))
    log.put(lines[:first] + lines[first + number :])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.kind == ("truncated" if first + number == len(lines) else "dropped")
    assert broken.row == first


@LAW
@given(data=st.data())
def test_any_two_rows_that_change_places_are_found_at_the_first(written: Build, data: st.DataObject) -> None:
    log = written()
    lines = log.lines
    one = data.draw(st.integers(0, len(lines) - 2))
    other = data.draw(st.integers(one + 1, len(lines) - 1))
    lines[one], lines[other] = lines[other], lines[one]
    log.put(lines)
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.kind, broken.row, broken.line) == ("reordered", one, one + 1)


@LAW
@given(data=st.data())
def test_any_repeated_row_is_found_where_it_stands_again(written: Build, data: st.DataObject) -> None:
    log = written()
    lines = log.lines
    row = data.draw(st.integers(0, len(lines) - 1))
    again = data.draw(st.integers(row + 1, len(lines)))
    log.put([*lines[:again], lines[row], *lines[again:]])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.kind, broken.row, broken.line) == ("duplicated", row, again + 1)


@LAW
@given(data=st.data())
def test_a_changed_row_with_a_hash_made_to_fit_is_found(written: Build, data: st.DataObject) -> None:
    log = written(tail=0)
    lines = log.lines
    row = data.draw(st.integers(0, len(lines) - 1))
    lines[row] = relinked(lines[row], at=LATER)
    log.put(lines)
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.row == row


@LAW
@given(data=st.data())
def test_a_rewritten_rest_is_found_at_the_next_head(written: Build, data: st.DataObject) -> None:
    log = written(tail=0)
    lines = log.lines
    first = data.draw(st.integers(0, len(lines) - 1))
    lines[first] = relinked(lines[first], at=LATER)
    log.put(rewritten_from(lines, first))
    (log.folder / HEAD_FILE).unlink()
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.kind == "forged"
    assert broken.row == next(head.seq for head in log.heads if head.seq >= first)


@LAW
@given(data=st.data())
def test_a_log_cut_anywhere_ends_before_its_signed_head(written: Build, data: st.DataObject) -> None:
    log = written(tail=0)
    content = log.file.read_bytes()
    kept = data.draw(st.integers(0, len(content) - 1))
    log.file.write_bytes(content[:kept])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.kind in ("torn", "truncated")
    assert broken.row == content[:kept].count(b"\n")


def test_the_hubs_head_finds_a_cut_that_took_the_head_file_along(written: Build) -> None:
    log = written(tail=0)
    log.put(log.lines[:5])
    (log.folder / HEAD_FILE).write_bytes(msgspec.json.encode(log.heads[0]))
    assert verify(log.folder, log.key.public).ok, "nothing on the device can tell"
    broken = verify(log.folder, log.key.public, [log.heads[-1]]).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("truncated", 5)


def test_the_hubs_head_finds_a_past_that_was_signed_again_with_the_devices_own_key(written: Build) -> None:
    log = written(minutes=2, rows=2, tail=0)
    links, lines, head = Links("boot-1"), [], log.heads[0]
    for line in log.lines:
        signed = read(line[:-1]).record.what == "head"
        output = record("counts", faces_seen=1, discarded=1, alerted=0, alerted_by_worker=0)
        line, head = links.head(NOW, log.key) if signed else (links.add(output, NOW), head)
        lines.append(line)
    log.put(lines)
    (log.folder / HEAD_FILE).write_bytes(msgspec.json.encode(head))
    assert verify(log.folder, log.key.public).ok, "whoever holds the key can write any past"
    broken = verify(log.folder, log.key.public, [log.heads[-1]]).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("rewritten", log.heads[-1].seq)


def test_another_devices_key_vouches_for_nothing(written: Build, tmp_path: Path) -> None:
    log = written()
    broken = verify(log.folder, device_key(tmp_path / "other").public).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("forged", log.heads[0].seq)


def test_a_head_is_bound_to_its_row(written: Build) -> None:
    log = written()
    head = log.heads[1]
    assert genuine(head, log.key.public)
    for change in ({"seq": head.seq + 1}, {"hash": "0" * 64}, {"prev": "1" * 64}, {"at": LATER}, {"sig": "zz"}):
        assert not genuine(msgspec.structs.replace(head, **change), log.key.public)


def test_a_signature_of_the_key_over_something_else_is_no_head(written: Build) -> None:
    log = written(minutes=1, rows=1, tail=0)
    body = msgspec.json.encode(msgspec.structs.replace(read(log.lines[1][:-1]), sig=None, hash=""))
    assert log.key.sign(SIGNED_AS + body).hex() == log.heads[0].sig
    assert not genuine(msgspec.structs.replace(log.heads[0], sig=log.key.sign(body).hex()), log.key.public)


def test_counts_that_do_not_balance_are_named_though_the_chain_is_whole(written: Build) -> None:
    log = written(minutes=1, rows=1, tail=0)
    links = Links("boot-1", 2, log.heads[-1].hash)
    wrong = record("counts", faces_seen=3, discarded=1, lost=0, alerted=1, alerted_by_worker=1, open=0, settled=True)
    late = record("counts", faces_seen=3, discarded=1, lost=0, alerted=1, alerted_by_worker=0, open=1, settled=False)
    log.put([*log.lines, links.add(wrong, NOW), links.add(late, NOW)])
    verdict = verify(log.folder, log.key.public)
    assert verdict.broken is None
    assert (verdict.unbalanced, verdict.unsettled) == ([2], [3])
    assert not verdict.ok


def test_a_bounded_log_states_the_rows_it_dropped_and_no_others_may_be_missing(written: Build) -> None:
    log = written(minutes=12, rows=3, tail=1, part_bytes=2_000, parts=2)
    verdict = verify(log.folder, log.key.public)
    assert verdict.ok, verdict.broken
    assert verdict.first
    assert "dropped" in verdict.notes[0]
    oldest = sorted(log.folder.glob("audit-*.jsonl"))[0]
    assert verify(oldest, log.key.public).ok
    oldest.unlink()
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("dropped", 0)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\x00" * 4096, b"not json\n"])
def test_a_file_that_is_no_log_is_broken_at_its_first_row(written: Build, content: bytes) -> None:
    log = written()
    log.file.write_bytes(content)
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.row == 0


def test_a_log_that_nobody_signed_is_not_whole(written: Build) -> None:
    log = written(tail=0)
    (log.folder / HEAD_FILE).unlink()
    links = Links("boot-1")
    log.put([links.add(record("lost", count=n + 1), NOW) for n in range(40)])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None, "anybody can write rows and their hashes"
    assert (broken.kind, broken.row) == ("unsigned", 0)
    log.put([])
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None, "an emptied folder"
    assert (broken.kind, broken.row) == ("dropped", 0)


@pytest.mark.parametrize("left", [None, b"{"])
def test_a_log_whose_head_file_is_gone_may_have_been_cut(written: Build, left: bytes | None) -> None:
    log = written()
    log.put(log.lines[:8])
    (log.folder / HEAD_FILE).unlink()
    if left is not None:
        (log.folder / HEAD_FILE).write_bytes(left)
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("head", log.heads[1].seq)
    assert verify(log.folder, log.key.public, log.heads[:2]).ok, "a copy of the rows, with heads from elsewhere"


def test_a_signature_that_is_no_hexadecimal_is_a_forgery_and_not_a_fault_of_ours(written: Build) -> None:
    log = written()
    lines = log.lines
    place = log.heads[0].seq
    lines[place] = relinked(lines[place], sig="zz" * 64)
    log.put(rewritten_from(lines, place + 1))
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert (broken.kind, broken.row) == ("forged", place)
