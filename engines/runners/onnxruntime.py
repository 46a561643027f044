"""The portable CPU runtime: ONNX Runtime's CPU provider. The only module that imports `onnxruntime`, at opening.

1. Threads do not spin while they wait: with a decoder on the other core, a spinning pair takes twice as long as one
   thread alone (measured; engines/README.md).
2. A batch is run one picture at a time unless requested otherwise: measured, a batch is no faster, and each new size
   grows the memory arena.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.cards.model_card import ModelCard
from engines.errors import BadInput, EngineFailed, EngineMissing
from engines.graph.sampling import FRAME, MAPS, to_frame
from engines.runner import (
    F32,
    U8,
    DevicePicture,
    check_frame,
    check_outputs,
    check_shape,
    run_checked,
)
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
        self._at_once = at_once
        self._session: Any = _session(model, str(model), threads)

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run."""
        if self._session is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")
        return run_checked(self._card, self._size, self._infer, batch, at_once=self._at_once)

    def _infer(self, picture: U8) -> dict[str, F32]:
        return _answers(self._session, self._card, {self._card.input_name: picture})

    def close(self) -> None:
        """See Runner.close."""
        self._session = None


class OnnxRuntimeSampled:
    """The same for frames and maps: the reference for a GPU's outputs, and its stand-in in tests.

    It converts the whole frame for every call, which a CPU should not (engines/README.md): no worker on a CPU uses it.
    """

    backend = BACKEND

    def __init__(self, card: ModelCard, content: bytes, *, threads: int, frame_size: tuple[int, int]) -> None:
        """Load `content` of engines.graph.sampling, for `frame_size`. Raises EngineMissing, EngineFailed."""
        self._card = card
        self.frame_size = frame_size
        self._session: Any = _session(content, f"{card.name} for frames of {frame_size[0]}x{frame_size[1]}", threads)

    def run(self, frame: U8 | DevicePicture, to_crop: F32) -> Mapping[str, F32]:
        """See SampledRunner.run."""
        if self._session is None:
            raise BadInput(f"{self._card.name}: this runner is closed; open another")
        check_frame(self._card, self.frame_size, frame)
        if isinstance(frame, DevicePicture):
            raise BadInput(f"{self._card.name}: {BACKEND} reads no frame on a GPU; give an array, or open tensorrt")
        outputs = _answers(self._session, self._card, {FRAME: frame[None], MAPS: to_frame(to_crop)})
        check_outputs(self._card, outputs)
        return outputs

    def close(self) -> None:
        """See SampledRunner.close."""
        self._session = None


def _session(model: Path | bytes, name: str, threads: int) -> Any:
    """An open session. Raises EngineMissing, EngineFailed."""
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
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # the runtime's own exception types are not public
        raise EngineFailed(f"onnxruntime refuses {name}: {fault}; run `lfr engines prepare --force`") from fault


def _answers(session: Any, card: ModelCard, feed: Mapping[str, Any]) -> dict[str, F32]:
    names = list(card.outputs)
    try:
        values = session.run(names, feed)
    except Exception as fault:
        raise EngineFailed(f"onnxruntime failed on {card.name}: {fault}; start the worker again") from fault
    return dict(zip(names, values, strict=True))
