"""Clips as planar pictures, and what a broken camera makes of them from a moment on.

A picture here is (H * 3 / 2, W) uint8: luma above, chroma below (I420), as PyAV takes and gives it.

How do I add a fault? A function and a line in FAULTS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.domain.camera_fault import CameraFault
from device.domain.sight import U8

BLACK, WHITE = 16, 235
NOISE = 2.0
"""Grey levels, standard deviation: a sensor in a lit room."""


@dataclass(frozen=True)
class Clip:
    """Pictures of one size at a steady rate."""

    name: str
    rate: float
    pictures: Sequence[U8]


@dataclass(frozen=True)
class Moment:
    """One picture of a clip: its number, the number at which the camera breaks, and the clip."""

    clip: Clip
    number: int
    breaks_at: int

    @property
    def live(self) -> U8:
        """What a sound camera would show; a short clip is played to and fro."""
        count = len(self.clip.pictures)
        place = self.number % max(1, 2 * count - 2)
        return self.clip.pictures[place if place < count else 2 * count - 2 - place]

    @property
    def broken(self) -> bool:
        return self.number >= self.breaks_at

    @property
    def frozen(self) -> U8:
        """The live picture, or the last one before the camera broke."""
        return Moment(self.clip, min(self.number, self.breaks_at), self.breaks_at).live


def read_clip(path: Path, *, start_s: float = 0.0, seconds: float = 1e9) -> Clip:
    """A stretch of a video file. Raises SourceUnreadable."""
    from device.edges.camera.recording import RecordedSource

    source = RecordedSource(path, decode_threads=2)
    pictures: list[U8] = []
    try:
        for frame in source.frames():
            at_s = frame.at / 1e9
            if at_s >= start_s + seconds:
                break
            if at_s >= start_s:
                pictures.append(_even(frame.picture))
    finally:
        source.close()
    return Clip(path.name, source.info.rate_hz or 25.0, pictures)


def drawn_room(
    *,
    width: int = 640,
    height: int = 360,
    rate: float = 25.0,
    seconds: float = 4.0,
    way: tuple[float, float] = (0.2, 0.8),
) -> Clip:
    """A room with furniture in which a blot walks to and fro: for tests. way: where it begins and ends, of the width"""
    shapes = np.random.default_rng(5)
    room = np.full((height * 3 // 2, width), 128, np.uint8)
    room[:height] = np.linspace(70, 150, width).astype(np.uint8)
    for _ in range(60):
        left, top = int(shapes.integers(0, width - 20)), int(shapes.integers(0, height - 20))
        wide, high = int(shapes.integers(12, width // 5)), int(shapes.integers(12, height // 3))
        room[top : min(top + high, height), left : left + wide] = shapes.integers(25, 226)
    rows, columns = np.ogrid[:height, :width]
    pictures = []
    for number in range(int(rate * seconds)):
        shown = room.copy()
        across = (columns - width * (way[0] + (way[1] - way[0]) * number / (rate * seconds))) / (width / 24)
        shown[:height][across**2 + ((rows - height / 2) / (height / 5)) ** 2 <= 1] = 190
        pictures.append(shown)
    return Clip("drawn room", rate, pictures)


def quiet_room(*, passes_s: float = 4.0, empty_s: float = 12.0) -> Clip:
    """The drawn room, through which somebody walks once and which is then empty: played to and fro, a quiet night."""
    walked = drawn_room(seconds=passes_s, way=(-0.1, 1.1))
    empty = [walked.pictures[-1]] * round(empty_s * walked.rate)
    return Clip("quiet room", walked.rate, [*walked.pictures, *empty])


def noisy(picture: U8, number: int, sigma: float = NOISE) -> U8:
    """The picture with noise of its own for this number."""
    noise = np.random.default_rng(number).standard_normal(picture.shape, np.float32) * np.float32(sigma)
    return np.asarray(np.clip(picture + noise, BLACK, 240), np.uint8)


def _luma(picture: U8) -> U8:
    """The luma part, to be painted."""
    luma: U8 = picture[: picture.shape[0] * 2 // 3]
    return luma


def _clocked(picture: U8, moment: Moment) -> U8:
    """Hours to milliseconds in white on black in the top left corner, a thirtieth of the picture high."""
    shown: U8 = picture.copy()
    dot = max(2, _luma(shown).shape[0] // 150)
    text = f"12:{moment.number // 1500 % 60:02d}:{moment.number / moment.clip.rate % 60:06.3f}"
    drawn = np.concatenate([_digit(character, dot) for character in text], axis=1)[:, : shown.shape[1] - 8]
    shown[8 : 8 + drawn.shape[0], 8 : 8 + drawn.shape[1]] = drawn
    return shown


def _digit(character: str, dot: int) -> U8:
    """One character, 5 x 3 dots and a gap."""
    rows = [f"{row:03b}" for row in _FONT[character]]
    bits = np.array([[int(bit) for bit in row] + [0] for row in rows], np.uint8)
    return np.kron(BLACK + bits * (WHITE - BLACK), np.ones((dot, dot), np.uint8)).astype(np.uint8)


_FONT = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    ":": (0, 2, 0, 2, 0),
    ".": (0, 0, 0, 0, 2),
}
"""Rows of three dots, as bits."""


def _with_luma(moment: Moment, change: Callable[[U8], U8]) -> U8:
    shown: U8 = moment.live.copy()
    if moment.broken:
        _luma(shown)[:] = change(_luma(shown))
    return shown


def _gain(factor: float, offset: float) -> Callable[[U8], U8]:
    return lambda luma: np.clip((luma.astype(np.float32) - BLACK) * factor + offset, BLACK, WHITE).astype(np.uint8)


def _cover(luma: U8) -> U8:
    """A hand: light comes through unevenly, no edge does."""
    across = np.linspace(40, 110, luma.shape[1])[None, :] * np.linspace(0.7, 1.1, luma.shape[0])[:, None]
    return across.astype(np.uint8)


def _blur(luma: U8) -> U8:
    """Three box filters: nearly a Gaussian of 7 pixels of 1,280."""
    reach = max(1, round(6.5 * luma.shape[1] / 1280))
    wide = 2 * reach + 1
    soft = luma.astype(np.float64)
    for axis in (0, 1, 0, 1, 0, 1):
        along = np.moveaxis(soft, axis, 0)
        sums = np.cumsum(np.pad(along, [(reach + 1, reach), (0, 0)], mode="edge"), axis=0)
        soft = np.moveaxis((sums[wide:] - sums[:-wide]) / wide, 0, axis)
    return np.asarray(soft, np.uint8)


def _turn(luma: U8) -> U8:
    """Another part of the same place: mirrored, and moved by a third of the picture."""
    return np.asarray(np.roll(luma[:, ::-1], luma.shape[1] // 3, axis=1))


@dataclass(frozen=True)
class Fault:
    """What is expected when the camera breaks, and how it then looks; None: nothing is wrong."""

    expected: CameraFault | None
    picture: Callable[[Moment], U8]
    shrinks: bool = False


FAULTS: dict[str, Fault] = {
    "quiet": Fault(None, lambda m: m.live),
    "quiet, noise": Fault(None, lambda m: noisy(m.live, m.number)),
    "frozen": Fault(CameraFault.FROZEN, lambda m: m.frozen),
    "frozen, noise": Fault(CameraFault.FROZEN, lambda m: noisy(m.frozen, m.number)),
    "frozen, clock": Fault(CameraFault.FROZEN, lambda m: _clocked(m.frozen, m)),
    "dark": Fault(CameraFault.DARK, lambda m: _with_luma(m, _gain(0.03, BLACK))),
    "overexposed": Fault(CameraFault.OVEREXPOSED, lambda m: _with_luma(m, _gain(4.0, 150.0))),
    "covered": Fault(CameraFault.COVERED, lambda m: noisy(_with_luma(m, _cover), m.number)),
    "defocused": Fault(CameraFault.DEFOCUSED, lambda m: _with_luma(m, _blur)),
    "turned away": Fault(CameraFault.TURNED, lambda m: _with_luma(m, _turn)),
    "size changed": Fault(CameraFault.SIZE_CHANGED, lambda m: m.live, shrinks=True),
}


def broken_clip(clip: Clip, fault: Fault, *, breaks_s: float, seconds: float) -> Iterator[U8]:
    """The clip, looped to `seconds`, with the fault from `breaks_s` on."""
    breaks_at = round(breaks_s * clip.rate)
    for number in range(round(seconds * clip.rate)):
        yield fault.picture(Moment(clip, number, breaks_at))


def _even(picture: object) -> U8:
    """The planes of a picture as one, its sides cut to even numbers."""
    from device.domain.sight import Planes

    assert isinstance(picture, Planes)
    height, width = picture.size[0] // 2 * 2, picture.size[1] // 2 * 2
    luma = picture.y[:height, :width]
    if picture.full_range:
        luma = (BLACK + luma.astype(np.float32) * 219 / 255).astype(np.uint8)
    chroma = [plane[: height // 2, : width // 2].ravel() for plane in (picture.u, picture.v)]
    return np.concatenate([luma, np.concatenate(chroma).reshape(-1, width)])
