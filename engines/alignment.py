"""Alignment inside the network: a frame and one similarity a face go in, templates come out; crops are never made.

frame (1, H, W, 3) uint8 RGB, matrices (N, 2, 5) float32 (`crop_to_frame`)  ->  template (N, 128) float32

On a GPU only 128 floats a face then come back to the host, and the frame, which is there already, is read in place.

1. Only operators that ONNX 17 and TensorRT 10 have: MatMul, GridSample (bilinear, outside is black), AveragePool.
2. Every crop pixel is the mean of TAPS x TAPS samples, spread over its square where the face is shrunk and all on its
   centre where it is not: so it does exactly what the CPU does for small faces, and large ones do not alias.
3. All faces of a frame are sampled as rows of one tall grid: the frame is not repeated for each of them.
4. The size of the frame is fixed in the graph, as it is in a plan. The recogniser behind is the prepared file, as it is
   in its precision: the frame's part is float32 and ends in a Cast where the recogniser is narrower.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from engines.cards import ModelCard
from engines.errors import BadInput, BadModel
from engines.graph import Array, Graph, Node, Value, load, save
from engines.halves import FLOAT
from engines.places import writing
from engines.runner import F32

FRAME, MATRICES = "frame", "matrices"
TAPS = 2
"""In each direction (engines/README.md: what one, two and three are worth)."""
SPREAD_FROM = 0.6
"""Crop pixels a frame pixel below which samples are spread: where the CPU begins to shrink (device.vision.picture)."""


def crop_to_frame(to_crop: F32) -> F32:
    """(N, 2, 5) float32 for the graph, of (N, 2, 3) maps from frame to crop pixels.

    The first three columns map a crop pixel to the frame, the last two its samples' distance from its centre.
    Raises BadInput for a map that cannot be turned round.
    """
    exact = np.asarray(to_crop, np.float64)
    if exact.ndim != 3 or exact.shape[1:] != (2, 3) or not np.all(np.abs(np.linalg.det(exact[:, :, :2])) > 1e-9):
        raise BadInput(f"matrices must be (N, 2, 3) and invertible, not {exact.shape}; drop such a face")
    scale = np.sqrt(np.abs(np.linalg.det(exact[:, :, :2])))
    back = np.linalg.inv(exact[:, :, :2])
    spread = np.where(scale < SPREAD_FROM, 1.0, 0.0)[:, None, None] * back
    return np.concatenate([back, -back @ exact[:, :, 2:], spread], axis=2).astype(np.float32)


def write_aligned(
    card: ModelCard, prepared: Path, target: Path, frame_size: tuple[int, int], *, taps: int = TAPS
) -> None:
    """Write the graph of a recogniser with its alignment for frames of (height, width).

    prepared  the card's file in any precision (engines.manifest.verified)
    Raises BadModel when the file does not begin as this project's preparation makes it.
    """
    if card.input_size is None or card.role != "recogniser":
        raise BadModel(f"{card.name} takes no aligned crops: only a recogniser of a fixed size has an alignment")
    if min(frame_size) < 2:
        raise BadInput(f"a frame of {frame_size[0]}x{frame_size[1]} has nothing to align")
    graph = load(prepared)
    planes, kind = _take_entry(graph, card.input_name)
    graph.constants.update(_constants(card.input_size, frame_size, taps))
    graph.nodes[:0] = _warping(planes, kind, taps)
    inputs = [Value(FRAME, np.uint8, (1, *frame_size, 3)), Value(MATRICES, np.float32, ("N", 2, 5))]
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    with writing(target.parent):
        try:
            save(graph, staged, inputs, [Value(name, np.float32, ("N", card.template_dim)) for name in graph.outputs])
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)


def _take_entry(graph: Graph, name: str) -> tuple[str, int]:
    """Take out the Cast and the Transpose behind the picture; the name of the planes they made and the Cast's type."""
    cast, transpose = graph.nodes[0], graph.nodes[1]
    chained = cast.op == "Cast" and cast.inputs == [name] and transpose.op == "Transpose"
    if not chained or transpose.inputs != cast.outputs or graph.uses()[cast.outputs[0]] != 1:
        raise BadModel(f"{name}: a Cast and a Transpose expected at the input; run `lfr engines prepare --force`")
    graph.nodes = graph.nodes[2:]
    return transpose.outputs[0], int(cast.attributes["to"])


def _constants(crop: tuple[int, int], frame: tuple[int, int], taps: int) -> dict[str, Array]:
    """Sampling points of a crop, (5, samples): centre's x, y, 1, distance in x, y; frame pixels to GridSample's -1..1.

    Pixel n is the square from n - 1/2 to n + 1/2.
    """
    tall, wide = crop[0] * taps, crop[1] * taps
    y, x = (axis.reshape(-1) for axis in np.indices((tall, wide)))
    away = ((np.arange(taps) + 0.5) / taps - 0.5).astype(np.float32)
    height, width = frame
    return {
        "warp.points": np.stack(
            [x // taps, y // taps, np.ones_like(x), away[x % taps], away[y % taps]], dtype=np.float32, casting="unsafe"
        ),
        "warp.scale": np.array([2 / (width - 1), 2 / (height - 1)], np.float32),
        "warp.one": np.array([1, 1], np.float32),
        "warp.tall": np.array([1, -1, wide, 2], np.int64),
        "warp.faces": np.array([3, -1, tall, wide], np.int64),
    }


def _warping(planes: str, kind: int, taps: int) -> list[Node]:
    pooled = f"{planes}.float" if kind != FLOAT else planes
    sampled = "warp.crops" if taps > 1 else pooled
    nodes = [
        Node("Cast", [FRAME], ["warp.float"], {"to": FLOAT}),
        Node("Transpose", ["warp.float"], ["warp.frame"], {"perm": [0, 3, 1, 2]}),
        Node("MatMul", [MATRICES, "warp.points"], ["warp.xy"]),
        Node("Transpose", ["warp.xy"], ["warp.pixels"], {"perm": [0, 2, 1]}),
        Node("Mul", ["warp.pixels", "warp.scale"], ["warp.scaled"]),
        Node("Sub", ["warp.scaled", "warp.one"], ["warp.centred"]),
        Node("Reshape", ["warp.centred", "warp.tall"], ["warp.grid"]),
        Node(
            "GridSample",
            ["warp.frame", "warp.grid"],
            ["warp.strip"],
            {"mode": "bilinear", "padding_mode": "zeros", "align_corners": 1},
        ),
        Node("Reshape", ["warp.strip", "warp.faces"], ["warp.colours"]),
        Node("Transpose", ["warp.colours"], [sampled], {"perm": [1, 0, 2, 3]}),
    ]
    if taps > 1:
        square = {"kernel_shape": [taps, taps], "strides": [taps, taps]}
        nodes.append(Node("AveragePool", [sampled], [pooled], square))
    if kind != FLOAT:
        nodes.append(Node("Cast", [pooled], [planes], {"to": kind}))
    return nodes
