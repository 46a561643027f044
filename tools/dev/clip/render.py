"""Draws the frames of a clip, far people first, and measures the visible share of every face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.dev.clip import raster
from tools.dev.clip.cutout import ABOVE, BELOW, SIDE, Cutout
from tools.dev.clip.raster import U8
from tools.dev.clip.spec import ClipSpec, Passer
from tools.dev.clip.turn import shift_of, turned
from tools.dev.clip.walks import HORIZON, PILLARS, Pose, ScriptedWalk, Walk, focal_px

WALL_DEPTH = 0.29
"""How far below the horizon the far wall ends, share of the frame's height."""

SCENE_SHARE = 0.55
"""Upper part of a scene photo that is used: lower down, desks and tables fill the picture."""

FLOOR_BELOW_EYES = 8.2
"""Height of the camera over the floor in face heights, about 1.9 m."""

NOBODY, THING = 255, 254
"""Owners of a pixel besides the walks' numbers (modulo 250): the scene, and a thing that covers a person."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One face in one frame.

    box      left, top, right, bottom, pixels; may reach outside the frame
    visible  share of the face (an ellipse in the box) that is in the frame and not covered
    yaw_deg  turn of the head, positive towards the right of the picture
    """

    walk: int
    box: tuple[float, float, float, float]
    visible: float
    yaw_deg: float = 0.0


