"""The device's client: one poll of the hub's repository, from the root of trust to an offer on the disk.

1. Metadata that does not verify changes nothing: the last verified set stays in use until it expires.
2. Metadata that verifies is kept even when its publication is refused, so that nothing older is accepted later.
3. A clock earlier than the last verification, or a timestamp from further ahead than a timestamp may be, is refused:
   expiry and freeze protection depend on the clock.
4. An unchanged timestamp means an unchanged repository: a poll costs one small file and no write.
5. Conditions and workers are the supervisor's; nothing is decided here. Called by one thread.
   A clock that jumped forward while this program ran, and is back where a steady reading puts it, is not refused
   (device/domain/steady_clock.py); after a longer jump see `lfr clock recover`.
6. What verifies is assessed before the disk is asked to keep it: an end or a withdrawal counts on a full or read-only
   disk, too. `Published.unkept` then states what the disk refused, and every poll tries again.
7. A volunteer of the blue list that cannot be fetched is not matched, and changes nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from device import eraser
from device.config.deployment import Deployment
from device.config.publication import (
    DEPLOYMENT_MAX_BYTES,
    ENVELOPE_MAX_BYTES,
    INDEX_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    VOLUNTEER_MAX_BYTES,
    WITHDRAWN_MAX_BYTES,
    Index,
    index_target,
)
from device.domain.finding import Mode
from device.domain.steady_clock import SteadyClock
from device.domain.time import WallTime, rfc3339, wall
from device.errors import Unavailable, reason_of
from device.logs import event
from device.ports.clock import Clock
from device.sync.offer import (
    CLOCKS_APART,
    Offer,
    Published,
    over,
    read_deployment,
    read_index,
    read_withdrawn,
    require_usable,
)
from device.sync.refusal import AUTHORISED, CLOCK, IN_WINDOW, SIGNED, Refused
from device.sync.repository_copy import Facts, Store
from device.sync.root import trusted_root
from device.sync.source import Source
from device.sync.trusted import TIMESTAMP, TIMESTAMP_MAX_BYTES, Found, Trusted, timestamp_expiry
from device.sync.used_watchlists import Used

_log = logging.getLogger(__name__)
FOLDER, USED = "trust", "used.json"
TIMESTAMP_LIFE = timedelta(hours=24)
"""A hub's timestamp expires within this (tools/hub/publishing/README.md); one that lives longer is from the future."""
CHECKED_ANEW = timedelta(minutes=10)
"""However unchanged the timestamp, the root and the payload on the disk are verified this often."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The last full poll and its time."""

    published: Published
    verified_at: WallTime


