"""When faces are looked for: often while somebody comes, turns or meets another, seldom while all walk on as before.

1. The answer depends on the frames, on the faces of earlier ones and on what `Pipeline.process` made of frames that it
   has finished for certain (device/recognition/detect_ahead.py): a recording is searched at the same frames each time.
2. All is steady when each face is where one of the search before would have got to at its speed, as large as that, and
   no two are so close that they may change places. A face that is new has no speed: the next frame shows it.
3. In a steady scene frames are SETTLED_NS apart, else each frame that is given is searched, and when the caller
   presses. Looks at one person are as far apart or further (scheduling.py), so that hardly a look is given away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot

from device.domain.sight import Face
from device.domain.time import NS_PER_MS, NS_PER_S, MediaNs
from device.vision.tracker import START_SCORE

SETTLED_NS = 150 * NS_PER_MS
ASIDE = 0.35  # face heights off the expected place; the tracker allows .6 and more
FASTEST = 12.0  # face heights a second of a face whose speed is not known yet: a runner close to the camera
GROWTH = 1.25  # between two searches; the tracker doubts from 1.3 on
CLOSE = 0.8  # distance of two faces, in their mean height; the tracker watches two thirds


@dataclass(frozen=True, slots=True)
class _Place:
    """A face of one search: centre and height in pixels; speed in pixels a second, None of a new one."""

    x: float
    y: float
    height: float
    speed: tuple[float, float] | None = None

    def meets(self, later: _Place, elapsed_s: float) -> bool:
        """Whether `later` is where this one would have got to (rule 2)."""
        size = min(self.height, later.height)
        if max(self.height, later.height) > GROWTH * size:
            return False
        vx, vy = self.speed or (0.0, 0.0)
        aside = hypot(later.x - self.x - vx * elapsed_s, later.y - self.y - vy * elapsed_s)
        return aside < (ASIDE if self.speed else FASTEST * elapsed_s) * size


class DetectionCadence:
    """Chooses the frames of one camera in which faces are looked for; one owner thread."""

    def __init__(self) -> None:
        self._last: MediaNs | None = None
        self._steady = False
        self._places: list[_Place] = []

    def due(self, at: MediaNs, *, pressed: Callable[[], bool]) -> bool:
        """Whether the frame of that time is to be searched.

        pressed  whether the caller wants each (rule 3): asked only where the answer matters
        """
        settled = self._last is not None and self._steady and 0 <= at - self._last < SETTLED_NS
        return not settled or pressed()

    def seen(self, at: MediaNs, faces: Sequence[Face]) -> None:
        """The faces of a frame that was searched."""
        elapsed_s = 0.0 if self._last is None else (at - self._last) / NS_PER_S
        found = [_place(face) for face in faces]
        before = [_before(self._places, place, elapsed_s) if elapsed_s > 0 else None for place in found]
        met = [one is not None or face.score < START_SCORE for one, face in zip(before, faces, strict=True)]
        self._steady = self._last is not None and elapsed_s > 0 and all(met) and not _crowded(found)
        self._places = [_moved(one, place, elapsed_s) for one, place in zip(before, found, strict=True)]
        self._last = at

    def restart(self) -> None:
        """Another scene, or nobody's any more: what was seen says nothing of the next frame."""
        self._last, self._steady = None, False
        self._places.clear()


def _place(face: Face) -> _Place:
    left, top, right, bottom = face.box.tolist()
    return _Place((left + right) / 2, (top + bottom) / 2, max(bottom - top, 1.0))


def _before(places: Sequence[_Place], one: _Place, elapsed_s: float) -> _Place | None:
    """Of the search before the nearest one that would have got there."""
    options = [place for place in places if place.meets(one, elapsed_s)]
    return min(options, key=lambda place: hypot(place.x - one.x, place.y - one.y), default=None)


def _moved(before: _Place | None, now: _Place, elapsed_s: float) -> _Place:
    if before is None:
        return now
    return _Place(now.x, now.y, now.height, ((now.x - before.x) / elapsed_s, (now.y - before.y) / elapsed_s))


def _crowded(places: Sequence[_Place]) -> bool:
    return any(
        hypot(a.x - b.x, a.y - b.y) < CLOSE * (a.height + b.height) / 2
        for n, a in enumerate(places)
        for b in places[n + 1 :]
    )
