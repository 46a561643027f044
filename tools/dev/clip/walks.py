"""Walks of people: straight lines on the ground in front of one fixed camera, drawn from the seed.

Lengths are in face heights (0.23 m on average, forehead to chin), so a face z away is `focal / z` pixels high. People
walk at 1.3 to 1.7 m/s, which is 5.5 to 7.5 face heights a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tools.dev.clip.spec import SWING_S, ClipSpec, Passer, Scripted

HORIZON = 0.26
"""Height of the eye line far away, share of the frame from its top."""

CAMERA_ABOVE = 1.15
"""How far the camera hangs above the eye line: near faces are lower in the picture."""

PILLARS = ((0.30, 0.055, 48.0), (0.74, 0.04, 62.0))
"""Of the scene: centre and width as shares of the frame's width; people whose face is smaller pass behind it
(pixels, where the frame's shorter side is 720)."""

PAUSE_S = 0.12
"""Shortest time between two people who appear."""

COMES_TO = 0.8
"""Of a clip's largest face: as near a person with a given start comes, from half of that or the smallest face."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Position and size of a face in one frame.

    centre     of the face box, pixels;  size_px  face height
    roll_deg   lean in the picture plane;  turn  width of the face over its frontal width (looking aside)
    gain       brightness;  velocity  of the centre, pixels a frame
    held       how far an object covers the lower half of the face: 0 not, 1 fully
    yaw_deg    turn of the head about its upright axis; positive: towards the right of the picture
    """

    centre: tuple[float, float]
    size_px: float
    roll_deg: float
    turn: float
    gain: float
    velocity: tuple[float, float]
    held: float
    yaw_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Walk:
    """One person's way: from `start` to `end`, (x, z) in face heights, z away from the camera."""

    passer: Passer
    first_frame: int
    frames: int
    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    roll_deg: float
    roll_phase: float
    turn: float
    gain: float
    accessory: str

    def pose(self, frame: int, spec: ClipSpec) -> Pose | None:
        """The pose in frame `frame` of the clip; None before and after the walk."""
        step = frame - self.first_frame
        if not 0 <= step < self.frames:
            return None
        x, y, size = self._at(step, spec)
        x1, y1, _ = self._at(step + 1, spec)
        sway = np.sin(2 * np.pi * 0.9 * step / spec.fps + self.roll_phase)
        return Pose(
            (x, y),
            size,
            self.roll_deg + 2.0 * float(sway),
            self.turn,
            self.gain * (1 + 0.06 * float(np.sin(step / 23 + self.roll_phase))),
            (x1 - x, y1 - y),
            held(step / max(1, self.frames - 1), self.passer.hidden),
        )

    def in_view(self, frame: int, spec: ClipSpec) -> bool:
        """Whether the walk is on, and not behind a pillar just then."""
        step = frame - self.first_frame
        if not 0 <= step < self.frames:
            return False
        x, _, size = self._at(step, spec)
        scale = min(spec.width, spec.height) / 720
        return not any(
            abs(x / spec.width - centre) < width / 2 and size < depth * scale for centre, width, depth in PILLARS
        )

    def _at(self, step: float, spec: ClipSpec) -> tuple[float, float, float]:
        u = step / self.frames
        size = focal_px(spec) / (self.start[1] + (self.end[1] - self.start[1]) * u)
        x = spec.width / 2 + (self.start[0] + (self.end[0] - self.start[0]) * u) * size
        bob = 0.03 * np.sin(2 * np.pi * 1.9 * step / spec.fps + self.roll_phase)
        y = spec.height * HORIZON + (CAMERA_ABOVE + self.height + float(bob)) * size
        return float(x), float(y), float(size)


@dataclass(frozen=True, slots=True)
class ScriptedWalk:
    """A `Scripted` person as the renderer wants it; `largest_px` bounds the face's height, as no photo is enlarged."""

    script: Scripted
    largest_px: float
    accessory: str = ""

    @property
    def passer(self) -> Passer:
        return self.script.passer

    @property
    def first_frame(self) -> int:
        return self.script.first

    def pose(self, frame: int, spec: ClipSpec) -> Pose | None:
        """The pose in frame `frame` of the clip; None before and after."""
        if not self.script.first <= frame <= self.script.last:
            return None
        step = frame - self.script.first
        (x, y, size), (x1, y1, _) = self._at(step, spec), self._at(step + 1, spec)
        low, high = self.script.yaw
        phase = 2 * np.pi * step / (SWING_S * spec.fps)
        yaw = (low + high) / 2 - (high - low) / 2 * float(np.cos(phase))
        sway = 1.5 * float(np.sin(phase * 1.3 + self.script.start[0] * 40))
        return Pose((x, y), size, sway, 1.0, 0.95, (x1 - x, y1 - y), 0.0, yaw)

    def _at(self, step: float, spec: ClipSpec) -> tuple[float, float, float]:
        script, u = self.script, min(1.0, step / max(1, self.script.moving))
        size = min(self.largest_px, float(script.start[1] * (script.end[1] / script.start[1]) ** u))
        breath = 0.02 * size * float(np.sin(2 * np.pi * 0.4 * step / spec.fps + script.start[0] * 40))
        x = spec.width * (script.start[0] + (script.end[0] - script.start[0]) * u) + breath
        bob = 0.03 * size * float(np.sin(2 * np.pi * 1.9 * step / spec.fps)) if u < 1 else 0.0
        return x, spec.height * HORIZON + CAMERA_ABOVE * size + bob, size


def focal_px(spec: ClipSpec) -> float:
    """A lens of about 45 degrees across the longer side."""
    return 1.2 * max(spec.width, spec.height)


def schedule(spec: ClipSpec, largest_px: dict[Passer, float]) -> list[Walk | ScriptedWalk]:
    """All walks of a clip in order of their first frame.

    The listed people start at their given times. Whenever fewer people are in view than wanted, the next of the crowd
    appears; nobody of the crowd comes twice before all have come. `largest_px`: the largest sensible face per person.
    """
    rng = np.random.default_rng(spec.seed)
    walks = [_listed(spec, passer, largest_px[passer], rng) for passer in spec.listed]
    crowd = _crowd(spec, rng)
    wanted, last_start = int(rng.integers(spec.in_view[0], spec.in_view[1] + 1)), -spec.fps
    head_start = round(6 * spec.fps)
    for frame in range(-head_start, spec.frames):
        if frame % spec.fps == 0:
            wanted = int(rng.integers(spec.in_view[0], spec.in_view[1] + 1))
        present = sum(walk.in_view(frame, spec) for walk in walks)
        gap = (PAUSE_S if frame >= 0 else 0.3) * spec.fps
        if present < wanted and frame - last_start >= gap:
            passer = next(crowd, None)
            if passer is None:
                break
            walks.append(_walk(spec, passer, largest_px[passer], frame, rng))
            last_start = frame
    scripted = [ScriptedWalk(script, largest_px[script.passer]) for script in spec.scripted]
    return sorted([*walks, *scripted], key=lambda walk: walk.first_frame)


def _crowd(spec: ClipSpec, rng: np.random.Generator) -> Iterator[Passer]:
    """The crowd in random order, again and again."""
    while spec.crowd:
        for index in rng.permutation(len(spec.crowd)):
            yield spec.crowd[index]


def _walk(spec: ClipSpec, passer: Passer, largest_px: float, frame: int, rng: np.random.Generator) -> Walk:
    """Across at one distance, or coming nearer from the depth; from either side."""
    low, high = spec.face_px[0], max(spec.face_px[0], min(spec.face_px[1], largest_px))
    if rng.random() < 0.7:
        near = far = float(rng.uniform(low**0.5, high**0.5)) ** 2
        far *= float(rng.uniform(0.85, 1.0))
    else:
        far, near = low * float(rng.uniform(0.85, 1.3)), float(rng.uniform(0.6, 1.0)) * high
        far = min(far, near)
    return _line(spec, passer, (far, near), frame, rng)


def _listed(spec: ClipSpec, passer: Passer, largest_px: float, rng: np.random.Generator) -> Walk:
    """Comes nearer without hurry; fully in view at a size where recognition is fair."""
    high = min(COMES_TO * spec.face_px[1], largest_px)
    sizes = (max(spec.face_px[0], 0.5 * high), high)
    return _line(spec, passer, sizes, round((passer.start_s or 0.0) * spec.fps), rng)


def _line(spec: ClipSpec, passer: Passer, sizes: tuple[float, float], frame: int, rng: np.random.Generator) -> Walk:
    """From outside one side at the far size to outside the other (at times the same) at the near size."""
    side = float(rng.choice([-1.0, 1.0]))
    other = -side if rng.random() < 0.8 else side
    ends = []
    for size, edge in ((sizes[0], side), (sizes[1], other)):
        ends.append((edge * (spec.width / 2 / size + 0.7), focal_px(spec) / size))
    if other == side:
        ends[0] = (-side * float(rng.uniform(0.1, 0.4)) * spec.width / sizes[0], ends[0][1])
    if rng.random() < 0.15:
        ends.reverse()
    speed = float(rng.uniform(5.5, 7.5))
    length = float(np.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]))
    wears = rng.random() < spec.accessories and not passer.listed
    return Walk(
        passer=passer,
        first_frame=frame,
        frames=max(2, round(length / speed * spec.fps)),
        start=ends[0],
        end=ends[1],
        height=float(rng.uniform(-0.35, 0.35)),
        roll_deg=float(rng.normal(0, 4)),
        roll_phase=float(rng.uniform(0, 6.28)),
        turn=float(rng.uniform(0.86, 1.0)),
        gain=float(rng.uniform(0.7, 1.05)),
        accessory=str(rng.choice(["hat", "scarf"])) if wears else "",
    )


def held(u: float, hidden: float) -> float:
    """The object is held up for `hidden` of the passage, in two parts: it is lowered a little after the middle."""
    if hidden <= 0:
        return 0.0
    sound, middle, ramp = 1 - hidden, 0.6, 0.04
    return float(np.clip((abs(u - middle) - sound / 2) / ramp + 0.5, 0, 1))
