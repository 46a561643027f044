"""The simulation's rig as a fixture: `device_under_test(**changes)` gives a Rig on fakes and virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sim.rig import MakeRig, Rig


@pytest.fixture
def rig(tmp_path: Path) -> MakeRig:
    """Builder of a whole device on fakes."""

    def build(**changes: Any) -> Rig:
        return Rig(changes.pop("folder", tmp_path), **changes)

    return build
