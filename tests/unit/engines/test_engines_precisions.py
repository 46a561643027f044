"""fp16, int8 and emulated bfloat16 on a network small enough to see through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadModel, BadTable
from engines.graph.calibration_table import Cost, Table, find, read
from engines.graph.float16 import emulate_bf16, to_bfloat16, to_fp16
from engines.graph.onnx_graph import Graph, Node, Value, save
from engines.graph.quantise import quantise_channels, quantised_layers, to_int8


def small(seed: int = 1) -> Graph:
    """uint8 picture, 1x1 convolution, ReLU, upscaling, 1x1 convolution, Gemm of the flattened result."""
    rng = np.random.default_rng(seed)
    constants = {
        "w1": rng.normal(size=(4, 3, 1, 1)).astype(np.float32),
        "b1": rng.normal(size=4).astype(np.float32),
        "w2": rng.normal(size=(2, 4, 1, 1)).astype(np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "w3": rng.normal(size=(5, 32)).astype(np.float32),
        "b3": rng.normal(size=5).astype(np.float32),
    }
    nodes = [
        Node("Cast", ["x"], ["f"], {"to": 1}),
        Node("Transpose", ["f"], ["p"], {"perm": [0, 3, 1, 2]}),
        Node("Conv", ["p", "w1", "b1"], ["c1"]),
        Node("Relu", ["c1"], ["r1"]),
        Node("Resize", ["r1", "", "twice"], ["big"], {"mode": b"nearest"}),
        Node("Conv", ["big", "w2"], ["c2"]),
        Node("Flatten", ["c2"], ["flat"]),
        Node("Gemm", ["flat", "w3", "b3"], ["y"], {"transB": 1}),
    ]
    return Graph(constants, nodes, ["y"])


def written(graph: Graph, folder: Path, name: str) -> Path:
    path = folder / f"{name}.onnx"
    save(graph, path, [Value("x", np.uint8, ("N", 2, 2, 3))], [Value("y", np.float32, ("N", 5))])
    return path


def computed(path: Path, x: np.ndarray) -> np.ndarray:
    """By ONNX Runtime: onnx's own evaluator has no QuantizeLinear of opset 17."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


PICTURE = np.random.default_rng(9).integers(0, 256, (1, 2, 2, 3), dtype=np.uint8)


def table(*excluded: str, **ranges: float) -> Table:
    return Table("m", "a" * 64, "r/1", "max", {}, ranges, excluded, {})


def full_table(*excluded: str) -> Table:
    return table(*excluded, p=255.0, big=900.0, flat=3000.0)


def test_fp16_keeps_uint8_in_and_float32_out(tmp_path: Path) -> None:
    exact = computed(written(small(), tmp_path, "fp32"), PICTURE)
    graph = small()
    to_fp16(graph)
    path = written(graph, tmp_path, "fp16")
    kinds = {one.name: one.data_type for one in onnx.load(path).graph.initializer}
    assert kinds.pop("twice") == onnx.TensorProto.FLOAT
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT16}
    half = computed(path, PICTURE)
    assert half.dtype == np.float32
    assert np.abs(half - exact).max() < 3e-3 * np.abs(exact).max()


def test_a_weight_beyond_float16_is_refused_by_name() -> None:
    graph = small()
    graph.constants["w2"][0] = 1e5
    with pytest.raises(BadModel, match=r"w2.*float16"):
        to_fp16(graph)


def test_emulated_bfloat16_rounds_what_a_convolution_reads(tmp_path: Path) -> None:
    graph = small()
    emulate_bf16(graph)
    casts = [node for node in graph.nodes if node.op == "Cast" and node.attributes["to"] == 16]
    assert [node.inputs[0] for node in casts] == ["p", "big", "flat"]
    assert all(not (graph.constants[f"w{i}.bf16"].view(np.uint32) & 0xFFFF).any() for i in (1, 2, 3))
    written(graph, tmp_path, "bf16")


@settings(deadline=None, max_examples=60)
@given(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False))
def test_bfloat16_is_the_nearest_of_eight_bits(value: float) -> None:
    got = float(to_bfloat16(np.array([value], np.float32))[0])
    assert abs(got - value) <= abs(value) * 2**-8 + 1e-37


