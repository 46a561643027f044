"""The recipe of added models: their own graph, our input in front, our names at the end; nothing else changes."""

from __future__ import annotations

import numpy as np

from engines.cards import ModelCard
from engines.errors import BadModel
from engines.graph import Graph, Node, Value, drop_dropout, fold_constants
from engines.halves import FLOAT

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
    mean, scale = np.array(own.mean, np.float32), np.array(own.scale, np.float32)
    graph.constants |= {"front.mean": mean, "front.factor": (1 / scale.astype(np.float64)).astype(np.float32)}
    inside = f"{PREFIX}{own.name}"
    front = [Node("Cast", [card.input_name], ["front.float"], {"to": FLOAT})]
    last = "front.float"
    if own.channels == "BGR":
        graph.constants["front.order"] = np.array([2, 1, 0], np.int64)
        front.append(Node("Gather", [last, "front.order"], ["front.bgr"], {"axis": 3}))
        last = "front.bgr"
    front.append(Node("Sub", [last, "front.mean"], ["front.centred"]))
    scaled = inside if own.layout == "NHWC" else "front.scaled"
    front.append(Node("Mul", ["front.centred", "front.factor"], [scaled]))
    if own.layout == "NCHW":
        front.append(Node("Transpose", [scaled], [inside], {"perm": [0, 3, 1, 2]}))
    graph.nodes[:0] = front
