"""The deployments that this hub published, read again when a record changed."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from device.config.deployment import Deployment
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
        signed = self._signed(record)
        before = self._known.get(record.id)
        refs = frozenset(record.refs) or None
        volunteers = {
            ref: wall(until) for ref, until in record.volunteers.items() if ref not in record.volunteers_withdrawn
        }
        if signed is None and before is not None:
            return replace(
                before,
                ended_at=None if record.ended_at is None else wall(record.ended_at),
                refs=refs,
                volunteers=volunteers,
            )
        subjects = 0 if signed is None else signed.watchlist.subjects
        return PublishedDeployment(
            id=record.id,
            mode=record.mode,
            devices=frozenset(record.devices),
            planned_end=record.over,
            alerts_until=(
                None if signed is None else wall(record.ends + timedelta(hours=signed.retention.alert_hours))
            ),
            ended_at=None if record.ended_at is None else wall(record.ended_at),
            refs=refs,
            watchlist_id=record.watchlist_id,
            subjects=subjects if refs is None else min(subjects, len(refs)),
            recognisers=frozenset() if signed is None else frozenset(signed.watchlist.recognisers),
            volunteers=volunteers,
            offsets={} if signed is None else {name: c.threshold_offset for name, c in signed.categories.items()},
        )

    def _signed(self, record: Record) -> Deployment | None:
        """What the officers signed; None once it is deleted: what was read before stays."""
        try:
            return self._publisher.deployment(record)
        except (LfrError, OSError):
            return None
