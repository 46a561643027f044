"""Reader of OpenVINO IR (`NAME.xml` with `NAME.bin` beside it): the operators of convolutional recognisers, as ONNX.

1. Only the operators in `OPERATORS` are read, and of them only the attributes that are checked here: an unknown
   operator, another padding rule or another element type is refused with its name.
2. Constants are read from the .bin by offset and size; each must lie inside the file and have the size of its shape. An
   f16 constant becomes float32, exactly.
3. Shapes in the IR are compared with those that follow from the weights, so that a damaged file is refused here and not
   by a runtime.
4. No DTD: a text that declares one is refused before it is parsed.

Why not openvino2onnx: it needs an older onnx than the rest of the program, and so an environment of its own, for eight
kinds of operators (decision of 2026-11-30, OpenVINO IR).
Source: OpenVINO operation sets, opset1 to opset8, docs.openvino.ai, "Available Operation Sets".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np

from engines.error_text import error_text
from engines.errors import BadModel
from engines.graph.onnx_graph import Array, Graph, Node

TYPES: Mapping[str, type[np.generic]] = MappingProxyType({"f16": np.float16, "f32": np.float32, "i64": np.int64})
MAX_XML_BYTES = 16_000_000
VERSIONS = ("10", "11")
REMEDY = "fetch it again with `lfr engines fetch NAME`, or give the publisher's files with `--from FOLDER`"


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the IR; `outputs` and `inputs` are port numbers in order, `shape` that of its first output."""

    number: str
    name: str
    kind: str
    data: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A graph in ONNX's operators. input_name, input_shape  of the one Parameter; the graph has one output."""

    graph: Graph
    input_name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def weights_beside(xml: Path) -> Path:
    """The .bin of an .xml."""
    return xml.with_suffix(".bin")


def load(xml: Path) -> Network:
    """Read an IR. Raises BadModel with the problem and its place."""
    try:
        return _Reader(xml).network()
    except OSError as fault:
        raise BadModel(f"{fault.filename or xml}: cannot be read ({error_text(fault)}); {REMEDY}") from fault
    except (KeyError, ValueError, IndexError) as fault:
        raise BadModel(f"{xml}: damaged OpenVINO IR ({type(fault).__name__}: {fault}); {REMEDY}") from fault


