"""Constant folding: arithmetic with a known result, folded into the weights beside it."""

from __future__ import annotations

import numpy as np

from engines.errors import BadModel
from engines.graph.onnx_graph import Array, Graph, Node

LINEAR = ("Conv", "Gemm")


def fold_batch_norms(graph: Graph) -> None:
    """Fold every BatchNormalization into the Conv or Gemm before it, or else into the Gemm after it.

    Raises BadModel when one has neither; such a graph needs a rewrite of its own.
    """
    for node in [one for one in graph.nodes if one.op == "BatchNormalization"]:
        scale, shift = _affine(graph, node)
        before = graph.producer(node.inputs[0])
        if before is not None and before.op in LINEAR and graph.uses()[node.inputs[0]] == 1:
            scale_outputs(graph, before, scale, shift)
        else:
            _scale_inputs(graph, _gemm_after(graph, node), scale, shift)
        graph.nodes.remove(node)
        graph.rename(node.outputs[0], node.inputs[0])


def fold_input_scale(graph: Graph) -> None:
    """Fold a Mul by a scalar into the Conv that alone reads it (zero padding stays zero under scaling)."""
    for node in [one for one in graph.nodes if one.op == "Mul" and one.inputs[1] in graph.constants]:
        factor = graph.constants[node.inputs[1]]
        readers = [one for one in graph.nodes if node.outputs[0] in one.inputs]
        if factor.size == 1 and len(readers) == 1 and readers[0].op == "Conv":
            name = readers[0].inputs[1]
            weights = graph.constants[name].astype(np.float64) * factor.astype(np.float64).reshape(())
            readers[0].inputs[1] = _store(graph, f"{name}.scaled", weights)
            graph.nodes.remove(node)
            graph.rename(node.outputs[0], node.inputs[0])


def fold_biases(graph: Graph) -> None:
    """Make the Add of a constant a channel, (1, C, 1, 1), the bias of the Conv that alone feeds it."""
    for node in [one for one in graph.nodes if one.op == "Add" and one.inputs[1] in graph.constants]:
        conv, values = graph.producer(node.inputs[0]), graph.constants[node.inputs[1]]
        if conv is None or conv.op != "Conv" or len(conv.inputs) > 2 or graph.uses()[node.inputs[0]] != 1:
            continue
        if values.shape == (1, len(graph.constants[conv.inputs[1]]), 1, 1):
            conv.inputs = [*conv.inputs, _store(graph, f"{conv.outputs[0]}.bias", values.reshape(-1))]
            graph.nodes.remove(node)
            graph.rename(node.outputs[0], node.inputs[0])


def _affine(graph: Graph, norm: Node) -> tuple[Array, Array]:
    """(x - mean) / sqrt(var + eps) * gamma + beta as x * scale + shift, float64 (Ioffe and Szegedy 2015)."""
    gamma, beta, mean, var = (graph.constants[name].astype(np.float64) for name in norm.inputs[1:5])
    scale = gamma / np.sqrt(var + float(norm.attributes.get("epsilon", 1e-5)))
    return scale, beta - mean * scale


def scale_outputs(graph: Graph, linear: Node, scale: Array, shift: Array) -> None:
    """Make `linear` give y * scale + shift for each output channel."""
    weights, bias = _weights(graph, linear)
    weights = weights * scale.reshape([-1] + [1] * (weights.ndim - 1))
    _replace(graph, linear, weights, bias * scale + shift)


def _scale_inputs(graph: Graph, gemm: Node, scale: Array, shift: Array) -> None:
    """Make `gemm` read x * scale + shift, where x was flattened from channels of equal size."""
    weights, bias = _weights(graph, gemm)
    if weights.shape[1] % scale.size:
        raise BadModel(f"{gemm.outputs[0]}: {weights.shape[1]} inputs are no multiple of {scale.size} channels")
    each = weights.shape[1] // scale.size
    _replace(graph, gemm, weights * np.repeat(scale, each), bias + weights @ np.repeat(shift, each))


def _gemm_after(graph: Graph, norm: Node) -> Node:
    """The Gemm that alone reads the normalisation's output, directly or through a Flatten."""
    name = norm.outputs[0]
    while graph.uses()[name] == 1:
        reader = next((one for one in graph.nodes if name in one.inputs), None)
        if reader is not None and reader.op == "Gemm":
            return reader
        if reader is None or reader.op not in ("Flatten", "Dropout"):
            break
        name = reader.outputs[0]
    raise BadModel(f"{norm.outputs[0]}: BatchNormalization without a Conv or Gemm of its own; it cannot be folded")


def _weights(graph: Graph, linear: Node) -> tuple[Array, Array]:
    """Weights (outputs first) and bias in float64. Gemm must be x @ W.T + b, as exporters write it."""
    if linear.op == "Gemm" and (
        not linear.attributes.get("transB", 0)
        or linear.attributes.get("transA", 0)
        or linear.attributes.get("alpha", 1.0) != 1.0
        or linear.attributes.get("beta", 1.0) != 1.0
    ):
        raise BadModel(f"{linear.outputs[0]}: only Gemm with transB=1, transA=0, alpha=beta=1 can be folded")
    weights = graph.constants[linear.inputs[1]].astype(np.float64)
    bias = graph.constants[linear.inputs[2]].astype(np.float64) if len(linear.inputs) > 2 else np.zeros(len(weights))
    return weights, bias


def _replace(graph: Graph, linear: Node, weights: Array, bias: Array) -> None:
    stem = linear.outputs[0]
    linear.inputs = [
        linear.inputs[0],
        _store(graph, f"{stem}.weights", weights),
        _store(graph, f"{stem}.bias", bias),
    ]


def _store(graph: Graph, name: str, values: Array) -> str:
    graph.constants[name] = values.astype(np.float32)
    return name
