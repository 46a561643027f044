"""The hub's records of the deployments it published: one small file each, no personal data.

1. A deployment id and a watchlist id are used once; the record outlives the deployment so that both stay used (R01).
2. The content key that opens the list lies beside the hub's other keys (0600) until the deployment ends; then it is
   erased first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from device.domain.time import WallTime, wall
from device.errors import RefusedByCondition, Unavailable, UsageError
from tools.hub.storage.files import erase_secret, write_file


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment.

    stem       the random digits in its targets' names
    envelopes  device to recipient, as issued
    volunteers  of its blue list: reference to the end of the consent;  volunteers_withdrawn: who was taken off
    refs       opaque references on its list, so that photos can go with it; none once it has ended
    """

    id: str
    stem: str
    mode: str
    watchlist_id: str
    devices: tuple[str, ...]
    ends: datetime
    published_at: datetime
    ended_at: datetime | None = None
    envelopes: dict[str, str] = msgspec.field(default_factory=dict)
    withdrawn: int = 0
    refs: tuple[str, ...] = ()
    volunteers: dict[str, datetime] = msgspec.field(default_factory=dict)
    volunteers_withdrawn: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.ended_at is None

    @property
    def over(self) -> WallTime:
        """The end of its window."""
        return wall(self.ends)


class Records:
    """The files `authority/deployments/<id>.json` and `keys/content-<id>.txt` of a hub."""

    def __init__(self, hub: Path) -> None:
        self._folder = hub / "authority" / "deployments"
        self._keys = hub / "keys"

    def all(self) -> tuple[Record, ...]:
        """Every record, the newest last."""
        return tuple(sorted(self._read(), key=lambda record: record.published_at))

    def running(self) -> tuple[Record, ...]:
        return tuple(record for record in self.all() if record.running)

    def get(self, deployment_id: str) -> Record:
        """The record of an id; UsageError names the known ones."""
        known = {record.id: record for record in self.all()}
        if deployment_id not in known:
            there = ", ".join(known) or "none"
            raise UsageError(f"deployment {deployment_id!r} was not published by this hub; published: {there}")
        return known[deployment_id]

    def current(self, device: str) -> Record | None:
        """The running deployment that names a device."""
        return next((record for record in self.running() if device in record.devices), None)

    def require_unused(self, deployment_id: str, watchlist_id: str, stem: str | None = None) -> None:
        """RefusedByCondition when either id was published before (rule 1), but for a publication that was cut short."""
        for record in self.all():
            if record.running and record.stem == stem:
                continue
            if record.id == deployment_id:
                raise RefusedByCondition("deployment new", f"{deployment_id} was published before; use another id")
            if record.watchlist_id == watchlist_id:
                raise RefusedByCondition(
                    "watchlist unused",
                    f"{watchlist_id} was made for deployment {record.id}; build a list for this deployment (R01)",
                )

    def save(self, record: Record) -> None:
        write_file(self._folder / f"{record.id}.json", msgspec.json.encode(record))

    def keep_content_key(self, deployment_id: str, identity: str) -> None:
        """Keep the key of the list until `drop_content_key`."""
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._content(deployment_id), identity.encode())

    def content_key(self, deployment_id: str) -> str | None:
        """The key of the list, None once it is gone."""
        try:
            return self._content(deployment_id).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise Unavailable(f"{self._content(deployment_id)}: {fault.strerror}") from fault

    def drop_content_key(self, deployment_id: str) -> bool:
        """Whether there was one to drop. Raises Unavailable when it cannot be deleted."""
        return erase_secret(self._content(deployment_id))

    def _content(self, deployment_id: str) -> Path:
        return self._keys / f"content-{deployment_id}.txt"

    def _read(self) -> Iterator[Record]:
        for file in self._folder.glob("*.json"):
            try:
                yield msgspec.json.decode(file.read_bytes(), type=Record)
            except (OSError, msgspec.DecodeError) as fault:
                raise Unavailable(f"{file} is damaged ({fault}); restore the hub's folder from its backup") from fault
