"""Comparison of two runtimes or precisions on the same inputs: difference, effect on faces, time.

1. Calls are interleaved, so that other load of the machine affects both alike.
2. They agree when every output of every input is within the card's tolerance of the looser precision, and templates of
   synthetic faces keep the cosine that the golden tensors require.
3. Pictures of real faces come from the caller and are never kept; they decide nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engines.cards.model_card import FILE_PRECISIONS, ModelCard
from engines.error_text import error_text
from engines.errors import BadPictures
from engines.graph.sampling import whole_frame
from engines.runner import F32, U8, Runner, check_shape
from engines.select import open_runner
from engines.verify.agreement import LEAST_COSINE, Alike, Boxes, boxes, drawn_faces, planted, templates
from engines.verify.synthetic_faces import crop, crowd
from engines.verify.timing import interleaved

T = TypeVar("T")

DETECTOR_SIZE = (352, 640)
"""Height and width that a 16:9 camera with 32 px faces is usually detected at."""
CELL = 4
"""Frame pixels a pixel of the drawing: drawing in full size takes seconds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The worst over all inputs, for one output."""

    max_abs: float
    min_cosine: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one call with one picture, over `rounds` calls."""

    min_ms: float
    median_ms: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `lfr engines compare` for one model.

    boxes  of a detector;  templates  of a recogniser;  agrees  rule 2
    """

    model: str
    size: tuple[int, int]
    threads: int
    inputs: int
    outputs: dict[str, Difference]
    latency: dict[str, Latency]
    boxes: tuple[Boxes, ...]
    templates: tuple[Alike, ...]
    agrees: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def synthetic(size: tuple[int, int], seed: int) -> list[U8]:
    """Six pictures, (1, *size, 3): black, white, noise, soft blobs in three scales; the same for a seed, always."""
    random = np.random.default_rng(seed)
    height, width = size
    pictures = [np.zeros((1, height, width, 3), np.uint8), np.full((1, height, width, 3), 255, np.uint8)]
    pictures.append(random.integers(0, 256, (1, height, width, 3), dtype=np.uint8))
    for cell in (8, 16, 32):
        coarse = random.integers(0, 256, (-(-height // cell) + 1, -(-width // cell) + 1, 3)).astype(np.float32)
        pictures.append(_enlarge(coarse, size, cell)[None])
    return pictures


def cuts(frame_size: tuple[int, int], size: tuple[int, int], most: int) -> list[tuple[U8, F32]]:
    """Frames with maps for a model that makes its own pictures: four frames whole, and a full batch of parts of two.

    The frames are synthetic faces, soft blobs and white. No noise: there a coordinate's last bit, which two runtimes
    round otherwise, is a difference of colour that no camera's picture has. The parts are of one size, shrunk and
    enlarged, upright and turned, and reach over the edge.
    """
    height, width = frame_size
    faces = _enlarge(
        crowd((height // CELL + 2, width // CELL + 2), (0, 1, 2, 3))[0].astype(np.float32), frame_size, CELL
    )
    _, white, _, _, *blobs = synthetic(frame_size, seed=0)
    frames = [faces, *(picture[0] for picture in (*blobs, white))]
    whole = whole_frame(frame_size, size)
    parts = np.stack([_part(frame_size, size, number) for number in range(most)])
    return [*((frame, whole) for frame in frames), *((frame, parts) for frame in frames[:2])]


def _part(frame_size: tuple[int, int], size: tuple[int, int], number: int) -> F32:
    """(2, 3) map of one part of a frame."""
    scale = (1.0, 0.3, 2.5, 0.7)[number % 4]
    angle = 0.25 * (number % 3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([frame_size[1] * (0.15 + 0.1 * (number % 8)), frame_size[0] * (0.3 + 0.2 * (number % 3))])
    return np.column_stack([turn, np.array(size[::-1]) / 2 - turn @ middle]).astype(np.float32)


def drawn(card: ModelCard, size: tuple[int, int]) -> list[U8]:
    """Inputs of synthetic faces: where a detector finds faces, and templates have a direction."""
    return [crowd(size, (0, 1, 2, 3))] if card.role == "detector" else [crop(min(size), kind) for kind in range(4)]


def from_file(path: Path, size: tuple[int, int]) -> list[U8]:
    """Pictures of a .npy file, (N, *size, 3) uint8 RGB, one by one. Raises BadPictures."""
    try:
        pictures = np.load(path, allow_pickle=False)
    except ValueError as fault:
        raise BadPictures(f"{path}: not a .npy file of numbers; save one with numpy.save") from fault
    except (OSError, EOFError) as fault:
        raise BadPictures(f"{path}: cannot be read ({error_text(fault)}); save a .npy file with numpy.save") from fault
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8 or pictures.shape[1:] != (*size, 3):
        raise BadPictures(
            f"{path}: must hold (N, {size[0]}, {size[1]}, 3) uint8 RGB; save such an array, or give --size"
        )
    return [np.ascontiguousarray(pictures[index : index + 1]) for index in range(len(pictures))]


def _enlarge(coarse: F32, size: tuple[int, int], cell: int) -> U8:
    """Bilinear interpolation of a grid of values `cell` pixels apart, 8-bit."""
    for axis, length in enumerate(size):
        at = np.arange(length) / cell
        low = at.astype(np.intp)
        part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        coarse = coarse.take(low, axis) * (1 - part) + coarse.take(low + 1, axis) * part
    result: U8 = np.clip(coarse, 0, 255).astype(np.uint8)
    return result


def compare(
    card: ModelCard,
    backends: tuple[str, str],
    inputs: Sequence[U8],
    *,
    threads: int,
    rounds: int,
    real: Sequence[U8] = (),
) -> Comparison:
    """Run every input (1, H, W, 3), all of one size, through both; then time `rounds` calls of each in turn.

    backends  "openvino", or with a precision "openvino:bf16"; two different ones
    real      pictures of real faces, of the same size (rule 3)
    Raises whatever opening or running either runner raises.
    """
    size = check_shape(card, card.input_size or (int(inputs[0].shape[1]), int(inputs[0].shape[2])))
    runners: dict[str, Runner] = {}
    try:
        for name in backends:
            backend, precision = parts(name)
            runners[name] = open_runner(card, backend=backend, threads=threads, shape=size, precision=precision)
        first, second = (runners[name] for name in backends)
        outputs = differences(card, first.run, second.run, inputs)
        found, alike = likeness(card, first, second, size, real)
        latency = _latencies(runners, inputs, rounds)
    finally:
        for runner in runners.values():
            runner.close()
    limit = max((card.tolerances[parts(name)[1]] for name in backends), key=lambda one: one.max_abs)
    agrees = all(limit.allows(one.max_abs, one.min_cosine) for one in outputs.values())
    agrees = agrees and all(one.least >= LEAST_COSINE for one in alike[:1])
    return Comparison(card.name, size, threads, len(inputs), outputs, latency, found, alike, agrees)


def likeness(
    card: ModelCard, first: Runner, second: Runner, size: tuple[int, int], real: Sequence[U8]
) -> tuple[tuple[Boxes, ...], tuple[Alike, ...]]:
    """Boxes and templates of both, over synthetic faces, and over real ones where there are any."""
    if card.role == "detector":
        sets = (("drawn", planted(size)), ("real", real))
        return tuple(boxes(first, second, shown, faces) for faces, shown in sets if shown), ()
    sets = (("drawn", drawn_faces(size)), ("real", real))
    return (), tuple(templates(first, second, shown, faces) for faces, shown in sets if shown)


def parts(name: str) -> tuple[str, str]:
    """Backend and precision of "backend", "backend:precision" or a precision alone.

    A precision alone is computed by ONNX Runtime, which has them all but bf16: that is OpenVINO's.
    """
    if name in FILE_PRECISIONS:
        return "onnxruntime", name
    if name == "bf16":
        return "openvino", name
    backend, _, precision = name.partition(":")
    return backend, precision or "fp32"


def differences(
    card: ModelCard,
    first: Callable[[T], Mapping[str, F32]],
    second: Callable[[T], Mapping[str, F32]],
    inputs: Iterable[T],
) -> dict[str, Difference]:
    """The worst difference of each output of two runners' calls, over all inputs."""
    worst = {name: Difference(0.0, 1.0) for name in card.outputs}
    for one in inputs:
        kept = {name: values.copy() for name, values in first(one).items()}
        for name, values in second(one).items():
            here = difference(kept[name], values)
            worst[name] = Difference(
                max(worst[name].max_abs, here.max_abs), min(worst[name].min_cosine, here.min_cosine)
            )
    return worst


def difference(one: F32, other: F32) -> Difference:
    """Largest absolute difference and cosine of two outputs; two outputs of only zeros are alike."""
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / length if length else float(np.array_equal(a, b))
    return Difference(float(np.abs(a - b).max()), min(cosine, 1.0))


def _latencies(runners: dict[str, Runner], inputs: Sequence[U8], rounds: int) -> dict[str, Latency]:
    def call(runner: Runner) -> Callable[[int], object]:
        return lambda turn: runner.run(inputs[turn % len(inputs)])

    taken_ms = interleaved({name: call(runner) for name, runner in runners.items()}, rounds)
    return {name: Latency(float(values.min()), float(np.median(values)), rounds) for name, values in taken_ms.items()}
