"""Packaged weights to clean ONNX graphs: float32 constants, nothing dead, uint8 RGB pictures straight in.

Rules that every recipe keeps:
1. opset 17, IR version 8, standard operators only: loads in onnxruntime, OpenVINO, OpenCV and TensorRT 10.
2. Constants are folded in float64 and rounded once. The block-quantised files unpack to the same numbers that a
   runtime would compute on every call; they are smaller to ship, not faster to run.
3. The input is (N, H, W, 3) uint8 RGB and the batch is symbolic; normalisation is inside the graph.
4. Only rewrites that were measured to help a runtime and leave the outputs equal up to float32 rounding.
5. The same weights give the same bytes, so a prepared file can be named by its hash.

YuNet (`frames`): H and W are symbolic multiples of 32, outputs cls_8 .. kps_32 as the card says, cls and obj after
their sigmoid. SFace (`crops`): `template`, not normalised.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from engines import manifest
from engines.cards import STRIDES, ModelCard
from engines.errors import BadModel
from engines.folding import fold_batch_norms, fold_input_scale
from engines.graph import Graph, Node, Value, drop_dropout, fold_constants, load, save
from engines.places import writing
from engines.rewrites import merge_sibling_convs, split_prelus

FLOAT = 1
"""TensorProto.FLOAT, the `to` of a Cast."""
HEADS = MappingProxyType({"cls": 1, "obj": 1, "bbox": 4, "kps": 10})
"""YuNet's heads and their channels, in the order in which they are merged."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a family of files is rewritten. A change of `rewrite` that changes bytes must raise `version`."""

    version: int
    rewrite: Callable[[Graph, ModelCard], tuple[list[Value], list[Value]]]


def prepare(card: ModelCard, weights: Path, models: Path, *, force: bool = False) -> manifest.Prepared:
    """Write the card's clean graph and its manifest entry; nothing to do when both are already there and intact.

    weights  the packaged file (engines.fetch checks its hash)
    Raises BadModel when the file is not what the recipe expects.
    """
    recipe = RECIPES[card.recipe]
    name, source = f"{card.recipe}/{recipe.version}", manifest.sha256_of(weights)
    target, entries = models / card.file_name, manifest.read(models)
    known = entries.get(card.name)
    current = known is not None and (known.recipe, known.source_sha256) == (name, source)
    if known is not None and current and not force and target.is_file() and manifest.sha256_of(target) == known.sha256:
        return known
    graph = load(weights)
    inputs, outputs = recipe.rewrite(graph, card)
    staged = models / f".{card.name}.{os.getpid()}.onnx"
    with writing(models):
        try:
            save(graph, staged, inputs, outputs)
            made = manifest.Prepared(card.file_name, manifest.sha256_of(staged), source, name)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
        manifest.write(models, {**manifest.read(models), card.name: made})
    return made


def _pictures_in(graph: Graph, old: str, new: str) -> None:
    """Put uint8 (N, H, W, 3) `new` in place of the float (N, 3, H, W) input `old`."""
    graph.rename(old, f"{new}.planes")
    graph.nodes[:0] = [
        Node("Cast", [new], [f"{new}.float"], {"to": FLOAT}),
        Node("Transpose", [f"{new}.float"], [f"{new}.planes"], {"perm": [0, 3, 1, 2]}),
    ]


def _sface(graph: Graph, card: ModelCard) -> tuple[list[Value], list[Value]]:
    """27 convolutions with BatchNorm and PReLU, one Gemm; (x - 127.5) / 128 stays inside, its scale in conv 1."""
    fold_constants(graph)
    drop_dropout(graph)
    fold_batch_norms(graph)
    fold_input_scale(graph)
    split_prelus(graph)
    if len(graph.outputs) != 1:
        raise BadModel(f"{card.name}: one output expected, found {graph.outputs}")
    last = graph.producer(graph.outputs[0])
    if last is None:
        raise BadModel(f"{card.name}: nothing computes {graph.outputs[0]}")
    last.outputs = ["template"]
    graph.outputs = ["template"]
    _pictures_in(graph, "data", card.input_name)
    height, width = card.input_size or (112, 112)
    return (
        [Value(card.input_name, np.uint8, ("N", height, width, 3))],
        [Value("template", np.float32, ("N", card.template_dim))],
    )


def _yunet(graph: Graph, card: ModelCard) -> tuple[list[Value], list[Value]]:
    """Any size; RGB in (the first convolution's BGR channels are swapped); four heads a level in one convolution."""
    fold_constants(graph)
    first = next(node for node in graph.nodes if node.op == "Conv")
    graph.constants["rgb.weights"] = graph.constants[first.inputs[1]][:, ::-1]
    first.inputs[1] = "rgb.weights"
    graph.constants["double"] = np.array([1, 1, 2, 2], np.float32)
    for node in graph.nodes:
        if node.op == "Resize":
            node.inputs = [node.inputs[0], "", "double"]
            node.attributes.pop("cubic_coeff_a", None)
    for stride in STRIDES:
        _merge_heads(graph, stride)
    _pictures_in(graph, "input", card.input_name)
    graph.outputs = [f"{head}_{stride}" for head in HEADS for stride in STRIDES]
    return (
        [Value(card.input_name, np.uint8, ("N", "H", "W", 3))],
        [Value(name, np.float32, ("N", None, HEADS[name.split("_")[0]])) for name in graph.outputs],
    )


def _merge_heads(graph: Graph, stride: int) -> None:
    """One level's heads, each 1x1 then depthwise 3x3 convolution, become one of each with 16 channels and a Split."""
    wide: list[Node] = []
    deep: list[Node] = []
    for head in HEADS:
        chain = _chain_back(graph, f"{head}_{stride}", convolutions=2)
        deep.append(chain[-2])
        wide.append(chain[-1])
        graph.nodes = [node for node in graph.nodes if node not in chain]
    graph.constants["heads.cells"] = np.array([0, -1, sum(HEADS.values())], np.int64)
    graph.constants["heads.split"] = np.array(list(HEADS.values()), np.int64)
    name = f"heads_{stride}"
    one = Node("Conv", [wide[0].inputs[0]], [f"{name}.wide"])
    two = Node("Conv", [f"{name}.wide"], [f"{name}.deep"])
    merge_sibling_convs(graph, wide, one)
    merge_sibling_convs(graph, deep, two)
    graph.nodes += [
        one,
        two,
        Node("Transpose", [f"{name}.deep"], [f"{name}.last"], {"perm": [0, 2, 3, 1]}),
        Node("Reshape", [f"{name}.last", "heads.cells"], [name]),
        Node(
            "Split",
            [name, "heads.split"],
            [f"{name}.cls", f"{name}.obj", f"bbox_{stride}", f"kps_{stride}"],
            {"axis": 2},
        ),
        Node("Sigmoid", [f"{name}.cls"], [f"cls_{stride}"]),
        Node("Sigmoid", [f"{name}.obj"], [f"obj_{stride}"]),
    ]


def _chain_back(graph: Graph, name: str, convolutions: int) -> list[Node]:
    """Nodes from the one that makes `name` back to the `convolutions`th Conv before it."""
    chain: list[Node] = []
    while sum(node.op == "Conv" for node in chain) < convolutions:
        node = graph.producer(name)
        if node is None:
            raise BadModel(f"{name}: expected {convolutions} convolutions before an output; not a YuNet of 2023mar")
        chain.append(node)
        name = node.inputs[0]
    return chain


RECIPES = MappingProxyType({"sface": Recipe(2, _sface), "yunet": Recipe(2, _yunet)})
