"""The log's files through power cuts, full disks and damage; the key's file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.audit.key import device_key, read_public, signed_by
from device.audit.log import Log
from device.audit.rows import Links
from device.audit.verify import verify
from device.domain.audit_record import record
from device.domain.time import wall
from device.errors import BadData, Unavailable

NOW = wall(datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc))
Build = Callable[..., Any]
LAW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@LAW
@given(data=st.data())
def test_a_power_cut_in_the_middle_of_a_row_costs_that_row_and_the_chain_goes_on(
    written: Build, data: st.DataObject
) -> None:
    log = written()
    content = log.file.read_bytes()
    signed = b"".join(log.lines[:-2])
    kept = data.draw(st.integers(len(signed), len(content)))
    log.file.write_bytes(content[:kept])
    opened = Log(log.folder)
    whole = content[:kept].rfind(b"\n") + 1
    assert opened.found.torn == kept - whole
    assert opened.found.seq == content[:whole].count(b"\n")
    opened.append(Links("boot-2", opened.found.seq, opened.found.prev).add(record("started"), NOW))
    opened.close()
    assert verify(log.folder, log.key.public).ok


def test_a_log_that_is_shorter_than_its_head_is_reported_when_it_is_opened(written: Build) -> None:
    log = written(tail=0)
    log.put(log.lines[:-1])
    assert Log(log.folder).found.shortened
    assert not Log(written().folder).found.shortened


def test_a_damaged_last_row_is_kept_as_evidence_and_a_new_chain_begins(written: Build) -> None:
    log = written()
    damaged = log.lines
    damaged[-1] = damaged[-1].replace(b"counts", b"countz")
    log.put(damaged)
    opened = Log(log.folder)
    assert opened.found.set_aside
    assert opened.found.seq == 0
    assert (log.folder / "audit.jsonl.broken-1").read_bytes() == b"".join(damaged)
    opened.append(Links("b").add(record("began", reason="the log before was damaged"), NOW))
    broken = verify(log.folder, log.key.public).broken
    assert broken is not None
    assert broken.kind == "damaged"


def test_what_a_full_disk_took_half_of_is_not_in_the_log(written: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written()
    opened = Log(log.folder)
    links = Links("boot-2", opened.found.seq, opened.found.prev)
    line, pwrite, calls = links.add(record("started"), NOW), os.pwrite, [0]

    def full(file: int, content: bytes, place: int) -> int:
        calls[0] += 1
        if calls[0] == 1:
            return pwrite(file, content[:10], place)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Unavailable, match="No space left"):
        opened.append(line)
    monkeypatch.undo()
    opened.append(line)
    opened.close()
    verdict = verify(log.folder, log.key.public)
    assert verdict.ok
    assert verdict.last == links.seq - 1


def test_a_new_part_goes_on_with_the_chain_also_after_a_restart(written: Build) -> None:
    log = written(minutes=4, rows=3, tail=0, part_bytes=1_000)
    assert log.file.read_bytes() == b""
    opened = Log(log.folder)
    opened.append(Links("boot-2", opened.found.seq, opened.found.prev).add(record("started"), NOW))
    verdict = verify(log.folder, log.key.public)
    assert verdict.ok
    assert (verdict.first, verdict.last) == (0, 16)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = device_key(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "device.key").stat().st_mode) == 0o600
    assert device_key(tmp_path).public == key.public == read_public((tmp_path / "device.pub").read_text())
    assert signed_by(key.public, b"said", key.sign(b"said"))
    assert not signed_by(key.public, b"sald", key.sign(b"said"))
    assert {file.name for file in tmp_path.iterdir()} == {"device.key", "device.pub"}
    assert "PRIVATE" not in repr(key)


def test_a_key_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "device.key").write_text("no key")
    with pytest.raises(Unavailable, match="move it away"):
        device_key(tmp_path)
    assert (tmp_path / "device.key").read_text() == "no key"


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(BadData):
        read_public(text)
