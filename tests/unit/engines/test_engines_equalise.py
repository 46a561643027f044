"""Evening out channels changes no answer; what cannot be scaled is left alone or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from engines.errors import BadTable
from engines.graph.equalise import equalisable, equalise
from engines.graph.onnx_graph import Graph, Node, Value, save


def network() -> Graph:
    """Convolution, split PReLU, convolution; then one whose output is read twice."""
    rng = np.random.default_rng(3)
    constants = {f"w{i}": rng.normal(size=(4, c, 1, 1)).astype(np.float32) for i, c in ((1, 3), (2, 4), (3, 4))}
    constants["slope"] = rng.uniform(0, 1, (4, 1, 1)).astype(np.float32)
    nodes = [
        Node("Conv", ["x", "w1"], ["a"]),
        Node("Relu", ["a"], ["bent"]),
        Node("Mul", ["a", "slope"], ["straight"]),
        Node("Add", ["straight", "bent"], ["p"]),
        Node("Conv", ["p", "w2"], ["b"]),
        Node("Conv", ["b", "w3"], ["c"]),
        Node("Add", ["b", "c"], ["y"]),
    ]
    return Graph(constants, nodes, ["y"])


def test_only_what_one_operator_reads_can_be_scaled() -> None:
    assert set(equalisable(network())) == {"p"}


def test_the_network_computes_the_same_afterwards(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(1, 3, 2, 2)).astype(np.float32)
    answers = []
    for factors in ({}, {"p": (0.1, 2.0, 30.0, 1.0)}):
        graph = network()
        equalise(graph, factors)
        path = tmp_path / "m.onnx"
        save(graph, path, [Value("x", np.float32, (1, 3, 2, 2))], [Value("y", np.float32, (1, 4, 2, 2))])
        answers.append(ReferenceEvaluator(str(path)).run(None, {"x": x})[0])
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factors", [{"b": (1.0,) * 4}, {"p": (1.0, 2.0)}, {"p": (1.0, 0.0, 1.0, 1.0)}])
def test_factors_of_another_network_are_refused(factors: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(BadTable):
        equalise(network(), factors)
