"""Rewrites into equivalent operators that CPU runtimes run faster. Measured gains are in engines/README.md."""

from __future__ import annotations

import numpy as np

from engines.errors import BadModel
from engines.graph.onnx_graph import Array, Graph, Node

SAFE_GAP = 1e-3
"""Least |1 - slope| that may be divided by: float32 then keeps four digits of the slowest channel's term."""


def split_prelus(graph: Graph) -> None:
    """Replace every PRelu by operators with vector code: onnxruntime 1.31's PRelu is scalar and half of SFace's time.

    With slope a, prelu(x) = a x + (1 - a) relu(x) = (1 - a) (k x + relu(x)), k = a / (1 - a). The factor 1 - a goes
    into the weights of whatever linear operator alone reads it; where it cannot, or 1 - a is nearly 0, it stays.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "PRelu":
            nodes.append(node)
            continue
        x, y = node.inputs[0], node.outputs[0]
        slope = graph.constants[node.inputs[1]].astype(np.float64).reshape(-1)
        reader = linear_reader(graph, y)
        nodes.append(Node("Relu", [x], [f"{y}.relu"]))
        if reader is not None and np.abs(1 - slope).min() > SAFE_GAP:
            scale_channels_in(graph, reader, 1 - slope)
            straight, bent = slope / (1 - slope), f"{y}.relu"
        else:
            graph.constants[f"{y}.gap"] = _along_channels(1 - slope)
            nodes.append(Node("Mul", [f"{y}.relu", f"{y}.gap"], [f"{y}.bent"]))
            straight, bent = slope, f"{y}.bent"
        graph.constants[f"{y}.slope"] = _along_channels(straight)
        nodes.append(Node("Mul", [x, f"{y}.slope"], [f"{y}.straight"]))
        nodes.append(Node("Add", [f"{y}.straight", bent], [y]))
    graph.nodes = nodes


def merge_sibling_convs(graph: Graph, siblings: list[Node], merged: Node) -> None:
    """Join 1x1 or depthwise convolutions, output channels one after the other, into `merged` (inputs[0] is given).

    Raises BadModel when their attributes, or for 1x1 ones their inputs, differ.
    """
    first = siblings[0]
    depthwise = all(one.attributes.get("group", 1) == len(graph.constants[one.inputs[1]]) for one in siblings)
    settings = [{k: v for k, v in one.attributes.items() if k != "group"} for one in siblings]
    if any(one != settings[0] for one in settings) or any(one.op != "Conv" or len(one.inputs) < 3 for one in siblings):
        raise BadModel(f"{merged.outputs[0]}: the convolutions to be merged are not alike")
    if not depthwise and any(one.inputs[0] != first.inputs[0] for one in siblings):
        raise BadModel(f"{merged.outputs[0]}: the convolutions to be merged read different inputs")
    names = [f"{merged.outputs[0]}.{part}" for part in ("weights", "bias")]
    for place, name in enumerate(names, start=1):
        graph.constants[name] = np.concatenate([graph.constants[one.inputs[place]] for one in siblings])
    merged.op, merged.inputs = "Conv", [merged.inputs[0], *names]
    merged.attributes = {**settings[0], "group": len(graph.constants[names[0]]) if depthwise else 1}


def linear_reader(graph: Graph, name: str) -> Node | None:
    """The Gemm, plain Conv or depthwise Conv that alone reads `name`, directly or through a Flatten."""
    while graph.uses()[name] == 1:
        reader = next((one for one in graph.nodes if name in one.inputs), None)
        if reader is not None and reader.op == "Flatten":
            name = reader.outputs[0]
            continue
        if reader is None or reader.op not in ("Conv", "Gemm") or reader.inputs[0] != name:
            return None
        outputs, inputs = graph.constants[reader.inputs[1]].shape[:2]
        group = reader.attributes.get("group", 1)
        return reader if group == 1 or (group == outputs and inputs == 1) else None
    return None


def scale_channels_in(graph: Graph, linear: Node, factor: Array) -> None:
    """Make `linear` read x * factor, one factor for each channel of x. Zero padding is unaffected."""
    weights = graph.constants[linear.inputs[1]].astype(np.float64)
    if linear.op == "Gemm":
        scaled = weights * np.repeat(factor, weights.shape[1] // factor.size)
    elif linear.attributes.get("group", 1) == 1:
        scaled = weights * factor.reshape(1, -1, 1, 1)
    else:
        scaled = weights * factor.reshape(-1, 1, 1, 1)
    name = f"{linear.outputs[0]}.weights.in"
    graph.constants[name] = scaled.astype(np.float32)
    linear.inputs[1] = name


def _along_channels(values: Array) -> Array:
    result: Array = values.astype(np.float32).reshape(-1, 1, 1)
    return result
