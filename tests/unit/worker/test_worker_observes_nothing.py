"""The worker of a device never hands out the steps of its recognition (device/vision/observer.py, rule 3)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import device

HOME = Path(device.__file__).parent
ROOMS = ("worker", "supervisor", "cli")


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_that_runs_on_a_device_gives_the_pipeline_an_observer(room: str) -> None:
    modules = sorted((HOME / room).rglob("*.py"))
    assert modules
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            assert not (isinstance(node, ast.keyword) and node.arg == "observer"), f"{module}: line {node.value.lineno}"
            assert not (isinstance(node, ast.ImportFrom) and node.module == "device.vision.observer"), str(module)


def test_the_worker_makes_its_pipeline_with_named_arguments_alone() -> None:
    """A keyword that comes in a `**` would escape the test above."""
    tree = ast.parse((HOME / "worker" / "main.py").read_text("utf-8"))
    calls = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) in {"pipeline_of", "Pipeline"}
    ]
    assert calls
    assert all(keyword.arg is not None for call in calls for keyword in call.keywords)
