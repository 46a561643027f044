"""What the live view leaves of a face: nothing that our detector finds or our recogniser would alert on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from device.worker.live_view import COLUMNS, ROWS
from tools.dev.proof.pixelation import HEIGHT, measure

pytestmark = pytest.mark.slow
LOWEST_THRESHOLD = 0.458


def test_a_face_as_high_as_the_picture_is_neither_found_nor_recognised(
    samples: Callable[[str], list[Path]], models_ready: Path
) -> None:
    photos = samples("public")[:3]
    (left,) = measure(COLUMNS, ROWS, photos, (HEIGHT,))
    assert left.found == 0
    assert left.own.max() < LOWEST_THRESHOLD
    (fine,) = measure(160, 90, photos[:2], (HEIGHT,))
    assert fine.own.max() > LOWEST_THRESHOLD, "the measure itself: a fine grid leaves the face"
    assert fine.found > 0
