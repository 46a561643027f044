"""Equalisation: channels of one tensor brought to one size, so that one int8 scale fits them; the function is the same.

A tensor that only one linear operator reads, and that comes from one convolution through operators for which
f(c x) = c f(x) for c > 0, may be divided by a factor a channel when the reader's weights are multiplied by it.
Without it per-tensor int8 ruins depthwise networks: SFace's templates keep a mean cosine of .93 at best, with it .996
(measured 2026-11-24, 100 faces). Source: Nagel et al. 2019, data-free quantisation, cross-layer equalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engines.errors import BadTable
from engines.graph.folding import scale_outputs
from engines.graph.onnx_graph import Array, Graph, Node
from engines.graph.rewrites import linear_reader, scale_channels_in

HOMOGENEOUS = frozenset({"Relu", "Add", "Mul", "Flatten", "PRelu", "LeakyRelu", "MaxPool"})


def equalisable(graph: Graph) -> dict[str, tuple[Node, Node]]:
    """Tensors whose channels may be scaled: name -> (the convolution before, the one reader). Graph order."""
    found = {}
    for reader in graph.nodes:
        if reader.op not in ("Conv", "Gemm") or reader.inputs[0] in graph.constants:
            continue
        name = reader.inputs[0]
        before = _source(graph, name)
        if before is not None and graph.uses()[name] == 1 and linear_reader(graph, name) is reader:
            found[name] = (before, reader)
    return found


def equalise(graph: Graph, factors: Mapping[str, Sequence[float]]) -> None:
    """Divide each named tensor's channels by its factors. Raises BadTable when a name or a length does not fit."""
    may = equalisable(graph)
    for name, values in factors.items():
        if name not in may:
            raise BadTable(f"{name}: no tensor whose channels can be scaled; the table is of another preparation")
        before, reader = may[name]
        factor = np.asarray(values, np.float64)
        if factor.shape != (channels(graph, before),) or not (factor > 0).all():
            raise BadTable(f"{name}: {channels(graph, before)} positive factors are needed, found {factor.size}")
        scale_outputs(graph, before, 1 / factor, np.zeros_like(factor))
        scale_channels_in(graph, reader, factor)


def channels(graph: Graph, conv: Node) -> int:
    """Output channels of a convolution."""
    return len(graph.constants[conv.inputs[1]])


def channel_weights(graph: Graph, reader: Node, count: int) -> Array:
    """Largest magnitude of the reader's weights on each of its `count` input channels; ones where each has a scale."""
    weights = np.abs(graph.constants[reader.inputs[1]].astype(np.float64))
    if reader.op == "Gemm":
        most: Array = weights.reshape(len(weights), count, -1).max(axis=(0, 2))
        return most
    if reader.attributes.get("group", 1) > 1:
        return np.ones(count)
    return np.asarray(weights.max(axis=(0, *range(2, weights.ndim))))


def _source(graph: Graph, name: str) -> Node | None:
    """The one Conv that everything between it and `name` comes from; None when there is another way in or out."""
    inside: set[str] = set()
    roots: list[Node] = []
    todo = [name]
    while todo:
        here = todo.pop()
        node = graph.producer(here)
        if node is None or (node.op != "Conv" and node.op not in HOMOGENEOUS):
            return None
        inside.add(here)
        if node.op == "Conv":
            roots.append(node)
            continue
        flowing = [one for one in node.inputs if one and one not in graph.constants]
        if (node.op == "Add" and len(flowing) != len(node.inputs)) or (node.op == "Mul" and len(flowing) != 1):
            return None
        todo += flowing
    root = roots[0]
    if any(one is not root for one in roots):
        return None
    read_outside = any(
        set(n.inputs) & inside and not set(n.outputs) & inside for n in graph.nodes if name not in n.inputs
    )
    return None if read_outside or inside & set(graph.outputs) else root
