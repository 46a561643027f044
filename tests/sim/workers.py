"""Scripted workers for simulations: they send what a real one sends, when a test asks for it, and fail as one fails."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from device.domain.finding import Candidate, Counters
from device.edges.clock.fake import FakeClock
from device.errors import LinkBroken
from device.wire.link import (
    HEADER,
    Assignment,
    CandidateRaised,
    Commission,
    Fault,
    Finished,
    FromWorker,
    Lease,
    Stop,
    ToWorker,
    View,
    Withdraw,
    Withdrawn,
    WithdrawVolunteers,
    pack,
    unpack_from_worker,
)
from tests.sample_alerts import a_candidate
from tests.sample_worker import PROTECTIONS, a_beat, a_hello, an_open_list

BEAT_S = 0.25
PROBE = b"age-encryption.org/v1 ciphertext"
LIST = {"id": "wl-1", "sha256": "a" * 64, "subjects": 3, "images": 3}


def _received(message: FromWorker) -> FromWorker | LinkBroken:
    """The message as the supervisor's end of a link decodes it."""
    try:
        return unpack_from_worker(pack(message)[HEADER.size :])
    except LinkBroken as fault:
        return fault


class FakeWorker:
    """One life of a scripted worker: answers its Assignment, beats, and does what the test says."""

    def __init__(self, camera: str, script: Script, clock: FakeClock) -> None:
        self.camera = camera
        self.started_ns = int(clock.monotonic())
        self.ended_ns: int | None = None
        self.assignment: Assignment | None = None
        self.commission: Commission | None = None
        self.counters = Counters()
        self.view = "online"
        self.warning = ""
        self.size: tuple[int, int] | None = (1280, 720)
        self.withdrawn: set[str] = set()
        self.volunteers_gone: set[str] = set()
        self.stopped: Stop | None = None
        self.views: list[View] = []
        self.silent = False
        self.leased_ns: list[int] = []
        self._script = script
        self._clock = clock
        self._outbox: asyncio.Queue[FromWorker | LinkBroken | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._status = 0
        self._beats: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.ended_ns is None

    def send(self, message: ToWorker) -> None:
        if not self.running:
            return
        if isinstance(message, Commission):
            self.commission = message
            self._beats = asyncio.create_task(self._work())
        elif isinstance(message, Assignment):
            self.assignment = message
            self.withdrawn = set(message.withdrawn)
            self._beats = asyncio.create_task(self._work())
        elif isinstance(message, Lease):
            self.leased_ns.append(int(self._clock.monotonic()))
        elif isinstance(message, View):
            self.views.append(message)
        elif isinstance(message, Withdraw):
            self.withdrawn |= set(message.refs)
            self.say(Withdrawn(entries=len(self.withdrawn)))
        elif isinstance(message, WithdrawVolunteers):
            self.volunteers_gone |= set(message.refs)
        elif isinstance(message, Stop):
            self.stopped = message
            if not self._script.deaf:
                self.finish(message.reason)

    async def receive(self) -> FromWorker | None:
        received = await self._outbox.get()
        if isinstance(received, LinkBroken):
            raise received
        return received

    def kill(self) -> None:
        self.end(-9)

    async def ended(self) -> int:
        if self._script.lingers_s and self.running:
            await asyncio.sleep(self._script.lingers_s)
        self.end(self._status)
        return self._status

    def say(self, message: FromWorker) -> None:
        if self.running and not self.silent:
            self._outbox.put_nowait(_received(message))

    def raise_candidate(
        self,
        passage: int,
        revision: int = 0,
        entry: str = "e-1",
        score: float = 0.6,
        category: str | None = "missing",
        decoded_ns: int = 0,
        **changes: Any,
    ) -> None:
        """A possible match; the first of a passage also counts it as seen and alerted."""
        if revision == 0:
            self.counters.faces_seen += 1
            self.counters.alerted += 1
        found = msgspec.structs.replace(candidate(passage, revision, entry, score, category, decoded_ns), **changes)
        self.say(CandidateRaised(candidate=found, probe=PROBE if self._script.sends_probes else None))

    def passers_by(self, number: int) -> None:
        """People who were seen, compared and forgotten."""
        self.counters.faces_seen += number
        self.counters.discarded += number

    def finish(self, reason: str = "end of recording") -> None:
        """Say Finished and end."""
        self.say(Finished(reason=reason, counters=self.counters))

    def fail(self, error: str, text: str, exit_status: int) -> None:
        """Say Fault instead."""
        self.say(Fault(error=error, text=text, exit_status=exit_status))

    def crash(self) -> None:
        """Die without a message, as a driver fault makes it."""
        self._outbox.put_nowait(None)
        self.end(-11)

    def end(self, status: int) -> None:
        if self.running:
            self.ended_ns = int(self._clock.monotonic())
            self._status = status
            if self._beats is not None:
                self._beats.cancel()

    async def _work(self) -> None:
        await asyncio.sleep(self._script.hello_s)
        hello = a_hello(pid=1, backend="fake", self_test=self._script.self_test, protections=self._script.protections)
        self.say(hello)
        await asyncio.sleep(self._script.watchlist_s)
        loaded = {**LIST, **self._script.watchlist}
        loaded["watchlist_id"] = loaded.pop("id")
        if self.commission is None:
            self.say(an_open_list(**loaded, **self._script.operating_point))
        if self._script.lost_after_s is not None:
            await asyncio.sleep(self._script.lost_after_s)
            self.fail("SourceLost", f"rtsp://camera/{self.camera}: lost", 69)
            return
        sequence = 0
        while True:
            seen = {"camera": self.view, "warning": self.warning, "size": self.size}
            self.say(a_beat(sequence, self.counters, stage_p95_ms={"detect": 5.0}, **seen))
            sequence += 1
            await asyncio.sleep(BEAT_S)


class Script:
    """How workers behave from now on; a test changes it at any time."""

    def __init__(self) -> None:
        self.hello_s = 0.5
        self.watchlist_s = 0.1
        self.watchlist: dict[str, Any] = {}
        self.self_test = ""
        self.operating_point: dict[str, Any] = {}
        self.sends_probes = True
        self.protections = dict(PROTECTIONS)
        self.deaf = False
        self.lingers_s = 0.0
        self.crash_at_start = False
        self.lost_after_s: float | None = None
        """The camera cannot be opened: after the watchlist, the worker waits for it this long and gives up."""


class FakeLauncher:
    """Starts scripted workers and remembers all of them."""

    def __init__(self, clock: FakeClock) -> None:
        self.script = Script()
        self.workers: list[FakeWorker] = []
        self._clock = clock

    async def __call__(self, camera_id: str) -> FakeWorker:
        worker = FakeWorker(camera_id, self.script, self._clock)
        self.workers.append(worker)
        if self.script.crash_at_start:
            worker.crash()
        return worker

    def of(self, camera: str) -> FakeWorker:
        """The camera's latest worker."""
        return [w for w in self.workers if w.camera == camera][-1]


def candidate(
    passage: int, revision: int, entry: str, score: float, category: str | None = "missing", decoded_ns: int = 0
) -> Candidate:
    """A plausible candidate."""
    return a_candidate(
        passage=passage,
        revision=revision,
        entry_ref=entry,
        category=category,
        image_source="custody",
        image_captured_on="2026-11-13",
        score=score,
        threshold=0.5,
        margin=score - 0.5,
        second_gap=0.2,
        faces_used=2,
        frame=10,
        media_ns=400_000_000,
        first_seen_ns=0,
        last_seen_ns=400_000_000,
        capture_to_decision_ms=40.0,
        decoded_ns=decoded_ns,
    )
