"""The Jetson's runtime: a TensorRT plan on the GPU, for pictures from the host or for frames on the GPU.

1. Inputs are overwritten after every call, so that the last face of a full batch does not stay behind smaller ones.
2. More pictures than the plan takes are run in parts, and their outputs are copied together.
3. A frame on the GPU (jetson_utils) is read at its address: no copy to the host and none on the device. It is
   finished when it comes (engines.runner.DevicePicture), so that no stream has to wait for another.
4. Recorded launches (CUDA graphs) are for pictures from the host alone. A recording holds addresses, and frames come
   in turn from the slots of a feed: one recording for each slot, batch and network would have to be kept. What would
   change it: a measurement on a board that shows the launches to matter.
5. A frame from the host has memory on the GPU for the call alone. Such frames are for desks and self-tests; a worker's
   are on the GPU already, and memory bounds the cameras of a board.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.cards.model_card import ModelCard
from engines.graph.sampling import FRAME, MAPS, to_frame
from engines.runner import F32, U8, DevicePicture, check_batch, check_frame, check_outputs
from engines.tensorrt.cuda import Gpu, Memory, Scratch
from engines.tensorrt.cuda_graph import CudaGraph
from engines.tensorrt.engine import LoadedPlan
from engines.tensorrt.plans import Plan

BACKEND = "tensorrt"


class TensorRtRunner:
    """Runs pictures."""

    backend = BACKEND

    def __init__(
        self,
        card: ModelCard,
        content: bytes,
        plan: Plan,
        gpu: Gpu,
        *,
        memory: Memory = "pinned",
        graph: bool = False,
        scratch: Scratch | None = None,
    ) -> None:
        """Deserialise `content`, the bytes of `plan`. The runner closes `gpu` with itself, also when it cannot be made.

        graph    record the first launch of a shape and repeat it: fewer launches, worth it for small networks
        scratch  what it computes in, if shared (LoadedPlan); a recording has its own
        Raises EngineMissing, EngineFailed.
        """
        self._card = card
        self._size = (plan.key.profile.height, plan.key.profile.width)
        self._graphs: dict[int, CudaGraph] | None = {} if graph else None
        self._plan = LoadedPlan(card, content, plan.key.profile, gpu, memory, None if graph else scratch)
        self._plan.before_closing(self._discard_graphs)

    @property
    def device_bytes(self) -> int:
        """See LoadedPlan."""
        return self._plan.device_bytes

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run."""
        with self._plan.running():
            check_batch(self._card, self._size, batch)
            outputs = self._plan.in_parts(len(batch), lambda part: self._infer(batch[part]))
        check_outputs(self._card, outputs)
        return outputs

    def close(self) -> None:
        """See Runner.close. Buffers are overwritten before they go."""
        self._plan.close()

    def _infer(self, pictures: U8) -> dict[str, F32]:
        try:
            self._plan.put(self._card.input_name, pictures)
            self._launch(len(pictures))
            return self._plan.collect(len(pictures))
        finally:
            self._plan.wipe(self._card.input_name)  # rule 1

    def _launch(self, count: int) -> None:
        """Execute, or repeat the recording of this batch size; its first call runs plainly and is then recorded."""
        if self._graphs is not None and count in self._graphs:
            self._graphs[count].launch()
            return
        self._plan.execute(count)  # what is allocated lazily is allocated here, outside the recording
        if self._graphs is not None:
            self._graphs[count] = CudaGraph(self._plan.stream, lambda: self._plan.execute(count))

    def _discard_graphs(self) -> None:
        for graph in (self._graphs or {}).values():
            graph.close()


class TensorRtSampled:
    """Runs frames and maps (engines.graph.sampling); frames from the host or on the GPU."""

    backend = BACKEND

    def __init__(self, card: ModelCard, content: bytes, plan: Plan, gpu: Gpu, *, scratch: Scratch | None) -> None:
        """As TensorRtRunner, of a plan whose profile names a frame."""
        self._card = card
        self.frame_size = plan.key.profile.frame or (0, 0)
        self._plan = LoadedPlan(card, content, plan.key.profile, gpu, "pinned", scratch)

    @property
    def device_bytes(self) -> int:
        """See LoadedPlan."""
        return self._plan.device_bytes

    def run(self, frame: U8 | DevicePicture, to_crop: F32) -> Mapping[str, F32]:
        """See SampledRunner.run."""
        with self._plan.running():
            check_frame(self._card, self.frame_size, frame)
            maps = to_frame(to_crop)
            try:
                if isinstance(frame, DevicePicture):
                    self._plan.point(FRAME, frame.address)  # rule 3
                else:
                    self._plan.put(FRAME, frame)
                outputs = self._plan.in_parts(len(maps), lambda part: self._infer(maps[part]))
            finally:
                self._plan.release(FRAME)  # rule 5
                self._plan.wipe(MAPS)  # rule 1
        check_outputs(self._card, outputs)
        return outputs

    def close(self) -> None:
        """See SampledRunner.close. Buffers are overwritten before they go."""
        self._plan.close()

    def _infer(self, maps: F32) -> dict[str, F32]:
        self._plan.put(MAPS, maps)
        self._plan.execute(len(maps))
        return self._plan.collect(len(maps))
