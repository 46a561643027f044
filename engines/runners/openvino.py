"""The fastest CPU runtime on x86-64: OpenVINO's CPU plugin. The only module that imports `openvino`, at opening.

1. The precision is set explicitly: by default the plugin uses bfloat16 wherever the CPU has it.
2. Shapes are static and the batch is 1 unless requested otherwise: a batch is run one picture at a time. Measured on
   two cores, a batch is no faster, and every new batch size would cost a compilation (engines/README.md).
3. Threads are not pinned. The plugin's default ties every one-thread runner to the first core, so that two runners,
   or a runner and a decoder, share it while the other core idles (measured: twice as slow; engines/README.md).
4. Nothing is cached on disk.
5. The thread's signal stack is kept: see engines.runners.signal_stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.cards.model_card import ModelCard
from engines.errors import BadInput, EngineFailed, EngineMissing
from engines.runner import F32, U8, check_shape, run_checked
from engines.runners.quiet import keep_quiet
from engines.runners.signal_stack import kept_signal_stack

BACKEND = "openvino"
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f32", "int8": "f32"}
"""What the plugin computes where the file leaves it free; quantised layers of an int8 file run in int8 all the same."""
INT8_BESIDE_BF16 = "bf16"
"""The same for an int8 file on a CPU that computes bf16: SFace 5.7 ms instead of 7.3, in bf16 alone 7.1; least of 40,
2026-11-30, AMD EPYC (AVX-512 bf16, VNNI), one thread. Templates of 220 press photos: cosine of the two .9974 at least,
mates' mean .6363 and .6369, one pair of strangers in 1,000 above .3720 and .3727."""


class OpenVinoRunner:
    """One compiled model and one infer request. Of a single part the outputs are views of the request's own."""

    backend = BACKEND

    def __init__(
        self,
        card: ModelCard,
        model: Path,
        *,
        threads: int,
        shape: tuple[int, int] | None,
        precision: str,
        at_once: int = 1,
        bf16: bool = False,
    ) -> None:
        """Load and compile `model`, the prepared file. Raises EngineMissing, EngineFailed, BadInput (shape)."""
        self._card = card
        self._size = check_shape(card, shape)
        self._at_once = at_once
        keep_quiet()
        try:
            import openvino
        except ImportError as fault:
            raise EngineMissing(BACKEND, "openvino") from fault
        wanted = {
            "INFERENCE_PRECISION_HINT": INT8_BESIDE_BF16 if bf16 and precision == "int8" else HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = openvino.Core()
            network = core.read_model(str(model))
            network.reshape({card.input_name: [at_once, *self._size, 3]})
            with kept_signal_stack():
                self._request: Any = core.compile_model(network, "CPU", wanted).create_infer_request()
            self._tensor: Any = openvino.Tensor
            self._views: dict[str, F32] = {name: self._request.get_tensor(name).data for name in card.outputs}
        except Exception as fault:  # the bindings raise plain RuntimeError
            raise EngineFailed(f"openvino refuses {model}: {fault}; run `lfr engines prepare --force`") from fault

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run."""
        if self._request is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")
        return run_checked(self._card, self._size, self._infer, batch, at_once=self._at_once)

    def _infer(self, picture: U8) -> dict[str, F32]:
        try:
            self._request.set_input_tensor(self._tensor(picture, shared_memory=True))
            self._request.infer()
        except Exception as fault:
            raise EngineFailed(f"openvino failed on {self._card.name}: {fault}; start the worker again") from fault
        return self._views

    def close(self) -> None:
        """See Runner.close."""
        self._views = {}
        self._request = None
