"""The interface of every runtime: tensors in, tensors out, no vendor types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.cards.model_card import ModelCard
from engines.errors import BadInput, BadOutput

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


class Runner(Protocol):
    """One loaded model on one runtime.

    One thread owns a runner; several runners may run at the same time in threads of their own.
    """

    backend: str

    def run(self, batch: U8) -> Mapping[str, F32]:
        """Run the network on `batch`, (N, H, W, 3) uint8 RGB, N at least 1; output names as on the model card.

        Outputs may be views of the runner's own buffers: valid until the next call, copy what must live longer.
        Raises BadInput (shape or type), BadOutput (NaN or infinity), EngineFailed (the runtime).
        """
        ...

    def close(self) -> None:
        """Release the runtime's memory; the runner and its outputs are unusable afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class DevicePicture:
    """A frame where the GPU can read it: packed RGB uint8, height rows of width pixels without gaps.

    It is finished: its maker has waited for it, since capture and inference are different threads. Its owner keeps it
    unchanged until the call that reads it has returned.
    """

    address: int
    height: int
    width: int


class SampledRunner(Protocol):
    """A model that makes its own pictures from a frame (engines.graph.sampling). One thread owns it.

    frame_size  (height, width) of every frame that it takes
    """

    backend: str
    frame_size: tuple[int, int]

    def run(self, frame: U8 | DevicePicture, to_crop: F32) -> Mapping[str, F32]:
        """Run the network on every picture that `to_crop` cuts out of one frame.

        frame    (H, W, 3) uint8 RGB, C-contiguous, or on the device where the backend is TensorRT
        to_crop  (N, 2, 3) maps from frame to picture pixels, N at least 1 and any number; outside the frame is black
        returns  N rows of each output, valid until the next call
        Raises BadInput (frame or maps; a picture on a device that the runtime cannot read), BadOutput, EngineFailed.
        """
        ...

    def close(self) -> None:
        """As Runner.close."""
        ...


def check_frame(card: ModelCard, size: tuple[int, int], frame: U8 | DevicePicture) -> None:
    """BadInput unless `frame` is of `size`, (height, width), and an array of it (H, W, 3) uint8 and C-contiguous."""
    if isinstance(frame, DevicePicture):
        if (frame.height, frame.width) != size:
            raise BadInput(
                f"{card.name}: the frame on the GPU is {frame.height}x{frame.width}, this runner was opened for frames "
                f"of {size[0]}x{size[1]} (height x width)"
            )
        if frame.address <= 0:
            raise BadInput(f"{card.name}: a frame on the GPU has no address {frame.address}")
        return
    if frame.dtype != np.uint8 or frame.shape != (*size, 3):
        raise BadInput(f"{card.name}: a frame must be ({size[0]}, {size[1]}, 3) uint8, not {frame.shape} {frame.dtype}")
    if not frame.flags.c_contiguous:
        raise BadInput(f"{card.name}: a frame must be C-contiguous; use numpy.ascontiguousarray")


def check_shape(card: ModelCard, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width that a runner of `card` will take; BadInput when none or an impossible one is given."""
    size = card.input_size or shape
    if size is None:
        raise BadInput(f"{card.name} has no size of its own: give shape=(height, width) when opening it")
    if shape is not None and tuple(shape) != tuple(size):
        raise BadInput(f"{card.name} takes {size[0]}x{size[1]} (height x width) only, not {shape[0]}x{shape[1]}")
    if min(size) < card.multiple_of or size[0] % card.multiple_of or size[1] % card.multiple_of:
        raise BadInput(
            f"{card.name}: height and width must be multiples of {card.multiple_of}, not {size[0]}x{size[1]}"
        )
    return size


def check_batch(card: ModelCard, size: tuple[int, int], batch: U8) -> None:
    """BadInput unless `batch` is a C-contiguous (N, *size, 3) uint8 array with N at least 1."""
    wanted = (*size, 3)
    if batch.dtype != np.uint8:
        raise BadInput(f"{card.name}: {card.input_name} must be uint8, not {batch.dtype}")
    if batch.ndim != 4 or batch.shape[1:] != wanted or batch.shape[0] < 1:
        raise BadInput(f"{card.name}: {card.input_name} must be (N, {', '.join(map(str, wanted))}), not {batch.shape}")
    if not batch.flags.c_contiguous:
        raise BadInput(f"{card.name}: {card.input_name} must be C-contiguous; use numpy.ascontiguousarray")


def check_outputs(card: ModelCard, outputs: Mapping[str, F32]) -> None:
    """BadOutput if any value is NaN or infinite. One pass: a sum is finite only if no term is either."""
    for name, values in outputs.items():
        if not np.isfinite(np.add.reduce(values, axis=None)):
            raise BadOutput(
                f"{card.name}: output {name} holds NaN or infinity; this result is dropped. If it repeats, "
                "run `lfr engines prepare --force` and `lfr engines compare openvino onnxruntime`"
            )


def in_parts(infer: Callable[[U8], Mapping[str, F32]], batch: U8, at_once: int) -> Mapping[str, F32]:
    """Run a batch `at_once` pictures at a time: the outputs of one part as they are, of several copied into new arrays.

    Raises BadInput unless the batch is a multiple of it.
    """
    if len(batch) == at_once:
        return infer(batch)
    if len(batch) % at_once:
        raise BadInput(f"a batch of {len(batch)}: this runner was opened for multiples of {at_once}")
    stacked: dict[str, F32] = {}
    for index in range(0, len(batch), at_once):
        for name, values in infer(batch[index : index + at_once]).items():
            if name not in stacked:
                stacked[name] = np.empty((len(batch), *values.shape[1:]), np.float32)
            stacked[name][index : index + at_once] = values
    return stacked


def run_checked(
    card: ModelCard, size: tuple[int, int], infer: Callable[[U8], Mapping[str, F32]], batch: U8, *, at_once: int
) -> Mapping[str, F32]:
    """`Runner.run` of a runtime on the CPU: the batch is checked, run by `in_parts`, and its outputs are checked.

    Raises BadInput, BadOutput, and what `infer` raises.
    """
    check_batch(card, size, batch)
    outputs = in_parts(infer, batch, at_once)
    check_outputs(card, outputs)
    return outputs
