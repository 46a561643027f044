"""CUDA graphs by the driver's own calls: a launch that was recorded once and is repeated. PyCUDA has none of its own.

Source: CUDA driver API, modules Stream Management and Graph Management (cuStreamBeginCapture_v2, cuStreamEndCapture,
cuGraphInstantiateWithFlags, cuGraphLaunch); present from CUDA 11.4 on. The context must be current for every call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from engines.errors import EngineFailed

CAPTURE_MODE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: calls of other threads do not break the recording


class CudaGraph:
    """One recorded launch on one stream."""

    def __init__(self, stream: int, launch: Callable[[], None]) -> None:
        """Record what `launch` puts on `stream`; it must have run once before, so that nothing is allocated in it.

        Raises EngineFailed: then the caller goes on without a graph, or ends.
        """
        self._library = ctypes.CDLL("libcuda.so.1")
        self._stream = ctypes.c_void_p(stream)
        self._graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(CAPTURE_MODE_THREAD_LOCAL))
        try:
            launch()
        finally:
            self._call("cuStreamEndCapture", self._stream, ctypes.byref(self._graph))
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), self._graph, ctypes.c_ulonglong(0))

    def launch(self) -> None:
        """Put the recorded work on the stream again: same addresses, same shapes."""
        self._call("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Release both halves; a second call is harmless."""
        if self._executable:
            self._call("cuGraphExecDestroy", self._executable)
        if self._graph:
            self._call("cuGraphDestroy", self._graph)
        self._graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise EngineFailed(f"{name} failed with CUDA status {status}; run without a CUDA graph")
