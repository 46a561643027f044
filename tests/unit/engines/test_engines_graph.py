"""Folding and rewriting on graphs small enough to check by the reference evaluator."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from engines.errors import BadModel
from engines.graph.folding import fold_batch_norms, fold_input_scale
from engines.graph.onnx_graph import Graph, Node, Value, dequantise, drop_dropout, fold_constants, load, save
from engines.graph.rewrites import merge_sibling_convs, split_prelus

POINTWISE = {"kernel_shape": [1, 1], "pads": [0, 0, 0, 0], "strides": [1, 1], "group": 1}


def depthwise(channels: int) -> dict[str, object]:
    return {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "group": channels}


def conv_graph(seed: int, channels: int = 4, slope: float | None = None) -> Graph:
    """Pointwise and depthwise convolution, each with BatchNorm and PRelu, then BatchNorm, Dropout, Gemm, BatchNorm."""
    rng = np.random.default_rng(seed)

    def tensor(*shape: int, low: float = -1, high: float = 1) -> np.ndarray:
        return rng.uniform(low, high, shape).astype(np.float32)

    constants = {
        "w1": tensor(channels, 3, 1, 1),
        "w2": tensor(channels, 1, 3, 3),
        "w3": tensor(5, channels * 16),
        "b3": tensor(5),
        "s1": tensor(channels, 1, 1, low=-0.8, high=0.9),
        "s2": tensor(channels, 1, 1, low=-0.8, high=0.9),
    }
    if slope is not None:
        constants["s1"][0] = slope
    for index, width in ((1, channels), (2, channels), (3, channels), (4, 5)):
        constants |= {f"g{index}": tensor(width), f"o{index}": tensor(width), f"m{index}": tensor(width)}
        constants[f"v{index}"] = tensor(width, low=0.1, high=2)

    def norm(index: int, x: str, y: str) -> Node:
        names = [x, f"g{index}", f"o{index}", f"m{index}", f"v{index}"]
        return Node("BatchNormalization", names, [y], {"epsilon": 1e-3})

    nodes = [
        Node("Conv", ["x", "w1"], ["c1"], dict(POINTWISE)),
        norm(1, "c1", "n1"),
        Node("PRelu", ["n1", "s1"], ["p1"]),
        Node("Conv", ["p1", "w2"], ["c2"], depthwise(channels)),
        norm(2, "c2", "n2"),
        Node("PRelu", ["n2", "s2"], ["p2"]),
        norm(3, "p2", "n3"),
        Node("Dropout", ["n3"], ["d"]),
        Node("Flatten", ["d"], ["f"], {"axis": 1}),
        Node("Gemm", ["f", "w3", "b3"], ["h"], {"transB": 1}),
        norm(4, "h", "y"),
    ]
    return Graph(constants, nodes, ["y"])


def evaluate(graph: Graph, folder: Path, rank: int = 4, **inputs: np.ndarray) -> list[np.ndarray]:
    """Save, check and run a graph on onnx's reference evaluator."""
    path = folder / f"{random.getrandbits(32)}.onnx"
    values = [Value(name, x.dtype.type, x.shape) for name, x in inputs.items()]
    save(graph, path, values, [Value(name, np.float32, (None,) * rank) for name in graph.outputs])
    found: list[np.ndarray] = ReferenceEvaluator(str(path)).run(None, inputs)
    return found


@pytest.mark.parametrize("slope", [None, 1.0])
def test_folding_and_splitting_leave_the_result_as_it_was(tmp_path: Path, slope: float | None) -> None:
    x = np.random.default_rng(1).uniform(-2, 2, (2, 3, 4, 4)).astype(np.float32)
    before = evaluate(conv_graph(7, slope=slope), tmp_path, rank=2, x=x)[0]
    graph = conv_graph(7, slope=slope)
    drop_dropout(graph)
    fold_batch_norms(graph)
    split_prelus(graph)
    after = evaluate(graph, tmp_path, rank=2, x=x)[0]
    left = {node.op for node in graph.nodes}
    assert not left & {"BatchNormalization", "PRelu", "Dropout"}
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_a_slope_of_one_keeps_its_factor_beside_the_relu() -> None:
    graph = conv_graph(3, slope=1.0)
    drop_dropout(graph)
    fold_batch_norms(graph)
    split_prelus(graph)
    assert sum(node.op == "Mul" for node in graph.nodes) == 3
    assert all(np.isfinite(values).all() for values in graph.constants.values())


def test_a_batch_norm_without_a_linear_neighbour_is_refused() -> None:
    graph = conv_graph(3)
    graph.nodes = [Node("Relu", ["x"], ["c1"]), graph.nodes[1]]
    graph.outputs = ["n1"]
    with pytest.raises(BadModel, match="cannot be folded"):
        fold_batch_norms(graph)


def test_a_conv_that_others_read_too_is_not_folded_into() -> None:
    graph = conv_graph(3)
    graph.nodes = [*graph.nodes[:2], Node("Add", ["c1", "n1"], ["y"])]
    with pytest.raises(BadModel):
        fold_batch_norms(graph)


