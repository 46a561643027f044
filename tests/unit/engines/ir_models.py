"""A small OpenVINO IR written in code: the operators of a recogniser, random weights, and its answer in numpy terms."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.cards.catalogue import card
from engines.cards.model_card import SCREEN_0095, ModelCard, PublishedFile, PublishedSource

SIDE, DIM, WIDE = 16, 8, 4


@dataclass
class IrWriter:
    """Builds layers one after the other; each call returns the new layer's number."""

    layers: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)

    def layer(
        self, kind: str, dims: tuple[int, ...], sources: tuple[int, ...] = (), outputs: int = 1, **data: str
    ) -> int:
        number = len(self.layers)
        attributes = " ".join(f'{key}="{value}"' for key, value in data.items())
        ports = "".join(f"<dim>{side}</dim>" for side in dims)
        kind_of_output = "FP16" if data.get("element_type") == "f16" else "FP32"
        inputs = "".join(
            f'<port id="{port}" precision="FP32">{self.ports(source)}</port>' for port, source in enumerate(sources)
        )
        out = (
            f'<output><port id="{len(sources)}" precision="{kind_of_output}">{ports}</port></output>' if outputs else ""
        )
        self.layers.append(
            f'<layer id="{number}" name="{kind} {number}" type="{kind}" version="opset1">'
            f"<data {attributes}/><input>{inputs}</input>{out}</layer>"
        )
        for port, source in enumerate(sources):
            source_port = self.layers[source].split("<output><port id=")[1].split('"')[1]
            self.edges.append(
                f'<edge from-layer="{source}" from-port="{source_port}" to-layer="{number}" to-port="{port}"/>'
            )
        return number

    def constant(self, values: np.ndarray) -> int:
        """An f16 constant and its conversion, as Intel's FP16 files have them."""
        half = values.astype(np.float16)
        offset = len(self.weights)
        self.weights += half.tobytes()
        shape = ", ".join(map(str, half.shape))
        stored = self.layer(
            "Const", half.shape, element_type="f16", shape=shape, offset=str(offset), size=str(half.nbytes)
        )
        return self.layer("Convert", half.shape, (stored,), destination_type="f32")

    def ports(self, source: int) -> str:
        """Dimensions of a layer's output."""
        return self.layers[source].split("<output>")[1].split(">", 1)[1].split("</port>")[0]

    def window(self, stride: int, pad: int) -> dict[str, Any]:
        return {
            "strides": f"{stride}, {stride}",
            "pads_begin": f"{pad}, {pad}",
            "pads_end": f"{pad}, {pad}",
            "auto_pad": "explicit",
        }

    def text(self) -> str:
        return (
            f'<?xml version="1.0"?><net name="tiny" version="11"><layers>{"".join(self.layers)}</layers>'
            f"<edges>{''.join(self.edges)}</edges></net>"
        )


def written(folder: Path, seed: int = 3) -> Path:
    """NAME.xml and NAME.bin of a network from (1, 3, SIDE, SIDE) to (1, DIM, 1, 1)."""
    random, ir = np.random.default_rng(seed), IrWriter()
    half = SIDE // 2

    def number(*shape: int) -> np.ndarray:
        return random.normal(0, 0.4, shape)

    x = ir.layer("Parameter", (1, 3, SIDE, SIDE), element_type="f32", shape=f"1,3,{SIDE},{SIDE}")
    x = ir.layer("Multiply", (1, 3, SIDE, SIDE), (x, ir.constant(np.array([0.01, 0.02, 0.03]).reshape(1, 3, 1, 1))))
    x = ir.layer("Add", (1, 3, SIDE, SIDE), (x, ir.constant(np.array([-1.0, -2.0, -0.5]).reshape(1, 3, 1, 1))))
    flat: dict[str, Any] = {"dilations": "1, 1", **ir.window(1, 0)}
    shape = (1, WIDE, half, half)
    x = ir.layer("Convolution", shape, (x, ir.constant(number(WIDE, 3, 3, 3))), dilations="1, 1", **ir.window(2, 1))
    x = ir.layer("Add", shape, (x, ir.constant(number(1, WIDE, 1, 1))))
    x = ir.layer("PReLU", shape, (x, ir.constant(np.array([2.5]))))
    deep: dict[str, Any] = {"dilations": "1, 1", **ir.window(1, 1)}
    x = ir.layer("GroupConvolution", shape, (x, ir.constant(number(WIDE, 1, 1, 3, 3))), **deep)
    x = ir.layer("PReLU", shape, (x, ir.constant(number(WIDE))))
    pooled = ir.layer("AvgPool", (1, WIDE, 1, 1), (x,), kernel=f"{half}, {half}", **ir.window(half, 0))
    gate = ir.layer("Convolution", (1, WIDE, 1, 1), (pooled, ir.constant(number(WIDE, WIDE, 1, 1))), **flat)
    gate = ir.layer("Sigmoid", (1, WIDE, 1, 1), (gate,))
    x = ir.layer("Multiply", shape, (x, gate))
    last: dict[str, Any] = {"dilations": "1, 1", **ir.window(1, 0)}
    x = ir.layer("Convolution", (1, DIM, 1, 1), (x, ir.constant(number(DIM, WIDE, half, half))), **last)
    ir.layer("Result", (), (x,), outputs=0)
    folder.mkdir(parents=True, exist_ok=True)
    xml = folder / "tiny.xml"
    xml.write_text(ir.text())
    xml.with_suffix(".bin").write_bytes(bytes(ir.weights))
    return xml


def card_of(xml: Path, address: str = "https://publisher.invalid/tiny") -> ModelCard:
    """A card like that of face-reidentification-retail-0095, for the small network."""
    files = []
    for path in (xml, xml.with_suffix(".bin")):
        content = path.read_bytes()
        digests = hashlib.sha256(content).hexdigest(), hashlib.sha384(content).hexdigest()
        files.append(PublishedFile(path.name, len(content), *digests))
    return replace(
        card(SCREEN_0095),
        name="tiny-screen",
        source=PublishedSource("test", address, tuple(files)),
        input_size=(SIDE, SIDE),
        template_dim=DIM,
    )
