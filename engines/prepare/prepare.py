"""Prepares delivered weights: clean ONNX graphs, uint8 RGB pictures as input, one file a precision.

Rules that every recipe keeps:
1. opset 17, IR version 8, standard operators only: loads in onnxruntime, OpenVINO, OpenCV and TensorRT 10.
2. Constants are folded in float64 and rounded once. The block-quantised files unpack to the same numbers that a
   runtime would compute on every call; they are smaller to ship, not faster to run.
3. The input is (N, H, W, 3) uint8 RGB and the batch is symbolic; normalisation is inside the graph.
4. Only rewrites that were measured to help a runtime and leave the outputs equal up to float32 rounding.
5. The same weights give the same bytes, so a prepared file can be named by its hash.
6. Precision is in the file (engines.graph.float16, engines.graph.quantise), so that every runtime computes the same.

YuNet (`frames`): H and W are symbolic multiples of 32, outputs cls_8 .. kps_32 as on the card, cls and obj after
their sigmoid. Recognisers (`crops`): `template`, not normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from engines import manifest
from engines.cards.model_card import FILE_PRECISIONS, STRIDES, ModelCard
from engines.errors import BadModel, BadTable, UnknownName
from engines.graph import calibration_table as tables
from engines.graph.custom_graph import own_graph
from engines.graph.float16 import FLOAT, emulate_bf16, to_fp16
from engines.graph.folding import fold_batch_norms, fold_input_scale
from engines.graph.onnx_graph import Graph, Node, Value, drop_dropout, fold_constants, load, save
from engines.graph.quantise import to_int8
from engines.graph.rewrites import merge_sibling_convs, split_prelus
from engines.places import placing, writing
from engines.prepare import openvino_recipe
from engines.prepare.published import weights_sha256

HEADS = MappingProxyType({"cls": 1, "obj": 1, "bbox": 4, "kps": 10})
"""YuNet's heads and their channels, in the order in which they are merged."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The rewrite of a family of files. A change of `rewrite` that changes bytes must raise `version`."""

    version: int
    read: Callable[[Path, ModelCard], Graph]
    rewrite: Callable[[Graph, ModelCard], tuple[list[Value], list[Value]]]


def prepare(
    card: ModelCard, weights: Path, models: Path, *, precision: str = "fp32", force: bool = False
) -> manifest.Prepared:
    """Write the card's clean graph in one precision and its manifest entry; nothing to do when both are intact.

    weights    the packaged file (engines.prepare.fetch checks its hash)
    precision  one of FILE_PRECISIONS; int8 needs the card's calibration table
    Raises BadModel when the file is not what the recipe expects, BadTable without a table that fits, UnknownName,
    CacheUnwritable (a full disk for one; what was there stays as it was).
    """
    if precision not in FILE_PRECISIONS:
        raise UnknownName("precision of a file", precision, FILE_PRECISIONS)
    source = weights_sha256(card, weights)
    table = table_for(card, models, source) if precision == "int8" else None
    name = _recipe_name(card, precision, table)
    target, known = models / card.file_name(precision), manifest.read(models).get(card.name, {}).get(precision)
    current = known is not None and (known.recipe, known.source_sha256) == (name, source)
    if known is not None and current and not force and target.is_file() and manifest.sha256_of(target) == known.sha256:
        return known
    graph, inputs, outputs = rewritten(card, weights)
    REWRITES[precision](graph, table)
    with writing(models), placing(target, models / manifest.MANIFEST) as (staged, listing):
        save(graph, staged, inputs, outputs)
        made = manifest.Prepared(target.name, manifest.sha256_of(staged), source, name)
        entries = manifest.with_entry(manifest.read(models), card, precision, made)
        listing.write_text(manifest.text_of(entries), encoding="utf-8")
    return made


def preparable(card: ModelCard, models: Path) -> tuple[str, ...]:
    """The precisions that a device may use and that can be made here: int8 only with a table whose cost is allowed."""
    table = tables.find(card.name, models)
    allowed = table is not None and table.cost is not None and table.cost.allowed
    return ("fp32", "fp16", "int8") if allowed else ("fp32", "fp16")


def rewritten(card: ModelCard, weights: Path) -> tuple[Graph, list[Value], list[Value]]:
    """The clean float32 graph of a packaged file with its inputs and outputs."""
    recipe = RECIPES[card.recipe]
    graph = recipe.read(weights, card)
    inputs, outputs = recipe.rewrite(graph, card)
    return graph, inputs, outputs


def recipe_of(card: ModelCard) -> str:
    """Name and version of the rewrite that makes the card's float32 graph."""
    return f"{card.recipe}/{RECIPES[card.recipe].version}"


def table_for(card: ModelCard, models: Path, source_sha256: str) -> tables.Table:
    """The card's calibration table. Raises BadTable when there is none, or one of other weights or another recipe."""
    table = tables.find(card.name, models)
    if table is None:
        raise BadTable(f"{card.name}: there is no int8 calibration; run `lfr calibrate int8 DATASET` or use fp16")
    if (table.source_sha256, table.recipe) != (source_sha256, recipe_of(card)):
        raise BadTable(
            f"{card.name}: its int8 calibration is of other weights or of recipe {table.recipe}, "
            f"not {recipe_of(card)}; run `lfr calibrate int8 DATASET`"
        )
    return table


def _recipe_name(card: ModelCard, precision: str, table: tables.Table | None) -> str:
    base = recipe_of(card)
    if precision == "fp32":
        return base
    return f"{base} {precision}/{VERSIONS[precision]}" + (f" {table.digest[:16]}" if table is not None else "")


def _quantised(graph: Graph, table: tables.Table | None) -> None:
    if table is not None:
        to_int8(graph, table)


VERSIONS = MappingProxyType({"fp16": 1, "int8": 1, "bf16-emulated": 1})
"""Raised whenever the bytes of that precision change for another reason than the recipe or the table."""
REWRITES: Mapping[str, Callable[[Graph, tables.Table | None], None]] = MappingProxyType(
    {
        "fp32": lambda _graph, _table: None,
        "fp16": lambda graph, _table: to_fp16(graph),
        "int8": _quantised,
        "bf16-emulated": lambda graph, _table: emulate_bf16(graph),
    }
)


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


def _onnx(weights: Path, card: ModelCard) -> Graph:
    """A packaged or added ONNX file; only the recipes of known files need no conversion to OPSET."""
    return load(weights, convert=card.own is not None)


RECIPES = MappingProxyType(
    {
        "sface": Recipe(2, _onnx, _sface),
        "yunet": Recipe(2, _onnx, _yunet),
        "own": Recipe(2, _onnx, own_graph),
        "openvino-recogniser": Recipe(1, openvino_recipe.load, openvino_recipe.recogniser),
    }
)
