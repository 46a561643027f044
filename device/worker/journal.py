"""Sends the worker's lines for the supervisor's journal: changes only, in the texts of device/wire/journal_texts.py.

1. A line is sent when something changes: a source is opened, a source reports a correction, a camera stalls, resumes or
   has a fault, frames are dropped, damaged pictures arrive. No line describes a picture or an entry of the list.
2. `slow` means: of the frames of SLOW_S, more than SLOW_SHARE were dropped because the one before was still processed.
   Recordings at full pace drop none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from device.domain.camera_fault import CameraFault, fault_of
from device.domain.finding import Counters
from device.domain.time import NS_PER_S
from device.ports.source import FrameSource, SourceInfo
from device.wire.journal_texts import journal_text
from device.wire.link import JOURNAL_CHARS, Beat, JournalLine, Level

_NUMBER = re.compile(r"[0-9]+")
NOTES_CHARS = JOURNAL_CHARS - 40
SLOW_S = 10
SLOW_SHARE = 0.2


class JournalSender:
    """One worker's journal lines. `send` sends over the link; main thread only."""

    def __init__(self, send: Callable[[JournalLine], None]) -> None:
        self._send = send
        self._source: FrameSource | None = None
        self._notes: tuple[str, ...] = ()
        self._still = False
        self._fault = ""
        self._slow = False
        self._damaged = False
        self._since: tuple[int, Counters] | None = None

    def engines(self, backend: str, detector: str, recogniser: str) -> None:
        """The engines are open."""
        self._line(Level.INFO, "engines", backend, detector, recogniser)

    def volunteers(self, *, opened: int, of: int) -> None:
        """How many volunteers of the blue list are searched."""
        self._line(Level.INFO if opened == of else Level.WARNING, "volunteers", opened, of)

    def outside_evidence(self) -> None:
        """No camera is opened; the reason is in WatchlistLoaded."""
        self._line(Level.WARNING, "evidence")

    def opening(self) -> None:
        """A live camera is being opened, which may take seconds."""
        self._line(Level.INFO, "opening")

    def opened(self, source: FrameSource) -> None:
        """A source is open; from now on its corrections are reported."""
        info = source.info
        kind = "camera" if info.live else "recording"
        if info.rate_hz is None:
            self._line(Level.INFO, "opened_unrated", kind, info.width, info.height)
        else:
            self._line(Level.INFO, "opened", kind, info.width, info.height, info.rate_hz)
        self._source = source
        self._corrections(info)

    def beat(self, beat: Beat, *, still: bool, now_ns: int) -> None:
        """Report what has changed since the last beat (rule 1)."""
        if self._source is not None:
            self._corrections(self._source.info)
        if still is not self._still:
            self._still = still
            self._line(Level.WARNING if still else Level.INFO, "still" if still else "moving")
        self._camera(fault_of(beat.camera) or fault_of(beat.warning))
        now = msgspec.structs.replace(beat.counters)
        if self._since is None or still:
            self._since = (now_ns, now)
        elif now_ns - self._since[0] >= SLOW_S * NS_PER_S:
            then_ns, then = self._since
            seconds, frames = (now_ns - then_ns) / NS_PER_S, now.frames - then.frames
            self._speed(beat, seconds, frames, now.dropped_frames - then.dropped_frames)
            self._damage(seconds, frames, now.damaged_frames - then.damaged_frames)
            self._since = (now_ns, now)

    def _camera(self, fault: CameraFault | None) -> None:
        """Report which fault the camera has, when that changes; not that nothing moves: an empty room does not."""
        name = "" if fault is None or fault is CameraFault.STILL else fault.value
        if name == self._fault:
            return
        self._fault = name
        if name:
            self._line(Level.WARNING, "fault", name)
        else:
            self._line(Level.INFO, "faultless")

    def _speed(self, beat: Beat, seconds: float, frames: int, dropped: int) -> None:
        """Report when frames begin or cease to be dropped (rule 2)."""
        slow = dropped > SLOW_SHARE * frames
        if slow is self._slow or not beat.stage_p95_ms:
            return
        self._slow = slow
        stage, p95_ms = max(beat.stage_p95_ms.items(), key=lambda item: item[1])
        if slow:
            self._line(Level.WARNING, "slow", dropped, frames, round(seconds), stage, p95_ms)
        else:
            self._line(Level.INFO, "kept_up")

    def _damage(self, seconds: float, frames: int, damaged: int) -> None:
        """Report when pictures begin or cease to arrive damaged."""
        if bool(damaged) is self._damaged:
            return
        self._damaged = bool(damaged)
        if damaged:
            self._line(Level.WARNING, "damaged", damaged, frames, round(seconds))
        else:
            self._line(Level.INFO, "undamaged")

    def _corrections(self, info: SourceInfo) -> None:
        notes = tuple(_NUMBER.sub("N", note) for note in info.notes)  # a count that grows is no change
        if notes != self._notes:
            self._notes = notes
            shown = list(info.notes)
            while len("; ".join(shown)) > NOTES_CHARS:
                shown.pop()
            self._line(Level.INFO, "corrected", "; ".join(shown))

    def _line(self, level: Level, name: str, *values: str | float) -> None:
        self._send(JournalLine(level=level, text=journal_text(name, *values)))
