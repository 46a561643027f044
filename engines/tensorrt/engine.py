"""A loaded TensorRT plan: one engine, one execution context, one stream, a buffer for each tensor; for both runners.

1. Gpu first, TensorRT second (engines.tensorrt.cuda, rule 1). Everything happens on one stream, in one thread.
2. Buffers are for the largest batch: an output's is made at opening, an input's when data comes from the host. The
   caller that fills an input overwrites it after the call (`wipe`, `release`).
3. Outputs are views of the host's side of the buffers: valid until the next call.
4. The network's working memory is ours (`Scratch`), not TensorRT's: a camera's networks run one after another and share
   it, and it is overwritten when one of them closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from engines.cards.model_card import ModelCard
from engines.errors import BadInput, EngineFailed, EnginesError
from engines.graph.onnx_graph import Array
from engines.runner import F32
from engines.tensorrt.api import bindings, logger, version
from engines.tensorrt.cuda import Buffer, Gpu, Memory, Scratch
from engines.tensorrt.plans import Profile


class LoadedPlan:
    """The only module that touches the engine."""

    def __init__(
        self, card: ModelCard, content: bytes, profile: Profile, gpu: Gpu, memory: Memory, scratch: Scratch | None
    ) -> None:
        """Deserialise `content`. Closes `gpu` with itself, also when it cannot be made.

        scratch  shared with other plans of this thread, and closed by its owner after them; None: one of its own
        Raises EngineMissing, EngineFailed.
        """
        self._card, self._gpu, self._memory = card, gpu, memory
        self._entries = {one.name: one for one in profile.entries(card)}
        self._most = profile.most
        self._scratch = scratch if scratch is not None else Scratch(gpu)
        self._owns_scratch = scratch is None
        self._computes_at = 0
        self._shaped = 0
        self._messages: list[str] = []
        self._context: Any = None
        self._buffers: dict[str, Buffer] = {}
        self._held = ExitStack()
        self._held.callback(gpu.close)
        try:
            with gpu.current(f"opening {card.name}"):
                self._open(content)
        except EnginesError:
            self._held.close()
            raise

    @property
    def device_bytes(self) -> int:
        """The engine's stated need of GPU memory to compute in, without weights."""
        return self._needed

    @property
    def stream(self) -> int:
        """Handle of the stream that everything here runs on."""
        return int(self._stream.handle)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, calls may be made. Raises BadInput when it is closed or another thread's."""
        if self._context is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")
        with self._gpu.current(f"running {self._card.name}"):
            yield

    def put(self, name: str, values: Array) -> None:
        """Bring an input's values to its own buffer, in the stream's order."""
        buffer = self._buffer(name)
        buffer.host[: values.nbytes] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        buffer.upload(values.nbytes, self._stream)
        self.point(name, buffer.device)

    def point(self, name: str, address: int) -> None:
        """Set a tensor's address on the GPU."""
        if not self._context.set_tensor_address(name, address):
            raise EngineFailed(f"{self._card.name}: TensorRT takes no address for {name}{self._why()}")

    def wipe(self, *names: str) -> None:
        """Overwrite inputs (rule 2)."""
        for name in names:
            if name in self._buffers:
                self._buffers[name].wipe()

    def release(self, name: str) -> None:
        """Overwrite an input's buffer and release its memory."""
        if name in self._buffers:
            self._buffers.pop(name).free()

    def execute(self, count: int) -> None:
        """Put one execution for `count` pictures on the stream."""
        self._shape(count)
        address = self._scratch.reserve(self._needed)  # rule 4
        if address != self._computes_at:
            self._context.set_device_memory(address, self._scratch.nbytes)
            self._computes_at = address
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineFailed(f"TensorRT failed on {self._card.name}{self._why()}; start the worker again")

    def collect(self, count: int) -> dict[str, F32]:
        """Bring every output to the host and wait (rule 3)."""
        shapes = {name: (count, *tuple(self._context.get_tensor_shape(name))[1:]) for name in self._card.outputs}
        sizes = {name: 4 * int(np.prod(shape)) for name, shape in shapes.items()}
        for name, nbytes in sizes.items():
            self._buffers[name].download(nbytes, self._stream)
        self._stream.synchronize()
        return {n: self._buffers[n].host[: sizes[n]].view(np.float32).reshape(shape) for n, shape in shapes.items()}

    def in_parts(self, count: int, infer: Callable[[slice], dict[str, F32]]) -> dict[str, F32]:
        """`infer` for as many pictures at a time as the plan takes; answers of several parts are copied together."""
        parts = [slice(start, min(start + self._most, count)) for start in range(0, count, self._most)]
        if len(parts) == 1:
            return infer(parts[0])
        every = [{name: values.copy() for name, values in infer(part).items()} for part in parts]
        return {name: np.concatenate([one[name] for one in every]) for name in self._card.outputs}

    def before_closing(self, call: Callable[[], None]) -> None:
        """Release the context before the engine; call it with the CUDA context current."""

        def current() -> None:
            with self._gpu.current(f"closing {self._card.name}"):
                call()

        self._held.callback(current)

    def close(self) -> None:
        """Overwrite the buffers before they are released; a second call is harmless."""
        self._held.close()
        self._context = None

    def _open(self, content: bytes) -> None:
        trt = bindings()
        version(trt)
        runtime = trt.Runtime(logger(trt, self._messages))
        self._engine: Any = runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise EngineFailed(f"TensorRT refuses the plan of {self._card.name}{self._why()}; run `lfr engines build`")
        self._held.callback(self._release_engine)
        self._check(trt)
        self._needed = int(self._engine.device_memory_size_v2)
        self._context = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._context is None:
            raise EngineFailed(f"no memory for {self._card.name} on the GPU{self._why()}; run fewer cameras")
        self._stream = self._gpu.stream()
        self._held.callback(self._free)
        self._scratch.reserve(self._needed)  # now: a lack of memory shows at opening
        self._shape(1)
        for name in self._card.outputs:
            row = 4 * int(np.prod(tuple(self._context.get_tensor_shape(name))))
            self._buffers[name] = self._gpu.buffer(self._most * row, self._memory)
            self.point(name, self._buffers[name].device)

    def _check(self, trt: Any) -> None:
        """EngineFailed when the engine's tensors are not what the card and the profile say."""
        engine, types = self._engine, {np.uint8: trt.DataType.UINT8, np.float32: trt.DataType.FLOAT}
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = {n: engine.get_tensor_dtype(n) for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT}
        outputs = {n: engine.get_tensor_dtype(n) for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT}
        wanted = {one.name: types[one.dtype] for one in self._entries.values()}
        if inputs != wanted or outputs != dict.fromkeys(self._card.outputs, trt.DataType.FLOAT):
            raise EngineFailed(
                f"the plan of {self._card.name} takes {list(inputs)} and gives {list(outputs)}; "
                f"{', '.join(f'{one.name} ({one.dtype.__name__})' for one in self._entries.values())} and "
                f"{list(self._card.outputs)} (float32) are wanted; run `lfr engines build`"
            )

    def _buffer(self, name: str) -> Buffer:
        if name not in self._buffers:
            self._buffers[name] = self._gpu.buffer(self._entries[name].nbytes(self._most), self._memory)
        return self._buffers[name]

    def _shape(self, count: int) -> None:
        """Set the number of pictures in the context."""
        if count == self._shaped:
            return
        for one in self._entries.values():
            if one.batched and not self._context.set_input_shape(one.name, one.shape(count)):
                raise EngineFailed(f"{self._card.name}: the plan takes no batch of {count}{self._why()}")
        self._shaped = count

    def _why(self) -> str:
        """TensorRT's log, for a message."""
        messages, self._messages[:] = "; ".join(self._messages[-3:]), []
        return f" ({messages})" if messages else ""

    def _free(self) -> None:
        with self._gpu.current(f"closing {self._card.name}"):
            self._stream.synchronize()
            for buffer in self._buffers.values():
                buffer.free()
            if self._owns_scratch:
                self._scratch.free()
            else:
                self._scratch.wipe()
            self._stream = self._context = None
            self._buffers = dict[str, Buffer]()

    def _release_engine(self) -> None:
        with self._gpu.current(f"closing {self._card.name}"):
            self._context = self._engine = None
