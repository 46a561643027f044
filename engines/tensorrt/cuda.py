"""The GPU by PyCUDA: primary context, stream, buffers. The only module that imports `pycuda`, when a GPU is opened.

1. The driver's devices are listed before anything of TensorRT is touched: without a driver, TensorRT's runtime
   ends the process by a signal instead of raising (seen with the lean runtime 11.4).
2. The context is the device's primary one, which jetson_utils and TensorRT use too. It is pushed for each use and
   popped in `finally`: PyCUDA ends a process by SIGABRT whose context stack is not empty at exit.
3. One thread owns a Gpu and everything made from it; another thread gets BadInput, not the driver's "invalid context".
4. A buffer is overwritten before its memory is released.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engines.errors import BadInput, EngineFailed, EngineMissing
from engines.runner import U8

Memory = Literal["pinned", "mapped"]
REMEDY = "install the board's JetPack and `pip install '.[device-cuda]'` in the checkout"
MEMORIES: tuple[Memory, ...] = ("pinned", "mapped")
"""pinned: page-locked on the host and a copy on the device. mapped: one memory for both, as a Jetson has it."""


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What a plan depends on: another name or capability is another GPU."""

    name: str
    capability: str
    total_bytes: int
    driver: int


class Gpu:
    """Device 0. Everything but `facts` belongs to the thread that opened it (rule 3)."""

    def __init__(self) -> None:
        """Raises EngineMissing (no PyCUDA, no driver), EngineFailed (no device, or it refuses a context)."""
        self._owner = threading.get_ident()
        self._driver = _driver()
        try:
            self._driver.init()
            if self._driver.Device.count() < 1:
                raise EngineFailed("CUDA finds no GPU; check `ls /dev/nvidia* /dev/nvhost*`, or name a CPU backend")
            device = self._driver.Device(0)
            major, minor = device.compute_capability()
            self.facts = GpuFacts(
                device.name(), f"{major}.{minor}", int(device.total_memory()), int(self._driver.get_driver_version())
            )
            self._context: Any = device.retain_primary_context()
        except self._driver.Error as fault:
            raise EngineFailed(f"CUDA does not start: {fault}; check the driver, or name a CPU backend") from fault

    @contextmanager
    def current(self, doing: str) -> Iterator[None]:
        """Inside, the context is current. PyCUDA's errors become EngineFailed that names `doing` (rules 2, 3)."""
        if threading.get_ident() != self._owner:
            raise BadInput(f"{doing}: this GPU belongs to another thread; open a runner in the thread that runs it")
        if self._context is None:
            raise BadInput(f"{doing}: this GPU is closed; open another")
        self._context.push()
        try:
            yield
        except self._driver.MemoryError as fault:
            free, total = self._driver.mem_get_info()
            raise EngineFailed(
                f"{doing}: the GPU is out of memory ({free >> 20} of {total >> 20} MiB free); "
                "close other programs, build for a smaller batch, or run fewer cameras"
            ) from fault
        except self._driver.Error as fault:
            raise EngineFailed(f"{doing}: CUDA failed: {fault}; start the worker again") from fault
        finally:
            self._driver.Context.pop()

    def stream(self) -> Any:
        """A stream of its own, PyCUDA's; `.handle` is what TensorRT takes. Inside `current`."""
        return self._driver.Stream()

    def buffer(self, nbytes: int, memory: Memory) -> Buffer:
        """Memory of one tensor. Inside `current`."""
        return Buffer(self._driver, nbytes, memory)

    def allocate(self, nbytes: int) -> Any:
        """Device memory, PyCUDA's; `int()` of it is its address. Inside `current`."""
        return self._driver.mem_alloc(nbytes)

    def overwrite(self, address: int, nbytes: int) -> None:
        """With zeros; returns when that is done. Inside `current`."""
        self._driver.memset_d8(address, 0, nbytes)
        self._driver.Context.synchronize()

    def free_bytes(self) -> int:
        """Free memory of the device, all processes together. Inside `current`."""
        return int(self._driver.mem_get_info()[0])

    def close(self) -> None:
        """Release the primary context; a second call is harmless. Call it in the thread that opened it.

        PyCUDA (2026.1, cuda.hpp, context::detach) pushes a context in order to release it and takes the release for a
        pop, which it is not for a primary one: the driver's own stack would keep it.
        """
        if self._context is not None:
            context, self._context = self._context, None
            context.detach()
            popped = ctypes.c_void_p()
            ctypes.CDLL("libcuda.so.1").cuCtxPopCurrent_v2(ctypes.byref(popped))


