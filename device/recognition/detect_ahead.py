"""Detect-ahead: one thread decodes, one detects, and the caller recognises; frames stay in order.

A frame that `look` passes over (it gives None) goes no further. What the caller made of a frame comes to `look` a fixed
number of frames later (`lag`), however the threads run: a recording is looked at alike each time. `look` asks for it
only where it matters, and waits for it then; so it may be further ahead of the caller than that.

Measured 2026-11-23 on two x86-64 cores: three stages with one-thread runtimes beat one stage with a two-thread runtime
(a recogniser on two threads is 1.4 times faster, not twice). Each runner keeps to one thread. On a GPU all of it runs
in one thread (`ahead` 0), because one thread owns the device.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue

from device.domain.sight import Face, Frame
from device.domain.time import NS_PER_MS
from device.edges.camera.capture_buffer import END, CaptureBuffer, End, Pace
from device.edges.host.thread_priority import step_back

AHEAD = 3  # frames that are detected, or waiting for recognition, at once
AHEAD_FULL = 8  # the same at full pace: neither thread waits while the other has much to do with a few frames
LAG = AHEAD + 1  # the same at every pace, so that a recording gives what a camera gives
_WAIT_S = 0.1  # without a frame; a camera that freezes or stalls is reported after it

Seen = tuple[Frame, list[Face]]
Pressed = Callable[[], bool]
_Look = tuple[Frame, list[Face] | None] | End | None


def frames_ahead(*, one_thread: bool, pace: Pace) -> int:
    """`ahead` of a DetectAhead: how many frames may be detected before the caller is done with the first of them.

    one_thread  everything must run in the caller's thread (a GPU)
    """
    if one_thread:
        return 0
    return AHEAD_FULL if pace == "full" else AHEAD


def frames_held(ahead: int) -> int:
    """Frames that a `DetectAhead` holds at once: the capture buffer must not refill their slots."""
    return ahead + 1


def lag(ahead: int) -> int:
    """How many frames after a frame `look` gets what the caller made of it."""
    return LAG if ahead else 1


def unpressed() -> bool:
    """A caller that never presses."""
    return False


def always() -> bool:
    """A caller that presses each time."""
    return True


class DetectAhead:
    """Takes frames from a feed and looks at them, `ahead` frames before whoever asks."""

    def __init__(
        self,
        feed: CaptureBuffer,
        look: Callable[[Frame, Pressed], list[Face] | None],
        *,
        ahead: int,
        pressed: Pressed = unpressed,
    ) -> None:
        """look     gives a frame's faces, or None to pass it over; in its own thread where `ahead`. Its second
                 argument gives what `pressed` answered `lag` frames before; it may wait for that
        pressed  asked in the caller's thread when it is done with a frame
        """
        self._feed = feed
        self._look = look
        self._pressed = pressed
        self._ahead = ahead
        self._stop = threading.Event()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        for _ in range(lag(ahead)):
            self._answers.put(False)
        self._unread = 0  # answers that were due by the present frame and not asked for
        self._answer = False

    def frames(self, idle: Callable[[], None]) -> Generator[Seen, None, None]:
        """Frames with their faces until the source ends or `close`; `idle` is called while none comes.

        Raises what the source raised.
        """
        self._feed.start()
        with ThreadPoolExecutor(1, thread_name_prefix="looking", initializer=step_back) as pool:
            try:
                yield from self._in_order(pool, idle)
            finally:
                self.close()

    def close(self) -> None:
        """Stop: the iteration ends within the feed's next frame or a tenth of a second."""
        self._stop.set()
        for _ in range(frames_held(self._ahead)):  # a look may wait for an answer that nobody gives any more
            self._answers.put(False)

    def _in_order(self, pool: Executor, idle: Callable[[], None]) -> Iterator[Seen]:
        coming: deque[Future[_Look]] = deque()
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

    def _next(self) -> _Look:
        taken = END if self._stop.is_set() else self._feed.take(_WAIT_S)
        if not isinstance(taken, Frame):
            return taken
        self._unread += 1
        return taken, self._look(taken, self._answered)

    def _answered(self) -> bool:
        """What the caller answered `lag` frames before the present one; waits for it."""
        while self._unread:
            self._answer = self._answers.get()
            self._unread -= 1
        return self._answer


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
