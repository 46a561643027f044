"""What the updater must know after a power cut: a release on trial, releases that failed, signatures that were seen.

`/var/lib/lfr-update/record.json`, replaced atomically, written by root, readable by everybody (`lfr update status`, the
supervisor). It holds versions and reasons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from device.durable import make_folder, replace_file
from device.errors import Unavailable, reason_of

FILE = "record.json"
READABLE = 0o644


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A release between swap and commit. boots: how often the updater has begun to watch it.

    verdict  "" while it is watched; then what is carried out, also after a power cut
    """

    version: str
    previous: str
    boots: int = 0
    verdict: Literal["", "good", "bad"] = ""
    reason: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """refused: reason by version, never tried again. seen: newest version of each metadata file that was verified."""

    trial: Trial | None = None
    refused: dict[str, str] = {}
    seen: dict[str, int] = {}
    last: str = ""
    """The outcome of the last update, as a sentence."""


def read(folder: Path) -> Record:
    """The record; an empty one when there is none. Unavailable when it cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.DecodeError, RecursionError) as fault:
        remedy = "delete it; `lfr update status` then shows which slot runs"
        raise Unavailable(f"{folder / FILE} cannot be read ({fault}); {remedy}") from fault


def write(folder: Path, record: Record) -> None:
    """Replace the record; on the disk when this returns. Unavailable when the disk refuses."""
    try:
        make_folder(folder, 0o755)
        replace_file(folder / FILE, msgspec.json.format(msgspec.json.encode(record)) + b"\n", mode=READABLE)
    except OSError as fault:
        raise Unavailable(f"{folder / FILE} cannot be written: {reason_of(fault)}; nothing was changed") from fault
