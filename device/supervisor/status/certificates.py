"""When this device's certificates end, and whether the hub renews them: for status, status line and health notice.

1. A warning from CERTIFICATE_WARNING before the end on, and after it. It is no condition: without a valid certificate
   there is no new connection with the hub, and the condition of hub and operator fails with the broker's reason.
2. A renewal that fails is a warning at once where the hub's answer was refused or could not be stored, and after
   RENEWAL_FAILS_FOR where the hub cannot be asked: a hub that is away is no fault of its certificates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from device.domain.limits import CERTIFICATE_WARNING
from device.domain.symptoms.names import Site
from device.domain.symptoms.table import advice, row_of
from device.domain.time import WallTime, rfc3339
from device.supervisor.timing import RENEWAL_FAILS_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesView:
    """own, authority: when the certificates in use end; None before they were read, or where that is not possible.

    problem  why the last request for renewed ones failed;  failing_since  the first of these failures in a row
    """

    own: WallTime | None = None
    authority: WallTime | None = None
    problem: str = ""
    refused: bool = False
    failing_since: WallTime | None = None

    @property
    def first_end(self) -> WallTime | None:
        """When the first of both ends."""
        return min((one for one in (self.own, self.authority) if one is not None), default=None)

    def days_left(self, now: WallTime) -> int | None:
        """Whole days until the first of both ends; negative after it, None while that is unknown."""
        return None if self.first_end is None else (self.first_end - now) // timedelta(days=1)

    def warnings(self, now: WallTime) -> list[str]:
        """With their remedies (rules 1, 2)."""
        return [advice(symptom, found) for symptom, found in self._wrong(now)]

    def symptoms(self, now: WallTime) -> list[str]:
        """The same without finding and remedy, for a line on which something else comes first."""
        return list(dict.fromkeys(row_of(symptom).symptom for symptom, _ in self._wrong(now)))

    def _wrong(self, now: WallTime) -> Iterator[tuple[Site, str]]:
        for name, ends in (("this device's", self.own), ("the authority's", self.authority)):
            if ends is not None and ends - now < CERTIFICATE_WARNING:
                symptom = Site.CERTIFICATE_ENDS_SOON if now < ends else Site.CERTIFICATE_EXPIRED
                yield symptom, f"{name}, {ends:%Y-%m-%d %H:%M} UTC"
        if self.failing_since is not None and (self.refused or now - self.failing_since >= RENEWAL_FAILS_FOR):
            yield Site.CERTIFICATE_NOT_RENEWED, self.problem

    def as_json(self, now: WallTime) -> dict[str, Any]:
        """For the status file."""
        return {
            "own_ends": self.own and rfc3339(self.own),
            "authority_ends": self.authority and rfc3339(self.authority),
            "days_left": self.days_left(now),
            "not_renewed": self.problem,
            "not_renewed_since": self.failing_since and rfc3339(self.failing_since),
        }