class Client:
    """One device's sync. `sync` and `take` run on the sync thread, `ended`, `progress` and `close` anywhere."""

    def __init__(
        self,
        state_dir: Path,
        roots: Path,
        device: str,
        sources: Sequence[Source],
        clock: Clock,
        *,
        memory: Path,
    ) -> None:
        """memory: a folder in memory (the run folder), where a set is verified before the disk keeps it (rule 6)."""
        self._memory = memory / FOLDER
        self._state_dir = state_dir
        self._folder = state_dir / FOLDER
        self._roots = roots
        self._device = device
        self._sources = tuple(sources)
        self._clock = clock
        self._fetching = ""
        self._used = Used(self._folder / USED)
        self._lock = Lock()
        self._last: _Last | None = None
        self._last_at: WallTime | None = None
        self._steady = SteadyClock()
        self.running: str | None = None
        """The deployment that recognises now; its list may grow older than 24 h."""

    def sync(self) -> Published:
        """Poll once. Raises Refused when the repository does not verify, Unavailable when it cannot be read."""
        try:
            return self._sync()
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {reason_of(fault)}; repair the disk of the state folder") from fault

    def _sync(self) -> Published:
        mode, root = trusted_root(self._roots)
        store, now, problems = self._store(mode.value), self._clock.wall(), []
        self._steady.observe(now, self._clock.monotonic(), synchronised=self._clock.synchronised())
        self._require_later(store, now)
        for source in self._sources:
            try:
                last = self._last
                if last is not None and self._unchanged(source, store, now):
                    return self._repeated(last, now)
                return self._look(source, store, mode, root)
            except Unavailable as fault:
                problems.append(f"{source.name}: {fault}")
        raise Unavailable("; ".join(problems) or "neither trust.url nor trust.usb is configured")

    def hub_signed_after(self) -> tuple[str, WallTime]:
        """The mode, and the earliest time that the hub's clock had at its newest signature, for `lfr clock recover`.

        It is fetched and verified now, and not kept. Raises Refused or Unavailable, as `sync`.
        """
        mode, root = trusted_root(self._roots)
        store, problems = self._store(mode.value), []
        for source in self._sources:
            try:
                metadata = store.stage() / "metadata"
                Trusted(metadata, root, source, self._progress).refresh()
                found = signed_after(metadata.parent)
            except Unavailable as fault:
                problems.append(f"{source.name}: {fault}")
                continue
            finally:
                store.unstage()
            if found is not None:
                return mode.value, found
        raise Unavailable("; ".join(problems) or "neither trust.url nor trust.usb is configured")

    def take(self, offer: Offer) -> None:
        """Record that this list belongs to this deployment, before it is opened. Raises Refused or Unavailable."""
        listed = offer.deployment.watchlist
        self._used.require_unused(offer.deployment.id, listed.id, listed.sha256)
        self._used.use(offer.deployment.id, listed.id, listed.sha256)
        self.running = offer.deployment.id

    def ended(self, deployment_id: str) -> list[str]:
        """The deployment is over here: delete its sealed list; it is not offered again. Returns what was deleted."""
        self.running, self._last = None, None
        gone: list[str] = []
        with self._lock:
            for folder in sorted(self._folder.glob("*/")):
                gone += self._store(folder.name).delete_payloads()
            self._used.end(deployment_id)
        return gone

    def _store(self, mode: str) -> Store:
        return Store(self._folder / mode, self._memory / mode)

    def progress(self) -> str:
        """Progress of the sealed list's download as text; empty while nothing large is fetched."""
        return self._fetching

    def _progress(self, path: str, received: int, of: int) -> None:
        large = path.endswith(".payload") and received < of
        self._fetching = f"fetching the watchlist: {received / 1e6:.1f} of {of / 1e6:.1f} MB" if large else ""

    def close(self) -> None:
        """Interrupt a sync in progress, from another thread."""
        for source in self._sources:
            source.close()

    def _require_later(self, store: Store, now: WallTime) -> None:
        """RefusedByCondition when the clock is earlier than the last verified timestamp (rule 3)."""
        facts = store.facts()
        last = max(filter(None, (self._last_at, facts.verified_at if facts else None)), default=None)
        if last is not None and now < last and self._steady.returned(now, self._clock.monotonic()):
            event(_log, "clock.jump_is_over", was=rfc3339(last), now=rfc3339(now))
            self._last = self._last_at = None  # the next full look stores the right time again
        elif last is not None and now < last:
            text = (
                f"the clock shows {rfc3339(now)}, before the last verified timestamp ({rfc3339(last)});"
                " set it: with a wrong clock, expired and valid signatures cannot be told apart."
                " If it is right now and was ahead before: stop the service, `lfr clock recover`"
            )
            raise Refused(CLOCK, "clock set back", text)

    def _unchanged(self, source: Source, store: Store, now: WallTime) -> bool:
        """Whether the timestamp equals that of the set in use, byte for byte, kept, and nothing expired (rule 4)."""
        last, current = self._last, store.current
        if last is None or current is None or source.name != last.published.source:
            return False
        if last.published.unkept:
            return False
        if last.published.good_until <= now or now - last.verified_at > CHECKED_ANEW:
            return False
        found = bytearray()
        for piece in source.read(TIMESTAMP):
            found += piece
            if len(found) > TIMESTAMP_MAX_BYTES:
                return False
        return bytes(found) == (current / TIMESTAMP).read_bytes()

    def _repeated(self, last: _Last, now: WallTime) -> Published:
        """The last result again; only time, and lists used since, can have changed it."""
        self._last_at = now
        if last.published.offer is None:
            return last.published
        try:
            self._check_window(last.published.offer.deployment, now)
        except Refused as fault:
            return replace(last.published, offer=None, refused=fault)
        return last.published

    def _look(self, source: Source, store: Store, mode: Mode, root: bytes) -> Published:
        """Verify the metadata, then the publication (rules 1 and 2)."""
        staging = store.stage()
        trusted = Trusted(staging / "metadata", root, source, self._progress)
        trusted.refresh()
        now = self._clock.wall()
        if trusted.timestamp_expires() > now + TIMESTAMP_LIFE + CLOCKS_APART:
            text = "the timestamp is good for longer than 24 h: the hub's clock is ahead, or this device's is behind"
            raise Refused(CLOCK, "clock behind", text)
        offer: Offer | None = None
        refused: Refused | None = None
        try:
            offer = self._offer(trusted, staging / "targets", store, mode, now)
        except Refused as fault:
            refused = fault
        found = Published(mode, trusted.good_until(), source.name, offer, refused)
        # A refused publication keeps the old list: it may be in use, and the publication may be corrected.
        keep = None if refused is not None else frozenset(() if offer is None else _files_of(offer))
        with self._lock:
            try:
                store.commit(staging, Facts(now, source.name), keep)
            except Unavailable as fault:
                store.hold(staging)
                found = replace(found, unkept=str(fault))
        self._last, self._last_at = _Last(found, now), now
        return found

    def _offer(self, trusted: Trusted, targets: Path, store: Store, mode: Mode, now: WallTime) -> Offer | None:
        """Read the index and its targets, and put the sealed list in its place. Raises Refused."""
        target = trusted.find(index_target(self._device), INDEX_MAX_BYTES)
        if target is None:
            return None
        index = read_index(_content(trusted, target, targets / "index.json"), self._device)
        if index is None:
            return None
        document = _officers(trusted, index.deployment, DEPLOYMENT_MAX_BYTES)
        deployment = read_deployment(
            _content(trusted, document, targets / "deployment.yaml"), index, self._device, mode
        )
        self._check_window(deployment, now)
        withdrawn = _officers(trusted, index.withdrawn, WITHDRAWN_MAX_BYTES)
        refs = read_withdrawn(_content(trusted, withdrawn, targets / "withdrawn.json"), deployment)
        payload = self._payload(trusted, index, deployment, store)
        envelope = None
        if index.envelope is not None:
            found = _officers(trusted, index.envelope, ENVELOPE_MAX_BYTES)
            envelope = _content(trusted, found, targets / "envelope")
            (targets / "envelope").unlink()  # memory only: useless after a restart
        volunteers = self._volunteers(trusted, index, deployment, store)
        gone = frozenset(index.volunteers_withdrawn)
        return Offer(deployment, payload, refs, index.recipient, envelope, volunteers, gone)

    def _volunteers(self, trusted: Trusted, index: Index, deployment: Deployment, store: Store) -> dict[str, Path]:
        """The blue list's volunteers whose consent holds, fetched unless they are there (rule 7)."""
        blue, now, there = deployment.blue_list, self._clock.wall(), {}
        consenting = [] if blue is None else [v for v in blue.volunteers if wall(v.consent_until) > now]
        wanted = [each for each in consenting if each.ref not in index.volunteers_withdrawn]
        if wanted:
            self._order_erasure(deployment, *(store.payload(each.sha256) for each in wanted))
        for each in wanted:
            place = store.payload(each.sha256)
            try:
                found = _officers(trusted, each.target, VOLUNTEER_MAX_BYTES)
                if (found.sha256, found.length) != (each.sha256, each.bytes):
                    raise Refused(AUTHORISED, "another volunteer", f"{each.target} is not what the deployment names")
                if not trusted.holds(found, place):
                    incoming = store.incoming()
                    trusted.download(found, incoming)
                    with self._lock:
                        store.keep_payload(incoming, each.sha256)
                there[each.ref] = place
            except (Refused, Unavailable) as fault:
                # neither the reference nor a target's name, which holds it: the journal outlives a consent
                problem = fault.reason if isinstance(fault, Refused) else "not fetched, or not kept"
                event(_log, "volunteer.not_loaded", level=logging.WARNING, problem=problem)
        return there

    def _payload(self, trusted: Trusted, index: Index, deployment: Deployment, store: Store) -> Path:
        """The sealed list, fetched unless it is there already, byte for byte."""
        found, wanted = _officers(trusted, index.payload, PAYLOAD_MAX_BYTES), deployment.watchlist.sha256
        if found.sha256 != wanted:
            text = f"{index.payload} is signed with another hash than deployment {deployment.id} names; publish again"
            raise Refused(AUTHORISED, "another list", text)
        place = store.payload(wanted)
        self._order_erasure(deployment, place)
        if trusted.holds(found, place):
            return place
        try:
            incoming = store.incoming()
            trusted.download(found, incoming)
        finally:
            self._fetching = ""
        with self._lock:
            return store.keep_payload(incoming, wanted)

    def _order_erasure(self, deployment: Deployment, *payloads: Path) -> None:
        """Place the order to erase lists before they are on the disk (device.eraser, rule 1).

        An existing order of that deployment that lacks one of them, or ends later, is replaced by one that covers both
        with the earlier time.
        """
        window, synchronised = deployment.window, self._clock.synchronised()
        now = self._clock.wall() if synchronised else wall(window.start)
        facts = {"mode": deployment.mode.value, "subjects": deployment.watchlist.subjects}
        before = eraser.ordered(self._state_dir, deployment.id)
        files = [Path(file) for file in before.get("files", ())]
        end_ms = min(_ms(window.end), before.get("end_ms", _ms(window.end)))
        lacking = [payload for payload in payloads if payload.absolute() not in files]
        facts |= {name: before[name] for name in ("reason", "all_alerts") if name in before}
        try:
            if lacking or end_ms != before["end_ms"]:
                wanted = [*files, *lacking]
                eraser.place(self._state_dir, deployment.id, wanted, end_ms, _ms(now), **facts)
        except OSError as fault:
            raise Unavailable(
                f"{self._state_dir}: {reason_of(fault)}; no list is stored without its erasure order"
            ) from fault

    def _check_window(self, deployment: Deployment, now: WallTime) -> None:
        """Checks of a deployment whose result can change while its document does not."""
        running, listed = deployment.id == self.running, deployment.watchlist
        if over(deployment, now) and not running:
            text = f"deployment {deployment.id} was over at {rfc3339(wall(deployment.window.end))}"
            raise Refused(IN_WINDOW, "expired", text)
        require_usable(deployment, now, running=running)
        self._used.require_unused(deployment.id, listed.id, listed.sha256)


def _files_of(offer: Offer) -> tuple[str, ...]:
    """Hashes of the sealed files that an offer needs on the disk."""
    return offer.deployment.watchlist.sha256, *(place.name for place in offer.volunteers.values())


def signed_after(current: Path) -> WallTime | None:
    """The hub's clock was not earlier than this when it signed a set's timestamp; None when that cannot be read."""
    expires = timestamp_expiry(current / "metadata")
    return None if expires is None else wall(expires - TIMESTAMP_LIFE - CLOCKS_APART)


def _officers(trusted: Trusted, name: str, most_bytes: int) -> Found:
    """A target that must exist. Refused when none of that name is signed."""
    found = trusted.find(name, most_bytes)
    if found is None:
        raise Refused(SIGNED, "unsigned", f"{name} is not signed by a key that may sign it")
    return found


def _content(trusted: Trusted, found: Found, file: Path) -> bytes:
    """The verified bytes of a small target, which stay in `file`."""
    trusted.download(found, file)
    return file.read_bytes()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
