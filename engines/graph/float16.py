"""The same network in 16 bits: fp16 in the file, and bfloat16 as a CPU with instructions for it computes.

1. fp16: every float32 constant and every tensor between input and outputs is float16; the picture stays uint8 and the
   outputs stay float32 (one Cast each). What an operator demands in float32 (the scales of Resize) stays.
2. bf16-emulated: what OpenVINO computes by itself on a CPU with avx512_bf16 or amx, for machines without one. Inputs
   and weights of Conv and Gemm are rounded to bfloat16, products are added in float32. It is slower than float32: it
   is for comparing and for evidence, which must be labelled emulated.
"""

from __future__ import annotations

import numpy as np

from engines.errors import BadModel
from engines.graph.onnx_graph import Array, Graph, Node

FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16
"""TensorProto's numbers, the `to` of a Cast."""
LINEAR = ("Conv", "Gemm", "MatMul")
FLOAT32_INPUTS = {"Resize": (1, 2)}
"""Places of inputs that the standard fixes to float32."""


def to_fp16(graph: Graph) -> None:
    """The fp16 graph (rule 1). Raises BadModel when a constant does not fit into float16."""
    kept = {n.inputs[i] for n in graph.nodes for i in FLOAT32_INPUTS.get(n.op, ()) if i < len(n.inputs)}
    for name, values in graph.constants.items():
        if values.dtype == np.float32 and name not in kept:
            if values.size and np.abs(values).max() > np.finfo(np.float16).max:
                raise BadModel(f"{name}: {np.abs(values).max():.3g} does not fit into float16; use fp32")
            graph.constants[name] = values.astype(np.float16)
    for node in graph.nodes:
        if node.op == "Cast" and node.attributes.get("to") == FLOAT:
            node.attributes["to"] = FLOAT16
    for name in graph.outputs:
        producer = graph.producer(name)
        if producer is None:
            raise BadModel(f"nothing computes the output {name}")
        half = f"{name}.half"
        for node in graph.nodes:
            node.inputs = [half if one == name else one for one in node.inputs]
        producer.outputs = [half if one == name else one for one in producer.outputs]
        graph.nodes.append(Node("Cast", [half], [name], {"to": FLOAT}))


def emulate_bf16(graph: Graph) -> None:
    """The graph with emulated bfloat16 (rule 2)."""
    rounded: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op in LINEAR:
            for place, name in enumerate(node.inputs[:2]):
                if name in graph.constants:
                    node.inputs[place] = f"{name}.bf16"
                    graph.constants[f"{name}.bf16"] = to_bfloat16(graph.constants[name])
                    continue
                if name not in rounded:
                    rounded[name] = f"{name}.rounded"
                    nodes.append(Node("Cast", [name], [f"{name}.bf16"], {"to": BFLOAT16}))
                    nodes.append(Node("Cast", [f"{name}.bf16"], [rounded[name]], {"to": FLOAT}))
                node.inputs[place] = rounded[name]
        nodes.append(node)
    graph.nodes = nodes


def to_bfloat16(values: Array) -> Array:
    """float32 with only bfloat16's 8 bits of precision, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    even = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    result: Array = (even & np.uint32(0xFFFF0000)).view(np.float32)
    return result