def test_input_scale_moves_into_the_first_convolution(tmp_path: Path) -> None:
    def scaled() -> Graph:
        graph = conv_graph(5)
        graph.constants |= {"half": np.array([0.5], np.float32), "mean": np.array([127.5], np.float32)}
        head = [Node("Sub", ["x", "mean"], ["xs"]), Node("Mul", ["xs", "half"], ["xm"])]
        graph.nodes = [*head, Node("Conv", ["xm", "w1"], ["c1"], dict(POINTWISE))]
        graph.outputs = ["c1"]
        return graph

    x = np.random.default_rng(2).uniform(0, 255, (1, 3, 4, 4)).astype(np.float32)
    folded = scaled()
    fold_input_scale(folded)
    assert [node.op for node in folded.nodes] == ["Sub", "Conv"]
    np.testing.assert_array_equal(evaluate(folded, tmp_path, x=x)[0], evaluate(scaled(), tmp_path, x=x)[0])


def test_sibling_convolutions_become_one(tmp_path: Path) -> None:
    """Whole numbers, whose sums float32 holds exactly: a matrix product of another width may add in another order."""
    rng = np.random.default_rng(4)
    constants = {f"w{i}": rng.integers(-99, 99, (i, 3, 1, 1)).astype(np.float32) for i in (1, 2)}
    constants |= {f"b{i}": rng.integers(-99, 99, i).astype(np.float32) for i in (1, 2)}
    siblings = [Node("Conv", ["x", f"w{i}", f"b{i}"], [f"o{i}"], dict(POINTWISE)) for i in (1, 2)]
    x = rng.integers(-99, 99, (1, 3, 4, 4)).astype(np.float32)
    apart = evaluate(Graph(dict(constants), siblings, ["o1", "o2"]), tmp_path, x=x)
    merged = Node("Conv", ["x"], ["m"])
    graph = Graph(dict(constants), [merged], ["m"])
    merge_sibling_convs(graph, siblings, merged)
    np.testing.assert_array_equal(evaluate(graph, tmp_path, x=x)[0], np.concatenate(apart, axis=1))


def test_convolutions_of_different_inputs_are_not_siblings() -> None:
    constants = {"w": np.ones((2, 3, 1, 1), np.float32), "b": np.zeros(2, np.float32)}
    siblings = [Node("Conv", [x, "w", "b"], [f"{x}o"], dict(POINTWISE)) for x in ("p", "q")]
    with pytest.raises(BadModel, match="different inputs"):
        merge_sibling_convs(Graph(constants, siblings, ["po"]), siblings, Node("Conv", ["p"], ["m"]))


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 4), blocks=st.integers(1, 3), block=st.integers(1, 5), seed=st.integers(0, 99))
def test_block_dequantisation_scales_each_block_by_its_own(rows: int, blocks: int, block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.integers(-128, 128, (rows, blocks * block), dtype=np.int8)
    scale = rng.uniform(0.01, 1, (rows, blocks)).astype(np.float32)
    zero = rng.integers(-5, 5, (rows, blocks), dtype=np.int8)
    got = dequantise(q, scale, zero, axis=1, block=block)
    for row in range(rows):
        for column in range(q.shape[1]):
            s, z = float(scale[row, column // block]), int(zero[row, column // block])
            expected = np.float32((int(q[row, column]) - z) * s)
            assert got[row, column] == expected


def test_dequantisation_knows_one_scale_and_one_scale_a_channel() -> None:
    q = np.array([[1, 2], [3, 4]], np.int8)
    one = dequantise(q, np.array([2.0], np.float32), np.array([1], np.int8), axis=0, block=64)
    np.testing.assert_array_equal(one, [[0, 2], [4, 6]])
    each = dequantise(q, np.array([1.0, 10.0], np.float32), np.zeros(2, np.int8), axis=0, block=0)
    np.testing.assert_array_equal(each, [[1, 2], [30, 40]])


def test_a_block_scale_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadModel, match="does not fit"):
        dequantise(np.zeros((1, 9), np.int8), np.ones((1, 2), np.float32), np.zeros((1, 2), np.int8), axis=1, block=4)


def test_a_quantised_file_is_read_folded_and_loses_its_dead_inputs(tmp_path: Path) -> None:
    weights = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1, block_size=3),
            onnx.helper.make_node("Reshape", ["d", "shape"], ["w"]),
            onnx.helper.make_node("Conv", ["x", "w"], ["o"], kernel_shape=[1, 1]),
        ],
        "g",
        [
            onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 2, 2]),
            onnx.helper.make_tensor_value_info("stale", onnx.TensorProto.FLOAT, [1]),
        ],
        [onnx.helper.make_tensor_value_info("o", onnx.TensorProto.FLOAT, [1, 4, 2, 2])],
        [
            onnx.numpy_helper.from_array(weights, "q"),
            onnx.numpy_helper.from_array(np.full((4, 1), 0.5, np.float32), "s"),
            onnx.numpy_helper.from_array(np.zeros((4, 1), np.int8), "z"),
            onnx.numpy_helper.from_array(np.array([4, 3, 1, 1]), "shape"),
        ],
    )
    path = tmp_path / "quantised.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)]), path)
    folded = load(path)
    fold_constants(folded)
    assert [node.op for node in folded.nodes] == ["Conv"]
    x = np.ones((1, 3, 2, 2), np.float32)
    out = evaluate(folded, tmp_path, x=x)[0]
    np.testing.assert_array_equal(out[0, :, 0, 0], weights.sum(1) * 0.5)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x06garbage\xff\xff"])
def test_a_file_that_is_no_model_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(BadModel, match="lfr engines fetch"):
        load(path)


def test_an_operator_of_a_vendor_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Fused", ["x"], ["y"], domain="com.vendor")
    info = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in ("x", "y")]
    path = tmp_path / "vendor.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", info[:1], info[1:])), path)
    with pytest.raises(BadModel, match=r"com\.vendor"):
        load(path)