class _Reader:
    """Walks the layers in topological order and adds ONNX nodes."""

    def __init__(self, xml: Path) -> None:
        self._xml = xml
        text = xml.read_bytes()
        if len(text) > MAX_XML_BYTES or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise self._bad("not an OpenVINO IR: too large, or it declares a DTD")
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as fault:
            raise self._bad(f"not XML, or cut off ({fault})") from fault
        if root.tag != "net" or root.get("version") not in VERSIONS:
            raise self._bad(f"not an OpenVINO IR of version {' or '.join(VERSIONS)}")
        self._weights = weights_beside(xml).read_bytes()
        self._layers = {one.number: one for one in (_layer(each) for each in root.iterfind("layers/layer"))}
        self._from = {
            (edge.attrib["to-layer"], edge.attrib["to-port"]): (edge.attrib["from-layer"], edge.attrib["from-port"])
            for edge in root.iterfind("edges/edge")
        }
        self._graph = Graph({}, [], [])

    def network(self) -> Network:
        """The whole graph; one Parameter and one Result are expected."""
        ends = {kind: [one for one in self._layers.values() if one.kind == kind] for kind in ("Parameter", "Result")}
        if any(len(found) != 1 for found in ends.values()):
            raise self._bad("one input and one output are expected")
        parameter, result = ends["Parameter"][0], ends["Result"][0]
        if parameter.data["element_type"] != "f32":
            raise self._bad(f"its input is {parameter.data['element_type']}, f32 is expected")
        for layer in self._in_order(result):
            if layer is not parameter and layer is not result:
                OPERATORS[layer.kind](self, layer) if layer.kind in OPERATORS else self._refuse(layer)
        last = self._layers[self._from[result.number, result.inputs[0]][0]]
        self._graph.outputs = [_tensor(last)]
        return Network(self._graph, _tensor(parameter), parameter.shape, last.shape)

    def _in_order(self, result: Layer) -> list[Layer]:
        """Layers that the result depends on, each after its inputs."""
        done: dict[str, Layer] = {}
        open_now: set[str] = set()
        todo = [(result.number, False)]
        while todo:
            number, inputs_done = todo.pop()
            layer = self._layers[number]
            if inputs_done:
                done[number] = layer
                continue
            if number in done:
                continue
            if number in open_now:
                raise self._bad(f"layer {layer.name!r} depends on itself")
            open_now.add(number)
            todo.append((number, True))
            sources = [self._from[number, port][0] for port in layer.inputs]
            todo += [(source, False) for source in reversed(sources) if source not in done]
        return list(done.values())

    def constant(self, layer: Layer) -> None:
        """Const (rule 2)."""
        dtype = np.dtype(TYPES[layer.data["element_type"]])
        shape = _numbers(layer.data["shape"])
        offset, size = int(layer.data["offset"]), int(layer.data["size"])
        if offset < 0 or min(shape, default=1) < 1 or size != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
            raise self._bad(f"constant {layer.name!r} of {shape} does not have {size} bytes")
        if offset + size > len(self._weights):
            raise self._bad(
                f"constant {layer.name!r} lies beyond the end of {weights_beside(self._xml).name}: it was cut off"
            )
        values = np.frombuffer(self._weights, dtype, count=size // dtype.itemsize, offset=offset).reshape(shape)
        if not np.isfinite(values).all():
            raise self._bad(f"constant {layer.name!r} holds NaN or infinity")
        self._graph.constants[_tensor(layer)] = values.astype(np.float32) if dtype.kind == "f" else values

    def converted(self, layer: Layer) -> None:
        """Convert of a constant to f32."""
        values = self._known(layer, 0)
        if layer.data["destination_type"] != "f32":
            raise self._bad(f"{layer.name!r} converts to {layer.data['destination_type']}; only f32 is read")
        self._graph.constants[_tensor(layer)] = values.astype(np.float32)

    def elementwise(self, layer: Layer) -> None:
        """Add and Multiply with numpy's broadcasting, which is ONNX's."""
        if layer.data.get("auto_broadcast", "numpy") != "numpy":
            raise self._bad(f"{layer.name!r} broadcasts differently from numpy")
        self._node(layer, {"Add": "Add", "Multiply": "Mul"}[layer.kind], self._sources(layer))

    def unary(self, layer: Layer) -> None:
        """Sigmoid and Relu."""
        self._node(layer, {"Sigmoid": "Sigmoid", "ReLU": "Relu"}[layer.kind], self._sources(layer))

    def prelu(self, layer: Layer) -> None:
        """PReLU with one slope (LeakyRelu) or one a channel."""
        slope, channels = self._known(layer, 1), layer.shape[1]
        x = self._sources(layer)[0]
        if slope.size == 1:
            self._node(layer, "LeakyRelu", [x], {"alpha": float(slope.reshape(()))})
        elif slope.size == channels:
            name = f"{_tensor(layer)}.slope"
            self._graph.constants[name] = slope.reshape(-1, 1, 1)
            self._node(layer, "PRelu", [x, name])
        else:
            raise self._bad(f"{layer.name!r} has {slope.size} slopes for {channels} channels")

    def convolution(self, layer: Layer) -> None:
        """Convolution (O, I, h, w) and GroupConvolution (G, O/G, I/G, h, w), without a bias."""
        weights, group = self._known(layer, 1), 1
        if layer.kind == "GroupConvolution":
            group = weights.shape[0]
            weights = weights.reshape(-1, *weights.shape[2:])
        inputs = self._shape_of(layer, 0)
        if weights.ndim != 4 or inputs[1] != weights.shape[1] * group or layer.shape[1] != len(weights):
            raise self._bad(f"{layer.name!r}: weights {weights.shape} do not fit {inputs} and {layer.shape}")
        name = f"{_tensor(layer)}.weights"
        self._graph.constants[name] = weights
        attributes: dict[str, object] = {**self._window(layer), "dilations": list(_numbers(layer.data["dilations"]))}
        attributes |= {"group": group, "kernel_shape": list(weights.shape[2:])}
        self._node(layer, "Conv", [self._sources(layer)[0], name], attributes)

    def average(self, layer: Layer) -> None:
        """AvgPool without padding, rounding down."""
        kernel = _numbers(layer.data["kernel"])
        window = self._window(layer)
        if any(window["pads"]) or layer.data.get("rounding_type", "floor") != "floor":
            raise self._bad(f"{layer.name!r}: only average pooling without padding is read")
        if kernel == self._shape_of(layer, 0)[2:]:
            self._node(layer, "GlobalAveragePool", [self._sources(layer)[0]])
            return
        self._node(layer, "AveragePool", [self._sources(layer)[0]], {**window, "kernel_shape": list(kernel)})

    def _window(self, layer: Layer) -> dict[str, list[int]]:
        if layer.data.get("auto_pad", "explicit") != "explicit":
            raise self._bad(f"{layer.name!r}: only explicit padding is read, not {layer.data['auto_pad']}")
        pads = [*_numbers(layer.data["pads_begin"]), *_numbers(layer.data["pads_end"])]
        return {"strides": list(_numbers(layer.data["strides"])), "pads": pads}

    def _node(self, layer: Layer, op: str, inputs: list[str], attributes: Mapping[str, object] | None = None) -> None:
        self._graph.nodes.append(Node(op, inputs, [_tensor(layer)], dict(attributes or {})))

    def _sources(self, layer: Layer) -> list[str]:
        return [_tensor(self._layers[self._from[layer.number, port][0]]) for port in layer.inputs]

    def _shape_of(self, layer: Layer, place: int) -> tuple[int, ...]:
        return self._layers[self._from[layer.number, layer.inputs[place]][0]].shape

    def _known(self, layer: Layer, place: int) -> Array:
        """The constant that one input of a layer reads."""
        name = self._sources(layer)[place]
        if name not in self._graph.constants:
            raise self._bad(f"input {place} of {layer.name!r} must be a constant")
        return self._graph.constants[name]

    def _refuse(self, layer: Layer) -> None:
        raise self._bad(f"operator {layer.kind} ({layer.name!r}) is not read; known: {', '.join(OPERATORS)}")

    def _bad(self, text: str) -> BadModel:
        return BadModel(f"{self._xml}: {text}; {REMEDY}")


OPERATORS: Mapping[str, Callable[[_Reader, Layer], None]] = MappingProxyType(
    {
        "Const": _Reader.constant,
        "Convert": _Reader.converted,
        "Add": _Reader.elementwise,
        "Multiply": _Reader.elementwise,
        "Sigmoid": _Reader.unary,
        "ReLU": _Reader.unary,
        "PReLU": _Reader.prelu,
        "Convolution": _Reader.convolution,
        "GroupConvolution": _Reader.convolution,
        "AvgPool": _Reader.average,
    }
)


def _layer(element: ElementTree.Element) -> Layer:
    data = element.find("data")
    ports = element.findall("output/port")
    shape = tuple(int(dim.text or "") for dim in ports[0].iterfind("dim")) if ports else ()
    return Layer(
        number=element.attrib["id"],
        name=element.attrib["name"],
        kind=element.attrib["type"],
        data={} if data is None else dict(data.attrib),
        inputs=tuple(port.attrib["id"] for port in element.iterfind("input/port")),
        outputs=tuple(port.attrib["id"] for port in ports),
        shape=shape,
    )


def _tensor(layer: Layer) -> str:
    """Name of a layer's output: its number, because names of an IR need not be unique."""
    return f"ir.{layer.number}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text.strip() else ()
