"""Live frames on a board: CSI and V4L2 cameras through NVIDIA's jetson_utils. The one module here that imports it.

Written to the source of jetson_utils (dusty-nv/jetson-utils fae4b4250f98, 2025-10-16); never run on a board.

1. `Capture` opens the camera. `Open` is never called: when it fails it comes back without Python's lock.
2. The library's pictures lie in a ring that later captures overwrite and that dies with the source. A frame is a view
   of the ring, good until the next one is asked for; a slot has its picture copied by the GPU into memory of its own.
   That is the one copy out of the ring, and the processor makes none.
3. All GPU work is on the default stream. On a board `Capture` copies the camera's buffer there, whatever stream it is
   given. It is waited for before a frame is handed on, because who reads it, processor or GPU, does so in other threads
   and on other streams.
4. None is a deadline missed. An exception is an error or the end: `IsStreaming` tells which. While it streams, an
   exception is tried again until the deadline (a wake-up whose picture was read already looks like an error); once it
   does not, `Capture` is not called any more, because it would open the camera anew.
5. `cudaAllocMapped` gives memory that processor and GPU reach at one address, `ptr`; on a Jetson it is one memory. The
   `__array_interface__` of a picture in NV12 claims twice its memory: it is laid over `ptr` and `size` instead.
6. Which channel is red is asked of the library with a red picture, once a source, by the conversion that `Capture`
   uses.
7. `close` zeroes the ring before the library frees it. Slots are wiped by their owner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from device.domain.sight import U8, Frame, Packed
from device.domain.symptoms.names import Program
from device.domain.symptoms.table import remedy
from device.domain.time import NS_PER_S, MonotonicNs
from device.edges.camera.timeline import Timeline
from device.errors import SourceLost, Unavailable
from device.ports.source import Slot, SourceInfo

RETRY_S = 0.005
_RED_YUV = (76, 84, 255)
"""Y, Cb, Cr of red (ITU-R BT.601, full range)."""
_MUCH, _LITTLE = 150, 80
"""Of 255: enough to tell channels apart, whichever matrix the library computes with."""
_PROOF_PX = 32


class CameraFault(Exception):
    """A jetson_utils error with its own text."""


def library() -> Any:
    """The module jetson_utils, NVIDIA's and with its C extension. Raises Unavailable with what is wrong."""
    try:
        import jetson_utils
    except Exception as fault:  # its Python side probes CUDA when it is imported
        raise Unavailable(f"jetson_utils cannot be imported ({fault}); {remedy(Program.JETSON_UTILS)}") from fault
    extension = getattr(jetson_utils, "HAS_JETSON_UTILS_EXT", None)
    if extension is None:
        place = getattr(jetson_utils, "__file__", None) or "here"
        raise Unavailable(
            f"the jetson_utils at {place} is not NVIDIA's version 2: a package index has an unrelated package of "
            f"that name; remove it, and {remedy(Program.JETSON_UTILS)}"
        )
    if not extension:
        without = "jetson_utils is here without its C extension (HAS_JETSON_UTILS_EXT is False)"
        raise Unavailable(f"{without}; {remedy(Program.JETSON_UTILS)}")
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
        self._size = (0, 0)
        self._first: Frame | None = None
        self._ring: dict[int, Any] = {}
        self._index = 0
        try:
            with _asking():
                self._camera = self._library.videoSource(source)
            image = self._capture(open_s, opened=False)
            self._size = (image.height, image.width)
            with _asking():
                _require_readable(self._library, image)
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
        return SourceInfo(self._name, True, self._size[1], self._size[0], self._rate_hz, None)

    def slot(self) -> Slot:
        """Memory that processor and GPU read at one address. Raises SourceLost when the GPU has none left."""
        try:
            with _asking():
                return _MappedSlot(self, self._library.cudaAllocMapped, self._size)
        except CameraFault as fault:
            raise SourceLost(f"{self._name}: no memory for its pictures ({fault}); run fewer cameras") from fault

    def copy(self, frame: Frame, target: Any) -> None:
        """Have the GPU copy a frame of the ring to an image of the library's, and wait for it (rules 2 and 3).

        Raises SourceLost.
        """
        address = frame.picture.address if isinstance(frame.picture, Packed) else None
        try:
            with _asking():
                if address not in self._ring:
                    raise CameraFault("its pictures are gone")
                self._library.cudaMemcpy(target, self._ring[address])
                self._library.cudaDeviceSynchronize()
        except CameraFault as fault:
            raise SourceLost(f"{self._name}: lost ({fault})") from fault

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
        try:
            with _asking():
                self._blank_ring()
                if camera is not None:
                    camera.Close()
        except CameraFault as fault:
            raise SourceLost(f"{self._name}: does not close ({fault})") from fault

    def _blank_ring(self) -> None:
        """Rule 7, once the GPU has written what it still has to write there."""
        try:
            if self._ring:
                self._library.cudaDeviceSynchronize()
        finally:
            for image in self._ring.values():
                np.asarray(image)[:] = 0
            self._ring.clear()

    def _capture(self, within_s: float, *, opened: bool) -> Any:
        """The ring's next picture (rules 1 and 4). `opened`: whether it has streamed before."""
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
        """Record the memory to zero. A picture of another size lies in a new ring, and the old one is freed already."""
        if any((image.width, image.height) != (known.width, known.height) for known in self._ring.values()):
            self._ring.clear()
        if image.mapped:
            self._ring[int(image.ptr)] = image

    def _frame(self, image: Any) -> Frame:
        """A view of the ring (rules 2 and 3). Raises CameraFault for a picture of another size."""
        if (image.height, image.width) != self._size:
            raise CameraFault(f"the picture's size changed to {image.width}x{image.height}")
        with _asking():
            self._library.cudaDeviceSynchronize()
        at = self._timeline.at(Fraction(image.timestamp, NS_PER_S) if image.timestamp else None)
        index, self._index = self._index, self._index + 1
        decoded = MonotonicNs(time.monotonic_ns())
        return Frame(index, at, decoded, Packed(np.asarray(image), int(image.ptr)))


