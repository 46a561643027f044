"""From a portrait photo to a person that can be put into a scene: head and shoulders cut out, a body below.

Lengths here are in face heights (the detector's box, forehead to chin) unless they say pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.errors import BadData
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT
from engines.prepare.fetch import weights_of
from tools.dev.clip import raster
from tools.dev.clip.raster import F32, U8, Box

FACE_MAX_PX = 160
"""Photos are scaled down to this face height: larger than any face of a clip."""

ABOVE, BELOW, SIDE = 0.8, 6.6, 1.6
"""How far a cutout reaches from the face box: hair, feet, arms."""

SEGMENT_FACE_PX = 56
"""Face height at which the person is told from the background."""

PHOTO_BELOW = 1.2
"""How much of the photo below the chin is used; a drawn body continues it."""


class NoFace(BadData):
    """A photo for a clip shows no face that the detector finds."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """A person to be drawn: pixels premultiplied with their opacity.

    levels     (H, W, 4) uint8 BGRA premultiplied; each next level is half the size
    anchor     centre of the face box in level 0, pixels;  face_px  width and height of the box there
    """

    levels: tuple[U8, ...]
    anchor: tuple[float, float]
    face_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A photo, (H, W, 3) uint8 BGR, and its largest face: left, top, width, height, pixels."""

    pixels: U8
    face: Box


class FaceFinder:
    """Reads photos and finds the face of each."""

    def __init__(self) -> None:
        self._net = raster.FaceNet(weights_of(card(DETECTOR_DEFAULT)))

    def portrait(self, file: Path) -> Portrait:
        """A photo and its largest face; BadData when it is no picture, NoFace when nobody is on it."""
        photo = raster.read(file)
        scale = min(1.0, 640 / max(photo.shape[:2]))
        faces = self._net.boxes(raster.shrunk(photo, scale))
        if not faces:
            raise NoFace(f"{file}: no face found; take another photo")
        left, top, wide, tall = (value / scale for value in max(faces, key=lambda box: box[3]))
        return Portrait(photo, (left, top, wide, tall))

    def boxes(self, picture: U8) -> list[Box]:
        """Left, top, width, height of every face of a BGR picture at its own size."""
        return self._net.boxes(picture)


def cut_out(portrait: Portrait, rng: np.random.Generator) -> Cutout:
    """Head and shoulders by GrabCut within a rough outline, over a drawn body in the colour of the clothes."""
    left, top, wide, tall = portrait.face
    scale = min(1.0, FACE_MAX_PX / tall)
    face = tall * scale
    canvas_size = (round((2 * SIDE) * face), round((ABOVE + 1 + BELOW) * face))
    anchor = (SIDE * face, (ABOVE + 0.5) * face)
    place = np.array(
        [[1, 0, anchor[0] - (left + wide / 2) * scale], [0, 1, anchor[1] - (top + tall / 2) * scale]], np.float32
    )
    photo = raster.shrunk(portrait.pixels, scale)
    used = round((ABOVE + 1 + PHOTO_BELOW) * face)
    pixels = raster.warped(photo, place, (canvas_size[0], used), edge_goes_on=True)
    inside = raster.warped(np.full(photo.shape[:2], 255, np.uint8), place, (canvas_size[0], used))
    alpha = _matte(pixels, inside, face)
    body = _body(canvas_size, face, (_skin(pixels, face), _clothes(pixels, alpha, face, rng)), rng)
    upper = body[:used]
    opacity = (alpha * (1 / 255.0))[:, :, None]
    upper[:, :, :3] = pixels * opacity + upper[:, :, :3] * (1 - opacity)
    upper[:, :, 3:] = 255 * opacity + upper[:, :, 3:] * (1 - opacity)
    return Cutout(_levels(body), anchor, (wide * scale, face))


def _outline(size: tuple[int, int], face: float, grow: float) -> U8:
    """Rough mask of a head and shoulders; `grow` makes it wider by that many face heights on every side."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    x, chin = size[0] / 2, (ABOVE + 1) * face
    centre = (round(x), round(chin - 0.58 * face))
    raster.ellipse(mask, centre, (round((0.6 + grow) * face), round((0.68 + grow) * face)), 255)
    points = [
        (x - (0.3 + grow) * face, chin - 0.2 * face),
        (x + (0.3 + grow) * face, chin - 0.2 * face),
        (x + (0.95 + grow) * face, chin + (0.55 - grow) * face),
        (x + (1.15 + grow) * face, chin + 1.3 * face),
        (x - (1.15 + grow) * face, chin + 1.3 * face),
        (x - (0.95 + grow) * face, chin + (0.55 - grow) * face),
    ]
    raster.polygon(mask, points)
    return mask


def _matte(pixels: U8, inside: U8, face: float) -> F32:
    """Opacity 0..255 of the photo's part: the person, feathered, fading where the photo ends."""
    size = (pixels.shape[1], pixels.shape[0])
    person = _segment(pixels, inside, face)
    alpha = raster.blurred(person, max(0.7, 0.025 * face)).astype(np.float32)
    within = np.pad(inside, 1)
    within[-1] = within[-2]
    edge = raster.depth(within > 127)[1:-1, 1:-1]
    alpha *= np.clip(edge / (0.12 * face), 0, 1)
    fade = np.clip((size[1] - np.arange(size[1])) / (0.3 * face), 0, 1)
    return np.asarray(alpha * fade[:, None], np.float32)


