"""The stage times of a worker's status message, taken while other threads go on measuring."""

from __future__ import annotations

import sys
import threading
from collections import deque

from device.worker.main import RECENT, recent


def test_of_many_samples_the_recent_ones_are_taken() -> None:
    assert recent(deque([1000.0] * 50 + [1.0] * RECENT)) == [1.0] * RECENT
    assert recent(deque([7.0])) == [7.0]


def test_samples_that_another_thread_adds_meanwhile_end_no_worker() -> None:
    """Threads change places as often as Python allows; an iterator made before one of them adds is then invalid."""
    samples, over = deque([1.0], maxlen=RECENT), threading.Event()

    def measure() -> None:
        while not over.is_set():
            samples.append(2.0)

    before = sys.getswitchinterval()
    thread = threading.Thread(target=measure)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(20_000):
            assert recent(samples)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)