class Renderer:
    """Frames of one clip, in order. Owns its canvases: a frame is valid until the next is asked for."""

    def __init__(self, spec: ClipSpec, walks: Sequence[Walk | ScriptedWalk], people: dict[Passer, Cutout]) -> None:
        self._spec, self._walks, self._people = spec, walks, people
        self._rng = np.random.default_rng([spec.seed, 1])
        shown = backdrop(spec)
        self._backdrops = [shown, np.ascontiguousarray(shown[:, ::-1] // 4 * 3)]
        shape = (spec.height, spec.width)
        self._noise = [self._rng.normal(0, spec.noise, (*shape, 3)).astype(np.int16) for _ in range(4)]
        self._owner = np.empty(shape, np.uint8)

    def frames(self) -> Iterator[tuple[U8, list[Seen]]]:
        """BGR picture and the faces in it, frame by frame."""
        for frame in range(self._spec.frames):
            shot = sum(frame >= cut for cut in self._spec.cuts)
            canvas = self._backdrops[shot % 2].copy()
            self._owner.fill(NOBODY)
            posed = [(n, pose) for n, walk in enumerate(self._walks) if (pose := walk.pose(frame, self._spec))]
            posed.sort(key=lambda item: item[1].size_px)
            pillars = [] if self._spec.cuts else sorted(PILLARS, key=lambda pillar: pillar[2])
            for number, pose in posed:
                while pillars and pillars[0][2] * self._scale < pose.size_px:
                    self._pillar(canvas, pillars.pop(0))
                self._person(canvas, number, pose)
            for pillar in pillars:
                self._pillar(canvas, pillar)
            seen = [face for number, pose in posed if (face := self._seen(number, pose)) is not None]
            yield self._exposed(canvas), seen

    @property
    def _scale(self) -> float:
        return min(self._spec.height, self._spec.width) / 720

    def _person(self, canvas: U8, number: int, pose: Pose) -> None:
        walk = self._walks[number]
        cutout = self._people[walk.passer]
        matrix = _place(pose, cutout)
        zoom = pose.size_px / cutout.face_px[1]
        level = min(len(cutout.levels) - 1, max(0, int(np.floor(np.log2(1 / zoom))))) if zoom < 1 else 0
        pixels = cutout.levels[level]
        if abs(pose.yaw_deg) >= 1:
            anchor = (cutout.anchor[0] / 2**level, cutout.anchor[1] / 2**level)
            pixels = turned(pixels, anchor, cutout.face_px[1] / 2**level, pose.yaw_deg)
        size = pose.size_px
        left, top = int(pose.centre[0] - (SIDE + 0.9) * size), int(pose.centre[1] - (ABOVE + 0.8) * size)
        right, bottom = int(pose.centre[0] + (SIDE + 0.9) * size) + 1, int(pose.centre[1] + (BELOW + 0.6) * size)
        left, top = max(0, left), max(0, top)
        right, bottom = min(canvas.shape[1], right), min(canvas.shape[0], bottom)
        if right <= left or bottom <= top:
            return
        matrix[:, :2] *= 2.0**level
        matrix[:, 2] -= (left, top)
        drawn = raster.warped(pixels, matrix, (right - left, bottom - top))
        drawn = _smeared(drawn, pose.velocity, self._spec.shutter)
        self._blend(canvas, drawn, (left, top), pose.gain, number % 250)
        self._things(canvas, walk, pose)

    def _blend(self, canvas: U8, drawn: U8, at: tuple[int, int], gain: float, owner: int) -> None:
        """Lay a premultiplied patch on the canvas and record the owner of its pixels."""
        rows, columns = slice(at[1], at[1] + drawn.shape[0]), slice(at[0], at[0] + drawn.shape[1])
        canvas[rows, columns] = raster.laid_over(canvas[rows, columns], drawn, gain)
        self._owner[rows, columns][drawn[:, :, 3] > 127] = owner

    def _things(self, canvas: U8, walk: Walk | ScriptedWalk, pose: Pose) -> None:
        """A hat, a scarf, or what the person holds up."""
        if walk.accessory == "hat":
            self._thing(canvas, pose, [(-0.5, -0.42), (0.5, -0.42), (0.42, -0.9), (-0.42, -0.9)], (60, 50, 90))
        elif walk.accessory == "scarf":
            self._thing(canvas, pose, [(-0.48, 0.32), (0.48, 0.32), (0.5, 0.75), (-0.5, 0.75)], (90, 80, 120))
        if pose.held > 0:
            low = 1.4 * (1 - pose.held)
            sheet = [(-0.75, 0.02 + low), (0.75, -0.02 + low), (0.75, 1.3 + low), (-0.75, 1.3 + low)]
            self._thing(canvas, pose, sheet, (190, 200, 205))

    def _thing(self, canvas: U8, pose: Pose, outline: list[tuple[float, float]], colour: tuple[int, int, int]) -> None:
        """A soft-edged plain shape that moves with the face; `outline` in face heights from the face's centre."""
        angle, size = np.deg2rad(pose.roll_deg), pose.size_px
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = np.array(outline) @ turn.T * size + np.array(pose.centre)
        left, top = np.maximum(0, np.floor(points.min(axis=0)).astype(int) - 2)
        right, bottom = np.ceil(points.max(axis=0)).astype(int) + 3
        right, bottom = min(canvas.shape[1], int(right)), min(canvas.shape[0], int(bottom))
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        raster.soft_polygon(mask, points - (left, top))
        stripes = (np.sin(np.arange(mask.shape[0]) / max(1.0, 0.05 * size)) * 12)[:, None, None]
        pixels = np.clip(np.array(colour, np.float32) + stripes, 0, 255) * (mask[:, :, None] / 255)
        drawn = np.dstack([np.broadcast_to(pixels, (*mask.shape, 3)), mask]).astype(np.uint8)
        self._blend(canvas, drawn, (int(left), int(top)), pose.gain, THING)

    def _pillar(self, canvas: U8, pillar: tuple[float, float, float]) -> None:
        """A round column from top to bottom."""
        centre, width = pillar[0] * canvas.shape[1], pillar[1] * canvas.shape[1]
        left, right = int(centre - width / 2), int(centre + width / 2)
        across = np.linspace(-0.95, 1, right - left)
        tone = (70 + 60 * np.sqrt(np.clip(1 - across**2, 0, 1)) + 25 * across)[None, :, None] * (0.72, 0.8, 0.92)
        canvas[:, left:right] = np.clip(tone, 0, 255).astype(np.uint8)
        self._owner[:, left:right] = THING

    def _seen(self, number: int, pose: Pose) -> Seen | None:
        cutout = self._people[self._walks[number].passer]
        half_w = pose.size_px * pose.turn * cutout.face_px[0] / cutout.face_px[1] / 2
        half_h = pose.size_px / 2
        (x, y) = (pose.centre[0] + shift_of(pose.yaw_deg) * pose.size_px, pose.centre[1])
        box = (x - half_w, y - half_h, x + half_w, y + half_h)
        left, top, right, bottom = (round(v) for v in box)
        if right <= 0 or bottom <= 0 or left >= self._spec.width or top >= self._spec.height:
            return None
        mask = np.zeros((bottom - top, right - left), np.uint8)
        axes = (max(1, int(half_w) - 1), max(1, int(half_h) - 1))
        raster.ellipse(mask, (mask.shape[1] // 2, mask.shape[0] // 2), axes, 1)
        rows = slice(max(0, top), min(self._spec.height, bottom))
        columns = slice(max(0, left), min(self._spec.width, right))
        own = self._owner[rows, columns] == number % 250
        shown = int(
            (own & (mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] > 0)).sum()
        )
        return Seen(number, box, shown / max(1, int(mask.sum())), pose.yaw_deg)

    def _exposed(self, canvas: U8) -> U8:
        """Sensor noise; one of a few fields, shifted at random."""
        field = self._noise[int(self._rng.integers(len(self._noise)))]
        shift = self._rng.integers(0, 64, 2)
        rolled = np.roll(field, (int(shift[0]), int(shift[1])), (0, 1))
        return raster.added(canvas, rolled)


def _place(pose: Pose, cutout: Cutout) -> NDArray[np.float64]:
    """Affine (2, 3) from level 0 of a cutout to the frame."""
    zoom, angle = pose.size_px / cutout.face_px[1], np.deg2rad(pose.roll_deg)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[cos * pose.turn, -sin], [sin * pose.turn, cos]])
    offset = np.array(pose.centre) - linear @ np.array(cutout.anchor)
    return np.hstack([linear, offset[:, None]])


def _smeared(drawn: U8, velocity: tuple[float, float], shutter: float) -> U8:
    """Motion blur along the way that the person moves while the shutter is open."""
    length = float(np.hypot(*velocity)) * shutter
    if length < 0.7:
        return drawn
    radius = int(np.ceil(length / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    unit = np.array(velocity) / np.hypot(*velocity)
    for share in np.linspace(-length / 2, length / 2, 4 * radius + 1):
        kernel[round(radius + share * unit[1]), round(radius + share * unit[0])] += 1
    return raster.filtered(drawn, kernel / kernel.sum())


def backdrop(spec: ClipSpec) -> U8:
    """A wall with the upper part of the scene on it, out of focus as a background is, and a tiled floor."""
    height, width = spec.height, spec.width
    foot = int(height * (HORIZON + WALL_DEPTH))
    if spec.scene is None:
        tone = np.linspace(120, 80, foot, dtype=np.float32)[:, None, None]
        wall = np.broadcast_to(tone, (foot, width, 3)).astype(np.uint8)
    else:
        picture = raster.read(spec.scene)
        picture = picture[: int(picture.shape[0] * SCENE_SHARE)]
        scale = max(width / picture.shape[1], foot / picture.shape[0])
        size = (int(np.ceil(picture.shape[1] * scale)), int(np.ceil(picture.shape[0] * scale)))
        picture = raster.resized(picture, size)
        left = (size[0] - width) // 2
        wall = picture[size[1] - foot :, left : left + width]
    return raster.blurred(np.vstack([wall, _floor(spec, height - foot)]), 2.0)


def _floor(spec: ClipSpec, rows: int) -> U8:
    """Square tiles, two face heights wide, darker with distance."""
    below = np.arange(spec.height - rows, spec.height, dtype=np.float32) - HORIZON * spec.height
    scale = below / FLOOR_BELOW_EYES
    across = (np.arange(spec.width, dtype=np.float32)[None, :] - spec.width / 2) / scale[:, None]
    away = np.broadcast_to((focal_px(spec) / scale)[:, None], across.shape)
    odd = (np.floor(across / 2) + np.floor(away / 2)) % 2
    tone = np.linspace(52, 104, rows, dtype=np.float32)[:, None] + 7 * odd
    return np.asarray(np.clip(tone[:, :, None] * np.array([0.85, 0.95, 1.05]), 0, 255), np.uint8)