def _segment(pixels: U8, inside: U8, face: float) -> U8:
    """GrabCut at a small scale (it takes seconds at full size); the rough outline where it finds too little."""
    scale = min(1.0, SEGMENT_FACE_PX / face)
    small = raster.shrunk(pixels, scale)
    known = raster.resized(inside, (small.shape[1], small.shape[0])) > 127
    small_face, size = face * scale, (small.shape[1], small.shape[0])
    rough = (_outline(size, small_face, 0.0) > 0) & known
    marks = np.full(known.shape, raster.BACKGROUND, np.uint8)
    marks[_outline(size, small_face, 0.28) > 0] = raster.MAYBE_BACKGROUND
    marks[rough] = raster.MAYBE_FOREGROUND
    x, chin = size[0] // 2, round((ABOVE + 1) * small_face)
    axes = (round(0.33 * small_face), round(0.5 * small_face))
    raster.ellipse(marks, (x, round(chin - 0.5 * small_face)), axes, raster.FOREGROUND)
    half = round(0.2 * small_face)
    marks[chin : chin + round(PHOTO_BELOW * small_face), x - half : x + half] = raster.FOREGROUND
    marks[~known] = raster.BACKGROUND
    brow = round(chin - 0.6 * small_face)
    found = raster.segment(small, marks, rounds=3)
    found[:brow] &= _outline(size, small_face, 0.05)[:brow] > 0
    if found.sum() < 0.5 * rough.sum():
        found = rough
    face_row = round(chin - 0.4 * small_face)
    large = raster.resized(raster.closed(raster.connected(found, x, face_row)), (pixels.shape[1], pixels.shape[0]))
    return np.asarray((large > 127).astype(np.uint8) * 255)


def _clothes(pixels: U8, alpha: F32, face: float, rng: np.random.Generator) -> F32:
    """Typical colour of the shoulders, or some dull colour where the photo ends at the chin."""
    low, middle = round((ABOVE + 1.3) * face), pixels.shape[1] // 2
    worn = alpha[low:] > 200
    worn[:, middle - round(0.3 * face) : middle + round(0.3 * face)] = False
    seen = pixels[low:][worn]
    if len(seen) > 30:
        return np.asarray(np.median(seen, axis=0), np.float32)
    return np.asarray(rng.uniform(25, 130) * rng.uniform(0.75, 1.25, 3), np.float32)


def _skin(pixels: U8, face: float) -> F32:
    """Typical colour of the lower half of the face, darkened as a neck is."""
    chin, x = round((ABOVE + 1) * face), pixels.shape[1] // 2
    lower = pixels[chin - round(0.45 * face) : chin, x - round(0.25 * face) : x + round(0.25 * face)]
    return np.asarray(np.median(lower.reshape(-1, 3), axis=0) * 0.85, np.float32)


def _body(size: tuple[int, int], face: float, colours: tuple[F32, F32], rng: np.random.Generator) -> F32:
    """Neck to feet as a plain figure in the colours of skin and clothes, (H, W, 4) float32 premultiplied."""
    x, chin = size[0] / 2, (ABOVE + 1) * face
    trousers = rng.uniform(20, 70) * np.array([1.1, 1.0, 0.95], np.float32)
    right = [(0.22, 0.2), (0.5, 0.36), (0.8, 0.5), (0.93, 0.68), (1.0, 1.2), (1.02, 2.2), (0.92, 3.0), (0.8, 3.05)]
    legs = [(-0.66, 2.6), (0.66, 2.6), (0.6, 6.5), (0.14, 6.5), (0.04, 3.6), (-0.04, 3.6), (-0.14, 6.5), (-0.6, 6.5)]
    torso = [*right, *((-u, v) for u, v in reversed(right))]
    body = np.zeros((size[1], size[0], 4), np.float32)
    cells = max(2, round(0.12 * face))
    grain = rng.normal(0, 5, (size[1] // cells + 2, size[0] // cells + 2)).astype(np.float32)
    folds = raster.resized(grain, size)[:, :, None]
    across = np.abs(np.arange(size[0], dtype=np.float32) - x) / face
    arms = 1 - 0.3 * across**2 - 0.25 * np.exp(-(((across - 0.66) / 0.05) ** 2))
    plain = 1 - 0.3 * across**2
    neck = [(-0.24, -0.3), (0.24, -0.3), (0.27, 0.4), (-0.27, 0.4)]
    for colour, shade, outline in ((trousers, plain, legs), (colours[1], arms, torso), (colours[0], plain, neck)):
        mask = np.zeros((size[1], size[0]), np.uint8)
        raster.polygon(mask, [(x + u * face, chin + v * face) for u, v in outline])
        soft = raster.blurred(mask, max(0.7, 0.01 * face)).astype(np.float32)[:, :, None] / 255
        painted = np.clip(colour[None, None] * shade[None, :, None] + folds, 0, 255)
        body[:, :, :3] = painted * soft + body[:, :, :3] * (1 - soft)
        body[:, :, 3:] = 255 * soft + body[:, :, 3:] * (1 - soft)
    return body


def _levels(body: F32) -> tuple[U8, ...]:
    level = np.clip(body, 0, 255).astype(np.uint8)
    levels = [level]
    while min(level.shape[:2]) > 64:
        level = raster.halved(level)
        levels.append(level)
    return tuple(levels)