def test_int8_has_pairs_that_a_strongly_typed_network_takes(tmp_path: Path) -> None:
    graph = small()
    to_int8(graph, full_table())
    path = written(graph, tmp_path, "int8")
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    for node in graph.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            scale, zero = (constants[name] for name in node.inputs[1:])
            assert zero.dtype == np.int8
            assert not zero.any()
            assert scale.dtype == np.float32
            assert (scale > 0).all()
    assert {name for name, values in constants.items() if values.dtype == np.float32 and values.size > 1} == {
        "b1",
        "b3",
        "twice",
        *(f"{layer}.scales" for layer in ("c1", "c2", "y")),
    }
    assert sum(node.op == "QuantizeLinear" for node in graph.nodes) == 3


def test_int8_stays_close_to_float_and_excluded_layers_are_untouched(tmp_path: Path) -> None:
    exact = computed(written(small(), tmp_path, "fp32"), PICTURE)
    graph = small()
    to_int8(graph, full_table())
    gap = np.abs(computed(written(graph, tmp_path, "int8"), PICTURE) - exact).max()
    assert 0 < gap < 0.1 * np.abs(exact).max()
    spared = small()
    to_int8(spared, full_table("c2", "y"))
    assert {n.inputs[1] for n in spared.nodes if n.op == "Conv"} == {"c1.weights.dequantised", "w2"}
    closer = np.abs(computed(written(spared, tmp_path, "spared"), PICTURE) - exact).max()
    assert closer < gap


def test_a_table_of_another_network_is_refused_by_the_tensor_it_lacks() -> None:
    with pytest.raises(BadModel, match="big"):
        to_int8(small(), table(p=255.0, flat=3000.0))
    with pytest.raises(BadModel, match="any layer"):
        to_int8(small(), full_table("c1", "c2", "y"))


def test_layers_that_may_be_quantised_are_named_by_their_output() -> None:
    assert [node.outputs[0] for node in quantised_layers(small())] == ["c1", "c2", "y"]


@settings(deadline=None, max_examples=40)
@given(channels=st.integers(1, 4), width=st.integers(1, 6), axis=st.sampled_from([0, 1]), seed=st.integers(0, 99))
def test_a_quantised_weight_is_within_half_a_step_of_its_channel(
    channels: int, width: int, axis: int, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=(channels, width)).astype(np.float32)
    whole, scales = quantise_channels(values, axis)
    along = scales.reshape((-1, 1) if axis == 0 else (1, -1))
    assert np.abs(whole).max() <= 127
    assert (np.abs(whole * along - values) <= along * 0.5001).all()


def test_a_table_comes_back_as_it_was_written_and_its_digest_ignores_provenance(tmp_path: Path) -> None:
    cost = Cost(0.001, 0.95, 0.949, 0.1, -0.1, 0.3, 100, 200, 300)
    one = Table("m", "a" * 64, "r/1", "entropy", {"c1": (0.5, 2.0)}, {"p": 1.5}, ("c2",), {"people": 3}, cost)
    (tmp_path / "m.int8.json").write_text(one.as_json())
    assert find("m", tmp_path) == one
    assert find("no such card", tmp_path) is None
    other = Table("m", "a" * 64, "r/1", "max", {"c1": (0.5, 2.0)}, {"p": 1.5}, ("c2",), {}, None)
    assert other.digest == one.digest
    assert Table("m", "a" * 64, "r/1", "max", {"c1": (0.5, 2.0)}, {"p": 1.6}, ("c2",), {}).digest != one.digest


@pytest.mark.parametrize(
    ("points", "allowed"),
    [(-0.2, True), (0.5, True), (0.51, False), (float("nan"), False)],
)
def test_int8_is_allowed_up_to_half_a_point(points: float, allowed: bool) -> None:
    assert Cost(0.001, 0.9, 0.9, points, 0, 0, 1, 1, 1).allowed is allowed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 9}',
        '{"format": 1, "cost": null, "excluded": [], "ranges": {}}',
        table(p=0.0).as_json(),
        table(p=float("inf")).as_json(),
    ],
)
def test_a_damaged_table_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.int8.json"
    path.write_text(text)
    with pytest.raises(BadTable, match="calibrate int8") as fault:
        read(path)
    assert str(path) in str(fault.value)
    assert fault.value.exit_status == 65
