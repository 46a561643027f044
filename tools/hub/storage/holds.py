"""Evidence and complaint holds: one case each, sealed to a key of its own, until it is released into deletion.

    holds/<alert>.age       the alert and its probe, encrypted to the hold's key
    holds/<alert>.json      who holds it, why, and until when it must be reviewed; no picture, no entry
    keys/hold-<alert>.txt   the key (age, 0600)
    holds/complaints.json   complaints that were recorded, by reference

1. The probe is encrypted anew: the deployment's key dies at its end all the same, and opens nothing of a hold.
2. Terms are on the disk first, so that what a kill cut short is listed, cannot be opened, and can be placed again. A
   case that is placed again is sealed to the key it has: until the new `.age` is on the disk the old one opens.
3. A release overwrites the key first, then deletes the files. Nothing of a released case opens anywhere.
4. A complaint's reference is recorded before a case can be held for it. A false alert is held for a complaint alone.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from device.domain.judgement import HoldKind, HoldReason
from device.domain.time import WallTime, rfc3339
from device.errors import BadData, RefusedByCondition, Unavailable
from device.hub_api.messages import Alert, moment
from device.hub_api.topics import level
from tools.hub.storage.files import erase_secret, write_file

Kind = TypeVar("Kind")


class HoldTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers for a hold. owner and officers are references, never names; times are RFC 3339."""

    alert_id: str
    device: str
    deployment_id: str
    kind: HoldKind
    reason: HoldReason
    owner: str
    review_by: str
    complaint: str | None
    held_by: str
    held_at: str

    def overdue(self, now: WallTime) -> bool:
        """Whether its review is due."""
        return moment(self.review_by) <= now


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """A complaint that was received; its text is elsewhere."""

    reference: str
    recorded_by: str
    recorded_at: str


class HeldCase(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of a case."""

    alert: Alert
    probe_base64: str | None

    @property
    def probe(self) -> bytes | None:
        return None if self.probe_base64 is None else base64.b64decode(self.probe_base64)


class Holds:
    """The holds in one hub's folder."""

    def __init__(self, hub: Path) -> None:
        self._folder = hub / "holds"
        self._keys = hub / "keys"
        self.unreadable: list[str] = []
        """What the last `all` had to leave out, and why."""

    def place(self, terms: HoldTerms, alert: Alert, probe: bytes | None) -> None:
        """Hold a case (rules 1, 2 and 4), or renew its terms."""
        import pyrage

        if terms.kind == "complaint" and terms.complaint not in {c.reference for c in self.complaints()}:
            raise RefusedByCondition(
                "complaint", f"{terms.complaint!r} is not recorded; record it first: `lfr hub complaint DIR REFERENCE`"
            )
        identity = self._identity(terms.alert_id)
        fresh = identity is None
        identity = identity or pyrage.x25519.Identity.generate()
        held = HeldCase(alert=alert, probe_base64=None if probe is None else base64.b64encode(probe).decode("ascii"))
        sealed = pyrage.encrypt(msgspec.json.encode(held), [identity.to_public()])
        write_file(self._file(terms.alert_id, ".json"), msgspec.json.encode(terms))
        if fresh:
            write_file(self._key(terms.alert_id), f"{identity}\n".encode())
        write_file(self._file(terms.alert_id, ".age"), sealed)

    def renew(self, terms: HoldTerms) -> None:
        """Replace the terms of a case that is held already."""
        if self.get(terms.alert_id) is None:
            raise BadData(f"{terms.alert_id} is not held")
        write_file(self._file(terms.alert_id, ".json"), msgspec.json.encode(terms))

    def get(self, alert_id: str) -> HoldTerms | None:
        """The terms of a hold; None when the case is not held. Unavailable when its file cannot be read."""
        file = self._file(alert_id, ".json")
        return _read(file, HoldTerms) if file.exists() else None

    def all(self) -> list[HoldTerms]:
        """Every hold that can be read, the one that is reviewed first at the head; `unreadable` holds the others."""
        found, self.unreadable = [], []
        for file in sorted(self._folder.glob("*.json")):
            if file.name == "complaints.json":
                continue
            try:
                terms = _read(file, HoldTerms)
                moment(terms.review_by)
            except (Unavailable, BadData) as fault:
                self.unreadable.append(f"a hold cannot be read: {fault}")
            else:
                found.append(terms)
        return sorted(found, key=lambda terms: terms.review_by)

    def has_key(self, alert_id: str) -> bool:
        """Whether the key of a hold is here."""
        return self._key(alert_id).exists()

    def opens(self, alert_id: str) -> bool:
        """Whether a case is held and can be opened."""
        try:
            self.open(alert_id)
        except BadData:
            return False
        return True

    def open(self, alert_id: str) -> HeldCase:
        """A held case. BadData when it is not held, or its key is gone."""
        import pyrage

        try:
            secret = self._key(alert_id).read_text(encoding="ascii").strip()
            text = pyrage.decrypt(self._file(alert_id, ".age").read_bytes(), [pyrage.x25519.Identity.from_str(secret)])
            return msgspec.json.decode(text, type=HeldCase)
        except (OSError, ValueError, pyrage.DecryptError, pyrage.IdentityError, msgspec.DecodeError) as fault:
            raise BadData(f"{alert_id} is not held, or cannot be opened: {fault}") from fault

    def release(self, alert_id: str) -> bool:
        """Rule 3; whether it was held."""
        gone = erase_secret(self._key(alert_id))
        for suffix in (".age", ".json"):
            try:
                self._file(alert_id, suffix).unlink()
                gone = True
            except FileNotFoundError:
                continue
            except OSError as fault:
                raise Unavailable(f"{self._file(alert_id, suffix)} is still there: {fault.strerror}") from fault
        return gone

    def record_complaint(self, reference: str, by: str, at: WallTime) -> None:
        """Record that a complaint was received, once."""
        known = self.complaints()
        if level(reference, "complaint") not in {c.reference for c in known}:
            known.append(Complaint(reference=reference, recorded_by=level(by, "officer"), recorded_at=rfc3339(at)))
            write_file(self._folder / "complaints.json", msgspec.json.encode(known))

    def complaints(self) -> list[Complaint]:
        """Complaints that were recorded."""
        file = self._folder / "complaints.json"
        return _read(file, list[Complaint]) if file.exists() else []

    def _identity(self, alert_id: str) -> Any:
        """The key of a hold; None when there is none, or none that is one (such a file opens nothing)."""
        import pyrage

        try:
            return pyrage.x25519.Identity.from_str(self._key(alert_id).read_text(encoding="ascii").strip())
        except (FileNotFoundError, ValueError, pyrage.IdentityError):
            return None
        except OSError as fault:
            raise Unavailable(f"{self._key(alert_id)} cannot be read: {fault.strerror}") from fault

    def _file(self, alert_id: str, suffix: str) -> Path:
        return self._folder / f"{level(alert_id, 'alert')}{suffix}"

    def _key(self, alert_id: str) -> Path:
        return self._keys / f"hold-{level(alert_id, 'alert')}.txt"


def _read(file: Path, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Unavailable(f"{file} cannot be read ({fault}); restore the hub's folder") from fault
