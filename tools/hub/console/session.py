"""The hub's MQTT session: receives everything of the site, sends judgements and the hub's own state.

1. A judgement is stored before it is sent, and stays until it is settled, also when the hub is killed: a false alert
   until its erasure is reported, any other until the broker delivered it to a device that is online, and both stayed
   online for SETTLED_S. It keeps its event id, so a repetition changes nothing. A later one of the same kind about
   the same alert replaces it: an older one that arrived after it would undo it.
   The hub does not subscribe to its own judgements, or `acknowledged` would mean nothing.
2. The hub's state is retained, its will publishes offline: a device without an operator does not recognise.
3. `session_expiry_s=0`: a hub that is gone must not count as a subscriber that receives alerts.
4. Commands are signed. A `stop` is kept and repeated like a judgement, until its device replied or a `resume` was
   given; the others are sent once: they expire.
5. Callbacks come from the broker's thread and are moved to the console's loop; all else happens there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from device.domain.finding import Mode
from device.domain.judgement import AdjudicationOutcome, DispositionOutcome, EngagementOutcome, Factor
from device.domain.time import WallTime, rfc3339
from device.errors import BadData, Unavailable
from device.hub_api import messages
from device.hub_api.events import CONTENT_TYPE, decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.messages import Message
from device.hub_api.topics import HUB, DeviceTopics, HubTopics, Place, parse
from device.logs import event
from device.ports.broker import Broker, Delivery, Outgoing
from tools.hub.console.alert_checks import AlertChecks
from tools.hub.console.blue_board import BlueBoard
from tools.hub.console.case import CommandView
from tools.hub.console.confirmations import Confirmations
from tools.hub.console.desk import Desk
from tools.hub.console.hub_state import offline_message, state_message
from tools.hub.console.live_views import SHOWN_S, LiveViews
from tools.hub.pki.command_signer import GOOD_FOR_S, CommandSigner
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk, StoredJudgement

REPEAT_S = 5.0
SETTLED_S = 5.0
MESSAGE_MOST_BYTES = 65_536  # a state with all its conditions is some 6 kB
GIVE_UP_S = 24 * 3600.0
CONFIRMED = (messages.Erasure, messages.Stats, messages.VolunteerSeen, messages.VolunteerPass)

_log = logging.getLogger(__name__)
Now = Callable[[], WallTime]


@dataclass(slots=True)
class _Judgement:
    """An outgoing judgement that may have to be repeated."""

    outgoing: Outgoing
    alert_id: str
    until_erased: bool  # or, a `stop`, until it is answered
    made: WallTime
    device: str | None = None
    heard_at: WallTime | None = None
    last_sent: WallTime | None = None


class HubSession:
    """Passes messages between the broker and the desk."""

    def __init__(
        self,
        broker: Broker,
        site: str,
        mode: Mode,
        desk: Desk,
        opener: ProbeOpener,
        now: Now,
        changed: Callable[[], None],
        identified: Callable[[str, messages.Identity], None] = lambda *_: None,
        store: SealedDesk | None = None,
        checks: AlertChecks | None = None,
        signer: CommandSigner | None = None,
        blue: BlueBoard | None = None,
    ) -> None:
        """identified: called with the recipient for which a device requests its key envelope."""
        self._signer = signer
        self.views = LiveViews()
        self._blue = blue
        self._store = store
        self._checks = checks
        self._identified = identified
        self._broker = broker
        self._topics = HubTopics(site)
        self._mode = mode
        self._desk = desk
        self._opener = opener
        self._now = now
        self._changed = changed
        self.confirmations = Confirmations(broker, self._topics, mode, now)
        self._judgements: dict[str, _Judgement] = {}
        self._published_state: tuple[messages.Operator, str | None] | None = None
        self.online = False
        self.text = "not connected yet"
        self.refused = 0
        for kept in store.judgements() if store is not None else ():
            answered = f"{kept.topic}/reply" if "/cmd/" in kept.topic else None
            correlation = kept.alert_id.encode() if answered else None
            outgoing = Outgoing(
                kept.token,
                kept.topic,
                kept.payload,
                1,
                False,
                round(GIVE_UP_S),
                CONTENT_TYPE,
                answered,
                correlation,
            )
            self._judgements[kept.token] = _Judgement(
                outgoing, kept.alert_id, kept.until_erased, messages.moment(kept.made), kept.device
            )

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect in the background."""

        def on_loop(call: Callable[..., None], *given: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(call, *given)

        for pattern in self._topics.from_devices:
            self._broker.subscribe(
                pattern,
                lambda topic, payload: on_loop(self.arrived, topic, payload),
                lambda topic, payload: on_loop(self.arrived, topic, payload, True),
            )
        self._broker.connect(
            lambda online, text: on_loop(self._session, online, text),
            lambda delivery: on_loop(self._delivered, delivery),
        )

    def arrived(self, topic: str, payload: bytes, retained: bool = False) -> None:
        """One message from the site; one that cannot be read or is refused is a fault on the page and in the log.

        retained: the broker had kept it from before, so it does not show that the device is alive.
        """
        place = parse(topic)
        if place is None or place.device == HUB:
            return
        try:
            if place.branch == "alert/probe":
                jpeg = self._opener.open(payload)
                self._desk.take_probe(place.device, place.subject or "", jpeg, self._now(), payload)
            elif place.branch == "camera/view":
                if not retained:
                    self.views.take(place.device, place.subject or "", payload, self._now())
            else:
                self._take(place, payload, retained)
        except BadData as fault:
            self.refused += 1
            self._desk.fault(place.device, str(fault))
            event(_log, "hub.message_refused", level=logging.WARNING, topic=topic, reason=str(fault))
        self._changed()

    def publish_state(self, operator: messages.Operator, session_id: str | None) -> None:
        """Publish the hub's state if it changed or was not accepted yet (rule 2)."""
        if not self.online or self._published_state == (operator, session_id):
            return
        if self._broker.publish(state_message(self._topics, self._mode, self._now(), operator, session_id)):
            self._published_state = (operator, session_id)

    def judge(
        self, alert_id: str, outcome: str, officer_ref: str, device: str, *, reasons: Sequence[Factor] = ()
    ) -> None:
        """Send an adjudication with its reasons; a false alert is repeated until its erasure is reported (rule 1)."""
        data = messages.Adjudication(
            mode=self._mode,
            alert_id=alert_id,
            outcome=_one_of(outcome, get_args(AdjudicationOutcome)),
            officer_ref=officer_ref,
            at=rfc3339(self._now()),
            reasons=[messages.Reason(factor=factor, text="") for factor in reasons],
        )
        topic = self._topics.adjudication(device, alert_id)
        self._keep_and_send(topic, data, alert_id, device, until_erased=outcome == "false_alert")

    def follow(self, alert_id: str, kind: str, outcome: str, officer_ref: str, device: str) -> None:
        """Send an engagement or a disposition."""
        at = rfc3339(self._now())
        data: Message
        if kind == "engagement":
            topic = self._topics.engagement(device, alert_id)
            data = messages.Engagement(
                mode=self._mode,
                alert_id=alert_id,
                outcome=_one_of(outcome, get_args(EngagementOutcome)),
                officer_ref=officer_ref,
                at=at,
            )
        else:
            topic = self._topics.disposition(device, alert_id)
            data = messages.Disposition(
                mode=self._mode,
                alert_id=alert_id,
                outcome=_one_of(outcome, get_args(DispositionOutcome)),
                officer_ref=officer_ref,
                at=at,
            )
        self._keep_and_send(topic, data, alert_id, device, until_erased=False)

    def hold(self, device: str, data: messages.Hold) -> None:
        """Tell a device to keep a case longer, or no longer."""
        stated = msgspec.structs.replace(data, mode=self._mode)
        topic = self._topics.hold(device, data.alert_id)
        self._keep_and_send(topic, stated, data.alert_id, device, until_erased=False)

    def command(
        self,
        device: str,
        name: messages.CommandName,
        given_by: str = HUB,
        *,
        zone: messages.CommandZone | None = None,
    ) -> None:
        """Sign and send a command (rule 4).

        Raises Unavailable when the hub's key cannot be read, or when a command that is not kept was not sent.
        """
        if self._signer is None:
            raise Unavailable("this hub has no key to sign commands with")
        view, now = self._desk.devices.get(device), self._now()
        boot_id = None if view is None or view.status is None else view.status.boot_id
        if boot_id is None and name != "stop":
            raise Unavailable(f"{device} has not reported to this hub yet, so only a stop can be sent to it")
        terms: dict[str, Any] = {"boot_id": boot_id, "given_by": given_by, "at": now, "zone": zone}
        if name == "view":
            terms |= {"recipient": self.views.begin(device, now, given_by), "good_for_s": SHOWN_S}
        elif name == "end-view":
            self.views.end(device)
        command = self._signer.command(device, name, **terms)
        topic = DeviceTopics(self._topics.site, device).command(name)
        if name == "stop":
            self._keep_and_send(topic, command, command.command_id, device, until_erased=True)
        elif not self._broker.publish(
            self._outgoing(command.command_id, topic, command, command.command_id, GOOD_FOR_S)
        ):
            raise Unavailable(f"the hub has no connection to its broker, so {name} was not sent: {self.text}")
        if name == "resume":
            self._drop_stops(device)
        if view is not None and name != "sync":
            view.command = CommandView(name, command.command_id, given_by, now)
        self._changed()

    def _drop_stops(self, device: str) -> None:
        stops = DeviceTopics(self._topics.site, device).command("stop")
        for token in [t for t, j in self._judgements.items() if j.outgoing.topic == stops]:
            self._drop(token)

    def _replied(self, device: str, reply: messages.CommandReply) -> None:
        for token in [t for t, j in self._judgements.items() if j.alert_id == reply.command_id and j.device == device]:
            self._drop(token)
        view = self._desk.devices.get(device)
        if view is not None and view.command is not None and view.command.command_id == reply.command_id:
            view.command.result, view.command.reason = reply.result, reply.reason

    def repeat(self) -> None:
        """Resend what is not settled (rule 1); called every second."""
        now = self._now()
        for token, judgement in tuple(self._judgements.items()):
            if (now - judgement.made).total_seconds() > GIVE_UP_S or self._settled(judgement, now):
                self._drop(token)
            elif judgement.heard_at is not None and not judgement.until_erased:
                continue
            elif judgement.last_sent is None or (now - judgement.last_sent).total_seconds() >= REPEAT_S:
                self._send(judgement)

    def _settled(self, judgement: _Judgement, now: WallTime) -> bool:
        """Whether it was delivered to a device that was online then and still is (rule 1)."""
        if judgement.heard_at is None or judgement.until_erased:
            return False
        if not self._online(judgement.device):
            judgement.heard_at = None
            return False
        return (now - judgement.heard_at).total_seconds() >= SETTLED_S

    def _online(self, device: str | None) -> bool:
        view = None if device is None else self._desk.devices.get(device)
        return device is None or (view is not None and view.status is not None and view.status.status == "online")

    def _drop(self, token: str) -> None:
        self._judgements.pop(token, None)
        if self._store is not None:
            self._store.drop_judgement(token)

    def waiting(self) -> int:
        """Judgements that are not settled yet."""
        return len(self._judgements)

    def close(self) -> None:
        """Publish that the hub is offline, and close the session."""
        self._broker.publish(offline_message(self._topics.site, self._mode, self._now()))
        self._broker.close()

    def _take(self, place: Place, payload: bytes, retained: bool) -> None:
        if len(payload) > MESSAGE_MOST_BYTES:
            raise BadData(f"a message of {len(payload)} bytes, at most {MESSAGE_MOST_BYTES}")
        received = decode(payload)
        if received.source != f"lfr/v1/{place.site}/{place.device}":
            raise BadData(f"source {received.source!r} on a topic of {place.device}")
        data = received.data
        if isinstance(data, CONFIRMED) and not retained:
            self.confirmations.received(place.device, received.id)
        if isinstance(data, messages.Identity):
            self._identified(place.device, data)
            return
        if isinstance(data, messages.VolunteerSeen | messages.VolunteerPass):
            if self._blue is None or retained:
                raise BadData("the blue list: a retained message, or a hub without one")
            if self._desk.counted.first_time(received.source, received.id):
                self._blue.take(place.device, received.id, data, self._now())
            return
        if isinstance(data, messages.Alert) and self._checks is not None:
            known = self._desk.knows(data.alert_id)
            problem = self._checks.problem(place, data, self._now(), retained=retained, known=known)
            if problem:
                raise BadData(problem)
        self._desk.take(place, received, self._now(), retained=retained)
        if isinstance(data, messages.CommandReply):
            self._replied(place.device, data)
        elif isinstance(data, messages.Erasure) and data.alert_id is not None:
            theirs = (t for t, j in self._judgements.items() if j.alert_id == data.alert_id)
            for token in [t for t in theirs if self._judgements[t].device == place.device]:
                self._drop(token)
        elif isinstance(data, messages.Status) and data.status == "online":
            self._send_again()

    def _send_again(self) -> None:
        for judgement in self._judgements.values():
            judgement.last_sent = judgement.heard_at = None

    def _keep_and_send(self, topic: str, data: Message, alert_id: str, device: str, *, until_erased: bool) -> None:
        now = self._now()
        token = uuid7(now)
        outgoing = self._outgoing(token, topic, data, alert_id, round(GIVE_UP_S))
        judgement = _Judgement(outgoing, alert_id, until_erased, now, device)
        for older in [t for t, j in self._judgements.items() if j.outgoing.topic == topic and j.alert_id == alert_id]:
            self._drop(older)
        self._judgements[token] = judgement
        if self._store is not None:
            kept = StoredJudgement(
                token=token,
                alert_id=alert_id,
                topic=topic,
                payload=outgoing.payload,
                device=device,
                until_erased=until_erased,
                made=rfc3339(now),
            )
            self._store.put_judgement(kept)
            self._desk.commit()
            self._store.commit()
        self._send(judgement)

    def _outgoing(self, token: str, topic: str, data: Message, subject: str, expiry_s: int) -> Outgoing:
        payload = encode(data, event_id=token, source=self._topics.base, subject=subject, at=self._now())
        answered = f"{topic}/reply" if isinstance(data, messages.Command) else None
        correlation = subject.encode() if answered else None
        return Outgoing(token, topic, payload, 1, False, expiry_s, CONTENT_TYPE, answered, correlation)

    def _send(self, judgement: _Judgement) -> None:
        if self._broker.publish(judgement.outgoing):
            judgement.last_sent = self._now()

    def _delivered(self, delivery: Delivery) -> None:
        judgement = self._judgements.get(delivery.token)
        if judgement is None:
            return
        if not delivery.accepted:
            event(_log, "hub.judgement_not_accepted", level=logging.WARNING, reason=delivery.reason)
        if delivery.accepted and delivery.acknowledged and self._online(judgement.device):
            judgement.heard_at = judgement.heard_at or self._now()

    def _session(self, online: bool, text: str) -> None:
        self.online, self.text = online, text
        self._published_state = None
        self._send_again()
        self._changed()


def _one_of(text: str, known: tuple[str, ...]) -> Any:
    if text not in known:
        raise BadData(f"outcome {text!r} is none of {', '.join(known)}")
    return text
