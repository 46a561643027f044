"""The demo's output while it runs: a line for each change, none for a frame."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from device.hub_api.messages import Alert, CameraStatus, DeviceState, Erasure, Stats
from tools.hub.broker.listener import Arrival, Received

COUNTS_EVERY_S = 5.0


class LiveLines:
    """Turns arrivals into lines on stderr; call `update` at any rate."""

    def __init__(self, say: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._print_line = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._clock = clock
        self._begun = clock()
        self._next = 0
        self._state = ""
        self._cameras: dict[str, str] = {}
        self._alerts: set[str] = set()
        self._counts_due = 0.0

    def note(self, text: str) -> None:
        """One line with the time since the demo began."""
        self._print_line(f"{self._clock() - self._begun:6.1f} s  {text}")

    def update(self, received: Received) -> None:
        """Print what has arrived since the last call."""
        arrivals = received.arrivals[self._next :]
        self._next += len(arrivals)
        for arrival in arrivals:
            line = self._line(arrival)
            if line:
                self.note(line)

    def _line(self, arrival: Arrival) -> str:
        data = arrival.data
        if isinstance(data, DeviceState) and data.state != self._state:
            self._state = data.state
            why = f": {data.inhibit_reasons[0]}" if data.state == "inhibited" and data.inhibit_reasons else ""
            return f"device is {data.state}{why}"
        if isinstance(data, CameraStatus) and self._cameras.get(data.camera_id) != data.status:
            self._cameras[data.camera_id] = data.status
            return f"camera {data.camera_id}: {data.status}"
        if isinstance(data, Alert) and data.alert_id not in self._alerts:
            self._alerts.add(data.alert_id)
            return (
                f"POSSIBLE MATCH {data.score:.2f} (threshold {data.threshold:.2f}), passage {data.track.id}, "
                f"at {data.track.media_ms / 1000:.1f} s of the recording, {data.latency_ms:.0f} ms after the picture"
            )
        if isinstance(data, Stats) and self._clock() >= self._counts_due:
            self._counts_due = self._clock() + COUNTS_EVERY_S
            return f"{data.faces_seen} people compared, {data.discarded} discarded, {data.alerts} alerted"
        if isinstance(data, Erasure):
            return (
                f"erased: {data.count} {data.what} ({data.reason.replace('_', ' ')}, {data.method.replace('_', ' ')})"
            )
        return ""
