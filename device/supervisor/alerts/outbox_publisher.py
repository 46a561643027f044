"""Everything that goes to the hub: kept messages through the durable outbox, retained notices straight to the session.

1. Disk work is done in the order in which it was asked for, on the disk thread; the loop never waits for storage.
2. A kept message leaves the outbox only on the broker's word (device.outbox.store, rule 3). What must be heard was
   heard only if the hub itself was online: another subscriber's ear (a listener's, an auditor's) makes the broker say
   the same.
3. Notices are replaced, not queued. What the broker did not take is sent when it has room, and after a gap every topic
   is sent again: the newest of each. Nothing personal is retained.
4. When the outbox cannot store an alert, it is sent unstored and the failure is logged: late is worse than volatile.
5. An erasure is owed until it is done: one that the disk refused is tried again on every turn, whatever follows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from device.domain.time import WallTime
from device.errors import Unavailable
from device.hub_api import events
from device.logs import event
from device.outbox.holds import Kind
from device.outbox.retry import MessageClass
from device.outbox.store import Deletion, Due, Outbox, OutboxMessage
from device.ports.broker import Broker, Delivery, Outgoing
from device.ports.clock import Clock
from device.supervisor.runtime.executor import Disk
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.timing import ALERT_STALE_S, OUTBOX_POLL_S, OUTBOX_PURGE_S

_log = logging.getLogger(__name__)
PURGE = "retention"

OnDeletions = Callable[[list[Deletion]], None]


@dataclass(frozen=True, slots=True)
class _Erase:
    """Erase one alert, or all of them (None), or those of which something waits that `concerns` says yes to."""

    alert_id: str | None
    reason: str
    concerns: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True)
class _Hold:
    """Keep one alert until then, or (None) no longer than its time."""

    alert_id: str
    kind: Kind
    until: WallTime | None
    reason: str = "hold"


class OutboxPublisher:
    """Owns the broker session and the outbox. Everything but the broker's callbacks happens on the loop."""

    def __init__(self, broker: Broker, outbox: Outbox, disk: Disk, clock: Clock, on_deletions: OnDeletions) -> None:
        self.connected = False
        self.reason = "not connected yet"
        self.waiting: dict[MessageClass, int] = {}
        self._broker = broker
        self._outbox = outbox
        self._disk = disk
        self._clock = clock
        self._on_deletions = on_deletions
        self._notices: dict[str, Outgoing] = {}
        self._unsent: dict[str, None] = {}
        self._hub_online = False
        self._work: list[OutboxMessage | _Erase | _Hold | Delivery] = []
        self._refused: dict[_Erase | _Hold, None] = {}
        self._woken = asyncio.Event()
        self._busy = False
        self._try_all = False
        self._hub_returned = False
        self._unacknowledged: set[str] = set()
        self._purged_ns = 0
        self._problem = ""

    def connect(self, on_session: Callable[[bool], None]) -> None:
        """Open the session; `on_session` is called on the loop with whether there is one."""
        loop = asyncio.get_running_loop()

        def session(present: bool, reason: str) -> None:
            if (present, reason) != (self.connected, self.reason):
                event(_log, "broker.session" if present else "broker.no_session", reason=reason)
            self.connected, self.reason = False, reason
            self._try_all = self._try_all or present
            self._unacknowledged.clear()
            on_session(present)  # what it posts goes with all the rest, once
            self.connected = present
            self._unsent = dict.fromkeys(self._notices)
            self._send_notices()
            self._woken.set()

        self._broker.connect(
            lambda present, reason: _on(loop, lambda: session(present, reason)),
            lambda delivery: _on(loop, lambda: self._answered(delivery)),
        )

    def subscribe(
        self,
        pattern: str,
        on_message: Callable[[str, bytes], None],
        on_retained: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """Receive what matches, on the loop. on_retained: takes what the broker had kept instead of on_message."""
        loop, kept = asyncio.get_running_loop(), on_retained or on_message
        self._broker.subscribe(
            pattern,
            lambda topic, payload: _on(loop, lambda: on_message(topic, payload)),
            lambda topic, payload: _on(loop, lambda: kept(topic, payload)),
        )

    def set_hub_online(self, *, online: bool) -> None:
        """Whether the hub reports that it is there (rule 2). When it comes back, all that waits is tried at once, and
        what it acknowledged before is delivered again: a hub that was killed may have lost it."""
        if online and not self._hub_online:
            self._try_all = self._hub_returned = True
            self._woken.set()
        self._hub_online = online

    def keep(self, message: OutboxMessage) -> None:
        """Store a message and deliver it however long that takes (rule 1)."""
        self._queue(message)

    def erase(self, alert_id: str | None, reason: str) -> None:
        """Erase an alert (None: every alert) from the outbox; receipts follow through on_deletions."""
        self._queue(_Erase(alert_id, reason))

    def hold(self, alert_id: str, kind: Kind, until: WallTime | None) -> None:
        """Keep an alert until then, or (None) no longer than its time; a disk that refuses is tried again (rule 5)."""
        self._queue(_Hold(alert_id, kind, until))

    def erase_undelivered(self, concerns: Callable[[bytes], bool], reason: str) -> None:
        """Erase every alert of which a statement waits that `concerns` says yes to; receipts likewise."""
        self._queue(_Erase(None, reason, concerns))

    def post(self, notice: Outgoing) -> None:
        """Publish a notice now or when there is room, and after every reconnection (rule 3)."""
        self._notices[notice.topic] = notice
        self._unsent[notice.topic] = None
        self._send_notices()

    async def run(self) -> None:
        """Work off what is asked for, for ever; cancelled at the end."""
        while True:
            await set_within(self._woken, OUTBOX_POLL_S)
            self._woken.clear()
            self._purge_when_due()
            self._send_notices()
            await self._process_queue()

    async def drain(self, within_s: float, kinds: Iterable[MessageClass]) -> bool:
        """Wait until every erasure is done and nothing of these kinds waits for delivery; False when the time is up.

        A disk that refuses is asked again until then.
        """
        loop = asyncio.get_running_loop()
        last = loop.time() + within_s
        wanted = tuple(kinds)
        while True:
            known = await self._count()
            idle = not self._work and not self._refused and not self._busy
            if known and idle and not any(self.waiting[kind] for kind in wanted):
                return True
            if loop.time() >= last:
                return False
            self._woken.set()
            await asyncio.sleep(0.05)

    async def flush_notices(self, within_s: float) -> None:
        """Wait until the broker has answered for every notice, at most `within_s`; without a session not at all."""
        loop = asyncio.get_running_loop()
        last = loop.time() + within_s
        while self.connected and (self._unsent or self._unacknowledged) and loop.time() < last:
            await asyncio.sleep(0.02)
            self._send_notices()

    def _queue(self, item: OutboxMessage | _Erase | _Hold | Delivery) -> None:
        self._work.append(item)
        self._woken.set()

    def _purge_when_due(self) -> None:
        now = int(self._clock.monotonic())
        if now - self._purged_ns >= OUTBOX_PURGE_S * 1e9:
            self._purged_ns = now
            self._work.append(_Erase(None, PURGE))

    async def _process_queue(self) -> None:
        """Store, erase and note what was asked for, in order; then send what is due."""
        self._busy = True
        self._work[:0] = [requests for requests in self._refused if requests not in self._work]
        try:
            if self._hub_returned:
                self._hub_returned = False
                await self._disk(self._outbox.deliver_again)
            if self._try_all:
                self._try_all = False
                await self._disk(self._outbox.retry_now)
            while self._work:
                await self._handle(self._work.pop(0))
            while self.connected and await self._send_due():
                continue
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
        finally:
            self._busy = False
        await self._count()

    async def _count(self) -> bool:
        """Bring `waiting` up to date; whether the disk told."""
        try:
            self.waiting = await self._disk(self._outbox.waiting)
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
            return False
        self._problem = ""
        return True

    def _disk_failed(self, fault: Exception) -> None:
        """Say what the disk refuses, once until it works again."""
        if str(fault) != self._problem:
            event(_log, "outbox.unavailable", level=logging.ERROR, problem=str(fault))
        self._problem = str(fault)

    async def _handle(self, item: OutboxMessage | _Erase | _Hold | Delivery) -> None:
        if isinstance(item, OutboxMessage):
            await self._store(item)
        elif isinstance(item, Delivery):
            await self._disk(lambda: self._report(item))
        else:
            await self._carry_out_erasure(item)

    async def _carry_out_erasure(self, requests: _Erase | _Hold) -> None:
        """Erase; what the disk refuses is owed (rule 5). A purge comes round by itself."""
        try:
            gone = await self._disk(lambda: self._deletions(requests))
        except (Unavailable, OSError) as fault:
            if requests not in self._refused:
                event(_log, "outbox.cannot_erase", level=logging.ERROR, reason=requests.reason, problem=str(fault))
            if requests.reason != PURGE:
                self._refused[requests] = None
            return
        self._refused.pop(requests, None)
        if gone:
            self._on_deletions(gone)

    async def _store(self, message: OutboxMessage) -> None:
        try:
            await self._disk(lambda: self._outbox.put(message))
        except Unavailable as fault:
            event(_log, "outbox.cannot_store", level=logging.ERROR, kind=message.kind.value, problem=str(fault))
            due = Due(
                *(message.id, message.kind, message.topic, message.payload, message.content_type, message.qos),
                message.expires_at,
            )
            if not self._broker.publish(self._outgoing(due)):
                event(_log, "outbox.lost", level=logging.ERROR, kind=message.kind.value, id=message.id)

    def _report(self, delivery: Delivery) -> bool:
        return self._outbox.report(
            delivery.token,
            accepted=delivery.accepted,
            acknowledged=delivery.acknowledged,
            monotonic=self._clock.monotonic(),
        )

    def _deletions(self, requests: _Erase | _Hold) -> list[Deletion]:
        if isinstance(requests, _Hold):
            if requests.until is None:
                trusted = self._clock.synchronised()
                return self._outbox.release(requests.alert_id, self._clock.wall(), clock_trusted=trusted)
            self._outbox.hold(requests.alert_id, requests.kind, requests.until)
            return []
        if requests.concerns is not None:
            return self._outbox.delete_undelivered(requests.concerns, requests.reason)
        if requests.alert_id is not None:
            return [self._outbox.delete_alert(requests.alert_id, requests.reason)]
        if requests.reason == PURGE:
            return self._outbox.purge(self._clock.wall(), clock_trusted=self._clock.synchronised())
        return self._outbox.delete_all(requests.reason)

    async def _send_due(self) -> bool:
        """Hand what is due to the broker; whether anything was taken."""
        now = self._clock.monotonic()
        due = await self._disk(lambda: self._outbox.due(self._clock.wall(), now))
        for message in due:
            # Marked before it goes: the broker's answer may come before publish returns.
            self._outbox.sent(message.id, now)
            if not self._broker.publish(self._outgoing(message)):
                self._work.append(Delivery(message.id, accepted=False, acknowledged=False, reason="not taken"))
                return False
        return bool(due)

    def _outgoing(self, due: Due) -> Outgoing:
        now = self._clock.wall()
        if due.kind is MessageClass.ALERT:
            return due.outgoing(now, events.restamp(due.payload, now, ALERT_STALE_S))
        return due.outgoing(now)

    def _send_notices(self) -> None:
        """Hand over what is owed, in order, as far as the broker takes it."""
        for topic in tuple(self._unsent):
            notice = self._notices[topic]
            if not self.connected or not self._broker.publish(notice):
                return
            del self._unsent[topic]
            self._unacknowledged.add(notice.token)

    def _answered(self, delivery: Delivery) -> None:
        """Sort an answer: a notice's ends here, a message's goes to the outbox (rule 2). Either makes room."""
        if delivery.token in self._unacknowledged:
            self._unacknowledged.discard(delivery.token)
            if not delivery.accepted and self.connected:
                event(_log, "notice.refused", level=logging.WARNING, reason=delivery.reason)
        else:
            self._queue(replace(delivery, acknowledged=delivery.acknowledged and self._hub_online))
        self._send_notices()


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """From the broker's thread to the loop; after the loop's end there is nobody to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
