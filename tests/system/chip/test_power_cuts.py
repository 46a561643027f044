"""Power cuts of a whole machine whose disk loses what was not flushed: at the next boot, what was promised is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import EmulatedMachines
from tests.system.machine_cuts import play

pytestmark = pytest.mark.system
CUTS = 1


def test_whatever_the_cuts_came_into_nothing_that_was_promised_is_lost(
    tmp_path: Path, emulated: EmulatedMachines
) -> None:
    if reason := emulated.cannot():
        pytest.skip(reason)
    done = play(tmp_path, CUTS, seed=12)
    assert sum(done.phases.values()) == CUTS
    assert done.findings == []
    assert "lost" in done.control, "a disk that lies about its flushes was not found out"
