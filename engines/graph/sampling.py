"""Sampling inside the network: a frame and one affine map a picture are the inputs; no pictures are made outside.

frame (1, H, W, 3) uint8 RGB, maps (N, 2, 5) float32 (`to_frame`)  ->  the card's outputs, N rows each

One graph serves the recogniser (crops of 112x112), the second look (the detector at 128x128) and the detector of a
whole frame, whose map is only a scale (`whole_frame`). On a GPU the frame, which is there already, is read in place,
and only outputs come back to the host.

1. Only operators that ONNX 17 and TensorRT 10 have: MatMul, GridSample (bilinear, outside is black), AveragePool.
2. Every pixel is the mean of taps x taps samples, spread over its square where the frame is shrunk and all on its
   centre where it is not: so it does exactly what the CPU does for small faces, and large ones do not alias.
3. All pictures of a frame are sampled as rows of one tall grid: the frame is not repeated for each of them.
4. The size of the frame is fixed in the graph, as it is in a plan. The model behind is the prepared file, as it is in
   its precision: the frame's part is float32 and ends in a Cast where the model is narrower.
5. A sample's place is the sum of a column's part and a row's part, so that the graph, and a plan's weights, hold a few
   thousand numbers and not several for each sample (a detector at 960x544 has two million).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.cards.model_card import ModelCard, Tolerance
from engines.errors import BadInput, BadModel
from engines.graph.float16 import FLOAT
from engines.graph.onnx_graph import Array, Graph, Node, Value, as_bytes, load, outputs_of
from engines.runner import F32, U8, SampledRunner, check_shape

FRAME, MAPS = "frame", "maps"
VERSION = 2
"""Raised whenever the bytes change for another reason than the prepared file: plans are then built again."""
SPREAD_FROM = 0.6
"""Picture pixels a frame pixel below which samples are spread: where the CPU begins to shrink (device.vision)."""
MOST_TAPS = 3
"""In each direction (engines/README.md: what one, two and three are worth)."""

ROUNDED = 1e-3
"""What the last bit of a sample's place may change in an answer, beside what the model's card allows two runtimes.

