"""Paths of the publishing data in a hub's folder.

repository/               what devices read           keys/hub.key             signs index, envelopes, snapshot, time
trust/<mode>/root.json    what devices must trust     keys/content-*.txt       opens a list, until its end
authority/                pending changes, records,   keys/deployment-*.txt    opens its photos and probes, likewise
                          officers, revoked devices
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from device.domain.finding import Mode
from device.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of the publishing data in one hub's folder."""

    hub: Path

    @property
    def repository(self) -> Path:
        return self.hub / "repository"

    @property
    def hub_key(self) -> Path:
        return self.hub / "keys" / "hub.key"

    @property
    def pending(self) -> Path:
        return self.hub / "authority" / "pending"

    @property
    def officers(self) -> Path:
        """JSON: key id to the officer's reference."""
        return self.hub / "authority" / "officers.json"

    @property
    def revoked(self) -> Path:
        """JSON: devices that get no envelope and no index any more."""
        return self.hub / "authority" / "revoked.json"

    def trust(self, mode: Mode) -> Path:
        return self.hub / "trust" / mode.value / "root.json"

    @property
    def mode(self) -> Mode:
        """The mode of this hub's root of trust. Unavailable when there is none."""
        for mode in Mode:
            if self.trust(mode).exists():
                return mode
        raise Unavailable(f"{self.hub} has no root of trust; `lfr authority init` makes one")

    def names(self) -> dict[str, str]:
        """Key id to officer."""
        return self._map(self.officers)

    def revoked_devices(self) -> dict[str, str]:
        """Device to the moment of its revocation."""
        return self._map(self.revoked)

    @staticmethod
    def _map(file: Path) -> dict[str, str]:
        try:
            return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as fault:
            raise Unavailable(f"{file} is damaged ({fault}); restore it from the backup") from fault
