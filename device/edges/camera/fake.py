"""A scripted frame source: plain frames, stalls, failures and changes of size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from device.domain.sight import Frame, Packed, Picture, Planes
from device.domain.time import NS_PER_S, MediaNs, MonotonicNs
from device.edges.camera.frame_pool import HostSlot
from device.ports.source import Slot, SourceInfo

STALL_GIVES_UP_S = 30.0
SQUARE_PX = 8


@dataclass(frozen=True, slots=True)
class Show:
    """One frame of even luma; `at_s` None is one step after the last.

    scene  seed of squares of random luma in place of an even picture: something to see; None: even
    """

    luma: int = 128
    at_s: float | None = None
    size: tuple[int, int] | None = None
    scene: int | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Raise this, as a camera that is lost does."""

    fault: Exception


@dataclass(frozen=True, slots=True)
class Stall:
    """Deliver nothing until `resume` is called on the source; `stalled` is set meanwhile."""


Step = Show | Fail | Stall


class FakeSource:
    """Plays its script once. Like a decoder it reuses one picture's memory: a frame that is kept must be copied.

    packed       RGB pictures, as a camera on a board gives them, in place of planes
    before_each  called before each step, in the owner's thread: a test moves its virtual clock with it
    """

    def __init__(
        self,
        script: Sequence[Step],
        *,
        live: bool = False,
        size: tuple[int, int] = (64, 48),
        rate_hz: float = 25.0,
        packed: bool = False,
        before_each: Callable[[], None] | None = None,
    ) -> None:
        self._script = tuple(script)
        self._size = size
        self._live = live
        self._rate_hz = rate_hz
        self._before_each = before_each
        self._resumed = threading.Event()
        self._never_stalls = False
        self._packed = packed
        self._picture = self._allocate(size)
        self.stalled = threading.Event()
        self.closed = False

    @property
    def info(self) -> SourceInfo:
        frames = None if self._live else sum(isinstance(step, Show) for step in self._script)
        return SourceInfo("fake", self._live, *self._size, self._rate_hz, frames, ())

    def frames(self) -> Iterator[Frame]:
        index, at_ns = 0, 0
        for step in self._script:
            if self._before_each is not None:
                self._before_each()
            if isinstance(step, Fail):
                raise step.fault
            if isinstance(step, Stall):
                self._stall()
                continue
            if index:
                at_ns += round(NS_PER_S / self._rate_hz)
            if step.at_s is not None:
                at_ns = round(step.at_s * NS_PER_S)
            yield self._paint(step, index, at_ns)
            index += 1

    def resume(self, *, for_good: bool = False) -> None:
        """End the present stall; `for_good` all later ones too."""
        self._never_stalls = self._never_stalls or for_good
        self.stalled.clear()
        self._resumed.set()

    def slot(self) -> Slot:
        return HostSlot()

    def close(self) -> None:
        self.closed = True
        self.resume(for_good=True)
        self._fill(0, 0)

    def _stall(self) -> None:
        if not self._never_stalls:
            self.stalled.set()
            self._resumed.wait(STALL_GIVES_UP_S)
            self._resumed.clear()

    def _paint(self, step: Show, index: int, at_ns: int) -> Frame:
        if step.size is not None and step.size != self._size:
            self._size, self._picture = step.size, self._allocate(step.size)
        self._fill(step.luma, 128)
        if step.scene is not None:
            self._draw(step.scene)
        return Frame(index, MediaNs(at_ns), MonotonicNs(at_ns), self._picture)

    def _fill(self, luma: int, chroma: int) -> None:
        if isinstance(self._picture, Packed):
            self._picture.rgb.fill(luma)
            return
        self._picture.y.fill(luma)
        for plane in (self._picture.u, self._picture.v):
            plane.fill(chroma)

    def _draw(self, seed: int) -> None:
        """Squares of SQUARE_PX."""
        whole = self._picture.rgb[:, :, 1] if isinstance(self._picture, Packed) else self._picture.y
        height, width = whole.shape
        squares = np.random.default_rng(seed).integers(30, 226, (height // SQUARE_PX + 1, width // SQUARE_PX + 1))
        whole[:] = np.kron(squares, np.ones((SQUARE_PX, SQUARE_PX)))[:height, :width]

    def _allocate(self, size: tuple[int, int]) -> Picture:
        width, height = size
        if self._packed:
            return Packed(np.zeros((height, width, 3), np.uint8))
        half = ((height + 1) // 2, (width + 1) // 2)
        return Planes(np.zeros((height, width), np.uint8), np.zeros(half, np.uint8), np.zeros(half, np.uint8))
