"""The capture buffer: frames from a thread of their own, so that decoding overlaps inference.

pace      from         what the consumer gets
full      a recording  every frame, none dropped; up to `depth` are read ahead
realtime  a recording  frames on their presentation clock; newest wins, late ones are dropped and counted
live      a camera     newest wins, the rest are dropped and counted

1. The thread keeps each frame in a slot, memory that the source made for this feed; the source may reuse its own at
   once.
2. A frame is the consumer's until `frames_held` more frames were taken; then its memory is filled again. (A consumer
   that works on two frames at once, such as detect-ahead, needs more than one.)
3. What the source raises, `take` raises, after the frames that came before it.
4. The source belongs to the thread: it opens the iteration, it closes the source.
5. `close` ends the thread and zeroes all memory of the feed.
6. A frozen picture is not delivered: the passage of a person in it would never end. Neither is one of another size,
   which the zone was not drawn for. `blank` zeroes what earlier frames left in memory. Memory is used in turn, so that
   none keeps an old picture. At pace full every frame is wanted, and no picture's health is judged; the thread has a
   lower priority, because there is always more to decode (a camera's stream does not wait).
7. A frame that is not `wanted` is decoded and counted, but not copied or delivered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, Protocol

from device.domain.camera_fault import CameraFault
from device.domain.sight import Damage, Frame
from device.domain.time import NS_PER_MS, NS_PER_S, MonotonicNs
from device.edges.camera.picture_health import PictureHealth
from device.edges.host.thread_priority import step_back
from device.ports.source import FrameSource, Slot

Pace = Literal["full", "realtime", "live"]
STALLED_AFTER_NS = 1200 * NS_PER_MS
"""No frame from the source for this long is a stall, reported within 2 s; its own read deadline calls it lost."""
SILENT_AFTER_NS = 2 * NS_PER_S
"""As vision.passages.GONE_S: a shorter stall leaves people in view the same passages."""
CLOSE_WITHIN_S = 6.0
"""Above the read deadline of a live source, so that its thread has ended."""
KEPT_SAMPLES = 65_536
_CONSUMER_CHECK_S = 1.0
_NOT_DELIVERED = (CameraFault.FROZEN, CameraFault.SIZE_CHANGED)
RECENT_PICTURES = 250
"""Some ten seconds: what `damaged_share` is about."""


class End(Enum):
    """The one value that `take` returns after the last frame."""

    END = "end"


END: Final = End.END


class Tempo(Protocol):
    """The clock of a feed: the time, and waits that an event can end."""

    def now(self) -> MonotonicNs: ...

    def pause(self, cut: threading.Event, seconds: float) -> None: ...


class HostTempo:
    """The host's monotonic clock."""

    def now(self) -> MonotonicNs:
        return MonotonicNs(time.monotonic_ns())

    def pause(self, cut: threading.Event, seconds: float) -> None:
        cut.wait(seconds)


