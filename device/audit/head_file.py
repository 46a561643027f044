"""A device's signed heads as a hub keeps them, one JSON object a line, and what was recorded between them.

1. The first head whose own key signed it pins the key; a later one by another key is a finding for the verifier.
2. A line `{"replaced": time, "officer": reference}` states that somebody replaced the device's state folder, with its
   key and its log: the next head begins another log, under another key. Only a person at the hub writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from device.audit.rows import Head, genuine
from device.domain.audit_record import Moment, Officer
from device.errors import BadData


class Replaced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a device's state folder was replaced, when, and who recorded it."""

    replaced: Moment
    officer: Officer


@dataclass(slots=True)
class HeadsOfLog:
    """The heads of one log. replaced: how it ended, None for the log that is written now."""

    heads: list[Head] = field(default_factory=list)
    replaced: Replaced | None = None

    @property
    def key(self) -> str | None:
        """Rule 1."""
        return next((head.key for head in self.heads if genuine(head, head.key)), None)

    @property
    def last(self) -> int | None:
        """The last row that is known to have been signed."""
        signed = [head.seq for head in self.heads if head.key == self.key and genuine(head, head.key)]
        return max(signed, default=None)


def read_heads(file: Path) -> list[HeadsOfLog]:
    """The logs of a device, oldest first. Raises BadData for a file that holds something else."""
    found = [HeadsOfLog()]
    try:
        for line in file.read_bytes().splitlines():
            if not line.strip():
                continue
            row = read_line(line)
            if isinstance(row, Replaced):
                found[-1].replaced = row
                found.append(HeadsOfLog())
            else:
                found[-1].heads.append(row)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadData(f"{file} holds no signed heads: {fault}") from fault
    return found


def read_line(line: bytes) -> Head | Replaced:
    """One line of such a file. Raises msgspec.DecodeError."""
    try:
        return msgspec.json.decode(line, type=Replaced)
    except msgspec.ValidationError:
        return msgspec.json.decode(line, type=Head)