class Buffer:
    """One tensor's bytes. `host` is a flat uint8 array; `device` the address that TensorRT reads or writes."""

    def __init__(self, driver: Any, nbytes: int, memory: Memory) -> None:
        self._driver = driver
        self._mapped = memory == "mapped"
        flags = driver.host_alloc_flags.DEVICEMAP if self._mapped else 0
        self.host: U8 = driver.pagelocked_empty(nbytes, np.uint8, mem_flags=flags)
        self._allocation: Any = None if self._mapped else driver.mem_alloc(nbytes)
        pages: Any = self.host.base
        address: Any = pages.get_device_pointer() if self._mapped else self._allocation
        self.device = int(address)
        self.nbytes = nbytes
        self.wipe()

    def upload(self, nbytes: int, stream: Any) -> None:
        """Bring the first bytes to the device, in the stream's order; nothing to do for mapped memory."""
        if not self._mapped:
            self._driver.memcpy_htod_async(self.device, self.host[:nbytes], stream)

    def download(self, nbytes: int, stream: Any) -> None:
        """Bring the first bytes to the host, in the stream's order; nothing to do for mapped memory."""
        if not self._mapped:
            self._driver.memcpy_dtoh_async(self.host[:nbytes], self.device, stream)

    def wipe(self) -> None:
        """Overwrite it on both sides."""
        self.host.fill(0)
        if not self._mapped:
            self._driver.memset_d8(self.device, 0, self.nbytes)

    def free(self) -> None:
        """Overwrite and release (rule 4). The arrays made from `host` keep the page-locked part alive."""
        self.wipe()
        if self._allocation is not None:
            self._allocation.free()
            self._allocation = None


class Scratch:
    """Scratch memory on the device for several networks in turn; as large as the largest of them needs.

    1. It belongs to one thread, as everything here: no two of them run at the same time.
    2. It is made in `gpu`'s own hold of the context, whichever network runs: PyCUDA cannot free what was made in a hold
       that has been released (seen on the stand-in driver: the memory stayed taken).
    3. It may grow and is then at another address: call `reserve` for the address before each run. A recorded launch
       holds an address, so recorded launches must not share one.
    """

    def __init__(self, gpu: Gpu) -> None:
        """Nothing is allocated yet. It does not close `gpu`."""
        self._gpu = gpu
        self._allocation: Any = None
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def reserve(self, nbytes: int) -> int:
        """Address of at least so many bytes. Raises EngineFailed when there is not as much."""
        if nbytes > self._nbytes or self._allocation is None:
            self.free()
            with self._gpu.current("making room to compute in"):
                self._allocation = self._gpu.allocate(max(nbytes, 1))
            self._nbytes = max(nbytes, 1)
            self.wipe()
        return int(self._allocation)

    def wipe(self) -> None:
        """Overwrite it."""
        if self._allocation is not None:
            with self._gpu.current("overwriting what was computed"):
                self._gpu.overwrite(int(self._allocation), self._nbytes)

    def free(self) -> None:
        """Overwrite it and release it; a second call is harmless, and `reserve` makes it anew."""
        self.wipe()
        if self._allocation is not None:
            with self._gpu.current("giving back what was computed in"):
                self._allocation.free()
        self._allocation, self._nbytes = None, 0


def _driver() -> Any:
    try:
        import pycuda.driver
    except ImportError as fault:
        raise EngineMissing("tensorrt", "pycuda", f"PyCUDA or the driver is missing ({fault}): {REMEDY}") from fault
    return pycuda.driver
