"""Tracks: which detections of successive frames are one moving face. Geometry only; identity is in `passages`.

1. A track predicts at constant velocity; a detection joins the track whose prediction is nearest, in face heights.
   All pairs are considered together, nearest first, so that in a crossing each keeps its own.
2. A weak detection may continue a track but never starts one (ByteTrack, Zhang et al. 2022).
3. A track unseen for LOST_S is lost. Time is presentation time, so dropped and skipped frames are harmless.
4. Where geometry alone is unsure (after a gap, a leap, a sudden change of size, or when two faces that were `near`
   each other part) the track is marked `doubtful`; the passage then compares templates before it continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, log

import numpy as np

from device.domain.sight import F32, Face
from device.domain.time import NS_PER_S, MediaNs

START_SCORE = 0.6  # detector score that may start a track (rule 2)
LOST_S = 1.0  # longer predictions miss; the passage itself continues for 2 s and is found again by identity
DOUBT_GAP_S = 0.35  # an occlusion, not a missed detection
SUDDEN_GROWTH = 1.3
LEAP = 1.0  # face heights off the prediction
SIZE_RATIO_MAX = 1.7  # between two sightings a tenth of a second apart no head grows by more


@dataclass(slots=True)
class Track:
    """One moving face. `centre`, `velocity` (per second) and `size` are in frame pixels.

    failures  how many of the last looks at it gave nothing
    """

    id: int
    face: Face
    first_seen: MediaNs
    last_seen: MediaNs
    centre: F32
    size: float
    velocity: F32 = field(default_factory=lambda: np.zeros(2, np.float32))
    hits: int = 1
    near: bool = False
    doubtful: bool = False
    asked: int = 0
    failures: int = 0

    def predicted(self, at: MediaNs) -> F32:
        """Where its centre should be at `at`; the prediction is damped after half a second."""
        elapsed = min((at - self.last_seen) / NS_PER_S, 0.5)
        return np.asarray(self.centre + self.velocity * elapsed, np.float32)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One track in one detection pass."""

    track: Track
    face: Face
    new: bool

    @property
    def height_px(self) -> float:
        """Height of the face: of this detection or, where that is smaller, of the track so far."""
        return max(self.face.height_px, self.track.size)


class Tracker:
    """Keeps the tracks of one camera; one owner thread."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._started = 0

    @property
    def started(self) -> int:
        """Tracks started since the beginning."""
        return self._started

    def update(self, at: MediaNs, faces: Sequence[Face]) -> tuple[list[Sighting], list[Track]]:
        """Account for one detection pass: sightings of this frame, and tracks that are lost now."""
        lost = [t for t in self._tracks if at - t.last_seen > LOST_S * NS_PER_S]
        self._tracks = [t for t in self._tracks if at - t.last_seen <= LOST_S * NS_PER_S]
        pairs, free = self._assign(at, faces)
        sightings = [self._continue(track, faces[i], at) for track, i in pairs]
        for i in free:
            if faces[i].score >= START_SCORE:
                sightings.append(self._start(faces[i], at))
        self._mark_crossings(sightings)
        return sightings, lost

    def restart(self) -> list[Track]:
        """Drop all tracks (the picture changed its size): they are lost."""
        lost, self._tracks = self._tracks, []
        return lost

    def _assign(self, at: MediaNs, faces: Sequence[Face]) -> tuple[list[tuple[Track, int]], list[int]]:
        options: list[tuple[float, int, int]] = []
        places = [(*_centre(face).tolist(), face.height_px) for face in faces]  # plain numbers: arrays of two are slow
        for t, track in enumerate(self._tracks):
            (expected_x, expected_y), gate = track.predicted(at).tolist(), _gate(track, at)
            for i, (x, y, height) in enumerate(places):
                size = (track.size + height) / 2
                away = hypot(x - expected_x, y - expected_y) / size
                growth = abs(log(max(height, 1.0) / track.size))
                if away < gate and growth < log(SIZE_RATIO_MAX):
                    options.append((away + 0.5 * growth, t, i))
        options.sort()
        taken_tracks: set[int] = set()
        taken_faces: set[int] = set()
        pairs: list[tuple[Track, int]] = []
        for cost, t, i in options:
            if t in taken_tracks or i in taken_faces:
                if cost < 0.5 and i in taken_faces and t not in taken_tracks:
                    self._tracks[t].doubtful = True
                continue
            taken_tracks.add(t)
            taken_faces.add(i)
            pairs.append((self._tracks[t], i))
        return pairs, [i for i in range(len(faces)) if i not in taken_faces]

    def _continue(self, track: Track, face: Face, at: MediaNs) -> Sighting:
        growth = face.height_px / track.size
        centre = _centre(face)
        leap = hypot(*(centre - track.predicted(at)).tolist()) / track.size
        elapsed = max((at - track.last_seen) / NS_PER_S, 1e-3)
        gain = 0.7 if track.hits < 3 else 0.4
        measured = (centre - track.centre) / elapsed
        track.velocity = np.asarray(track.velocity + gain * (measured - track.velocity), np.float32)
        track.centre = centre
        if elapsed > DOUBT_GAP_S or leap > LEAP or not 1 / SUDDEN_GROWTH < growth < SUDDEN_GROWTH:
            track.doubtful = True
        track.size += 0.6 * (face.height_px - track.size)
        track.face, track.last_seen, track.hits = face, at, track.hits + 1
        return Sighting(track, face, new=False)

    def _start(self, face: Face, at: MediaNs) -> Sighting:
        self._started += 1
        track = Track(self._started, face, at, at, _centre(face), max(face.height_px, 1.0))
        self._tracks.append(track)
        return Sighting(track, face, new=True)

    @staticmethod
    def _mark_crossings(sightings: Sequence[Sighting]) -> None:
        """Rule 4: two faces closer than two thirds of a face may have changed places."""
        near: set[int] = set()
        places = [(sighting.track, *sighting.track.centre.tolist()) for sighting in sightings]
        for n, (a, a_x, a_y) in enumerate(places):
            for b, b_x, b_y in places[n + 1 :]:
                if hypot(a_x - b_x, a_y - b_y) < (a.size + b.size) / 3:
                    near |= {a.id, b.id}
        for sighting in sightings:
            track = sighting.track
            track.doubtful |= track.near and track.id not in near
            track.near = track.id in near


def _centre(face: Face) -> F32:
    return np.asarray((face.box[:2] + face.box[2:]) / 2, np.float32)


def _gate(track: Track, at: MediaNs) -> float:
    """How far from its prediction a track may be found, in face heights.

    A young track has no velocity yet, and a runner close to the camera crosses fifteen face heights a second.
    """
    elapsed = (at - track.last_seen) / NS_PER_S
    return float(min(0.6 + 18.0 * elapsed, 2.2) if track.hits < 3 else min(0.6 + 1.5 * elapsed, 1.6))
