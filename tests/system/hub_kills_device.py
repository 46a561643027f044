"""A device for the kill drill: its own outbox, outbox publisher and session with the hub; its alerts are written.

Each line `raise` on stdin raises an alert and prints its id once it is kept; `held` prints the ids in the outbox, and
`undelivered` how many messages the hub has not confirmed. A
judgement is noted on stderr.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyrage

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.edges.broker.paho import PahoBroker
from device.edges.clock.system import SystemClock
from device.hub_api import alert_builder, events, messages
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics
from device.outbox.message import ErasedAlert, OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.alerts.outbox_publisher import OutboxPublisher
from device.supervisor.runtime.executor import DiskThread
from device.supervisor.status.hub import Hub
from device.supervisor.status.retained import Notices, will
from tests.sample_alerts import a_candidate, a_context
from tools.hub.storage.folder import HubFolder

SITE, DEVICE, DEPLOYMENT, ENTRY = "demo", "cam-1", "d-1", "e-042"
JPEG = b"\xff\xd8\xff\xe0 drawn, nobody's"
CANDIDATE = a_candidate(entry_ref=ENTRY, category="missing")


def now() -> WallTime:
    return wall(datetime.now(timezone.utc))


class ScriptedDevice:
    """The device's own outbox and session; raises an alert for each line on stdin and prints its id once it is kept."""

    def __init__(self, folder: Path, port: int, state: Path) -> None:
        hub = HubFolder(folder)
        self._clock, self._topics = SystemClock(), DeviceTopics(SITE, DEVICE)
        self._recipient = pyrage.x25519.Recipient.from_str(hub.keys.recipient(DEPLOYMENT) or "")
        self._boot = uuid7(now())
        self._outbox, self._disk = Outbox(state / "outbox.db", now()), DiskThread()
        broker = PahoBroker(hub.address(DEVICE, port), DEVICE, will(SITE, DEVICE, self._boot, self._clock))
        self._publisher = OutboxPublisher(broker, self._outbox, self._disk, self._clock, self._alerts_erased)
        self._hub = Hub(
            SITE,
            DEVICE,
            self._clock,
            publisher=self._publisher,
            on_judgement=self._judged,
            on_follow_up=lambda _: None,
            on_command=lambda *_: None,
        )
        self._notices = Notices(
            self._topics,
            self._boot,
            (),
            self._clock,
            publisher=self._publisher,
            mode=lambda: Mode.DEMO,
            audit_key=lambda: None,
        )
        self._seq = 0

    async def run(self) -> None:
        self._hub.subscribe()
        self._publisher.connect(self._session)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        asyncio.get_running_loop().create_task(self._publisher.run())
        while line := await lines.readline():
            sys.stdout.write(json.dumps(await self._command(line.decode().strip())) + "\n")
            sys.stdout.flush()

    async def _command(self, name: str) -> Any:
        if name == "held":
            return await self._disk(self._outbox.alerts_held)
        if name == "undelivered":
            return sum((await self._disk(self._outbox.waiting)).values())
        alert_id = uuid7(now())
        self._seq += 1
        alert = alert_builder.alert_from(
            CANDIDATE, context(self._boot), alert_id=alert_id, seq=self._seq, decided_at=now()
        )
        probe = pyrage.encrypt(JPEG, [self._recipient])
        payload = events.encode(alert, event_id=uuid7(now()), source=self._topics.base, subject=alert_id, at=now())
        picture = self._message(
            MessageClass.PROBE, self._topics.probe(alert_id), probe, events.PROBE_CONTENT_TYPE, alert
        )
        kept = self._message(MessageClass.ALERT, self._topics.alert(alert_id), payload, events.CONTENT_TYPE, alert)
        self._publisher.keep(replace(kept, probe=picture))
        while alert_id not in await self._disk(self._outbox.alerts_held):
            await asyncio.sleep(0.005)
        return alert_id

    def _message(
        self, kind: MessageClass, topic: str, payload: bytes, content: str, alert: messages.Alert
    ) -> OutboxMessage:
        return OutboxMessage(
            id=uuid7(now()),
            kind=kind,
            topic=topic,
            payload=payload,
            content_type=content,
            delete_by=messages.moment(alert.retention.delete_by),
            expires_at=messages.moment(alert.expires_at),
            alert_id=alert.alert_id,
        )

    def _session(self, present: bool) -> None:
        self._hub.connection(present, "" if present else "lost")
        if present:
            self._notices.session_began(None, None)

    def _judged(self, judgement: messages.Adjudication) -> None:
        sys.stderr.write(json.dumps({"judged": judgement.alert_id, "outcome": judgement.outcome}) + "\n")
        sys.stderr.flush()
        if judgement.outcome == "false_alert":
            self._publisher.erase(judgement.alert_id, "false_alert")

    def _alerts_erased(self, gone: list[ErasedAlert]) -> None:
        for deletion in gone:
            erasure = alert_builder.erasure_of(
                "alert",
                count=int(deletion.existed),
                alert_id=deletion.alert_id,
                reason="false_alert",
                mode=Mode.DEMO,
                at=now(),
            )
            self._notices.receipt(erasure)


def context(boot: str) -> alert_builder.AlertContext:
    return a_context(
        now(),
        site=SITE,
        device_id=DEVICE,
        boot_id=boot,
        deployment_id=DEPLOYMENT,
        expires_s=900.0,
        delete_by=wall(now() + timedelta(hours=20)),
    )


if __name__ == "__main__":
    asyncio.run(ScriptedDevice(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).run())