class _MappedSlot:
    """A Slot that the GPU fills and reads, and the processor reads and wipes (rule 5)."""

    def __init__(self, source: JetsonSource, allocate: Callable[..., Any], size: tuple[int, int]) -> None:
        self._source = source
        self._image = allocate(width=size[1], height=size[0], format="rgb8")
        self._picture = Packed(np.asarray(self._image), int(self._image.ptr))
        self.wipe()

    def keep(self, frame: Frame, decoded: MonotonicNs) -> Frame:
        """See Slot.keep. Raises SourceLost when the GPU cannot copy."""
        self._source.copy(frame, self._image)
        return replace(frame, decoded=decoded, picture=self._picture)

    def wipe(self) -> None:
        """See Slot.wipe."""
        self._picture.rgb.fill(0)


class _Memory:
    """A mapped image's bytes for numpy; a view keeps the image alive (rule 5)."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self.__array_interface__ = {
            "shape": (int(image.size),),
            "typestr": "|u1",
            "data": (int(image.ptr), False),
            "version": 3,
        }


def _require_readable(library: Any, image: Any) -> None:
    """Refuse pictures that the processor cannot read or whose channels are not red, green, blue (rule 6)."""
    if not image.mapped:
        raise Unavailable("jetson_utils delivers pictures that only the GPU can read; leave its zeroCopy on")
    if int(image.size) != image.width * image.height * 3:
        raise Unavailable(f"jetson_utils delivers {image.size} bytes for {image.width}x{image.height} pixels of rgb8")
    size = {"width": _PROOF_PX, "height": _PROOF_PX}
    red, seen = library.cudaAllocMapped(**size, format="nv12"), library.cudaAllocMapped(**size, format="rgb8")
    flat: U8 = np.asarray(_Memory(red))
    luma, chroma = flat[: _PROOF_PX**2], flat[_PROOF_PX**2 : _PROOF_PX**2 * 3 // 2]
    luma[:], chroma[0::2], chroma[1::2] = _RED_YUV
    library.cudaConvertColor(red, seen)
    library.cudaDeviceSynchronize()
    r, g, b = (int(value) for value in np.asarray(seen)[_PROOF_PX // 2, _PROOF_PX // 2])
    if r < _MUCH or max(g, b) > _LITTLE:
        raise Unavailable(f"jetson_utils makes {[r, g, b]} of red, not [255, 0, 0]; use another version of it")


@contextmanager
def _asking() -> Iterator[None]:
    """Translate jetson_utils' errors: it raises plain Exception for every failure."""
    try:
        yield
    except (CameraFault, Unavailable):
        raise
    except Exception as fault:
        raise CameraFault(str(fault)) from fault
