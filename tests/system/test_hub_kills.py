"""Some tens of random SIGKILLs of hub, broker and device: nothing is lost or reappears, the counts balance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import hub_kills as kills

pytestmark = pytest.mark.system


def test_every_unjudged_alert_is_on_the_page_again_and_every_judgement_reaches_its_device(tmp_path: Path) -> None:
    counts = kills.drill(tmp_path, kills=30, seed=11)
    assert sum(counts.kills.values()) == 30
    assert max(counts.back_s) <= kills.BACK_WITHIN_S
