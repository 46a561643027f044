"""Watchlists that this device has opened, and for which deployment: a list belongs to one deployment alone (R01).

1. Written before a list is used, and flushed: a power cut does not make it new again.
2. A deployment that has ended here is not accepted again.
3. Identifiers and hashes only. Beyond MOST the oldest are dropped; their lists have expired long before.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from device.durable import make_folder, replace_file
from device.errors import Unavailable, reason_of
from device.sync.refusal import LOADED, SEALED, Refused

MOST = 500


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One list and its one deployment."""

    deployment: str
    watchlist: str
    sha256: str
    ended: bool = False


class Used:
    """The record in `file`. Raises Unavailable when it cannot be read or written: then nothing may be used."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._uses: dict[str, Use] | None = None

    def require_unused(self, deployment: str, watchlist: str, sha256: str) -> None:
        """Refused when the list served another deployment, or the deployment has ended here."""
        for use in self._all().values():
            if use.deployment == deployment and use.ended:
                raise Refused(LOADED, "ended", f"deployment {deployment} has ended on this device; publish a new one")
            if use.deployment != deployment and watchlist == use.watchlist:
                text = f"watchlist {watchlist} was already used for deployment {use.deployment}; build a new one"
                raise Refused(SEALED, "used before", text)
            if use.deployment != deployment and sha256 == use.sha256:
                text = f"this sealed list was already used for deployment {use.deployment}; build a new one"
                raise Refused(SEALED, "used before", text)

    def use(self, deployment: str, watchlist: str, sha256: str) -> None:
        """Record it before the list is opened (rule 1)."""
        known = self._all().get(deployment)
        if known is None or (known.watchlist, known.sha256) != (watchlist, sha256):
            self._put(Use(deployment=deployment, watchlist=watchlist, sha256=sha256))

    def end(self, deployment: str) -> None:
        """Record that a deployment has ended here (rule 2)."""
        known = self._all().get(deployment, Use(deployment=deployment, watchlist="", sha256=""))
        if not known.ended:
            self._put(msgspec.structs.replace(known, ended=True))

    def _all(self) -> dict[str, Use]:
        if self._uses is None:
            try:
                found = msgspec.json.decode(self._file.read_bytes(), type=list[Use])
            except FileNotFoundError:
                found = []
            except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                raise Unavailable(
                    f"{self._file} cannot be read ({fault}): no list can be shown to be unused"
                ) from fault
            self._uses = {use.deployment: use for use in found}
        return self._uses

    def _put(self, use: Use) -> None:
        uses = {**self._all()}
        uses.pop(use.deployment, None)
        kept = [*uses.values(), use][-MOST:]
        try:
            make_folder(self._file.parent)
            replace_file(self._file, msgspec.json.encode(kept))
        except OSError as fault:
            raise Unavailable(f"{self._file}: {reason_of(fault)}; repair the disk of the state folder") from fault
        self._uses = {kept_use.deployment: kept_use for kept_use in kept}
