"""The deployments that this hub published, read again when a record changed."""

from __future__ import annotations

import logging
from datetime import timedelta

from device.domain.time import wall
from device.errors import LfrError
from device.logs import event
from tools.hub.publishing.deployment_records import Record
from tools.hub.publishing.publisher import Publisher
from tools.hub.storage.published import PublishedDeployment

_log = logging.getLogger(__name__)


class PublishedDeployments:
    """Called on the console's loop; a check costs one `stat` a record."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._folder = publisher.places.hub / "authority" / "deployments"
        self._written: tuple[tuple[str, int, int], ...] | None = None
        self._known: dict[str, PublishedDeployment] = {}

    def __call__(self) -> dict[str, PublishedDeployment]:
        """The deployment of this id; while a record is damaged, the last valid one."""
        try:
            written = tuple(
                (file.name, stated.st_mtime_ns, stated.st_ino)
                for file in sorted(self._folder.glob("*.json"))
                for stated in (file.stat(),)
            )
            if written != self._written:
                self._known = {record.id: self._of(record) for record in self._publisher.records.all()}
                self._written = written
        except (LfrError, OSError) as fault:
            event(_log, "hub.records_not_read", level=logging.WARNING, reason=str(fault))
        return self._known

    def _of(self, record: Record) -> PublishedDeployment:
        until = None
        try:
            until = wall(record.ends + timedelta(hours=self._publisher.deployment(record).retention.alert_hours))
        except (LfrError, OSError):
            until = self._known[record.id].alerts_until if record.id in self._known else None
        return PublishedDeployment(
            id=record.id,
            mode=record.mode,
            devices=frozenset(record.devices),
            planned_end=record.over,
            alerts_until=until,
            ended_at=None if record.ended_at is None else wall(record.ended_at),
            refs=frozenset(record.refs) or None,
            watchlist_id=record.watchlist_id,
        )
