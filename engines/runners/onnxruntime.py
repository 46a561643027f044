"""The portable CPU runtime: ONNX Runtime's CPU provider. Alone in importing `onnxruntime`, when a runner opens.

1. Threads do not spin while they wait: with a decoder on the other core, a spinning pair takes twice as long as one
   thread alone (measured; engines/README.md).
2. A batch is run one picture at a time unless asked otherwise: measured, a batch is no faster, and each new size grows
   the memory arena.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.cards import ModelCard
from engines.errors import BadInput, EngineFailed, EngineMissing
from engines.runner import F32, U8, check_batch, check_outputs, check_shape, in_parts
from engines.runners.quiet import keep_quiet

BACKEND = "onnxruntime"
QUIET = 3
"""ORT_LOGGING_LEVEL_ERROR: warnings about unused initialisers and CPU features are not for an operator."""


class OnnxRuntimeRunner:
    """One session. The outputs are the runtime's own arrays, new with every call."""

    backend = BACKEND

    def __init__(
        self, card: ModelCard, model: Path, *, threads: int, shape: tuple[int, int] | None, at_once: int = 1
    ) -> None:
        """Load `model`, the prepared file. Raises EngineMissing, EngineFailed, BadInput (shape)."""
        self._card = card
        self._size = check_shape(card, shape)
        self._names = list(card.outputs)
        self._at_once = at_once
        keep_quiet()
        try:
            import onnxruntime
        except ImportError as fault:
            raise EngineMissing(BACKEND, "onnxruntime") from fault
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as fault:  # the runtime's own exception types are not public
            raise EngineFailed(f"onnxruntime refuses {model}: {fault}; run `lfr engines prepare --force`") from fault

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run."""
        if self._session is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")
        check_batch(self._card, self._size, batch)
        outputs = in_parts(self._infer, batch, self._at_once)
        check_outputs(self._card, outputs)
        return outputs

    def _infer(self, picture: U8) -> dict[str, F32]:
        try:
            values = self._session.run(self._names, {self._card.input_name: picture})
        except Exception as fault:
            raise EngineFailed(f"onnxruntime failed on {self._card.name}: {fault}; start the worker again") from fault
        return dict(zip(self._names, values, strict=True))

    def close(self) -> None:
        """See Runner.close."""
        self._session = None
