"""Presentation times and colour properties of frames, independent of a decoder: times never run back."""

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
    4. Once more presentation times than decoding times have run back, the decoding times count: the pictures are in
       order and their presentation times are not (packed B-frames in AVI). Rule 2 alone would put two of three such
       pictures at one moment, and of pictures at one moment only one is searched for faces. The same choice as in
       libavcodec (decode.c, guess_correct_pts).
    """

    def __init__(self, rate_hz: Fraction | None) -> None:
        self._step_ns = round(NS_PER_S / (rate_hz if rate_hz and 1 <= rate_hz <= 1000 else ASSUMED_RATE_HZ))
        self._last_ns: int | None = None
        self._presented = _Clock()
        self._decoded = _Clock()
        self.repaired = 0

    def at(self, stated_s: Fraction | None, decoded_s: Fraction | None = None) -> MediaNs:
        """Time of the next frame in presentation order.

        stated_s   presentation time that the stream states, if any
        decoded_s  decoding time of the packet that gave the frame, if the stream states one
        """
        due_ns = 0 if self._last_ns is None else self._last_ns + self._step_ns
        self._presented.see(stated_s)
        self._decoded.see(decoded_s)
        by_decoding = decoded_s is not None and self._decoded.ran_back < self._presented.ran_back
        clock = self._decoded if by_decoding else self._presented
        at_ns = clock.at(due_ns)
        stated_ns = at_ns if clock is self._presented else self._presented.at(due_ns)
        if at_ns is None:
            at_ns = due_ns
        elif self._last_ns is not None and at_ns < self._last_ns:
            if self._last_ns - at_ns > REBASE_AFTER_NS:
                clock.rebase(due_ns)
            at_ns = due_ns
        self.repaired += self._last_ns is not None and stated_ns != at_ns
        self._last_ns = at_ns
        if not by_decoding:
            self._decoded.rebase(at_ns)
        return MediaNs(at_ns)


class _Clock:
    """One of the two times that a stream states: where its zero lies on the timeline, and how often it ran back."""

    def __init__(self) -> None:
        self._now_ns: int | None = None
        self._before_ns: int | None = None
        self._origin_ns: int | None = None
        self.ran_back = 0

    def see(self, stated_s: Fraction | None) -> None:
        """What is stated for the next frame."""
        self._now_ns = None if stated_s is None else round(stated_s * NS_PER_S)
        if self._now_ns is not None:
            self.ran_back += self._before_ns is not None and self._now_ns <= self._before_ns
            self._before_ns = self._now_ns

    def at(self, due_ns: int) -> int | None:
        """The present time on the timeline; the first one stated is `due_ns`. None when none is stated."""
        if self._now_ns is None:
            return None
        if self._origin_ns is None:
            self.rebase(due_ns)
        return self._now_ns - (self._origin_ns or 0)

    def rebase(self, at_ns: int) -> None:
        """Shift the timeline: the present time is `at_ns` from now on."""
        if self._now_ns is not None:
            self._origin_ns = self._now_ns - at_ns


@dataclass(frozen=True, slots=True)
class Look:
    """All properties of a decoded picture that decide its conversion to a Frame; equal ones share a conversion.

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
        """The corrections made to the input, as text."""
        notes = []
        if self.interlaced:
            notes.append("interlaced: bwdif")
        if not self.square:
            notes.append(f"sample aspect {self.aspect.numerator}:{self.aspect.denominator}: scaled to square pixels")
        if self.rotation:
            notes.append(f"rotated {-self.rotation % 360}")
        if self.layout not in PLANAR_420:
            notes.append(f"{self.layout}: converted to 8-bit 4:2:0")
        return notes


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
    """Stated YCbCr matrix, or the one that players assume: BT.709 for high definition, BT.601 below."""
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