Two orders of adding the same numbers up moved YuNet's outputs by 2.4e-4 at 3840x2160 (2026-11-25, onnxruntime).
"""


def tolerance(card: ModelCard, precision: str) -> Tolerance:
    """How far two runtimes may differ on the same frames and maps."""
    limit = card.tolerances[precision]
    return Tolerance(limit.max_abs + ROUNDED, limit.min_cosine)


def taps_of(frame_size: tuple[int, int], size: tuple[int, int]) -> int:
    """Samples of a pixel in each direction: one for every frame pixel where the picture shows the whole frame.

    Measured (engines/README.md): with that, the detector's landmarks are those of area averaging, with fewer they are
    not. The size of a partial picture is unknown beforehand: MOST_TAPS is for those.
    """
    reduction = max(frame_size[0] / size[0], frame_size[1] / size[1])
    return min(max(1, round(reduction)), MOST_TAPS)


def to_frame(to_crop: F32) -> F32:
    """(N, 2, 5) float32 for the graph, of (N, 2, 3) maps from frame to picture pixels.

    The first three columns map a picture's pixel to the frame, the last two its samples' distance from its centre.
    Raises BadInput for a map that is not finite or cannot be turned round.
    """
    exact = np.asarray(to_crop, np.float64)
    fits = exact.ndim == 3 and exact.shape[1:] == (2, 3) and len(exact) > 0 and bool(np.isfinite(exact).all())
    if not fits or not np.all(np.abs(np.linalg.det(exact[:, :, :2])) > 1e-9):
        raise BadInput(f"maps must be (N, 2, 3), finite and invertible; these are {exact.shape}: drop such a face")
    scale = np.sqrt(np.abs(np.linalg.det(exact[:, :, :2])))
    back = np.linalg.inv(exact[:, :, :2])
    spread = np.where(scale < SPREAD_FROM, 1.0, 0.0)[:, None, None] * back
    return np.concatenate([back, -back @ exact[:, :, 2:], spread], axis=2).astype(np.float32)


class Pasted:
    """A SampledRunner that takes pictures, like a Runner: each is placed unchanged in the corner of a black frame.

    For golden tensors and synthetic faces. `backend` is the sampled one's, which its owner closes.
    """

    def __init__(self, runner: SampledRunner) -> None:
        self.backend = runner.backend
        self._runner = runner
        self._frame: U8 = np.zeros((*runner.frame_size, 3), np.uint8)
        self._as_it_is: F32 = np.eye(2, 3, dtype=np.float32)[None]

    def run(self, batch: U8) -> Mapping[str, F32]:
        """See Runner.run. Raises BadInput for pictures that are larger than the frame."""
        height, width = batch.shape[1:3]
        if height > self._frame.shape[0] or width > self._frame.shape[1]:
            raise BadInput(f"a picture of {height}x{width} does not fit into a frame of {self._frame.shape[:2]}")
        rows = []
        for picture in batch:
            self._frame[:height, :width] = picture
            rows.append({name: values.copy() for name, values in self._runner.run(self._frame, self._as_it_is).items()})
        self._frame[:height, :width] = 0
        return {name: np.concatenate([one[name] for one in rows]) for name in rows[0]}

    def close(self) -> None:
        """Nothing to close."""


def whole_frame(frame_size: tuple[int, int], size: tuple[int, int]) -> F32:
    """(1, 2, 3) map of a whole frame, (height, width), squeezed into a picture of `size`; pixels are squares."""
    down, across = size[0] / frame_size[0], size[1] / frame_size[1]
    return np.array([[[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]]], np.float32)


def sampled(
    card: ModelCard,
    prepared: Path,
    frame_size: tuple[int, int],
    size: tuple[int, int] | None = None,
    *,
    taps: int | None = None,
) -> bytes:
    """The ONNX file of a model that takes frames of (height, width) and maps; nothing is written anywhere.

    prepared  the card's file in any precision (engines.manifest.verified)
    size      (height, width) of a detector's pictures; a recogniser has its own
    taps      rule 2; `taps_of` the two sizes when None
    Raises BadModel when the file does not begin as this project's preparation makes it, BadInput for a bad size.
    """
    picture = check_shape(card, size)
    if min(frame_size) < 2:
        raise BadInput(f"a frame of {frame_size[0]}x{frame_size[1]} has nothing to sample")
    taps = taps if taps is not None else taps_of(frame_size, picture)
    graph = load(prepared)
    entry = _take_entry(graph, card.input_name)
    graph.constants.update(_constants(picture, frame_size, taps))
    graph.nodes[:0] = _sampling(*entry, taps)
    inputs = [Value(FRAME, np.uint8, (1, *frame_size, 3)), Value(MAPS, np.float32, ("N", 2, 5))]
    return as_bytes(graph, prepared, inputs, outputs_of(prepared))


def _take_entry(graph: Graph, name: str) -> tuple[str, int, bool]:
    """Remove the Cast of the picture and the Transpose behind it, if there is one.

    Returns the name that the rest of the graph reads, its type's number, and whether it is planes or (N, H, W, 3).
    """
    cast, *behind = graph.nodes
    if cast.op != "Cast" or cast.inputs != [name] or graph.uses()[name] != 1:
        raise BadModel(f"{name}: a Cast expected at the input; run `lfr engines prepare --force`")
    kind, turned = int(cast.attributes["to"]), cast.outputs[0]
    planes = bool(behind) and behind[0].op == "Transpose" and behind[0].inputs == [turned]
    if planes and graph.uses()[turned] == 1 and list(behind[0].attributes["perm"]) == [0, 3, 1, 2]:
        graph.nodes = behind[1:]
        return behind[0].outputs[0], kind, True
    graph.nodes = behind
    return turned, kind, False


def _constants(picture: tuple[int, int], frame: tuple[int, int], taps: int) -> dict[str, Array]:
    """The two parts of a sample's place, (5, columns) and (5, rows): its pixel's x, y, 1, and its distance in x, y.

    Rule 5. Pixel n is the square from n - 1/2 to n + 1/2; GridSample counts -1..1 from the first pixel's centre to the
    last's.
    """
    tall, wide = picture[0] * taps, picture[1] * taps
    away = (np.arange(taps) + 0.5) / taps - 0.5
    columns, rows = np.zeros((5, wide), np.float32), np.zeros((5, tall), np.float32)
    columns[0], columns[3] = np.arange(wide) // taps, np.tile(away, picture[1])
    rows[1], rows[2], rows[4] = np.arange(tall) // taps, 1, np.tile(away, picture[0])
    height, width = frame
    return {
        "sample.columns": columns,
        "sample.rows": rows,
        "sample.scale": np.array([[2 / (width - 1)], [2 / (height - 1)]], np.float32),
        "sample.one": np.array(1, np.float32),
        "sample.across": np.array([-1, 2, 1, wide], np.int64),
        "sample.down": np.array([-1, 2, tall, 1], np.int64),
        "sample.tall": np.array([1, -1, wide, 2], np.int64),
        "sample.pictures": np.array([3, -1, tall, wide], np.int64),
    }


def _sampling(entry: str, kind: int, planes: bool, taps: int) -> list[Node]:
    """From frame and maps to `entry`, which the model behind reads."""
    nodes = [
        Node("Cast", [FRAME], ["sample.float"], {"to": FLOAT}),
        Node("Transpose", ["sample.float"], ["sample.frame"], {"perm": [0, 3, 1, 2]}),
        Node("MatMul", [MAPS, "sample.columns"], ["sample.x"]),
        Node("Mul", ["sample.x", "sample.scale"], ["sample.x.scaled"]),
        Node("Reshape", ["sample.x.scaled", "sample.across"], ["sample.x.placed"]),
        Node("MatMul", [MAPS, "sample.rows"], ["sample.y"]),
        Node("Mul", ["sample.y", "sample.scale"], ["sample.y.scaled"]),
        Node("Sub", ["sample.y.scaled", "sample.one"], ["sample.y.centred"]),
        Node("Reshape", ["sample.y.centred", "sample.down"], ["sample.y.placed"]),
        Node("Add", ["sample.x.placed", "sample.y.placed"], ["sample.xy"]),
        Node("Transpose", ["sample.xy"], ["sample.places"], {"perm": [0, 2, 3, 1]}),
        Node("Reshape", ["sample.places", "sample.tall"], ["sample.grid"]),
        Node(
            "GridSample",
            ["sample.frame", "sample.grid"],
            ["sample.strip"],
            {"mode": "bilinear", "padding_mode": "zeros", "align_corners": 1},
        ),
        Node("Reshape", ["sample.strip", "sample.pictures"], ["sample.colours"]),
        Node("Transpose", ["sample.colours"], ["sample.planes"], {"perm": [1, 0, 2, 3]}),
    ]
    if taps > 1:
        square = {"kernel_shape": [taps, taps], "strides": [taps, taps]}
        nodes.append(Node("AveragePool", ["sample.planes"], ["sample.mean"], square))
    if kind != FLOAT:
        nodes.append(Node("Cast", nodes[-1].outputs, ["sample.narrow"], {"to": kind}))
    if not planes:
        nodes.append(Node("Transpose", nodes[-1].outputs, ["sample.packed"], {"perm": [0, 2, 3, 1]}))
    nodes[-1].outputs = [entry]
    return nodes
