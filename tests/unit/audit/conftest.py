"""A log of a few minutes, written as the device writes it, and its key."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.audit.key import DeviceKey, device_key
from device.audit.log import FILE, Log
from device.audit.rows import Head, Links
from device.domain.audit_record import record
from device.domain.time import wall

START = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)


@dataclass
class Written:
    """A log's folder with what was signed in it."""

    folder: Path
    key: DeviceKey
    heads: list[Head]

    @property
    def file(self) -> Path:
        return self.folder / FILE

    @property
    def lines(self) -> list[bytes]:
        return self.file.read_bytes().splitlines(keepends=True)

    def put(self, lines: list[bytes]) -> None:
        self.file.write_bytes(b"".join(lines))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Written]:
    """Builder: `minutes` heads with `rows` rows before each, `tail` rows after the last."""

    def build(minutes: int = 3, rows: int = 3, tail: int = 2, part_bytes: int = 8_000_000, parts: int = 12) -> Written:
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        key, log = device_key(state), Log(state / "audit", part_bytes=part_bytes, parts=parts)
        links, heads, now = Links("boot-1"), [], wall(START)
        for n in range(minutes * rows + tail):
            output = record("counts", faces_seen=n, discarded=n, lost=0, alerted=0, alerted_by_worker=0, open=0)
            log.append(links.add(output, now))
            if n % rows == rows - 1 and n < minutes * rows:
                line, head = links.head(now, key)
                log.append(line)
                room = log.keep_head(head)
                heads.append(head)
                if room is not None:
                    log.append(links.add(record("room", upto=room), now))
            now = wall(now + timedelta(seconds=20))
        log.close()
        return Written(state / "audit", key, heads)

    return build
