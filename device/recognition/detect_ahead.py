"""Detect-ahead: one thread decodes, one detects, and the caller recognises; frames stay in order.

A frame that `look` passes over (it gives None) goes no further. What the caller made of a frame comes to `look` a fixed
number of frames later (`lag`), however the threads run: a recording is looked at alike each time.

Measured 2026-11-23 on two x86-64 cores: three stages with one-thread runtimes beat one stage with a two-thread runtime
(a recogniser on two threads is 1.4 times faster, not twice). Each runner keeps to one thread. On a GPU all of it runs
in one thread (`DetectAhead.frames` with `ahead` off), because one thread owns the device.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from device.domain.sight import Face, Frame
from device.domain.time import NS_PER_MS
from device.edges.camera.capture_buffer import END, CaptureBuffer, End

AHEAD = 3  # frames that are detected, or waiting for recognition, at once
_WAIT_S = 0.1  # without a frame; a camera that freezes or stalls is reported after it

Seen = tuple[Frame, list[Face]]


def frames_held(*, ahead: bool) -> int:
    """Frames that a `DetectAhead` holds at once: the capture buffer must not refill their slots."""
    return AHEAD + 1 if ahead else 1


def lag(*, ahead: bool) -> int:
    """Of how many frames before a look the caller is surely done when it begins: those in hand, and one that waits."""
    return frames_held(ahead=ahead)


def unpressed() -> bool:
    """A caller that never presses."""
    return False


class DetectAhead:
    """Takes frames from a feed and looks at them, AHEAD frames before whoever asks."""

    def __init__(
        self,
        feed: CaptureBuffer,
        look: Callable[[Frame, bool], list[Face] | None],
        *,
        ahead: bool,
        pressed: Callable[[], bool] = unpressed,
    ) -> None:
        """look     gives a frame's faces, or None to pass it over; in its own thread where `ahead`
        pressed  asked in the caller's thread when it is done with a frame; `look` gets the answer `lag` frames later
        """
        self._feed = feed
        self._look = look
        self._pressed = pressed
        self._ahead = AHEAD if ahead else 0
        self._stop = threading.Event()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        for _ in range(lag(ahead=ahead)):
            self._answers.put(False)

    def frames(self, idle: Callable[[], None]) -> Iterator[Seen]:
        """Frames with their faces until the source ends or `close`; `idle` is called while none comes.

        Raises what the source raised.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="looking") as pool:
            coming: deque[Future[tuple[Frame, list[Face] | None] | End | None]] = deque()
            while not self._stop.is_set():
                while self._ahead and len(coming) < self._ahead:
                    coming.append(pool.submit(self._next))
                seen = coming.popleft().result() if self._ahead else self._next()
                if self._ahead and isinstance(seen, tuple):
                    coming.append(pool.submit(self._next))
                if seen is None:
                    idle()
                elif isinstance(seen, End):
                    return
                else:
                    frame, faces = seen
                    if faces is not None:
                        yield frame, faces
                    self._answers.put(self._pressed())

    def close(self) -> None:
        """Stop: the iteration ends within the feed's next frame or a tenth of a second."""
        self._stop.set()

    def _next(self) -> tuple[Frame, list[Face] | None] | End | None:
        taken = END if self._stop.is_set() else self._feed.take(_WAIT_S)
        return (taken, self._look(taken, self._answers.get_nowait())) if isinstance(taken, Frame) else taken


class Stopwatch:
    """Durations by stage name, in milliseconds: the last `keep` of each."""

    def __init__(self, keep: int = 65_536) -> None:
        self._keep = keep
        self.ms: dict[str, deque[float]] = {}

    def lap(self, stage: str, since_ns: int) -> int:
        """Record the time since `since_ns` under `stage`; returns the present time, to chain measurements."""
        now = time.perf_counter_ns()
        self.ms.setdefault(stage, deque(maxlen=self._keep)).append((now - since_ns) / NS_PER_MS)
        return now
