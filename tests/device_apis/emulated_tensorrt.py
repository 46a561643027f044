"""TensorRT's Python bindings without TensorRT: the surface of engines.tensorrt.api.USED, run by ONNX Runtime.

It behaves where the code under test must: it refuses shapes outside the profile, inputs of any size without one,
addresses that are 0, plans of another version and networks that are not strongly typed; it answers None or False and
logs, as TensorRT does, where a Python programmer would expect an exception. Its tensors lie where their addresses say:
a wrong address gives a wrong result.

What it cannot show: kernels and their rounding, build times, memory, whether TensorRT accepts a graph at all.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np

MAGIC = b"emulated plan\n"


@dataclass
class Behaviour:
    """How it misbehaves.

    steps: of a build; drift: added to every output, or to a batch's last row; refuses: the error of a build
    """

    version: str = "10.3.0"
    steps: int = 3
    drift: float = 0.0
    drift_of_last_row: float = 0.0
    not_a_number: bool = False
    refuses: str = ""
    context_fits: bool = True
    execution_fails: bool = False
    executions: int = 0
    device_bytes: int = 1 << 20
    on_step: Callable[[], None] = field(default=lambda: None)
    on_execution: Callable[[], None] = field(default=lambda: None)


class ILogger:
    INTERNAL_ERROR, ERROR = 0, 1

    def __init__(self) -> None:
        pass

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        pass

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(IntEnum):
    TF32 = 3


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class TensorIOMode(IntEnum):
    INPUT, OUTPUT = 1, 2


class ExecutionContextAllocationStrategy(IntEnum):
    USER_MANAGED = 2


class DataType(IntEnum):
    FLOAT, UINT8 = 0, 5


class IOptimizationProfile:
    def __init__(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        self._shapes[input] = [list(one) for one in (min, opt, max)]


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> bytes:
        return self._content or b"timings"


class IBuilderConfig:
    def __init__(self) -> None:
        self._profile: IOptimizationProfile | None = None
        self._cache: ITimingCache | None = None
        self._tf32 = True
        self.progress_monitor: IProgressMonitor | None = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        assert pool_size > 0

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profile = profile
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._content not in (b"", b"timings"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._tf32 = self._tf32 and flag is not BuilderFlag.TF32


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


@dataclass
class World:
    """What the objects of one emulated module share. recorded: what a captured graph does, by its handle."""

    behaviour: Behaviour
    libcuda: ctypes.CDLL
    recorded: dict[int, Callable[[], None]] = field(default_factory=dict)


class _Network:
    model = b""


class OnnxParser:
    def __init__(self, network: Any, logger: ILogger) -> None:
        self._network = network
        self._errors: list[str] = []

    def parse(self, model: bytes, path: str | None = None) -> bool:
        import onnx

        try:
            onnx.checker.check_model(model)
        except (ValueError, onnx.checker.ValidationError) as fault:
            self._errors.append(str(fault))
            return False
        self._network.model = model
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return ParserError(self._errors[index])


class Builder:
    _world: World

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED, "not strongly typed"
        return _Network()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: IBuilderConfig) -> bytes | None:
        assert not config._tf32, "TF32 would make fp32 another precision"
        assert config._profile is not None
        watch = config.progress_monitor
        if watch is not None:
            watch.phase_start("Building engine", None, self._world.behaviour.steps)
            for step in range(self._world.behaviour.steps):
                self._world.behaviour.on_step()
                if not watch.step_complete("Building engine", step):
                    return None
            watch.phase_finish("Building engine")
        open_ended = [n for n in _open_ended(network.model) if n not in config._profile._shapes]
        if open_ended:
            self._logger.log(
                ILogger.ERROR, f"{', '.join(open_ended)}: dynamic input is missing dimensions in profile 0"
            )
            return None
        if self._world.behaviour.refuses:
            self._logger.log(ILogger.ERROR, self._world.behaviour.refuses)
            return None
        head = {"version": self._world.behaviour.version, "profile": config._profile._shapes}
        model: bytes = network.model
        return MAGIC + json.dumps(head).encode() + b"\n" + model


def _open_ended(model: bytes) -> list[str]:
    """Inputs with a dimension that has no value."""
    import onnx

    inputs = onnx.load_from_string(model).graph.input
    return [one.name for one in inputs if not all(d.HasField("dim_value") for d in one.type.tensor_type.shape.dim)]


class Runtime:
    _world: World

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        if not serialized_engine.startswith(MAGIC):
            self._logger.log(ILogger.ERROR, "magicTag does not match")
            return None
        head, _, model = serialized_engine[len(MAGIC) :].partition(b"\n")
        described = json.loads(head)
        if described["version"] != self._world.behaviour.version:
            self._logger.log(ILogger.ERROR, "the engine plan file is not compatible with this version of TensorRT")
            return None
        return ICudaEngine(self._world, model, described["profile"])


class ICudaEngine:
    def __init__(self, world: World, model: bytes, profile: dict[str, list[list[int]]]) -> None:
        import onnxruntime

        self._world = world

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._inputs = {one.name: one for one in self._session.get_inputs()}
        self._outputs = {one.name: one for one in self._session.get_outputs()}
        self._profile = profile

    @property
    def num_io_tensors(self) -> int:
        return len(self._inputs) + len(self._outputs)

    @property
    def device_memory_size_v2(self) -> int:
        return self._world.behaviour.device_bytes

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = [*self._inputs, *self._outputs]
        return names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        one = self._inputs.get(name) or self._outputs[name]
        return {"tensor(uint8)": DataType.UINT8, "tensor(float)": DataType.FLOAT}[one.type]

    def _type_of(self, name: str) -> type[np.generic]:
        kinds: dict[str, type[np.generic]] = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        return kinds[self._inputs[name].type]

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> Any:
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        return IExecutionContext(self) if self._world.behaviour.context_fits else None


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._world = engine._world
        fixed = {n: one.shape for n, one in engine._inputs.items() if n not in engine._profile}
        self._shapes: dict[str, tuple[int, ...]] = {n: tuple(shape) for n, shape in fixed.items()}
        self._addresses: dict[str, int] = {}
        self._computes_at = 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._engine._profile.get(name, [self._engine._inputs[name].shape] * 3)
        fits = len(shape) == len(least) and all(a <= n <= b for a, n, b in zip(least, shape, most, strict=True))
        if fits:
            self._shapes = {n: s for n, s in self._shapes.items() if n in self._engine._inputs} | {name: tuple(shape)}
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            empty = {n: np.zeros(self._shapes[n], self._engine._type_of(n)) for n in self._engine._inputs}
            values = self._engine._session.run(list(self._engine._outputs), empty)
            self._shapes |= {n: v.shape for n, v in zip(self._engine._outputs, values, strict=True)}
        return self._shapes[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return bool(memory) and (name in self._engine._inputs or name in self._engine._outputs)

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0, "not 256-byte aligned"
        assert size >= self._engine.device_memory_size_v2, "less than the engine needs"
        self._computes_at = memory

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._computes_at, "nothing to compute in"
        capturing = self._world.libcuda.fake_capturing()
        if capturing:
            self._world.recorded[capturing] = self._execute
            return True
        if not self._world.behaviour.execution_fails:
            self._execute()
        return not self._world.behaviour.execution_fails

    def _execute(self) -> None:
        place = ctypes.c_uint64(self._computes_at), ctypes.c_size_t(self._engine.device_memory_size_v2)
        assert self._world.libcuda.fake_holds(*place), "what it computes in was given back"
        self._world.behaviour.executions += 1
        self._world.behaviour.on_execution()
        feed = {}
        for name in self._engine._inputs:
            shape, kind = self._shapes[name], np.dtype(self._engine._type_of(name))
            bytes_in = (ctypes.c_uint8 * (int(np.prod(shape)) * kind.itemsize)).from_address(self._addresses[name])
            feed[name] = np.frombuffer(memoryview(bytes_in), kind).reshape(shape).copy()
            ctypes.memmove(self._computes_at, bytes_in, min(len(bytes_in), self._engine.device_memory_size_v2))
        for name, values in zip(
            self._engine._outputs, self._engine._session.run(list(self._engine._outputs), feed), strict=True
        ):
            out = np.ascontiguousarray(values + np.float32(self._world.behaviour.drift), np.float32)
            if self._world.behaviour.not_a_number:
                out.flat[0] = np.nan
            if len(out) > 1:
                out[-1] += np.float32(self._world.behaviour.drift_of_last_row)
            ctypes.memmove(self._addresses[name], out.ctypes.data, out.nbytes)


def make(behaviour: Behaviour, libcuda: ctypes.CDLL) -> ModuleType:
    """A module to stand in `sys.modules["tensorrt"]`. `libcuda`: the fake driver, which knows what is captured."""
    world = World(behaviour, libcuda)

    def launch(graph: int) -> None:
        world.recorded[graph]()

    launched = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(launch)
    libcuda.fake_on_graph_launch(launched)
    libcuda.fake_capturing.restype = ctypes.c_void_p
    module = ModuleType("tensorrt")
    module.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
    module.__dict__.update({"__version__": behaviour.version, "_keeps": launched})
    enums = (
        NetworkDefinitionCreationFlag,
        BuilderFlag,
        MemoryPoolType,
        TensorIOMode,
        DataType,
        ExecutionContextAllocationStrategy,
    )
    plain = (ILogger, IProgressMonitor, IOptimizationProfile, ITimingCache, IBuilderConfig, ParserError, OnnxParser)
    for one in (*enums, *plain, ICudaEngine, IExecutionContext):
        module.__dict__[one.__name__] = one
    for made in (Builder, Runtime):
        module.__dict__[made.__name__] = type(made.__name__, (made,), {"_world": world})
    return module
