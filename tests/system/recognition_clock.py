"""How long a van's devices recognised, measured from outside: what audit logs and reports are compared with."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from tests.system.van import now
from tests.system.van_running import Running


class RecognitionClock:
    """Counts how long at least one device recognised, from outside: by the moments in the devices' status files.

    A file is read every 50 ms, and its `since` is the moment of its state: files that are written or read late on a
    busy machine shift nothing.
    """

    def __init__(self, running: Running) -> None:
        self._running, self._over = running, threading.Event()
        self._begun: dict[str, datetime] = {}
        self._spans: list[tuple[datetime, datetime]] = []
        self._thread = threading.Thread(target=self._count, daemon=True)

    @property
    def seconds(self) -> float:
        """So far; times at which several devices recognised count once."""
        total, covered = 0.0, datetime.min.replace(tzinfo=timezone.utc)
        for begun, ended in sorted(self._spans):
            total += max(0.0, (ended - max(begun, covered)).total_seconds())
            covered = max(covered, ended)
        return total

    def __enter__(self) -> RecognitionClock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for name in list(self._begun):
            self._end(name, now())

    def _count(self) -> None:
        while not self._over.wait(0.05):
            for name in self._running.van.devices:
                status = self._running.status(name)
                since = datetime.fromisoformat(status["since"].replace("Z", "+00:00")) if status else now()
                if name in self._begun and (status.get("state") != "recognising" or since != self._begun[name]):
                    self._end(name, since)
                if status.get("state") == "recognising":
                    self._begun.setdefault(name, since)

    def _end(self, name: str, at: datetime) -> None:
        begun = self._begun.pop(name)
        self._spans.append((begun, max(begun, at)))
