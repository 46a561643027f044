"""Live frames on a board: CSI and V4L2 cameras through NVIDIA's jetson_utils. The one module here that imports it.

Written to the source of jetson_utils (dusty-nv/jetson-utils fae4b4250f98, 2025-10-16); never run on a board.

1. `Capture` opens the camera. `Open` is never called: when it fails it comes back without Python's lock.
2. The library's pictures lie in a ring that later captures overwrite and that dies with the source. The GPU converts
   each, before anything else is captured, into memory of ours: that is the one copy out of the ring, from the RGB that
   `Capture` gives to the planes that the vision code takes. A frame's arrays keep that memory alive.
3. All GPU work is on the default stream. On a board `Capture` copies the camera's buffer there, whatever stream it is
   given, and a stream that does not wait for the default one would convert half a picture.
4. None is a deadline missed. An exception is an error or the end: `IsStreaming` tells which. While it streams, an
   exception is tried again until the deadline (a wake-up whose picture was read already looks like an error); once it
   does not, `Capture` is not called any more, because it would open the camera anew.
5. The `__array_interface__` of a planar image claims twice its memory. Planes are laid over `ptr` and `size`.
6. Which plane is which, and that luma is full range, is asked of the library with a red picture, once a source.
7. `close` zeroes our memory, and the ring before the library frees it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np

from device.domain.sight import U8, ColourMatrix, Frame
from device.domain.time import NS_PER_S, MonotonicNs
from device.edges.frames import Timeline
from device.errors import SourceLost, Unavailable
from device.ports.source import SourceInfo

RETRY_S = 0.005
REMEDY = "build it from dusty-nv/jetson-utils, never install it by name"
_RED = (255, 0, 0)
_RED_YUV = (76, 84, 255)
"""Y, U, V of red as cudaYUV-YV12.cu computes it: 30 % of R; 128 minus 17 % of R; 128 plus 50 % of R (BT.601, full)."""
_RED_WITHIN = 3
_PROOF_PX = 32


class CameraFault(Exception):
    """What jetson_utils could not do, in its words."""


def library() -> Any:
    """The module jetson_utils, NVIDIA's and with its C extension. Raises Unavailable with what is wrong."""
    try:
        import jetson_utils
    except Exception as fault:  # its Python side probes CUDA when it is imported
        raise Unavailable(f"jetson_utils cannot be imported ({fault}); {REMEDY}") from fault
    extension = getattr(jetson_utils, "HAS_JETSON_UTILS_EXT", None)
    if extension is None:
        place = getattr(jetson_utils, "__file__", None) or "here"
        raise Unavailable(
            f"the jetson_utils at {place} is not NVIDIA's version 2: a package index has somebody else's under that "
            f"name; remove it, and {REMEDY}"
        )
    if not extension:
        raise Unavailable(f"jetson_utils is here without its C extension (HAS_JETSON_UTILS_EXT is False); {REMEDY}")
    return jetson_utils


def is_here() -> bool:
    """Whether cameras can be opened through jetson_utils."""
    try:
        library()
    except Unavailable:
        return False
    return True


