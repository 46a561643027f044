"""The recipe of a recogniser that comes as OpenVINO IR: RGB pictures in, `template` out, biases inside convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.cards.model_card import ModelCard
from engines.errors import BadModel
from engines.graph import openvino_ir
from engines.graph.float16 import FLOAT
from engines.graph.folding import fold_biases
from engines.graph.onnx_graph import Graph, Node, Value

PICTURE = "picture"
SHIFT = "picture.shift"


def load(weights: Path, card: ModelCard) -> Graph:
    """The IR's graph, its input called PICTURE. Raises BadModel when sizes are not those of the card."""
    network = openvino_ir.load(weights)
    height, width = card.input_size or (0, 0)
    wanted = (1, 3, height, width), (1, card.template_dim, 1, 1)
    if (network.input_shape, network.output_shape) != wanted:
        raise BadModel(
            f"{weights}: {network.input_shape} to {network.output_shape}, while the card of {card.name} says "
            f"{wanted[0]} to {wanted[1]}"
        )
    network.graph.rename(network.input_name, PICTURE)
    return network.graph


def recogniser(graph: Graph, card: ModelCard) -> tuple[list[Value], list[Value]]:
    """uint8 RGB crops in, (N, template_dim) float32 out."""
    fold_biases(graph)
    _fold_normalisation(graph, card)
    (last,) = graph.outputs
    graph.nodes.append(Node("Flatten", [last], ["template"], {"axis": 1}))
    graph.outputs = ["template"]
    graph.nodes[:0] = [
        Node("Cast", [card.input_name], ["crops.float"], {"to": FLOAT}),
        Node("Transpose", ["crops.float"], [PICTURE], {"perm": [0, 3, 1, 2]}),
    ]
    height, width = card.input_size or (0, 0)
    return (
        [Value(card.input_name, np.uint8, ("N", height, width, 3))],
        [Value("template", np.float32, ("N", card.template_dim))],
    )


def _fold_normalisation(graph: Graph, card: ModelCard) -> None:
    """x * scale + shift, then the first convolution, becomes (x + shift / scale) with scale in its weights.

    The padding is zero before and after: the convolution pads what it reads, and zero times scale is zero. Channels of
    a BGR model are reversed in both, so that the picture stays RGB.
    """
    scaled, shifted, first = graph.nodes[:3]
    chain = (scaled.op, shifted.op, first.op) == ("Mul", "Add", "Conv") and scaled.inputs[0] == PICTURE
    known = chain and all(node.inputs[1] in graph.constants for node in (scaled, shifted, first))
    if not known or shifted.inputs[0] != scaled.outputs[0] or first.inputs[0] != shifted.outputs[0]:
        raise BadModel(f"{card.name}: (x * scale + shift) before the first convolution is expected")
    scale = graph.constants[scaled.inputs[1]].astype(np.float64).reshape(3)
    shift = graph.constants[shifted.inputs[1]].astype(np.float64).reshape(3)
    weights = graph.constants[first.inputs[1]].astype(np.float64) * scale[None, :, None, None]
    offset = shift / scale
    if card.channels == "BGR":
        weights, offset = weights[:, ::-1], offset[::-1]
    graph.constants[SHIFT] = offset.astype(np.float32).reshape(3, 1, 1)
    graph.constants[f"{PICTURE}.weights"] = weights.astype(np.float32)
    first.inputs[1] = f"{PICTURE}.weights"
    graph.nodes[:2] = [Node("Add", [PICTURE, SHIFT], [first.inputs[0]])]
