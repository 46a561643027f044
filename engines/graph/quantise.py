"""int8 in the file: explicit QuantizeLinear and DequantizeLinear around every Conv and Gemm in a table.

1. Symmetric, zero point 0, int8; weights one scale an output channel, activations one scale a tensor (all that TensorRT
   10.3 to 11.4 accepts in a strongly typed network).
2. Weights are stored as int8 with one DequantizeLinear (no float copy beside them); a bias stays float32.
3. A tensor is quantised once for all quantised readers; other readers read it as it was.
4. Layers that a table excludes, and layers whose input has no range, stay float32.
"""

from __future__ import annotations

import numpy as np

from engines.errors import BadModel
from engines.graph.calibration_table import Table
from engines.graph.equalise import equalise
from engines.graph.onnx_graph import Array, Graph, Node

LINEAR = ("Conv", "Gemm")
STEPS = 127
"""Largest quantised magnitude: symmetric, so -128 is not used."""


def quantised_layers(graph: Graph) -> list[Node]:
    """Conv and Gemm with constant weights, in order: what may be quantised. A layer is named by its output."""
    return [
        node
        for node in graph.nodes
        if node.op in LINEAR and node.inputs[1] in graph.constants and node.inputs[0] not in graph.constants
    ]


def to_int8(graph: Graph, table: Table) -> None:
    """Equalise channels and insert the pairs. Raises BadModel or BadTable when the table is of another graph."""
    equalise(graph, table.factors)
    layers = [one for one in quantised_layers(graph) if one.outputs[0] not in table.excluded]
    unknown = [one.inputs[0] for one in layers if one.inputs[0] not in table.ranges]
    if not layers or unknown:
        raise BadModel(
            f"the calibration table of {table.card} knows no range for {', '.join(unknown[:3]) or 'any layer'}; "
            "it was made for another preparation: run `lfr calibrate int8`"
        )
    quantised: dict[str, str] = {}
    before: dict[int, list[Node]] = {}
    for node in layers:
        pair: list[Node] = []
        name = node.inputs[0]
        if name not in quantised:
            quantised[name] = f"{name}.dequantised"
            pair += _activation(graph, name, table.ranges[name] / STEPS)
        node.inputs[0] = quantised[name]
        pair.append(_weights(graph, node))
        before[id(node)] = pair
    graph.nodes = [one for node in graph.nodes for one in (*before.get(id(node), ()), node)]


def _activation(graph: Graph, name: str, scale: float) -> list[Node]:
    constants = [f"{name}.scale", "int8.zero"]
    graph.constants[constants[0]] = np.array(scale, np.float32)
    graph.constants[constants[1]] = np.array(0, np.int8)
    return [
        Node("QuantizeLinear", [name, *constants], [f"{name}.quantised"]),
        Node("DequantizeLinear", [f"{name}.quantised", *constants], [f"{name}.dequantised"]),
    ]


def _weights(graph: Graph, node: Node) -> Node:
    """Replace the layer's weights by int8 ones; returns their DequantizeLinear."""
    stem, values = node.outputs[0], graph.constants[node.inputs[1]]
    axis = 0 if node.op == "Conv" or node.attributes.get("transB", 0) else 1
    whole, scales = quantise_channels(values, axis)
    names = [f"{stem}.{part}" for part in ("int8", "scales", "zeros")]
    graph.constants |= dict(zip(names, (whole, scales, np.zeros(len(scales), np.int8)), strict=True))
    node.inputs[1] = f"{stem}.weights.dequantised"
    return Node("DequantizeLinear", names, [node.inputs[1]], {"axis": axis})


def quantise_channels(values: Array, axis: int) -> tuple[Array, Array]:
    """int8 weights and float32 scales, one a channel of `axis`; a channel of zeros keeps scale 1."""
    others = tuple(a for a in range(values.ndim) if a != axis)
    most = np.abs(values.astype(np.float64)).max(axis=others)
    scales = np.where(most > 0, most / STEPS, 1.0).astype(np.float32)
    along = [1] * values.ndim
    along[axis] = -1
    whole = np.clip(np.rint(values.astype(np.float64) / scales.astype(np.float64).reshape(along)), -STEPS, STEPS)
    return whole.astype(np.int8), scales