class JetsonSource:
    """FrameSource of a camera on a board; opening, and the first picture, are part of construction.

    Raises Unavailable without jetson_utils; SourceLost when the camera cannot be opened, ends, or misses a deadline.
    """

    def __init__(self, source: str, *, open_s: float, read_s: float) -> None:
        self._name, self._read_s = source, read_s
        self._library = library()
        self._camera: Any = None
        self._planes: _Planes | None = None
        self._first: Frame | None = None
        self._ring: dict[int, Any] = {}
        self._index = 0
        try:
            with _asking():
                self._camera = self._library.videoSource(source)
            image = self._capture(open_s, opened=False)
            with _asking():
                self._planes = _proven(self._library, image)
                self._rate_hz = float(self._camera.GetFrameRate()) or None
            self._timeline = Timeline(Fraction(self._rate_hz) if self._rate_hz else None)
            self._first = self._frame(image)
        except CameraFault as fault:
            self.close()
            raise SourceLost(f"{source}: cannot be opened ({fault})") from fault
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> SourceInfo:
        height, width = (0, 0) if self._planes is None else self._planes.y.shape
        return SourceInfo(self._name, True, width, height, self._rate_hz, None, ("rgb8: converted to 8-bit 4:2:0",))

    def frames(self) -> Iterator[Frame]:
        frame, self._first = self._first, None
        try:
            while True:
                if frame is not None:
                    yield frame
                frame = self._frame(self._capture(self._read_s, opened=True))
        except CameraFault as fault:
            raise SourceLost(f"{self._name}: lost ({fault})") from fault

    def close(self) -> None:
        camera, self._camera, self._first = self._camera, None, None
        if self._planes is not None:
            self._planes.wipe()
        for image in self._ring.values():  # rule 7
            np.asarray(image)[:] = 0
        self._ring.clear()
        if camera is None:
            return
        try:
            with _asking():
                camera.Close()
        except CameraFault as fault:
            raise SourceLost(f"{self._name}: does not close ({fault})") from fault

    def _capture(self, within_s: float, *, opened: bool) -> Any:
        """The ring's next picture; rules 1 and 4. `opened`: whether it has streamed before."""
        deadline = time.monotonic() + within_s
        while True:
            if self._camera is None:
                raise CameraFault("closed")
            if opened and not self._camera.IsStreaming():
                raise CameraFault("the camera ended the stream")
            left_s = max(0.001, deadline - time.monotonic())
            try:
                with _asking():
                    image = self._camera.Capture(format="rgb8", timeout=round(left_s * 1000))
            except CameraFault:
                if time.monotonic() >= deadline or not (opened or self._camera.IsStreaming()):
                    raise
                time.sleep(RETRY_S)
                continue
            if image is None:
                raise CameraFault(f"no picture within {within_s:g} s")
            self._remember(image)
            return image

    def _remember(self, image: Any) -> None:
        """Note what to zero. A picture of another size lies in a new ring, and the old one is freed already."""
        if any((image.width, image.height) != (known.width, known.height) for known in self._ring.values()):
            self._ring.clear()
        if image.mapped:
            self._ring[int(image.ptr)] = image

    def _frame(self, image: Any) -> Frame:
        """Rule 2. Raises CameraFault for a picture of another size."""
        planes = self._planes
        if planes is None or (image.height, image.width) != planes.y.shape:
            raise CameraFault(f"the picture's size changed to {image.width}x{image.height}")
        with _asking():
            planes.take(image)
        at = self._timeline.at(Fraction(image.timestamp, NS_PER_S) if image.timestamp else None)
        index, self._index = self._index, self._index + 1
        decoded = MonotonicNs(time.monotonic_ns())
        return Frame(index, at, decoded, planes.y, planes.u, planes.v, ColourMatrix.BT601, full_range=True)


class _Memory:
    """A mapped image's bytes for numpy; whoever holds a view of them holds the image (rules 2 and 5)."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self.__array_interface__ = {
            "shape": (int(image.size),),
            "typestr": "|u1",
            "data": (int(image.ptr), False),
            "version": 3,
        }


class _Planes:
    """Memory for one frame's planes that the GPU writes and the processor reads: on a Jetson it is the same."""

    def __init__(self, library: Any, width: int, height: int) -> None:
        """`width` and `height` in pixels, both even."""
        self._library = library
        self._image = library.cudaAllocMapped(width=width, height=height, format="i420")
        flat: U8 = np.asarray(_Memory(self._image))
        area, quarter = width * height, width * height // 4
        half = (height // 2, width // 2)
        self.y: U8 = flat[:area].reshape(height, width)
        self.u: U8 = flat[area : area + quarter].reshape(half)
        self.v: U8 = flat[area + quarter : area + 2 * quarter].reshape(half)
        self.wipe()

    def take(self, image: Any) -> None:
        """Convert one of the library's pictures into this memory, and wait for it (rule 3)."""
        self._library.cudaConvertColor(image, self._image)
        self._library.cudaDeviceSynchronize()

    def exchange_chroma(self) -> None:
        self.u, self.v = self.v, self.u

    def wipe(self) -> None:
        for plane in (self.y, self.u, self.v):
            plane.fill(0)


def _proven(library: Any, image: Any) -> _Planes:
    """Memory for pictures like this one, its planes told apart (rule 6). Raises Unavailable when they cannot be."""
    if not image.mapped:
        raise Unavailable("jetson_utils delivers pictures that only the GPU can read; leave its zeroCopy on")
    if image.width % 2 or image.height % 2:
        raise Unavailable(f"the camera delivers {image.width}x{image.height}; both must be even for 4:2:0")
    red = library.cudaAllocMapped(width=_PROOF_PX, height=_PROOF_PX, format="rgb8")
    np.asarray(red)[:] = _RED
    proof, planes = _Planes(library, _PROOF_PX, _PROOF_PX), _Planes(library, image.width, image.height)
    proof.take(red)
    found = [int(plane.min()) for plane in (proof.y, proof.u, proof.v)]
    y, u, v = _RED_YUV
    if _near(found, (y, v, u)):
        planes.exchange_chroma()
    elif not _near(found, (y, u, v)):
        raise Unavailable(
            f"jetson_utils converts red to {found}, not to {_RED_YUV} (Y, U, V); use another version of it"
        )
    return planes


def _near(found: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(f - w) <= _RED_WITHIN for f, w in zip(found, wanted, strict=True))


@contextmanager
def _asking() -> Iterator[None]:
    """jetson_utils raises plain Exception for whatever goes wrong in it."""
    try:
        yield
    except (CameraFault, Unavailable):
        raise
    except Exception as fault:
        raise CameraFault(str(fault)) from fault