class CaptureBuffer:
    """Runs a source in a thread of its own; the thread starts with `start` or the first `take`.

    decoded, dropped, damaged  frames so far; damaged: data of their own was lost
    decode_ms  what the source took for each (at most KEPT_SAMPLES; may be drained)
    """

    def __init__(
        self,
        source: FrameSource,
        *,
        pace: Pace,
        depth: int = 3,
        frames_held: int = 1,
        wanted: Callable[[Frame], bool] | None = None,
        tempo: Tempo | None = None,
        health: PictureHealth | None = None,
    ) -> None:
        if (pace == "live") is not source.info.live:
            raise ValueError(f"pace {pace!r} does not fit {source.info.name}: live={source.info.live}")
        if depth < 1 or frames_held < 1:
            raise ValueError("a feed reads at least one frame ahead and delivers at least one")
        self._source = source
        self._pace = pace
        self._tempo = tempo or HostTempo()
        self._health = health or PictureHealth()
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._wanted = wanted
        self._frames_held = frames_held
        # What can wait and what the consumer holds; for newest-wins one waits while another is filled.
        self._free = deque(source.slot() for _ in range((depth if pace == "full" else 2) + frames_held))
        self._all = tuple(self._free)
        self._waiting: deque[tuple[Slot, Frame]] = deque()
        self._held: deque[Slot] = deque()
        self._ended = False
        self._fault: Exception | None = None
        self._asked_ns: int | None = None
        self.decoded = 0
        self.dropped = 0
        self.damaged = 0
        self._recent: deque[bool] = deque(maxlen=RECENT_PICTURES)
        self.decode_ms: deque[float] = deque(maxlen=KEPT_SAMPLES)
        self._thread: threading.Thread | None = None

    def take(self, timeout_s: float) -> Frame | End | None:
        """The next frame; None when none came in time; END after the last. Raises what the source raised."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._closed.is_set(), timeout_s)
            if self._waiting:
                slot, frame = self._waiting.popleft()
                self._release_oldest()
                self._held.append(slot)
                return frame
            if self._fault is not None:
                raise self._fault
            return END if self._ended or self._closed.is_set() else None

    def state(self) -> str:
        """online | offline | ended, or the value of a CameraFault that stops this camera, as the beat states it."""
        with self._changed:
            if self._fault is not None:
                return "offline"
            if self._ended or self._closed.is_set():
                return "ended"
            asked_ns = self._asked_ns
        if asked_ns is not None and self._tempo.now() - asked_ns > STALLED_AFTER_NS:
            return CameraFault.STALLED.value
        return "online" if self._health.fault is None else self._health.fault.value

    @property
    def warning(self) -> str:
        """The value of a CameraFault that does not stop this camera; empty when there is none."""
        return "" if self._health.warning is None else self._health.warning.value

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that this camera's pictures should have; None before the first."""
        return self._health.size

    @property
    def damaged_share(self) -> float:
        """Share of the last RECENT_PICTURES, 0..1, that lost data or were predicted from one that had."""
        recent = list(self._recent)
        return sum(recent) / len(recent) if recent else 0.0

    @property
    def stalled(self) -> bool:
        """Whether nothing was delivered for as long as a passage lasts unseen: no frame comes, or none is delivered.

        False at full pace.
        """
        asked_ns = self._asked_ns
        silent = asked_ns is not None and self._tempo.now() - asked_ns > SILENT_AFTER_NS
        return self._pace != "full" and (silent or self._health.fault in _NOT_DELIVERED)

    def blank(self) -> None:
        """Zero all memory except that of a frame that waits to be taken; for a camera that is `stalled`."""
        with self._changed:
            waiting = {id(slot) for slot, _ in self._waiting}
            for slot in (*self._free, *self._held):
                if id(slot) not in waiting:
                    slot.wipe()
        self._health.blank()

    def close(self) -> None:
        """Stop the thread and zero the memory; a frame that the consumer still holds is black from now on."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is None:
            self._source.close()
        else:
            self._thread.join(CLOSE_WITHIN_S)
        with self._changed:
            self._waiting.clear()
            for slot in self._all:
                slot.wipe()
        self._health.wipe()

    def start(self) -> None:
        """Start the thread if it does not run yet; it inherits the priority of the thread that calls this."""
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()

    def _release_oldest(self) -> None:
        if len(self._held) >= self._frames_held:
            self._free.append(self._held.popleft())
            self._changed.notify_all()

    def _run(self) -> None:
        if self._pace == "full":
            step_back()
        outcome = _Outcome()
        with outcome:
            self._capture()
        with outcome:
            self._source.close()
        with self._changed:
            self._fault, self._ended, self._asked_ns = outcome.fault, True, None
            self._changed.notify_all()

    def _capture(self) -> None:
        frames = iter(self._source.frames())
        started_ns: int | None = None
        while not self._closed.is_set():
            asked_ns = self._asked_ns = self._tempo.now()
            frame = next(frames, None)
            delivered_ns = self._tempo.now()
            self._asked_ns = None
            if frame is None:
                return
            self.decoded += 1
            self.decode_ms.append((delivered_ns - asked_ns) / NS_PER_MS)
            self.damaged += frame.damage is Damage.PICTURE
            self._recent.append(frame.damage is not Damage.NONE)
            if self._pace != "full":
                self._health.see(frame)
            if self._pace == "realtime":
                started_ns = delivered_ns if started_ns is None else started_ns
                delivered_ns = self._until(MonotonicNs(started_ns + frame.at))
            if self._health.fault not in _NOT_DELIVERED and (self._wanted is None or self._wanted(frame)):
                self._put(frame, delivered_ns)

    def _until(self, due_ns: MonotonicNs) -> MonotonicNs:
        """Wait for a frame's time; returns when it is delivered, which is when a camera would have delivered it."""
        while not self._closed.is_set():
            now_ns = self._tempo.now()
            if now_ns >= due_ns:
                return now_ns
            self._tempo.pause(self._closed, (due_ns - now_ns) / NS_PER_S)
        return due_ns

    def _put(self, frame: Frame, decoded: MonotonicNs) -> None:
        with self._changed:
            while not self._free and not self._closed.is_set():
                self._changed.wait(_CONSUMER_CHECK_S)
            if self._closed.is_set():
                return
            slot = self._free.popleft()
        kept = slot.keep(frame, decoded)
        with self._changed:
            if self._pace != "full" and self._waiting:
                self._free.append(self._waiting.popleft()[0])
                self.dropped += 1
            self._waiting.append((slot, kept))
            self._changed.notify_all()


class _Outcome:
    """Keeps the first exception of its blocks for another thread to raise (rule 3)."""

    def __init__(self) -> None:
        self.fault: Exception | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: object) -> bool:
        if not isinstance(raised, Exception):
            return False
        self.fault = self.fault or raised
        return True
