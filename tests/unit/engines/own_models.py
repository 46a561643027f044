"""Models that somebody might add: small ones that work, made in code, and the card that goes with each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engines.cards.model_card import STRIDES
from engines.graph.onnx_graph import Graph, Node, Value, load, save


def recogniser(folder: Path, dim: int = 64, name: str = "tiny") -> tuple[Path, Path]:
    """A 'recogniser' that averages 16 x 16 blocks of (x - 127.5) / 127.5 and projects them: card and file."""
    rng = np.random.default_rng(5)
    centre = np.eye(147) - np.full((147, 147), 1 / 147)
    weights = (rng.normal(size=(dim, 147)) @ centre).astype(np.float32)
    graph = Graph(
        {"fc": weights, "bias": np.full(dim, 0.01, np.float32)},
        [
            Node("AveragePool", ["data"], ["blocks"], {"kernel_shape": [16, 16], "strides": [16, 16]}),
            Node("Tanh", ["blocks"], ["squashed"]),
            Node("Flatten", ["squashed"], ["flat"]),
            Node("Gemm", ["flat", "fc", "bias"], ["fc1"], {"transB": 1}),
        ],
        ["fc1"],
    )
    file = folder / f"{name}.onnx"
    save(graph, file, [Value("data", np.float32, (1, 3, 112, 112))], [Value("fc1", np.float32, (1, dim))])
    return write_card(folder, file, name=name, template_dim=dim), file


def normalising(folder: Path, sface: Path, name: str = "unit-length") -> tuple[Path, Path]:
    """The prepared SFace behind a float32 input, its output divided by its own length: card and file.

    As most recognisers that are delivered: every template has length 1, whatever the picture.
    """
    graph = load(sface)
    graph.nodes = [node for node in graph.nodes if node.outputs[0] not in ("crops.float", "crops.planes")]
    (last,) = graph.outputs
    graph.nodes += [
        Node("ReduceL2", [last], ["length"], {"axes": [1], "keepdims": 1}),
        Node("Div", [last, "length"], ["direction"]),
    ]
    graph.outputs = ["direction"]
    file = folder / f"{name}.onnx"
    pictures, templates = Value("crops.planes", np.float32, ("N", 3, 112, 112)), ("N", 128)
    save(graph, file, [pictures], [Value("direction", np.float32, templates)])
    pixels = {"name": "crops.planes", "mean": 0, "scale": 1}
    return write_card(folder, file, name=name, input=pixels, outputs={"template": "direction"}, template_dim=128), file


def detector(folder: Path, yunet: Path, name: str = "decoding") -> tuple[Path, Path]:
    """The prepared YuNet behind a float32 input, decoding itself, of any size: card and file. Every cell is given."""
    graph = load(yunet)
    graph.nodes = [node for node in graph.nodes if node.outputs[0] not in ("frames.float", "frames.planes")]
    graph.constants |= {"at": np.array(0, np.int64), "by": np.array(1, np.int64)}
    graph.constants |= {
        "last": np.array([2], np.int64),
        "side": np.array([3], np.int64),
        "far": np.array([10.0], np.float32),
    }
    graph.constants |= {"many": np.array([1], np.int64), "halves": np.array([2, 2], np.int64)}
    graph.nodes.append(Node("Shape", ["frames.planes"], ["planes.shape"]))
    graph.nodes += [node for stride in STRIDES for node in _decoding(graph, stride)]
    parts = {"scores": "score", "boxes": "box", "points": "point"}
    graph.nodes += [
        Node("Concat", [f"{part}.{s}" for s in STRIDES], [ours], {"axis": 1}) for ours, part in parts.items()
    ]
    graph.outputs = list(parts)
    file = folder / f"{name}.onnx"
    shapes: dict[str, tuple[int | str | None, ...]] = {
        "scores": ("N", None),
        "boxes": ("N", None, 4),
        "points": ("N", None, 10),
    }
    outputs = [Value(ours, np.float32, shape) for ours, shape in shapes.items()]
    save(graph, file, [Value("frames.planes", np.float32, ("N", 3, "H", "W"))], outputs)
    return detector_card(folder, file), file


def detector_card(folder: Path, file: Path, **outputs: str) -> Path:
    """The card of `detector`'s file; `outputs` says otherwise what they are called."""
    pixels = {"name": "frames.planes", "size": None, "multiple_of": 32, "mean": 0, "scale": 1}
    names = {"scores": "scores", "boxes": "boxes", "points": "points", **outputs}
    return write_card(folder, file, name=file.stem, role="detector", template_dim=None, input=pixels, outputs=names)


