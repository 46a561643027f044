"""What every frame source owes its frames, free of any decoder: times that never run back, colour that is stated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from device.domain.sight import ColourMatrix
from device.domain.time import NS_PER_S, MediaNs

ASSUMED_RATE_HZ = Fraction(25)
"""For numbered images, and for streams that state neither times nor a rate."""
REBASE_AFTER_NS = NS_PER_S
"""A jump back by more than this is a new time base (joined recordings), not a disordered picture."""
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

# AVColorSpace and AVColorRange are ITU-T H.273 numbers (libavutil/pixfmt.h).
_MATRIX_OF_H273 = {
    1: ColourMatrix.BT709,
    4: ColourMatrix.BT601,
    5: ColourMatrix.BT601,
    6: ColourMatrix.BT601,
    7: ColourMatrix.BT709,
    9: ColourMatrix.BT2020,
    10: ColourMatrix.BT2020,
}
_FULL_RANGE = 2


class Timeline:
    """Presentation times from the first frame's: repaired where missing or running back, otherwise as stated.

    1. A missing time is the last one plus one step of the average rate.
    2. A time up to REBASE_AFTER_NS before the last is disorder: that frame alone is moved to last plus a step.
    3. A longer way back is a new time base: it and all that follow are moved to go on from last plus a step.
    """

    def __init__(self, rate_hz: Fraction | None) -> None:
        self._step_ns = round(NS_PER_S / (rate_hz if rate_hz and 1 <= rate_hz <= 1000 else ASSUMED_RATE_HZ))
        self._origin_ns: int | None = None
        self._last_ns: int | None = None
        self.repaired = 0

    def at(self, stated_s: Fraction | None) -> MediaNs:
        """Time of the next frame in presentation order; `stated_s` is what the stream says, if anything."""
        if self._last_ns is None:
            self._origin_ns = None if stated_s is None else round(stated_s * NS_PER_S)
            self._last_ns = 0
            return MediaNs(0)
        due_ns = self._last_ns + self._step_ns
        if stated_s is None:
            self.repaired += 1
            self._last_ns = due_ns
            return MediaNs(due_ns)
        stated_ns = round(stated_s * NS_PER_S)
        if self._origin_ns is None:
            self._origin_ns = stated_ns - due_ns
        at_ns = stated_ns - self._origin_ns
        if at_ns < self._last_ns:
            self.repaired += 1
            if self._last_ns - at_ns > REBASE_AFTER_NS:
                self._origin_ns = stated_ns - due_ns
            at_ns = due_ns
        self._last_ns = at_ns
        return MediaNs(at_ns)


@dataclass(frozen=True, slots=True)
class Look:
    """All of a decoded picture that decides how it is brought into a Frame; equal looks share one conversion.

    rotation   degrees counter-clockwise that the display matrix asks for, a multiple of 90
    aspect     sample aspect ratio, width over height
    """

    width: int
    height: int
    layout: str
    rotation: int
    interlaced: bool
    aspect: Fraction
    matrix: ColourMatrix
    full_range: bool

    @property
    def direct(self) -> bool:
        """True when the decoder's planes already are a Frame's."""
        return self.layout in PLANAR_420 and not self.rotation and not self.interlaced and self.square

    @property
    def square(self) -> bool:
        return abs(self.aspect - 1) <= SQUARE_WITHIN

    def square_size(self) -> tuple[int, int]:
        """Width and height with square pixels: the short side is stretched, so that no detail is lost."""
        if self.square:
            return self.width, self.height
        if self.aspect > 1:
            return round(self.width * self.aspect), self.height
        return self.width, round(self.height / self.aspect)

    @property
    def is_rgb(self) -> bool:
        return self.layout.startswith(RGB_LAYOUTS)

    def notes(self) -> list[str]:
        """What is corrected on the way in, in words."""
        said = []
        if self.interlaced:
            said.append("interlaced: bwdif")
        if not self.square:
            said.append(f"sample aspect {self.aspect.numerator}:{self.aspect.denominator}: scaled to square pixels")
        if self.rotation:
            said.append(f"rotated {-self.rotation % 360}")
        if self.layout not in PLANAR_420:
            said.append(f"{self.layout}: converted to 8-bit 4:2:0")
        return said


PLANAR_420 = frozenset({"yuv420p", "yuvj420p", "yuva420p"})
RGB_LAYOUTS = (
    "rgb",
    "bgr",
    "gbr",
    "argb",
    "abgr",
    "0rgb",
    "0bgr",
    "pal8",
    "gray",
    "mono",
    "ya",
    "x2rgb",
    "x2bgr",
    "bayer",
)
"""Pictures without a YCbCr matrix of their own; grey ones included, whose range is full in every picture file."""
SQUARE_WITHIN = Fraction(2, 100)
PLAUSIBLE_ASPECT = (Fraction(1, 4), Fraction(4))


def matrix_of(h273: int, width: int, height: int) -> ColourMatrix:
    """Stated YCbCr matrix, or the guess that players make: BT.709 for high definition, BT.601 below."""
    guess = ColourMatrix.BT709 if max(width, height) >= 1280 or min(width, height) >= 720 else ColourMatrix.BT601
    return _MATRIX_OF_H273.get(h273, guess)


def is_full_range(h273: int, layout: str) -> bool:
    """Whether luma spans 0..255: stated, or implied by a JPEG, RGB or grey layout."""
    return h273 == _FULL_RANGE or layout.startswith(("yuvj", *RGB_LAYOUTS))


def quarter_turns(degrees: float) -> int:
    """Nearest multiple of 90 in -90..180; display matrices are quarter turns in practice."""
    turned = round(degrees / 90) * 90 % 360
    return turned - 360 if turned > 180 else turned


def plausible(aspect: Fraction | None) -> Fraction:
    """The stated sample aspect ratio, or 1 when it is absent or absurd."""
    low, high = PLAUSIBLE_ASPECT
    return aspect if aspect and low <= aspect <= high else Fraction(1)


def numbered(folder: Path) -> Sequence[Path]:
    """Picture files of a folder in natural order: 2 before 10, names compared without case."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    return sorted((p for p in found if p.is_file()), key=lambda p: (natural(p.name), p.name))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that reads runs of digits as numbers."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts)
