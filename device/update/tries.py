"""How often a version may be tried on this device: the record's side of verdict.py.

1. A try is recorded before it begins, so that one that stops the machine counts.
2. After a cause that may pass, the next try is after the next start of the machine, TRIES_MOST in all; then, and after
   any other cause, the version is refused until a person forgets that (`lfr update forget`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from device.errors import RefusedByCondition
from device.update import record as records
from device.update.record import Record, Tries
from device.update.verdict import TRIES_MOST, Verdict

NEXT_START = "next start of the machine"
REFUSED = "version not refused"
INTERRUPTED = "it was interrupted: the power failed, or the release stopped the machine"


def require_another(folder: Path, record: Record, version: str, boot: str) -> None:
    """RefusedByCondition when this version is not tried now (rule 2)."""
    if version in record.refused:
        raise RefusedByCondition(REFUSED, f"{version} failed on this device before: {record.refused[version]}")
    tried = record.tries.get(version)
    if tried is None:
        return
    if tried.count >= TRIES_MOST:  # the last one was interrupted
        failed(folder, version, Verdict(tried.reason, passing=True), boot)
        raise RefusedByCondition(REFUSED, f"{version} failed {tried.count} times on this device: {tried.reason}")
    if tried.boot == boot:
        text = f"{version} failed here ({tried.reason}); try {tried.count + 1} of {TRIES_MOST} is after that"
        raise RefusedByCondition(NEXT_START, f"{text}, or after `lfr update forget {version}`")


def begin(folder: Path, version: str, boot: str) -> Tries | None:
    """Record a try (rule 1); what was recorded before, for `note` if it comes to nothing."""
    before = records.read(folder).tries.get(version)
    note(folder, version, Tries(count=1 if before is None else before.count + 1, boot=boot, reason=INTERRUPTED))
    return before


def note(folder: Path, version: str, tried: Tries | None) -> None:
    """Replace what is recorded of a version's tries."""
    record = records.read(folder)
    tries = without(record, version) if tried is None else {**record.tries, version: tried}
    records.write(folder, msgspec.structs.replace(record, tries=tries))


def failed(folder: Path, version: str, found: Verdict, boot: str) -> str:
    """Record what came of a try: when there is another one, as text; empty for never."""
    record = records.read(folder)
    tried = record.tries.get(version)
    count = 1 if tried is None else tried.count
    if found.passing and count < TRIES_MOST:
        note(folder, version, Tries(count=count, boot=boot, reason=found.reason))
        return f"it is tried again after the next start of this machine (try {count + 1} of {TRIES_MOST})"
    refused = {**record.refused, version: found.reason}
    records.write(folder, msgspec.structs.replace(record, refused=refused, tries=without(record, version)))
    return ""


def forget(folder: Path, version: str) -> bool:
    """Let a version be tried again, and at once; whether anything was recorded of it."""
    record = records.read(folder)
    rest = {one: reason for one, reason in record.refused.items() if one != version}
    records.write(folder, msgspec.structs.replace(record, refused=rest, tries=without(record, version)))
    return version in record.refused or version in record.tries


def without(record: Record, version: str) -> dict[str, Tries]:
    return {one: tried for one, tried in record.tries.items() if one != version}
