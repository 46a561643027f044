"""The Jetson's runtime: a TensorRT plan on the GPU, numpy pictures or pictures that are there already.

1. Gpu first, TensorRT second (engines.runners.cuda, rule 1). Everything happens on one stream, in one thread.
2. Buffers are made once, for the largest batch; inputs are overwritten after every call, so that the last face of a
   full batch does not stay behind smaller ones. Outputs are views of the host's side: valid until the next call.
3. A batch larger than the plan's is run in parts, and its outputs are copied together.
4. A picture that lies on the GPU (jetson_utils) is read by its address. Who makes it puts its work on `stream_handle`
   (every jetson_utils call takes one), so that the GPU keeps the order: no copy to the host, no waiting in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from engines.cards import ModelCard
from engines.errors import BadInput, EngineFailed, EnginesError
from engines.plans import Plan
from engines.runner import F32, U8, DevicePicture, check_batch, check_outputs
from engines.runners.cuda import Buffer, Gpu, Memory
from engines.runners.cuda_graph import CudaGraph
from engines.runners.tensorrt_api import bindings, logger, version

BACKEND = "tensorrt"


class TensorRtRunner:
    """One engine, one execution context, one profile."""

    backend = BACKEND

    def __init__(
        self, card: ModelCard, content: bytes, plan: Plan, gpu: Gpu, *, memory: Memory = "pinned", graph: bool = False
    ) -> None:
        """Deserialise `content`, the bytes of `plan`. The runner closes `gpu` with itself, also when it cannot be made.

        graph  record the first launch of a shape and repeat it: fewer launches, worth it for small networks
        Raises EngineMissing, EngineFailed.
        """
        self._card, self._plan, self._gpu, self._memory = card, plan, gpu, memory
        self._graphs: dict[int, CudaGraph] | None = {} if graph else None
        self._said: list[str] = []
        self._shaped = 0
        self._size = (plan.key.profile.height, plan.key.profile.width)
        self._most = plan.key.profile.most
        self._context: Any = None
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
        """What the engine says it needs of the GPU's memory for one context, weights not counted."""
        return int(self._engine.device_memory_size_v2)

    @property
    def stream_handle(self) -> int:
        """The stream that everything here runs on (rule 4)."""
        return int(self._stream.handle)

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run."""
        self._require_open()
        check_batch(self._card, self._size, batch)
        with self._gpu.current(f"running {self._card.name}"):
            parts = [batch[i : i + self._most] for i in range(0, len(batch), self._most)]
            if len(parts) == 1:
                outputs = self._infer(parts[0])
            else:
                every = [{name: values.copy() for name, values in self._infer(part).items()} for part in parts]
                outputs = {name: np.concatenate([one[name] for one in every]) for name in self._card.outputs}
        check_outputs(self._card, outputs)
        return outputs

    def run_on_device(self, picture: DevicePicture) -> Mapping[str, F32]:
        """As `run`, for one picture that is on the GPU already (rule 4)."""
        self._require_open()
        if (picture.height, picture.width) != self._size:
            raise BadInput(
                f"{self._card.name}: the picture on the GPU is {picture.height}x{picture.width}, "
                f"this plan takes {self._size[0]}x{self._size[1]} (height x width)"
            )
        with self._gpu.current(f"running {self._card.name}"):
            self._shape(1)
            self._address(self._card.input_name, picture.address)
            self._execute(self._stream.handle)
            outputs = self._collect(1)
        check_outputs(self._card, outputs)
        return outputs

    def close(self) -> None:
        """See Runner.close. Buffers are overwritten before they go."""
        self._held.close()
        self._context = None

    def _open(self, content: bytes) -> None:
        trt = bindings()
        version(trt)
        runtime = trt.Runtime(logger(trt, self._said))
        self._engine: Any = runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise EngineFailed(f"TensorRT refuses the plan of {self._card.name}{self._why()}; run `lfr engines build`")
        self._held.callback(self._forget_engine)
        self._names = self._checked(trt)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineFailed(f"no memory for {self._card.name} on the GPU{self._why()}; run fewer cameras")
        self._stream = self._gpu.stream()
        self._buffers = {
            name: self._gpu.buffer(self._most * self._row_bytes(name), self._memory) for name in self._names
        }
        self._held.callback(self._free)
        for name, buffer in self._buffers.items():
            self._address(name, buffer.device)

    def _checked(self, trt: Any) -> tuple[str, ...]:
        """The engine's tensors, input first; EngineFailed when they are not the card's."""
        engine, card = self._engine, self._card
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
        types_fit = all(engine.get_tensor_dtype(n) == trt.DataType.UINT8 for n in inputs) and all(
            engine.get_tensor_dtype(n) == trt.DataType.FLOAT for n in outputs
        )
        if inputs != [card.input_name] or set(outputs) != set(card.outputs) or not types_fit:
            raise EngineFailed(
                f"the plan of {card.name} takes {inputs} and gives {outputs}, the card says {card.input_name} (uint8) "
                f"and {list(card.outputs)} (float32); run `lfr engines build`"
            )
        return (card.input_name, *card.outputs)

    def _row_bytes(self, name: str) -> int:
        """Bytes of one picture's part of a tensor: the engine's shape with its batch left out, at this plan's size."""
        if name == self._card.input_name:
            return self._size[0] * self._size[1] * 3
        self._shape(1)
        return 4 * int(np.prod(tuple(self._context.get_tensor_shape(name))))

    def _infer(self, pictures: U8) -> dict[str, F32]:
        entry = self._buffers[self._card.input_name]
        entry.host[: pictures.nbytes] = pictures.reshape(-1)
        try:
            entry.upload(pictures.nbytes, self._stream)
            self._shape(len(pictures))
            self._address(self._card.input_name, entry.device)
            self._launch(len(pictures))
            return self._collect(len(pictures))
        finally:
            entry.wipe()  # rule 2

    def _launch(self, count: int) -> None:
        """Execute, or repeat the recording of this batch size; its first call runs plainly and is then recorded."""
        handle = self._stream.handle
        if self._graphs is None:
            self._execute(handle)
        elif count in self._graphs:
            self._graphs[count].launch()
        else:
            self._execute(handle)  # what is allocated lazily is allocated here, outside the recording
            self._graphs[count] = CudaGraph(handle, lambda: self._execute(handle))

    def _execute(self, handle: int) -> None:
        if not self._context.execute_async_v3(handle):
            raise EngineFailed(f"TensorRT failed on {self._card.name}{self._why()}; start the worker again")

    def _shape(self, count: int) -> None:
        """Tell the context how many pictures come."""
        if count == self._shaped:
            return
        if not self._context.set_input_shape(self._card.input_name, (count, *self._size, 3)):
            raise EngineFailed(f"{self._card.name}: the plan takes no batch of {count}{self._why()}")
        self._shaped = count

    def _address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise EngineFailed(f"{self._card.name}: TensorRT takes no address for {name}{self._why()}")

    def _collect(self, count: int) -> dict[str, F32]:
        """Bring every output to the host and wait; views of the buffers."""
        shapes = {name: (count, *tuple(self._context.get_tensor_shape(name))[1:]) for name in self._card.outputs}
        sizes = {name: 4 * int(np.prod(shape)) for name, shape in shapes.items()}
        for name, nbytes in sizes.items():
            self._buffers[name].download(nbytes, self._stream)
        self._stream.synchronize()
        return {n: self._buffers[n].host[: sizes[n]].view(np.float32).reshape(shape) for n, shape in shapes.items()}

    def _require_open(self) -> None:
        if self._context is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")

    def _why(self) -> str:
        """What TensorRT logged, for a message of ours."""
        said, self._said[:] = "; ".join(self._said[-3:]), []
        return f" ({said})" if said else ""

    def _free(self) -> None:
        with self._gpu.current(f"closing {self._card.name}"):
            for graph in (self._graphs or {}).values():
                graph.close()
            self._stream.synchronize()
            for buffer in self._buffers.values():
                buffer.free()
            self._stream = self._context = None
            self._buffers = dict[str, Buffer]()

    def _forget_engine(self) -> None:
        with self._gpu.current(f"closing {self._card.name}"):
            self._context = self._engine = None
