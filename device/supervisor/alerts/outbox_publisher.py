"""Publishes everything that goes to the hub: kept messages through the durable outbox, retained notices directly.

1. Disk work runs on the disk thread in the order of the requests; the loop never waits for storage.
2. A kept message leaves the outbox only after the broker's acknowledgement (device.outbox.store, rule 3). A message
   that the hub must receive counts as delivered only if the hub was online at that time: other subscribers'
   acknowledgements do not count, and the broker's reply does not tell them apart. Receipts and counts wait for the
   confirmation of a hub that confirms (`confirmed`); alerts are delivered again when the hub returns.
3. Notices are replaced, not queued. A notice that the broker did not accept is sent when it has room. After a
   reconnection the newest notice of every topic is sent again. Nothing personal is retained.
4. When the outbox cannot store an alert, the alert is sent without being stored and the failure is logged. One that
   waits to be erased (its entry was withdrawn, it was judged false, the deployment has ended) is not sent.
5. An erasure that the disk refused is retried on every turn until it succeeds.
6. An alert is stored, then logged in the audit log, then published, each on the disk before the next begins. One that
   an earlier run stored and did not log is logged first of all. A log that refuses holds up no alert (rule 4). So with
   an erased alert: erased and owed a receipt, logged, receipt stored.
7. `problem` states why the outbox does not keep what it is given; it stays until a write succeeds again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from device.domain.steady_clock import SteadyClock
from device.domain.time import WallTime
from device.errors import Unavailable
from device.hub_api import events
from device.logs import event
from device.outbox.holds import Kind
from device.outbox.message import Due, ErasedAlert, OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.ports.broker import Broker, Delivery, Outgoing
from device.ports.clock import Clock
from device.supervisor.alerts.outbox_requests import EXPIRY, Confirmed, Erase, Hold
from device.supervisor.runtime.executor import Disk
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.timing import ALERT_STALE_S, OUTBOX_EXPIRY_S, OUTBOX_POLL_S

_log = logging.getLogger(__name__)

OnErased = Callable[[list[ErasedAlert]], None]
AlertLog = Callable[[list[str]], Awaitable[bool]]
Request = OutboxMessage | Erase | Hold | Confirmed | Delivery


class OutboxPublisher:
    """Owns the broker session and the outbox. Everything but the broker's callbacks runs on the loop."""

    def __init__(
        self,
        broker: Broker,
        outbox: Outbox,
        disk: Disk,
        clock: Clock,
        on_erased: OnErased,
        *,
        alert_log: AlertLog | None = None,
    ) -> None:
        """alert_log: logs alerts, for an outbox that wants that first, and returns whether they are on the disk."""
        self._alert_log = alert_log
        self._steady = SteadyClock()
        self._logged: set[str] = set()
        self._unlogged = True
        self.connected = False
        self.reason = "not connected yet"
        self.waiting: dict[MessageClass, int] = {}
        self._broker = broker
        self._outbox = outbox
        self._disk = disk
        self._clock = clock
        self._on_erased = on_erased
        self._notices: dict[str, Outgoing] = {}
        self._unsent: dict[str, None] = {}
        self._hub_online = self._hub_confirms = False
        self._work: list[Request] = []
        self._refused: dict[Erase | Hold, None] = {}
        self._woken = asyncio.Event()
        self._busy = False
        self._try_all = False
        self._hub_returned = False
        self._unacknowledged: set[str] = set()
        self._expiry_checked_ns = 0
        self.problem = ""

    def connect(self, on_session: Callable[[bool], None]) -> None:
        """Open the session; `on_session` is called on the loop with True when it opens and False when it is lost."""
        loop = asyncio.get_running_loop()

        def session(present: bool, reason: str) -> None:
            if (present, reason) != (self.connected, self.reason):
                event(_log, "broker.session" if present else "broker.no_session", reason=reason)
            self.connected, self.reason = False, reason
            self._try_all = self._try_all or present
            self._unacknowledged.clear()
            on_session(present)  # the callback publishes notices; they are sent together, once
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

    def set_hub_online(self, *, online: bool, confirms: bool = False) -> None:
        """Set whether the hub is online, and whether it confirms (rule 2). When it returns, everything that waits is
        retried, and what it acknowledged before is delivered again: a hub that was killed may have lost it.
        """
        self._hub_confirms = confirms if online else self._hub_confirms  # reports of its time may come after it
        if online and not self._hub_online:
            self._try_all = self._hub_returned = True
            self._woken.set()
        self._hub_online = online

    def confirmed(self, message_ids: Iterable[str]) -> None:
        """The hub has these receipts and counts on its disk (rule 2)."""
        self._queue(Confirmed(tuple(message_ids)))

    def keep(self, message: OutboxMessage) -> None:
        """Store a message and deliver it, with retries until it expires (rule 1)."""
        self._queue(message)

    def erase(self, alert_id: str | None, reason: str) -> None:
        """Erase an alert (None: every alert) from the outbox; receipts follow through `on_erased`."""
        self._queue(Erase(alert_id, reason))

    def hold(self, alert_id: str, kind: Kind, until: WallTime | None) -> None:
        """Keep an alert until then, or (None) no longer than its time; a disk that refuses is tried again (rule 5)."""
        self._queue(Hold(alert_id, kind, until))

    def erase_undelivered(self, concerns: Callable[[bytes], bool], reason: str) -> None:
        """Erase every undelivered alert or count for which `concerns` is true; receipts of alerts as for `erase`."""
        self._queue(Erase(None, reason, concerns))

    def post(self, notice: Outgoing) -> None:
        """Publish a notice now or when the broker has room, and after every reconnection (rule 3)."""
        self._notices[notice.topic] = notice
        self._unsent[notice.topic] = None
        self._send_notices()

    def offer(self, message: Outgoing) -> None:
        """Publish now or never: dropped without a session, or while anything else waits to be sent."""
        if self.connected and not self._unsent and not self._work and self._broker.publish(message):
            self._unacknowledged.add(message.token)

    async def run(self) -> None:
        """Process requests until cancelled."""
        while True:
            await set_within(self._woken, OUTBOX_POLL_S)
            self._woken.clear()
            self._erase_expired_when_due()
            self._send_notices()
            await self._process_queue()
            if self.problem:
                await self._try_to_write()

    async def drain(self, within_s: float, kinds: Iterable[MessageClass]) -> bool:
        """Wait until every erasure is done and no message of these kinds waits for delivery; False at the deadline.

        A disk that refuses is retried until then.
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
        """Wait until the broker has answered for every notice, at most `within_s`; not at all without a session."""
        loop = asyncio.get_running_loop()
        last = loop.time() + within_s
        while self.connected and (self._unsent or self._unacknowledged) and loop.time() < last:
            await asyncio.sleep(0.02)
            self._send_notices()

    def _queue(self, item: Request) -> None:
        self._work.append(item)
        self._woken.set()

    def _erase_expired_when_due(self) -> None:
        now = int(self._clock.monotonic())
        if now - self._expiry_checked_ns >= OUTBOX_EXPIRY_S * 1e9:
            self._expiry_checked_ns = now
            self._work.append(Erase(None, EXPIRY))

    async def _process_queue(self) -> None:
        """Process the requested stores, erasures and deliveries in order; then send what is due."""
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
            await self._log_alerts()
            while self.connected and await self._send_due():
                continue
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
        finally:
            self._busy = False
        await self._count()

    async def _count(self) -> bool:
        """Update `waiting`; False when the disk does not answer."""
        try:
            self.waiting = await self._disk(self._outbox.waiting)
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
            return False
        return True

    async def _try_to_write(self) -> None:
        """Whether the outbox takes writes again (rule 7)."""
        try:
            await self._disk(self._outbox.require_room)
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
            return
        event(_log, "outbox.available")
        self.problem = ""

    def _disk_failed(self, fault: Exception) -> None:
        """Log a disk failure, once until the disk works again."""
        if str(fault) != self.problem:
            event(_log, "outbox.unavailable", level=logging.ERROR, problem=str(fault))
        self.problem = str(fault)

    async def _handle(self, item: Request) -> None:
        if isinstance(item, OutboxMessage):
            await self._store(item)
        elif isinstance(item, Delivery):
            await self._disk(lambda: self._report(item))
        elif isinstance(item, Confirmed):
            await self._disk(lambda: self._outbox.confirmed(item.message_ids))
        else:
            await self._log_alerts()
            await self._carry_out_erasure(item)

    async def _log_alerts(self) -> None:
        """Log what is stored and not logged (rule 6)."""
        if not self._unlogged:
            return
        alerts = await self._disk(self._outbox.unlogged)
        new = [alert for alert in alerts if alert not in self._logged]
        on_disk = self._alert_log is None or await self._alert_log(new)
        self._logged |= set(alerts)
        if alerts:
            await self._disk(lambda: self._outbox.logged(alerts, on_disk=on_disk))
        if on_disk:
            self._unlogged = False
            self._logged -= set(alerts)

    async def _carry_out_erasure(self, requests: Erase | Hold) -> None:
        """Erase; an erasure that the disk refused is retried (rule 5). The expiry check has a timer."""
        try:
            gone = await self._disk(lambda: self._erase_now(requests))
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
            if requests not in self._refused:
                event(_log, "outbox.cannot_erase", level=logging.ERROR, reason=requests.reason, problem=str(fault))
            if requests.reason != EXPIRY:
                self._refused[requests] = None
            return
        self._refused.pop(requests, None)
        if gone:
            self._on_erased(gone)
            if self._alert_log is not None:  # rows before receipts, which are stored next
                await self._alert_log([])

    async def _store(self, message: OutboxMessage) -> None:
        try:
            await self._disk(lambda: self._outbox.put(message))
            self._unlogged = self._unlogged or message.kind is MessageClass.ALERT
        except (Unavailable, OSError) as fault:
            self._disk_failed(fault)
            event(_log, "outbox.cannot_store", level=logging.ERROR, kind=message.kind.value, problem=str(fault))
            if message.kind is MessageClass.ALERT and message.revision == 0 and self._alert_log is not None:
                await self._alert_log([str(message.alert_id)])
            erasure = next((each for each in self._erasures() if each.covers(message)), None)
            if erasure is not None:
                self._not_sent(message, erasure)
                return
            for each in (message, message.probe):
                if each is not None and not self._broker.publish(self._outgoing(_not_kept(each))):
                    event(_log, "outbox.lost", level=logging.ERROR, kind=each.kind.value, id=each.id)

    def _erasures(self) -> list[Erase]:
        """Erasures that were asked for and not carried out yet."""
        return [each for each in (*self._refused, *self._work) if isinstance(each, Erase)]

    def _not_sent(self, message: OutboxMessage, erasure: Erase) -> None:
        """Drop what the disk refused and an erasure covers (rule 4); a new alert has its receipt."""
        event(_log, "outbox.not_sent", kind=message.kind.value, id=message.id, reason=erasure.reason)
        if message.kind is MessageClass.ALERT and message.revision == 0:
            self._on_erased([ErasedAlert(str(message.alert_id), erasure.reason, 0)])

    def _report(self, delivery: Delivery) -> bool:
        return self._outbox.report(
            delivery.token,
            accepted=delivery.accepted,
            acknowledged=delivery.acknowledged,
            monotonic=self._clock.monotonic(),
            hub_confirms=self._hub_confirms,
        )

    def _erase_now(self, requests: Erase | Hold) -> list[ErasedAlert]:
        if isinstance(requests, Hold):
            if requests.until is None:
                trusted = self._clock.synchronised()
                return self._outbox.release(requests.alert_id, self._clock.wall(), clock_trusted=trusted)
            self._outbox.hold(requests.alert_id, requests.kind, requests.until)
            return []
        if requests.concerns is not None:
            return self._outbox.erase_undelivered(requests.concerns, requests.reason)
        if requests.alert_id is not None:
            return [self._outbox.erase_alert(requests.alert_id, requests.reason)]
        if requests.reason == EXPIRY:
            now, synchronised = self._clock.wall(), self._clock.synchronised()
            steady = self._steady.observe(now, self._clock.monotonic(), synchronised=synchronised)
            return self._outbox.erase_expired(now, clock_trusted=steady)
        return self._outbox.erase_all(requests.reason)

    async def _send_due(self) -> bool:
        """Publish the messages that are due; whether the broker accepted any."""
        now = self._clock.monotonic()
        due = await self._disk(lambda: self._outbox.due(self._clock.wall(), now))
        for message in due:
            # Marked before publish: the broker's answer may come before it returns.
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
        """Publish the notices that were not accepted yet, in order, as far as the broker has room."""
        for topic in tuple(self._unsent):
            notice = self._notices[topic]
            if not self.connected or not self._broker.publish(notice):
                return
            del self._unsent[topic]
            self._unacknowledged.add(notice.token)

    def _answered(self, delivery: Delivery) -> None:
        """Handle an acknowledgement: of a notice here, of a message in the outbox (rule 2). Either makes room."""
        if delivery.token in self._unacknowledged:
            self._unacknowledged.discard(delivery.token)
            if not delivery.accepted and self.connected:
                event(_log, "notice.refused", level=logging.WARNING, reason=delivery.reason)
        else:
            self._queue(replace(delivery, acknowledged=delivery.acknowledged and self._hub_online))
        self._send_notices()


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Pass a callback from the broker's thread to the loop; dropped after the loop has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _not_kept(message: OutboxMessage) -> Due:
    """A message that the disk refused, to be published once."""
    to = (message.id, message.kind, message.topic, message.payload)
    return Due(*to, message.content_type, message.qos, message.expires_at)
