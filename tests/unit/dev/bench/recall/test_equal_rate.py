"""The equal false alert rate: the product's false alerts are counted in the run that is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from tools.dev.bench.recall import run as recall
from tools.dev.bench.recall.cases import Case
from tools.dev.bench.recall.run import Run, Taken, Terms, _at_equal_rate
from tools.dev.bench.recall.tally import Assessed, Claim

CASE = Case("walk", Path("walk.mp4"), ())


class _Faces:
    rate_hz = 25.0


def _run(threshold: float, scores: list[float]) -> Run:
    """A run in which strangers reach these scores; those at the threshold or above are alerts."""
    false = {n: Claim(n, "somebody", 1, score, frozenset()) for n, score in enumerate(scores)}
    alerts = {n: claim for n, claim in false.items() if claim.score >= threshold}
    return Run(Assessed({}, alerts), Assessed({}, false), {"threshold": threshold}, cast(Any, None))


def _taken() -> Taken:
    return Taken(CASE, (), Path("list"), cast(Any, _Faces()), Assessed({}, {}), cast(Any, None))


@pytest.mark.parametrize(("strangers", "expected"), [(40, 0.5001), (100, 0.4801)])
def test_the_threshold_rises_until_no_more_are_false_than_allowed(
    monkeypatch: pytest.MonkeyPatch, strangers: int, expected: float
) -> None:
    """Below .47 the product looks oftener, and two strangers reach .48 and .50; 1 % of 100 strangers may alert."""
    tried = []

    def product(case: Case, rate_hz: float, watchlist: Path, terms: Terms, cache: object) -> Run:
        assert terms.threshold is not None
        tried.append(terms.threshold)
        return _run(terms.threshold, [0.50, 0.48, 0.44])

    monkeypatch.setattr(recall, "_product", product)
    taken = _taken()
    found = _at_equal_rate([taken], 0.45, strangers, Terms(share=0.01), None)
    assert found == pytest.approx(expected)
    assert tried == pytest.approx([0.45, expected])
    assert taken.again is not None
    assert len(taken.again.alerts.false) == strangers // 100


def test_a_threshold_that_holds_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_product", lambda *_: _run(0.45, [0.44]))
    assert _at_equal_rate([_taken()], 0.45, 40, Terms(), None) == 0.45
