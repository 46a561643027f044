"""What the updater must know after a power cut: a release on trial, releases that failed, metadata that was seen.

`record.json` and, while a release is on trial, `trial.json` in /var/lib/lfr-update: replaced atomically, written by
root, readable by everybody (`lfr update status`, the supervisor). They hold versions and reasons. The unit looks for
the second one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from device.durable import flush_folder, make_folder, replace_file
from device.errors import Unavailable, reason_of

FILE, TRIAL = "record.json", "trial.json"
READABLE = 0o644
REASON_MOST = 300
_Kept = TypeVar("_Kept", bound=msgspec.Struct)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A release between swap and commit. boots: how often the updater has begun to watch it.

    verdict  "" while it is watched; then what is carried out, also after a power cut
    passing  of a bad one: this machine may be the cause (verdict.py)
    """

    version: str
    previous: str
    boots: int = 0
    verdict: Literal["", "good", "bad"] = ""
    reason: str = ""
    passing: bool = False


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a version was begun here, and what came of it. boot: the start of the machine at the last try."""

    count: int
    boot: str
    reason: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """refused: reason by version, never tried again. seen: newest version of each metadata file that was verified.

    tries  by version, of those that are neither refused nor committed
    """

    refused: dict[str, str] = {}
    tries: dict[str, Tries] = {}
    seen: dict[str, int] = {}
    last: str = ""
    """The outcome of the last update, as a sentence."""
    failed: str = ""
    """The same, when it failed."""


def plain(text: str) -> str:
    """A reason as it is recorded: one line, printable, short.

    Parts of it are written by the unprivileged service; it is shown on root's terminal and in the status line.
    """
    line = "".join(one if one.isprintable() else " " for one in text)
    return line if len(line) <= REASON_MOST else f"{line[: REASON_MOST - 1]}…"


def read(folder: Path) -> Record:
    """The record; an empty one when there is none. Unavailable when it cannot be read."""
    return _read(folder / FILE, Record) or Record()


def trial(folder: Path) -> Trial | None:
    """The release on trial; None when there is none. Unavailable when it cannot be read."""
    return _read(folder / TRIAL, Trial)


def write(folder: Path, record: Record) -> None:
    """Replace the record; on the disk when this returns. Unavailable when the disk refuses."""
    _write(folder / FILE, record)


def write_trial(folder: Path, on_trial: Trial) -> None:
    """Record a trial, likewise."""
    _write(folder / TRIAL, on_trial)


def end_trial(folder: Path) -> None:
    """Delete the record of a trial. OSError when the disk refuses; the next run ends it again."""
    (folder / TRIAL).unlink(missing_ok=True)
    flush_folder(folder)


def _read(file: Path, kind: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as fault:
        remedy = "delete it; `lfr update status` then shows which slot runs"
        raise Unavailable(f"{file} cannot be read ({fault}); {remedy}") from fault


def _write(file: Path, content: msgspec.Struct) -> None:
    try:
        make_folder(file.parent, 0o755)
        replace_file(file, msgspec.json.format(msgspec.json.encode(content)) + b"\n", mode=READABLE)
    except OSError as fault:
        raise Unavailable(f"{file} cannot be written: {reason_of(fault)}; nothing was changed") from fault
