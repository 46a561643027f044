"""A `jetson_utils` that behaves as the real one's source says (dusty-nv/jetson-utils fae4b4250f98), on host memory.

1. A source's pictures lie in a ring of `RING` buffers: capture number n is written over capture number n - RING. When
   the source is deleted the ring is freed; here it is filled with POISON, and what lay in it is noted first.
2. GPU work is done when it is waited for, not before: `cudaMemcpy` reads its source at cudaDeviceSynchronize, and so
   does `cudaConvertColor`. `Capture` puts its picture into the ring then, too: on a board that is GPU work.
3. Capture opens a stopped camera by itself. It returns None on a timeout (at once: nobody waits here) and raises plain
   Exception for an error and for the end alike.
4. The __array_interface__ of an image in NV12 claims (height, width, 3). An image that is not mapped has None.
5. An Open that fails would corrupt the interpreter; here it is an error of the test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

RING = 4
POISON = 0xDD
FAILED = "jetson.utils -- videoSource failed to capture image"
STEP_NS = 40_000_000


@dataclass(frozen=True)
class Picture:
    """One picture: `paint` fills (height, width, 3) RGB. `stamp_ns` None is one step after the last."""

    paint: Callable[[Any], None]
    stamp_ns: int | None = None
    size: tuple[int, int] | None = None


def flat(*rgb: int, stamp_ns: int | None = None, size: tuple[int, int] | None = None) -> Picture:
    def paint(picture: Any) -> None:
        picture[:] = rgb

    return Picture(paint, stamp_ns, size)


TIMEOUT, ERROR, END = "timeout", "error", "end"
"""Nothing comes in time; Capture fails and the stream goes on; Capture fails and the stream is over."""


@dataclass
class Camera:
    """What is plugged in at an address, and what was seen of its use. After its last step it ends.

    left_behind  whether anything was in the ring when it was freed; None until then
    """

    steps: Iterable[Any]
    size: tuple[int, int] = (320, 240)
    rate_hz: int = 25
    mapped: bool = True
    opens_with: Exception | None = None
    opened: int = 0
    timeouts: list[int] = field(default_factory=list)
    ring: list[Any] = field(default_factory=list)
    closed: int = 0
    left_behind: bool | None = None

    def overwrite_ring(self) -> None:
        """As if the camera had gone once around."""
        for buffer in self.ring:
            buffer[:] = POISON


class CudaImage:
    def __init__(self, memory: Any, width: int, height: int, pixels: str, *, mapped: bool = True, timestamp: int = 0):
        self.memory, self.width, self.height, self.format = memory, width, height, pixels
        self.mapped, self.timestamp = mapped, timestamp
        self.size, self.channels, self.shape = memory.nbytes, 3, (height, width, 3)
        self.ptr = self.gpudata = memory.ctypes.data

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": "<u1", "data": (self.ptr, False), "version": 3}

    @property
    def __array_interface__(self) -> dict[str, Any] | None:
        return self.__cuda_array_interface__ if self.mapped else None


class Library:
    """The state behind one fake module: what is plugged in, what the GPU has still to do.

    copies  (from, to) addresses of every cudaMemcpy;  allocated  every image of cudaAllocMapped
    """

    def __init__(self) -> None:
        self.cameras: dict[str, Camera] = {}
        self.queue: list[Callable[[], None]] = []
        self.blue_first = False
        self.copies: list[tuple[int, int]] = []
        self.allocated: list[CudaImage] = []

    def module(self, *, extension: bool = True) -> ModuleType:
        made: Any = ModuleType("jetson_utils")
        made.HAS_JETSON_UTILS_EXT = extension
        if extension:
            made.videoSource = lambda uri, argv=None, positionArg=-1, options=None: VideoSource(self, uri)
            made.cudaAllocMapped = self.allocate
            made.cudaConvertColor = self.convert
            made.cudaMemcpy = self.copy
            made.cudaDeviceSynchronize = self.synchronize
        module: ModuleType = made
        return module

    def allocate(self, *, width: int, height: int, format: str) -> CudaImage:
        size = {"rgb8": width * height * 3, "nv12": width * height * 3 // 2}[format]
        self.allocated.append(CudaImage(np.full(size, POISON, np.uint8), width, height, format))
        return self.allocated[-1]

    def copy(self, dst: CudaImage, src: CudaImage, mapped: bool = True, stream: int = 0) -> None:
        if src.size != dst.size:
            raise TypeError("jetson.utils -- src and dst need to have the same size")
        dst.timestamp = src.timestamp
        self.copies.append((src.ptr, dst.ptr))
        self.queue.append(lambda: np.copyto(dst.memory, src.memory))

    def convert(self, source: CudaImage, target: CudaImage, stream: int = 0) -> None:
        if (source.width, source.height) != (target.width, target.height):
            raise Exception("jetson.utils -- cudaConvertColor() input and output image resolutions are different")
        if (source.format, target.format) != ("nv12", "rgb8"):
            raise Exception("jetson.utils -- cudaConvertColor() failed")
        self.queue.append(lambda: self._to_rgb(source, target))

    def synchronize(self) -> None:
        todo, self.queue = self.queue, []
        for work in todo:
            work()

    def _to_rgb(self, source: CudaImage, target: CudaImage) -> None:
        """cudaYUV-NV12.cu in short: BT.601, full range, one chroma pair (Cb, Cr) for four pixels."""
        area, half = source.width * source.height, (source.height // 2, source.width // 2, 2)
        luma = source.memory[:area].reshape(source.height, source.width).astype(np.float32)
        chroma = source.memory[area:].reshape(half).astype(np.float32).repeat(2, 0).repeat(2, 1) - 128
        cb, cr = chroma[:, :, 0], chroma[:, :, 1]
        rgb = np.stack([luma + 1.402 * cr, luma - 0.344 * cb - 0.714 * cr, luma + 1.772 * cb], 2)
        rgb = rgb[:, :, ::-1] if self.blue_first else rgb
        target.memory[:] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8).reshape(-1)


class VideoSource:
    def __init__(self, library: Library, uri: str) -> None:
        if uri not in library.cameras:
            raise Exception("jetson.utils -- failed to create videoSource device")
        self._library = library
        self._camera = library.cameras[uri]
        self._size = self._camera.size
        self._steps = iter(self._camera.steps)
        self._captured = itertools.count()
        self._stamp_ns = 0
        self._streaming = False

    def Open(self) -> None:
        raise AssertionError("an Open that fails comes back without the interpreter's lock: let Capture open")

    def Close(self) -> None:
        self._camera.closed += 1
        self._streaming = False

    def Capture(self, format: str = "rgb8", timeout: int = 1000, stream: int = 0) -> CudaImage | None:
        assert format == "rgb8"
        self._camera.timeouts.append(timeout)
        if not self._streaming:
            self._camera.opened += 1
            if self._camera.opens_with is not None:
                raise self._camera.opens_with
            self._streaming = True
        step = next(self._steps, END)
        if step == TIMEOUT:
            return None
        if step in (ERROR, END):
            self._streaming = step == ERROR
            raise Exception(FAILED)
        assert not isinstance(step, str)
        return self._deliver(step)

    def GetWidth(self) -> int:
        return self._size[0]

    def GetHeight(self) -> int:
        return self._size[1]

    def GetFrameRate(self) -> int:
        return self._camera.rate_hz

    def IsStreaming(self) -> bool:
        return self._streaming

    def _deliver(self, picture: Picture) -> CudaImage:
        camera = self._camera
        if picture.size is not None and picture.size != self._size:
            self._free()
            self._size = picture.size
        width, height = self._size
        if not camera.ring:
            camera.ring = [np.zeros(width * height * 3, np.uint8) for _ in range(RING)]
        memory = camera.ring[next(self._captured) % RING]
        self._library.queue.append(lambda: picture.paint(memory.reshape(height, width, 3)))
        self._stamp_ns = self._stamp_ns + STEP_NS if picture.stamp_ns is None else picture.stamp_ns
        return CudaImage(memory, width, height, "rgb8", mapped=camera.mapped, timestamp=self._stamp_ns)

    def _free(self) -> None:
        self._camera.left_behind = any(buffer.any() for buffer in self._camera.ring)
        self._camera.overwrite_ring()
        self._camera.ring = []

    def __del__(self) -> None:
        if hasattr(self, "_camera"):
            self._free()
