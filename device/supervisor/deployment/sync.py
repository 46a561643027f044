"""Deployment sync: polls the hub's repository for signed deployments and authorises this device.

1. The sync thread reads and verifies; the loop evaluates the result and waits for nothing.
2. For an offered deployment this device makes an identity in memory (an operational one only where memory cannot be
   swapped out) and publishes the recipient to which the hub addresses the key envelope. When an envelope arrives that
   opens, the list is recorded as used and the deployment is authorised.
3. While it runs: withdrawn entries leave every worker at once; a refused publication fails its condition; a deployment
   that is no longer offered, or was replaced by another, is over. A hub that cannot be reached, or a repository that
   does not verify, changes nothing until the verified signatures expire: by the wall clock or by monotonic time since
   verification, whichever is first, so that a clock that is set back prolongs none. A poll that is refused because of
   the clock fails the clock's condition until one succeeds.
4. Each refusal is reported once, in the log and in the audit log with its rule and name, and again when it changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from device.config.deployment import Deployment
from device.config.model import DeviceConfig
from device.domain.conditions import ConditionName
from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339
from device.errors import LfrError
from device.logs import NOTICE, event
from device.ports.audit import Audit
from device.ports.clock import Clock
from device.supervisor.conditions.snapshot import DeploymentView
from device.supervisor.deployment.active import ActiveDeployment, view_of
from device.supervisor.deployment.deadlines import Deadline
from device.supervisor.runtime.executor import Disk
from device.supervisor.runtime.timeouts import set_within
from device.supervisor.timing import SYNC_POLL_S
from device.sync.identity import SessionIdentity
from device.sync.offer import Offer, Published
from device.sync.refusal import CLOCK, FOR_THIS_DEVICE, SEALED, SIGNED, Refused
from device.sync.source_usb import STICK

_log = logging.getLogger(__name__)
NO_ENVELOPE = "the hub has not issued a key envelope to this device's identity yet"
FROM_STICK = (
    "; a stick alone cannot bring one: this device makes a new identity at each start. Let it reach the hub's broker"
    " once, then copy the stick again (lfr deployment publish --hub DIR --usb STICK), without a restart in between"
)
UNLOCKED = "the supervisor's memory is not locked, so a key could reach swap; give the service LimitMEMLOCK=infinity"


class Repository(Protocol):
    """The verified publication for this device. Calls block and run on the sync thread; `close` interrupts one."""

    def sync(self) -> Published: ...

    def take(self, offer: Offer) -> None: ...

    def ended(self, deployment_id: str) -> list[str]: ...

    def progress(self) -> str: ...

    def close(self) -> None: ...


class DeploymentSync:
    """Polls and authorises (rules 1 to 4).

    over          the deployment is no longer published to this device
    on_recipient  called with the deployment and the recipient of its identity; with None for both once it is dropped
    on_withdrawn  called with a deployment and the entries that were withdrawn from it since the last call, the first
                  time when it is authorised
    on_volunteers_gone  called with volunteers of the blue list whom the hub took off
    """

    def __init__(
        self,
        repository: Repository,
        thread: Disk,
        clock: Clock,
        audit: Audit,
        config: DeviceConfig,
        *,
        memory_locked: bool,
        on_recipient: Callable[[str | None, str | None], None],
        on_withdrawn: Callable[[str, frozenset[str]], None],
        on_volunteers_gone: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        self._problem = "not polled yet"
        self.over = False
        self._on_recipient = on_recipient
        self._on_withdrawn = on_withdrawn
        self._on_volunteers_gone = on_volunteers_gone
        self._repository = repository
        self._thread = thread
        self._clock = clock
        self._audit = audit
        self._device = config.device
        self._zones = frozenset(camera.zone.name for camera in config.cameras)
        self._memory_locked = memory_locked
        self._offered: Deployment | None = None
        self._refused: Refused | None = None
        self._published: Published | None = None
        self._good: Deadline | None = None
        self._identity: SessionIdentity | None = None
        self._active: ActiveDeployment | None = None
        self._activated = asyncio.Event()
        self._hurried = asyncio.Event()
        self._reported: str = ""
        self._done = False

    def why(self) -> str:
        """Why there is no deployment yet, or what is being fetched."""
        return self._repository.progress() or self._problem

    @property
    def unkept(self) -> str:
        """Why the disk does not keep what was verified last; empty when it does."""
        return "" if self._published is None else self._published.unkept

    def view(self, now: WallTime) -> DeploymentView | None:
        """The offered deployment, before its list can be opened."""
        if self._offered is None:
            return None
        return view_of(self._offered, self._device, now, sealed=False)

    def refusals(self, now: WallTime) -> dict[ConditionName, str]:
        """Refusals by the name of the condition that each fails (rule 3)."""
        refused = {} if self._refused is None else {self._refused.condition: self._refused.text}
        last = self._published
        if last is not None and self._expired(now):
            words = f"verified last from {last.source}; the signatures were valid until {rfc3339(last.good_until)}"
            refused.setdefault(SIGNED, f"{words}; {self._problem}" if self._problem else words)
        return refused

    async def find(self) -> ActiveDeployment:
        """The authorised deployment, once there is one."""
        await self._activated.wait()
        assert self._active is not None
        return self._active

    async def run(self) -> None:
        """Poll until `clear`; cancelled at the end."""
        while True:
            if not self._done:
                await self._look()
            await set_within(self._hurried, SYNC_POLL_S)
            self._hurried.clear()

    def hurry(self) -> None:
        """Poll now: the hub reports a new publication."""
        self._hurried.set()

    def clear(self) -> None:
        """Drop the identity and stop polling: this device runs one deployment per start."""
        self._done = True
        self._drop_identity()
        self._offered = self._refused = self._published = None

    async def _look(self) -> None:
        """One poll and its evaluation (rule 1)."""
        try:
            found = await self._thread(self._repository.sync)
            if not self._done:
                await self._evaluate(found)
        except Refused as fault:
            self._refuse(fault)
        except LfrError as fault:
            self._report(str(fault).replace("\n", ";"))

    async def _evaluate(self, found: Published) -> None:
        """Act on a publication that verified (rules 2 and 3)."""
        self._published, self._refused = found, found.refused
        self._count_down(found)
        running = self._active
        if found.refused is not None:
            self._offered = None
            self._refuse(found.refused)
        elif running is not None:
            self._go_on(running, found.offer)
        elif found.offer is None:
            self._offered = None
            self._drop_identity()
            self._report("nothing is published for this device")
        else:
            await self._prepare(found.offer, found.source)

    async def _prepare(self, offer: Offer, source: str) -> None:
        """Make an identity for the offered deployment; authorise as soon as the envelope opens (rule 2)."""
        self._offered = offer.deployment
        strange = sorted(self._zones - set(offer.deployment.zones)) if offer.deployment.zones else []
        if strange:
            text = f"zones of cameras here: {', '.join(strange)}; authorised: {', '.join(offer.deployment.zones)}"
            raise Refused(FOR_THIS_DEVICE, "another zone", text)
        if offer.deployment.mode is Mode.OPERATIONAL and not self._memory_locked:
            raise Refused(SEALED, "memory not locked", UNLOCKED)
        if self._identity is None or self._identity.deployment_id != offer.deployment.id:
            self._drop_identity()
            self._identity = SessionIdentity(offer.deployment.id)
            event(_log, "identity.made", deployment=offer.deployment.id, recipient=self._identity.recipient)
            self._on_recipient(offer.deployment.id, self._identity.recipient)
        if offer.envelope is None or offer.recipient != self._identity.recipient:
            self._report(NO_ENVELOPE + (FROM_STICK if source == STICK else ""))
            return
        content = self._identity.open(offer.envelope)
        await self._thread(lambda: self._repository.take(offer))
        deployment = offer.deployment
        self._active = ActiveDeployment(
            deployment,
            offer.payload,
            content,
            erase=lambda: ["identity", *self._repository.ended(deployment.id)],
            withdrawn=offer.withdrawn,
            volunteers=dict(offer.volunteers),
        )
        self._problem = self._reported = ""
        self._audit.note("key", "R01", deployment=deployment.id, watchlist=deployment.watchlist.id)
        self._activated.set()
        if offer.withdrawn:
            self._on_withdrawn(deployment.id, offer.withdrawn)

    def _go_on(self, running: ActiveDeployment, offer: Offer | None) -> None:
        """Apply changes to the running deployment (rule 3)."""
        if offer is None or offer.deployment.id != running.deployment.id:
            if not self.over:
                event(_log, "deployment.published_no_more", level=NOTICE, deployment=running.deployment.id)
                self._audit.note("refused", "deployment loaded", reason="ended", deployment=running.deployment.id)
            self.over = True
            return
        if offer.volunteers_withdrawn:
            self._on_volunteers_gone(offer.volunteers_withdrawn)
        fresh = offer.withdrawn - running.withdrawn
        if fresh:
            running.withdrawn |= fresh
            event(_log, "watchlist.withdrawn", level=NOTICE, entries=len(fresh), in_all=len(running.withdrawn))
            self._audit.note(
                "watchlist", "R03", watchlist=running.deployment.watchlist.id, reason="withdrawn", count=len(fresh)
            )
            self._on_withdrawn(running.deployment.id, fresh)
        self._report("")

    def _count_down(self, found: Published) -> None:
        """Restart the expiry of these signatures by two clocks (rule 3); signatures seen before keep their expiry."""
        if self._good is None or self._good.end != found.good_until:
            self._good = Deadline(self._clock.wall(), found.good_until)

    def _expired(self, now: WallTime) -> bool:
        trusted = self._clock.synchronised()
        return self._good is not None and self._good.past(now, self._clock.monotonic(), trusted=trusted)

    def _refuse(self, fault: Refused) -> None:
        """Report a refusal once (rule 4): a failed verification only before authorisation, the clock's always."""
        if self._active is None or fault.condition is CLOCK:
            self._refused = fault
        if self._report(fault.text):
            self._audit.note("refused", fault.rule, reason=fault.reason)

    def _report(self, problem: str) -> bool:
        """Keep and log a problem; whether it is new."""
        self._problem = problem
        news = bool(problem) and problem != self._reported
        self._reported = problem
        if news:
            event(_log, "deployment.none" if self._active is None else "deployment.sync", problem=problem)
        return news

    def _drop_identity(self) -> None:
        if self._identity is not None:
            self._identity.drop()
            self._identity = None
            self._on_recipient(None, None)
