"""TensorRT's Python bindings as far as this project uses them, 10.3 to 11.4. The only module that imports `tensorrt`.

1. USED is the whole surface: class or module name, then its members. A test checks every entry against NVIDIA's real
   bindings of both ends of the range, and another reads the modules that use it and finds nothing outside.
2. Nothing that TensorRT 11 removed: no implicit batch, no builder flags for precision, no calibrators. Networks are
   strongly typed: precision lies in the ONNX file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from engines.errors import EngineFailed, EngineMissing
from engines.tensorrt.cuda import REMEDY

OLDEST, NEWEST = (10, 3), (11, 4)
"""Versions between which every name below was seen in the real bindings."""

USED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ILogger": ("__init__", "log", "ERROR", "INTERNAL_ERROR"),
        "IProgressMonitor": ("__init__", "phase_start", "step_complete", "phase_finish"),
        "Runtime": ("__init__", "deserialize_cuda_engine"),
        "ICudaEngine": (
            "create_execution_context",
            "num_io_tensors",
            "get_tensor_name",
            "get_tensor_mode",
            "get_tensor_dtype",
            "device_memory_size_v2",
        ),
        "IExecutionContext": (
            "set_input_shape",
            "get_tensor_shape",
            "set_tensor_address",
            "set_device_memory",
            "execute_async_v3",
        ),
        "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
        "Builder": (
            "__init__",
            "create_network",
            "create_builder_config",
            "create_optimization_profile",
            "build_serialized_network",
        ),
        "IBuilderConfig": (
            "set_memory_pool_limit",
            "add_optimization_profile",
            "create_timing_cache",
            "set_timing_cache",
            "get_timing_cache",
            "progress_monitor",
            "clear_flag",
        ),
        "ITimingCache": ("serialize",),
        "IOptimizationProfile": ("set_shape",),
        "OnnxParser": ("__init__", "parse", "num_errors", "get_error"),
        "ParserError": ("desc",),
        "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
        "BuilderFlag": ("TF32",),
        "MemoryPoolType": ("WORKSPACE",),
        "TensorIOMode": ("INPUT", "OUTPUT"),
        "DataType": ("UINT8", "FLOAT"),
    }
)


def bindings() -> Any:
    """The module. Raises EngineMissing when it is not installed, EngineFailed when its libraries do not load."""
    try:
        import tensorrt
    except ModuleNotFoundError as fault:
        raise EngineMissing("tensorrt", "tensorrt", REMEDY) from fault
    except ImportError as fault:
        raise EngineFailed(f"TensorRT's libraries do not load ({fault}); {REMEDY}") from fault
    return tensorrt


def version(trt: Any) -> str:
    """Version of the bindings. Raises EngineFailed when older than supported."""
    text = str(trt.__version__)
    if tuple(int(part) for part in text.split(".")[:2]) < OLDEST:
        raise EngineFailed(f"TensorRT {text} is older than {OLDEST[0]}.{OLDEST[1]}; {REMEDY}")
    return text


def logger(trt: Any, said: list[str]) -> Any:
    """A logger that keeps errors for this program's messages and drops the rest."""

    class Kept(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                said.append(msg)

    return Kept()


def monitor(trt: Any, step: Callable[[str, int, int], bool]) -> Any:
    """A progress monitor. `step(phase, done, of)` returns whether to continue; False ends the build."""

    class Watched(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase  # its steps are reported as its parent's
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step_number: int) -> bool:
            return step(phase_name, step_number + 1, self._steps.get(phase_name, 0))

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Watched()
