"""An ONNX graph taken apart so that it can be rewritten: constants by name, nodes in order.

The rewrites compute in float64 and round once, to float32. Each keeps what the network computes, up to rounding.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BadModel

OPSET = 17
IR_VERSION = 8
"""Old enough for every runtime of JetPack 6 and for onnxruntime 1.18, new enough for uint8 Transpose."""
FILE_REMEDY = "copy or export a model of your own again; run `lfr engines fetch` for a packaged one"

Array = NDArray[Any]


@dataclass(slots=True)
class Node:
    """One operator; an empty string in `inputs` is an omitted optional input."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Value:
    """One input or output of the graph; a str in `shape` is a symbolic dimension, None an unnamed one."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int | str | None, ...]


@dataclass(slots=True)
class Graph:
    """Constants, nodes in topological order, and the names of the outputs."""

    constants: dict[str, Array]
    nodes: list[Node]
    outputs: list[str]

    def uses(self) -> Counter[str]:
        """How many node inputs and graph outputs read each name."""
        return Counter([name for node in self.nodes for name in node.inputs if name] + self.outputs)

    def producer(self, name: str) -> Node | None:
        """The node that makes `name`; None for constants and inputs."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def rename(self, old: str, new: str) -> None:
        """Make every reader of `old` read `new`."""
        for node in self.nodes:
            node.inputs = [new if name == old else name for name in node.inputs]
        self.outputs = [new if name == old else name for name in self.outputs]


def load(path: Path, *, convert: bool = False) -> Graph:
    """Read a model file; declared inputs that are initialisers or that nothing reads are dropped.

    convert  to OPSET, by onnx's own converter; recipes of known files need none
    Raises BadModel when it is not an ONNX file, cannot be converted, or uses operators outside the standard domain.
    """
    import onnx

    model = read_model(path)
    if convert and any(one.domain in ("", "ai.onnx") and one.version != OPSET for one in model.opset_import):
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as fault:  # the converter raises plain RuntimeError and its own
            raise BadModel(f"{path}: cannot be converted to opset {OPSET} ({fault}); export it with that") from fault
    nodes = []
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for raw in model.graph.node:
        if raw.domain not in ("", "ai.onnx"):
            raise BadModel(f"{path}: operator {raw.domain}.{raw.op_type} is not standard ONNX; export it without")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in raw.attribute}
        if raw.op_type == "Constant" and "value" in attributes:
            constants[raw.output[0]] = onnx.numpy_helper.to_array(attributes["value"])
        else:
            nodes.append(Node(raw.op_type, list(raw.input), list(raw.output), attributes))
    return Graph(constants, nodes, [one.name for one in model.graph.output])


def read_model(path: Path) -> Any:
    """The parsed file. Raises BadModel when it is not ONNX or holds no network."""
    import onnx

    try:
        model = onnx.load(str(path))
    except Exception as fault:  # protobuf's own, which has no public type here
        raise BadModel(f"{path}: not a readable ONNX file ({fault}); {FILE_REMEDY}") from fault
    if not model.graph.node:
        raise BadModel(f"{path}: holds no network; {FILE_REMEDY}")
    return model


def outputs_of(path: Path) -> list[Value]:
    """What a prepared file declares of its outputs, all float32. Raises BadModel."""
    return [
        Value(one.name, np.float32, tuple(d.dim_param or d.dim_value or None for d in one.type.tensor_type.shape.dim))
        for one in read_model(path).graph.output
    ]


def save(graph: Graph, path: Path, inputs: list[Value], outputs: list[Value]) -> None:
    """Write the result of `as_bytes`."""
    path.write_bytes(as_bytes(graph, path, inputs, outputs))


def as_bytes(graph: Graph, path: Path, inputs: list[Value], outputs: list[Value]) -> bytes:
    """Check the graph fully; the bytes of its file, unread constants left out.

    path  names it in BadModel, when the checker objects
    """
    import onnx

    def info(value: Value) -> Any:
        dtype = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        return onnx.helper.make_tensor_value_info(value.name, dtype, list(value.shape))

    read = {name for node in graph.nodes for name in node.inputs}
    initialisers = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        for name, values in sorted(graph.constants.items())
        if name in read
    ]
    nodes = [
        onnx.helper.make_node(node.op, node.inputs, node.outputs, name=node.outputs[0], **node.attributes)
        for node in graph.nodes
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "lfr", [info(v) for v in inputs], [info(v) for v in outputs], initialisers),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lfr-edge",
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as fault:
        raise BadModel(f"{path}: the rewritten graph is not valid ONNX: {fault}") from fault
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def dequantise(values: Array, scale: Array, zero: Array, axis: int, block: int) -> Array:
    """DequantizeLinear (ONNX opset 21): (values - zero) * scale, per tensor, per axis or in blocks along `axis`.

    A scale of one element is per tensor whatever `block` says, as OpenCV's block quantiser writes it.
    """
    centred_scale, centred_zero = scale.astype(np.float64), zero.astype(np.float64)
    if scale.size > 1 and block:
        wanted = np.arange(values.shape[axis]) // block
        if scale.ndim != values.ndim or wanted[-1] >= scale.shape[axis]:
            raise BadModel(f"block-quantised scale of shape {scale.shape} does not fit {values.shape}, block {block}")
        centred_scale, centred_zero = centred_scale.take(wanted, axis), centred_zero.take(wanted, axis)
    elif scale.size > 1:
        along = [1] * values.ndim
        along[axis] = -1
        centred_scale, centred_zero = centred_scale.reshape(along), centred_zero.reshape(along)
    else:
        centred_scale, centred_zero = centred_scale.reshape(()), centred_zero.reshape(())
    result: Array = ((values.astype(np.float64) - centred_zero) * centred_scale).astype(np.float32)
    return result


def fold_constants(graph: Graph) -> None:
    """Compute every DequantizeLinear and Reshape of constants; they become float32 constants."""
    constants, kept = graph.constants, []
    for node in graph.nodes:
        known = all(name in constants for name in node.inputs if name)
        if known and node.op == "DequantizeLinear":
            values, scale = constants[node.inputs[0]], constants[node.inputs[1]]
            zero = constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros_like(scale)
            constants[node.outputs[0]] = dequantise(
                values, scale, zero, int(node.attributes.get("axis", 1)), int(node.attributes.get("block_size", 0))
            )
        elif known and node.op == "Reshape":
            constants[node.outputs[0]] = constants[node.inputs[0]].reshape(constants[node.inputs[1]].tolist())
        else:
            kept.append(node)
    graph.nodes = kept


def drop_dropout(graph: Graph) -> None:
    """Remove Dropout, which does nothing outside training."""
    for node in [one for one in graph.nodes if one.op == "Dropout"]:
        graph.nodes.remove(node)
        graph.rename(node.outputs[0], node.inputs[0])
