"""Port: the audit log for its users."""

from __future__ import annotations

from typing import Protocol

FieldValue = str | int | float | bool | None


class Audit(Protocol):
    """Adds rows to the signed chain; the fields are those of `device.domain.audit_record.Record`, no others.

    Never waits and never fails on data: a disk error is handled by the log and logged as an event. Returns the
    row's SHA-256 in the chain, None while the log could not be opened. An unknown field is a TypeError.
    """

    def note(self, what: str, rule: str | None = None, **fields: FieldValue) -> str | None: ...
