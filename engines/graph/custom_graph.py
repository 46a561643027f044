"""The recipe of added models: their own graph, this project's input in front, its output names at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.cards.model_card import ModelCard
from engines.errors import BadModel
from engines.graph.float16 import FLOAT
from engines.graph.onnx_graph import Array, Graph, Node, Value, drop_dropout, fold_constants

RANKS = {"template": 2, "scores": 2, "boxes": 3, "points": 3}
PREFIX = "own."


def own_graph(graph: Graph, card: ModelCard) -> tuple[list[Value], list[Value]]:
    """uint8 RGB pictures in; channels swapped if need be, (x - mean) / scale, and the file's layout behind it."""
    own = card.own
    if own is None:
        raise BadModel(f"{card.name}: only the card of an added model uses this recipe")
    fold_constants(graph)
    drop_dropout(graph)
    missing = [theirs for theirs in own.outputs.values() if graph.producer(theirs) is None]
    if missing or not any(own.name in node.inputs for node in graph.nodes):
        raise BadModel(f"{card.name}: the file does not compute {', '.join(missing) or f'anything from {own.name}'}")
    graph.outputs = list(own.outputs.values())
    for node in graph.nodes:
        node.inputs = [f"{PREFIX}{name}" if name else "" for name in node.inputs]
        node.outputs = [f"{PREFIX}{name}" if name else "" for name in node.outputs]
    graph.constants = {f"{PREFIX}{name}": values for name, values in graph.constants.items()}
    _front(graph, card)
    graph.outputs = list(own.outputs)
    graph.nodes += [Node("Identity", [f"{PREFIX}{theirs}"], [ours]) for ours, theirs in own.outputs.items()]
    height, width = card.input_size or ("H", "W")
    return (
        [Value(card.input_name, np.uint8, ("N", height, width, 3))],
        [Value(name, np.float32, ("N", *[None] * (RANKS.get(name, 3) - 1))) for name in own.outputs],
    )


def _front(graph: Graph, card: ModelCard) -> None:
    own = card.own
    if own is None:
        return
    inside, planes = f"{PREFIX}{own.name}", own.layout == "NCHW"
    front = [Node("Cast", [card.input_name], ["front.float"], {"to": FLOAT})]

    def then(op: str, *constants: str, **attributes: object) -> None:
        front.append(Node(op, [front[-1].outputs[0], *constants], [f"front.{op.lower()}"], attributes))

    if planes:  # first: the following operators then run along whole planes
        then("Transpose", perm=[0, 3, 1, 2])
    if own.channels == "BGR":
        graph.constants["front.order"] = np.array([2, 1, 0], np.int64)
        then("Gather", "front.order", axis=1 if planes else 3)
    if any(own.mean):
        graph.constants["front.mean"] = _by_channel(own.mean, planes)
        then("Sub", "front.mean")
    if any(scale != 1 for scale in own.scale):
        graph.constants["front.factor"] = _by_channel([1 / scale for scale in own.scale], planes)
        then("Mul", "front.factor")
    front[-1].outputs = [inside]
    graph.nodes[:0] = front


def _by_channel(values: Sequence[float], planes: bool) -> Array:
    """One number where the channels agree, or one a plane.

    Three numbers that alternate along the picture took ONNX Runtime 3.7 ms an operator at 640x352, as much as half of
    YuNet's convolutions (2026-11-24, AMD EPYC, one thread, `enable_profiling`).
    """
    row = np.array(values, np.float64).astype(np.float32)
    if (row == row[0]).all():
        return np.array(row[0], np.float32)
    return row.reshape(3, 1, 1) if planes else row
