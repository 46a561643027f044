"""Issues key envelopes: devices publish a recipient, get an envelope in the repository, and are commanded to sync.

1. Whatever was published, by this process or by another command, is noticed within LOOK_S, and every device of the
   site is told to sync.
2. A device's identity is retained at the broker, so a hub that was restarted issues outstanding envelopes at once. An
   identity of a deployment that is not published for that device waits; a revoked device's is dropped.
3. Signing and writing happen on a thread; the loop only decides. Signatures are renewed before they expire.
4. A deployment whose window is over is ended here too: its keys and photos are erased within a minute of the end;
   so are rehearsal lists (rehearsals.py), and what was never published (tools/hub/publishing/pending_changes.py).
5. A device that was revoked while the hub runs loses its connections: the broker is restarted with the new list.
   A device that was added is let in at once.
6. Volunteers of the blue list whose consent has ended are deleted here and taken off within CONSENTS_EVERY_S. Photos
   that an interrupted withdrawal or end has left here are erased then, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from device.errors import LfrError, RefusedByCondition, Unavailable
from device.hub_api.messages import CommandName, Identity
from device.logs import event
from tools.hub.publishing import operations
from tools.hub.publishing.pending_changes import sweep
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.rehearsals import end_rehearsals

LOOK_S = 0.25
RENEW_EVERY_S = 60.0
CONSENTS_EVERY_S = 5.0

_log = logging.getLogger(__name__)


class CommandSender(Protocol):
    """The hub's session, as far as this module needs it."""

    def command(self, device: str, name: CommandName) -> None: ...


class DevicesChanged(Protocol):
    """Told when devices were added to the site or revoked."""

    def changed(self, added: frozenset[str], removed: frozenset[str]) -> None: ...


class Issuer:
    """Runs on the console's loop; `identified` is called there too."""

    def __init__(
        self,
        publisher: Publisher,
        devices: Callable[[], frozenset[str]],
        sender: CommandSender,
        on_devices: DevicesChanged | None = None,
    ) -> None:
        self._publisher = publisher
        self._devices = devices
        self._sender = sender
        self._on_devices = on_devices
        self._wanted: dict[str, tuple[str, str]] = {}
        self._seen_ns: int | None = None
        self._known = devices()
        self._renewed_at: float | None = None
        self._consents_at: float | None = None
        self.refused: dict[str, str] = {}

    def identified(self, device: str, identity: Identity) -> None:
        """A device's newest identity; null once it has ended there."""
        if identity.deployment_id is None or identity.recipient is None:
            self._wanted.pop(device, None)
        else:
            self._wanted[device] = (identity.deployment_id, identity.recipient)

    async def run(self) -> None:
        """Poll until cancelled; a poll that raises is logged, and the next one follows."""
        while True:
            look = self.look(asyncio.get_running_loop().time())
            (fault,) = await asyncio.gather(look, return_exceptions=True)
            if fault is None:
                self.refused.pop("poll", None)
            else:
                self._note("poll", f"{type(fault).__name__}: {fault}")
            await asyncio.sleep(LOOK_S)

    async def look(self, now_s: float) -> None:
        """One poll (rules 1 to 5). Without a repository it does nothing."""
        self._watch_devices()
        due = self._renewed_at is None or now_s - self._renewed_at >= RENEW_EVERY_S
        if due:
            self._renewed_at = now_s
            await self._on_thread("sweep", self._sweep)
        if self._consents_at is None or now_s - self._consents_at >= CONSENTS_EVERY_S:
            self._consents_at = now_s
            await self._on_thread("consents", self._end_consents)
            await self._on_thread("erasures", self._finish_erasures)
        if not self._publisher.store.exists:
            return
        if due:
            await self._on_thread("end", self._end_expired)
            await self._on_thread("renew", self._publisher.renew)
        for device, (deployment, recipient) in tuple(self._wanted.items()):
            await self._issue(device, deployment, recipient)
        written_ns = self._written_ns()
        if written_ns != self._seen_ns:
            self._seen_ns = written_ns
            for device in sorted(self._devices()):
                with contextlib.suppress(Unavailable):  # one that has not reported yet polls by itself
                    self._sender.command(device, "sync")

    def _end_expired(self) -> bool:
        """End deployments that are over (rule 4), on the thread."""
        over = self._publisher.expired()
        for record in over:
            operations.end(self._publisher, record.id)
            event(_log, "hub.deployment_over", deployment=record.id)
        return bool(over)

    def _end_consents(self) -> bool:
        """Take volunteers off whose consent has ended (rule 6), on the thread."""
        gone = operations.end_consents(self._publisher)
        if gone:
            event(_log, "hub.consents_ended", volunteers=len(gone))
        return bool(gone)

    def _finish_erasures(self) -> bool:
        """Erase what an interrupted withdrawal or end has left (rule 6), on the thread."""
        done = operations.finish_erasures(self._publisher)
        for line in done:
            event(_log, "hub.erasure_finished", what=line)
        return bool(done)

    def _sweep(self) -> bool:
        """Discard what was not published (rule 4), on the thread."""
        gone = [*end_rehearsals(self._publisher), *sweep(self._publisher)]
        for line in gone:
            event(_log, "hub.past_its_time", what=line)
        return bool(gone)

    async def _issue(self, device: str, deployment: str, recipient: str) -> None:
        record = self._publisher.records.current(device)
        if device in self._devices() and (record is None or record.id != deployment):
            return  # not published for it, or over: rule 2, it waits
        done = await self._on_thread(f"{device}", lambda: self._publisher.issue(device, deployment, recipient))
        if done is not None and self._wanted.get(device) == (deployment, recipient):
            del self._wanted[device]
            if done:
                event(_log, "hub.envelope_issued", device=device, deployment=deployment)

    async def _on_thread(self, what: str, work: Callable[[], bool]) -> bool | None:
        """The result of the work; None when it cannot be done now, which is logged once."""
        try:
            done = await asyncio.to_thread(work)
        except RefusedByCondition as fault:
            self._note(what, str(fault))
            return False
        except (LfrError, OSError) as fault:
            self._note(what, str(fault))
            return None
        self.refused.pop(what, None)
        return done

    def _note(self, what: str, problem: str) -> None:
        if self.refused.get(what) != problem:
            self.refused[what] = problem
            event(_log, "hub.not_issued", level=logging.WARNING, what=what, problem=problem)

    def _watch_devices(self) -> None:
        """Rule 5."""
        devices = self._devices()
        added, removed = devices - self._known, self._known - devices
        self._known = devices
        if added or removed:
            event(_log, "hub.devices", added=" ".join(sorted(added)), revoked=" ".join(sorted(removed)))
            if self._on_devices is not None:
                self._on_devices.changed(added, removed)

    def _written_ns(self) -> int | None:
        try:
            return (self._publisher.store.metadata / "timestamp.json").stat().st_mtime_ns
        except FileNotFoundError:
            return None
