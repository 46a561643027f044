"""A list of one and a list of 20,000 are searched exactly, in memory that the number of photos explains."""

from __future__ import annotations

import numpy as np
import pytest

from device.watchlist.gallery import Gallery, fill


@pytest.mark.parametrize("entries", [1, 20_000])
def test_every_entry_is_found_by_its_own_template(entries: int) -> None:
    templates = fill(entries, 3, dim=128)[1]
    gallery = Gallery([f"e{n}" for n in range(entries)], templates, np.arange(entries))
    for wanted in {0, entries // 2, entries - 1}:
        (best,) = gallery.search(templates[wanted : wanted + 1])
        assert best.entry == wanted
        assert best.score == pytest.approx(1.0, abs=1e-5)
        others = np.delete(templates, wanted, axis=0) @ templates[wanted]
        assert best.other_score == pytest.approx(others.max() if entries > 1 else -1.0, abs=1e-5)