def _decoding(graph: Graph, stride: int) -> list[Node]:
    """score.S (N, M), box.S (N, M, 4) and point.S (N, M, 10) in pixels, as device/vision/detector.py has them."""
    s = f".{stride}"
    graph.constants |= {f"step{s}": np.array([stride], np.float32), f"half{s}": np.array([stride / 2], np.float32)}
    graph.constants |= {f"whole{s}": np.array([stride], np.int64)}
    return [
        Node("Mul", [f"cls_{stride}", f"obj_{stride}"], [f"product{s}"]),
        Node("Sqrt", [f"product{s}"], [f"root{s}"]),
        Node("Squeeze", [f"root{s}", "last"], [f"score{s}"]),
        Node("Shape", [f"score{s}"], [f"shape{s}"]),
        Node("Gather", [f"shape{s}", "by"], [f"count{s}"]),
        Node("Range", ["at", f"count{s}", "by"], [f"index{s}"]),
        Node("Gather", ["planes.shape", "side"], [f"width{s}"]),
        Node("Div", [f"width{s}", f"whole{s}"], [f"columns{s}"]),
        Node("Mod", [f"index{s}", f"columns{s}"], [f"column{s}"]),
        Node("Div", [f"index{s}", f"columns{s}"], [f"row{s}"]),
        Node("Unsqueeze", [f"column{s}", "many"], [f"x{s}"]),
        Node("Unsqueeze", [f"row{s}", "many"], [f"y{s}"]),
        Node("Concat", [f"x{s}", f"y{s}"], [f"pair{s}"], {"axis": 1}),
        Node("Cast", [f"pair{s}"], [f"cell{s}"], {"to": 1}),
        Node("Concat", [f"cell{s}"] * 5, [f"cells{s}"], {"axis": 1}),
        Node("Split", [f"bbox_{stride}", "halves"], [f"shift{s}", f"log{s}"], {"axis": 2}),
        Node("Add", [f"shift{s}", f"cell{s}"], [f"middle{s}"]),
        Node("Mul", [f"middle{s}", f"step{s}"], [f"centre{s}"]),
        Node("Min", [f"log{s}", "far"], [f"bounded{s}"]),
        Node("Exp", [f"bounded{s}"], [f"size{s}"]),
        Node("Mul", [f"size{s}", f"half{s}"], [f"reach{s}"]),
        Node("Sub", [f"centre{s}", f"reach{s}"], [f"low{s}"]),
        Node("Add", [f"centre{s}", f"reach{s}"], [f"high{s}"]),
        Node("Concat", [f"low{s}", f"high{s}"], [f"box{s}"], {"axis": 2}),
        Node("Add", [f"kps_{stride}", f"cells{s}"], [f"moved{s}"]),
        Node("Mul", [f"moved{s}", f"step{s}"], [f"point{s}"]),
    ]


def write_card(folder: Path, file: Path, **changes: Any) -> Path:
    """The card of `file`; None takes a key away, and `input` replaces single keys of that mapping."""
    values: dict[str, Any] = {
        "name": "tiny",
        "role": "recogniser",
        "origin": "made in a test",
        "licence": "CC0-1.0",
        "training_data": "none",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "0" * 64,
        "input": {
            "name": "data",
            "layout": "NCHW",
            "size": [112, 112],
            "channels": "RGB",
            "mean": 127.5,
            "scale": 127.5,
        },
        "outputs": {"template": "fc1"},
        "template_dim": 64,
    }
    values["input"] |= changes.pop("input", {})
    values["input"] = {key: value for key, value in values["input"].items() if value is not None}
    values = {key: value for key, value in {**values, **changes}.items() if value is not None}
    card = folder / f"{values['name']}.yaml"
    card.write_text(yaml.safe_dump(values))
    return card
