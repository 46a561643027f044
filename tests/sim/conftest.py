"""The simulation's rig as a fixture: `device_under_test(**changes)` gives a Rig on fakes and virtual time."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _module(name: str) -> Any:
    """A module of this folder, imported as lfr_test_<name>; pytest's importlib mode has no package to import from."""
    name, file = f"lfr_test_{name}", f"{name}.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def rig(tmp_path: Path) -> Callable[..., Any]:
    """Builder of a whole device on fakes."""
    _module("virtual_loop")
    _module("workers")
    _module("published")
    module = _module("rig")

    def build(**changes: Any) -> Any:
        return module.Rig(changes.pop("folder", tmp_path), **changes)

    return build
