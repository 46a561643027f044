"""The simulation's rig as a fixture: `device_under_test(**changes)` gives a Rig on fakes and virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lfr_test_loading import loaded


def _module(name: str) -> Any:
    """A module of this folder, imported as lfr_test_<name>."""
    return loaded(f"lfr_test_{name}", Path(__file__).with_name(f"{name}.py"))


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
