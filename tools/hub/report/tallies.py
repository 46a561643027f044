"""The hub's counts of a deployment, kept after everything personal is erased: counts, outcomes, receipts, versions.

1. Nothing here points to a person: no alert id, no entry reference, no picture, no time of a single alert. What waits
   in the blue list's tally (blue_tally.py) is a volunteer's, for half a minute.
2. Counts are totals since a device's boot, so they are kept per device and boot and summed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from device.domain.finding import Mode
from device.errors import BadData, Unavailable
from device.hub_api.messages import Alert, AuditHead, Birth, Erasure, Stats, WatchlistState
from device.logs import event
from tools.hub.report.audit_heads import FOLDER, Heads
from tools.hub.report.blue_tally import BlueTally
from tools.hub.storage.files import write_file

VERSION = 1
LATENCY_EDGES_MS = (50, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000)
"""Upper edges of the latency bins; one more bin holds everything later."""

_log = logging.getLogger(__name__)


class BootCounts(msgspec.Struct, kw_only=True):
    """The latest totals of one boot of one device, and their time."""

    at: str = ""

    faces_seen: int = 0
    tracks: int = 0
    quality_rejects: int = 0
    discarded: int = 0
    lost: int = 0
    alerts: int = 0
    templates: int = 0
    frames: int = 0
    dropped_frames: int = 0
    open_passages: int = 0
    sign_dark_ms: int = 0
    sign_stops: int = 0
    sign_pulses: int = 0
    sign_pulses_failed: int = 0


class Deployment(msgspec.Struct, kw_only=True):
    """Everything countable about one deployment as the hub saw it."""

    deployment_id: str
    mode: Mode | None = None
    first_at: str | None = None
    last_at: str | None = None
    devices: list[str] = []
    boots: dict[str, BootCounts] = {}
    alerts_received: int = 0
    left_unjudged: int = 0
    revisions_received: int = 0
    probes_received: int = 0
    outcomes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    engagements: dict[str, int] = {}
    dispositions: dict[str, int] = {}
    holds: dict[str, int] = {}
    erasures: dict[str, int] = {}
    latency_bins: list[int] = msgspec.field(default_factory=lambda: [0] * (len(LATENCY_EDGES_MS) + 1))
    watchlist_id: str | None = None
    watchlist_subjects: int = 0
    watchlist_images: int = 0
    threshold: float | None = None
    threshold_source: str | None = None
    versions: dict[str, str] = {}
    audit_heads: dict[str, int] = {}
    audit_problems: dict[str, str] = {}
    blue_list: BlueTally = msgspec.field(default_factory=BlueTally)

    def total(self, name: str) -> int:
        """Sum of one count over all boots of all devices."""
        return sum(int(getattr(boot, name)) for boot in self.boots.values())


class Book(msgspec.Struct, kw_only=True):
    """The content of report.json."""

    version: int = VERSION
    deployments: dict[str, Deployment] = {}
    current: dict[str, str] = {}
    """Device to its deployment: what it reports after a restart of the hub belongs there."""


UNKNOWN = "unknown"


class Tallies:
    """Counts into a Book and saves it; belongs to the console's loop."""

    def __init__(self, file: Path, kept: bytes | None = None) -> None:
        """kept: the book that was committed with the desk, which is never behind the file."""
        self._file = file
        self.book = _book_to_write(file) if kept is None else msgspec.json.decode(kept, type=Book)
        self._dirty = self._unkept = kept is not None
        self._heads = Heads(file.parent / FOLDER)
        self._current = self.book.current
        self._waiting_births: dict[str, Birth] = {}
        self._waiting_lists: dict[str, WatchlistState] = {}
        self._waiting_heads: dict[str, int] = {}

    def of(self, deployment_id: str) -> Deployment:
        """The tally of a deployment, created if need be; the caller changes it, so it will be saved."""
        self._dirty = self._unkept = True
        return self.book.deployments.setdefault(deployment_id, Deployment(deployment_id=deployment_id))

    def of_device(self, device: str) -> Deployment:
        """The tally of the deployment of this device."""
        return self.of(self._current.get(device, UNKNOWN))

    def is_on(self, device: str, deployment_id: str | None, mode: Mode | None, at: str) -> None:
        """A device reported its deployment."""
        if deployment_id is None:
            return
        self._current[device] = deployment_id
        tally = self.of(deployment_id)
        tally.mode = mode or tally.mode
        tally.first_at = min(filter(None, (tally.first_at, at)))
        tally.last_at = max(filter(None, (tally.last_at, at)))
        if device not in tally.devices:
            tally.devices = sorted((*tally.devices, device))
        if device in self._waiting_births:
            self.record_birth(device, self._waiting_births.pop(device))
        if device in self._waiting_lists:
            self.listed(device, self._waiting_lists.pop(device))
        if device in self._waiting_heads:
            waited = self._waiting_heads.pop(device)
            tally.audit_heads[device] = tally.audit_heads.get(device, 0) + waited

    def alerted(self, alert: Alert, first: bool) -> None:
        """A revision of an alert arrived, the first or a later one."""
        tally = self.of(alert.deployment_id)
        if not first:
            tally.revisions_received += 1
            return
        tally.alerts_received += 1
        late = sum(1 for edge in LATENCY_EDGES_MS if alert.latency_ms > edge)
        tally.latency_bins[late] += 1
        tally.threshold = alert.threshold
        tally.watchlist_id = alert.candidate.watchlist_id
        tally.watchlist_subjects = alert.list_size
        tally.versions |= {
            "backend": alert.engine.backend,
            "detector": alert.engine.detector,
            "recogniser": alert.engine.recogniser,
            "detector_sha256": alert.engine.detector_sha256,
            "recogniser_sha256": alert.engine.recogniser_sha256,
        }

    def counted(self, device: str, stats: Stats) -> None:
        """Totals of a boot arrived; later ones replace earlier ones, which may come again after them."""
        tally = self.of(stats.deployment_id) if stats.deployment_id else self.of_device(device)
        before = tally.boots.get(f"{device}/{stats.boot_id}")
        if before is not None and before.at > stats.at:
            return
        tally.boots[f"{device}/{stats.boot_id}"] = BootCounts(
            at=stats.at,
            faces_seen=stats.faces_seen,
            tracks=stats.tracks,
            quality_rejects=stats.quality_rejects,
            discarded=stats.discarded,
            lost=stats.lost,
            alerts=stats.alerts,
            templates=stats.templates,
            frames=stats.frames,
            dropped_frames=stats.dropped_frames,
            open_passages=stats.open_passages,
            sign_dark_ms=stats.sign_dark_ms,
            sign_stops=stats.sign_stops,
            sign_pulses=stats.sign_pulses,
            sign_pulses_failed=stats.sign_pulses_failed,
        )

    def record_birth(self, device: str, birth: Birth) -> None:
        """A device reported its engine; kept until it reports its deployment."""
        if device not in self._current:
            self._waiting_births[device] = birth
            return
        tally = self.of_device(device)
        tally.versions |= {"software": birth.software_version}
        if birth.engine is not None:
            engine = birth.engine
            tally.versions |= {
                "backend": engine.backend,
                "detector": engine.detector,
                "recogniser": engine.recogniser,
                "detector_sha256": engine.detector_sha256,
                "recogniser_sha256": engine.recogniser_sha256,
            }
        tally.threshold = birth.threshold if birth.threshold is not None else tally.threshold
        tally.threshold_source = birth.threshold_source or tally.threshold_source

    def listed(self, device: str, state: WatchlistState) -> None:
        """A device reported its loaded watchlist; an erased one changes nothing here."""
        if device not in self._current:
            self._waiting_lists[device] = state
        elif state.watchlist_id is not None and state.erased_at is None:
            tally = self.of_device(device)
            tally.watchlist_id = state.watchlist_id
            tally.watchlist_subjects, tally.watchlist_images = state.subjects, state.images

    def erased(self, device: str, receipt: Erasure, deployment_id: str | None = None) -> None:
        """A receipt of an erasure arrived: of an alert of this deployment, or of the device's own."""
        name = f"{receipt.what}.{receipt.reason}"
        tally = self.of_device(device) if deployment_id is None else self.of(deployment_id)
        erasures = tally.erasures
        erasures[name] = erasures.get(name, 0) + receipt.count

    def headed(self, device: str, head: AuditHead) -> None:
        """A signed head of a device's audit log arrived; a problem stays recorded, whatever comes after it.

        A device signs the first one before it has a deployment; it is counted with the deployment that follows.
        """
        problem = self._heads.take(device, head)
        if problem is None:
            return
        if not problem and device not in self._current:
            self._waiting_heads[device] = self._waiting_heads.get(device, 0) + 1
            return
        tally = self.of_device(device)
        tally.audit_heads[device] = tally.audit_heads.get(device, 0) + 1
        if problem:
            tally.audit_problems.setdefault(device, problem)

    def forgotten(self, device: str, photos: int) -> None:
        """The hub has deleted its own reference photos of a list that ended."""
        erasures = self.of_device(device).erasures
        name = "reference.end_of_deployment"
        erasures[name] = erasures.get(name, 0) + photos

    def crowded_out(self, deployment_id: str) -> None:
        """An alert was erased without a judgement, because the desk was full."""
        self.of(deployment_id).left_unjudged += 1

    def judged(self, deployment_id: str, outcome: str, before: str | None) -> None:
        """A judgement of an alert arrived, perhaps a changed one."""
        _move(self.of(deployment_id).outcomes, outcome, before)

    def reasoned(self, deployment_id: str, reasons: Iterable[str]) -> None:
        """Reasons that were given with a judgement; those of a corrected one stay counted."""
        counted = self.of(deployment_id).reasons
        for reason in reasons:
            counted[reason] = counted.get(reason, 0) + 1

    def followed(self, deployment_id: str, kind: str, outcome: str, before: str | None) -> None:
        """The outcome of an alert: kind is `engagements` or `dispositions`."""
        _move(getattr(self.of(deployment_id), kind), outcome, before)

    def held(self, deployment_id: str, what: str) -> None:
        """A case was held (`evidence`, `complaint`) or `released`."""
        holds = self.of(deployment_id).holds
        holds[what] = holds.get(what, 0) + 1

    def unkept(self) -> bytes | None:
        """The book for the desk's own file, None when nothing changed since the last time."""
        if not self._unkept:
            return None
        self._unkept = False
        return msgspec.json.encode(self.book)

    def not_kept(self) -> None:
        """The desk's file could not be written."""
        self._unkept = True

    def save(self) -> None:
        """Write report.json if anything changed; a disk that refuses is logged and retried next time."""
        if not self._dirty:
            return
        try:
            write_file(self._file, msgspec.json.format(msgspec.json.encode(self.book), indent=1))
            self._dirty = False
        except Unavailable as fault:
            event(_log, "hub.report_not_saved", level=logging.ERROR, reason=str(fault))


def read_book(file: Path) -> Book:
    """The book of a hub; empty when there is none. Changes no file: BadData when it is damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadData(
            f"{file} is damaged: {fault}; put a copy of it back while the hub is stopped; without one,"
            f" `lfr hub serve {file.parent}` sets it aside as {_aside(file).name} when it starts, and counts anew"
        ) from fault


def _book_to_write(file: Path) -> Book:
    """The book of the hub that writes it: a damaged one is set aside, so that counting goes on."""
    try:
        return read_book(file)
    except BadData as fault:
        file.replace(_aside(file))
        event(_log, "hub.report_set_aside", level=logging.ERROR, file=_aside(file).name, reason=str(fault.__cause__))
        return Book()


def _aside(file: Path) -> Path:
    return file.with_suffix(".broken.json")


def _move(counts: dict[str, int], to: str, before: str | None) -> None:
    if before is not None:
        counts[before] = max(0, counts.get(before, 0) - 1)
    counts[to] = counts.get(to, 0) + 1
