"""Models that somebody might add: small ones that work, made in code, and the card that goes with each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engines.graph import Graph, Node, Value, save


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
    values = {key: value for key, value in {**values, **changes}.items() if value is not None}
    card = folder / f"{values['name']}.yaml"
    card.write_text(yaml.safe_dump(values))
    return card
