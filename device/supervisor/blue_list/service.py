"""The blue list on the device: reports volunteers who are recognised, logs passes, and takes volunteers off.

1. What is reported holds a reference and a time, no picture. It is deleted with its delivery, and at the end of the
   deployment (deployment/teardown.py): a consent that is withdrawn later does not reach this device.
2. A volunteer whose consent has ended, by this device's clock, or whom the hub took off, is gone at once: workers zero
   the templates, the sealed file and what was reported and not delivered are deleted, also of an earlier start; later
   findings are dropped. The disk is tried again until it obeys.
3. Without a running deployment a pass counts for nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from device.domain.finding import VolunteerFinding
from device.domain.time import NS_PER_S, WallTime, rfc3339, wall
from device.durable import flush_folder
from device.errors import BadData
from device.hub_api import events, messages
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Message
from device.hub_api.topics import DeviceTopics
from device.logs import event
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.ports.clock import Clock
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.runtime.executor import Disk
from device.supervisor.timing import CONSENT_CHECK_S

_log = logging.getLogger(__name__)
KEPT = timedelta(hours=24)


@dataclass(slots=True)
class BlueList:
    """One device's blue list; on the loop.

    active    the deployment that runs now
    store     puts a message into the outbox
    withdraw  zeroes volunteers in every worker
    erased    makes a receipt: how many volunteers' templates
    unsend    erases what waits in the outbox and for which a predicate over payloads is true
    """

    topics: DeviceTopics
    clock: Clock
    disk: Disk
    active: Callable[[], ActiveDeployment | None]
    store: Callable[[OutboxMessage], None]
    withdraw: Callable[[frozenset[str]], None]
    erased: Callable[[int], None]
    unsend: Callable[[Callable[[bytes], bool]], None]
    recognised: int = 0
    passes: int = 0
    _files: set[Path] = field(default_factory=set)
    _unsent: frozenset[str] = frozenset()

    def seen(self, camera: str, finding: VolunteerFinding) -> None:
        """A worker recognised a volunteer."""
        active = self.active()
        if active is None or finding.ref not in active.volunteers:
            return
        self.recognised += 1
        ago_s = max(0.0, (self.clock.monotonic() - finding.decoded_ns) / NS_PER_S)
        at = wall(self.clock.wall() - timedelta(seconds=min(ago_s, 60.0)))
        self._report(
            self.topics.volunteer_seen,
            messages.VolunteerSeen(
                mode=active.deployment.mode,
                deployment_id=active.deployment.id,
                camera_id=camera,
                entry_ref=finding.ref,
                score=finding.score,
                threshold=finding.threshold,
                at=rfc3339(at),
            ),
        )

    def pass_logged(self, at: WallTime) -> None:
        """Somebody pressed the button: a volunteer passes (rule 3)."""
        active = self.active()
        if active is None or not active.volunteers:
            return
        self.passes += 1
        event(_log, "blue_list.pass", passes=self.passes)
        data = messages.VolunteerPass(mode=active.deployment.mode, deployment_id=active.deployment.id, at=rfc3339(at))
        self._report(self.topics.volunteer_pass, data)

    def take_off(self, refs: Iterable[str]) -> None:
        """Consent ended or was withdrawn (rule 2); those of whom nothing is here any more are ignored."""
        active, named = self.active(), frozenset(refs)
        if active is None:
            return
        if named - self._unsent:
            self._unsent |= named
            self.unsend(names(named))
        gone = named & active.volunteers.keys()
        if not gone:
            return
        self._files |= {active.volunteers.pop(ref) for ref in gone}
        self.withdraw(gone)
        event(_log, "blue_list.taken_off", volunteers=len(gone), left=len(active.volunteers))
        self.erased(len(gone))

    async def run(self) -> None:
        """Look for consents that have ended, and delete files, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(CONSENT_CHECK_S)

    async def check(self) -> None:
        """One look (rule 2)."""
        active, now = self.active(), self.clock.wall()
        blue = None if active is None else active.deployment.blue_list
        if blue is not None:
            self.take_off(each.ref for each in blue.volunteers if wall(each.consent_until) <= now)
        for file in tuple(self._files):
            with suppress(OSError):
                await self.disk(partial(_delete, file))
                self._files.discard(file)

    def _report(self, topic: str, data: Message) -> None:
        now = self.clock.wall()
        event_id = uuid7(now)
        self.store(
            OutboxMessage(
                id=event_id,
                kind=MessageClass.COUNT,
                topic=topic,
                payload=events.encode(data, event_id=event_id, source=self.topics.base, subject="bluelist", at=now),
                content_type=events.CONTENT_TYPE,
                delete_by=wall(now + KEPT),
            )
        )


def names(refs: frozenset[str] | None) -> Callable[[bytes], bool]:
    """A predicate over stored payloads: whether one reports one of these volunteers, or (None) any."""

    def concerns(payload: bytes) -> bool:
        try:
            data = events.decode(payload).data
        except BadData:
            return False
        return isinstance(data, messages.VolunteerSeen) and (refs is None or data.entry_ref in refs)

    return concerns


def _delete(file: Path) -> None:
    """Delete a sealed volunteer. Raises OSError when the disk refuses."""
    file.unlink(missing_ok=True)
    if file.parent.is_dir():
        flush_folder(file.parent)
