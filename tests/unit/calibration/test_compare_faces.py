"""Two engines on the faces of one data set: the same photos on both sides, and what that changes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.cli.engines_command import register
from calibration.data.faces import Faces, Listed
from calibration.evidence.compare_faces import FPIRS, FacesOfDataset, by_role, compared, spread, together
from calibration.evidence.precision_change import FPIR, NEAR, STEPS, change, rates, resampled, searches
from device.domain.sight import F32
from device.errors import BadData, EvidenceUnusable, UsageError
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT


def people(count: int, noise: float, without: frozenset[int] = frozenset()) -> Faces:
    """Two photos of each, unit templates of 32 numbers; rows of `without` gave no template."""
    rng = np.random.default_rng(3)
    rows = np.repeat(rng.normal(size=(count, 32)), 2, axis=0) + noise * rng.normal(size=(2 * count, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kept = [row for row in range(2 * count) if row not in without]
    names = sorted({row // 2 for row in kept})
    return Faces(
        people=tuple(f"p{name:04d}" for name in names),
        source=np.zeros(len(names), np.intp),
        templates=rows[kept].astype(np.float32),
        looks=rows[kept].astype(np.float32),
        weights=np.ones(len(kept), np.float32),
        owner=np.array([names.index(row // 2) for row in kept], np.intp),
        files=tuple(f"p{row // 2:04d}/{row % 2}.jpg" for row in kept),
        face_px=np.full(len(kept), 90, np.float32),
        rejected=(),
        notes=(),
    )


def test_the_same_engine_changes_nothing() -> None:
    reported = compared("set", people(60, 0.8), people(60, 0.8))
    assert (reported.people, reported.photos) == (60, 120)
    assert {(one.mated, one.unmated) for one in reported.rates} == {(120, 120 * 119 - 120)}
    assert (reported.only_first, reported.only_second) == (0, 0)
    assert [(one.fpir, one.points, one.low, one.high) for one in reported.rates] == [(fpir, 0, 0, 0) for fpir in FPIRS]


def test_a_worse_engine_finds_fewer_people_and_a_better_one_more() -> None:
    good, bad = people(60, 0.7), people(60, 2.0)
    worse, better = compared("set", good, bad).rates[1], compared("set", bad, good).rates[1]
    assert worse.first > worse.second
    assert worse.points == pytest.approx(100 * (worse.second - worse.first))
    assert worse.low <= worse.points <= worse.high < 0
    assert (better.points, better.low, better.high) == pytest.approx((-worse.points, -worse.high, -worse.low))


def test_a_photo_that_one_side_cannot_use_counts_and_matches_nobody_there() -> None:
    reported = compared("set", people(60, 0.7), people(60, 0.7, without=frozenset({0, 2, 4, 5})))
    assert (reported.people, reported.photos, reported.only_first, reported.only_second) == (60, 120, 4, 0)
    assert reported.rates[0].points < 0


def test_rows_of_both_sides_are_of_the_same_photos() -> None:
    one, other = people(3, 0.5, frozenset({1})), people(3, 0.5, frozenset({0, 4, 5}))
    names, (before, after) = together(one, other)
    assert names == ["p0000", "p0000", "p0001", "p0001", "p0002", "p0002"]
    assert before.any(1).tolist() == [True, False, True, True, True, True]
    assert after.any(1).tolist() == [False, True, True, True, False, False]
    assert np.array_equal(before[2:4], after[2:4])


def test_too_few_people_are_refused() -> None:
    with pytest.raises(BadData, match="cannot be measured"):
        compared("set", people(2, 0.5), people(2, 0.5))


def naive(templates: F32, names: list[str]) -> float:
    """Rules 1 to 4 of evidence.precision_change by loops over people with two photos each: no shared code."""
    scores = templates.astype(np.float64) @ templates.T.astype(np.float64)
    count = len(names)
    strangers = [[scores[i, j] for j in range(count) if names[i] != names[j]] for i in range(count)]
    mated = [scores[i, j] for i in range(count) for j in range(count) if i != j and names[i] == names[j]]
    for step in STEPS:
        passing = [sum(score >= step for score in row) / len(row) for row in strangers]
        if np.mean([1 - (1 - share) ** 100 for share in passing]) <= FPIR:
            return float(np.mean([score >= step for score in mated]))
    raise AssertionError("no threshold is high enough")


def test_the_rate_agrees_with_a_count_by_hand() -> None:
    faces = people(20, 1.1)
    names = [file.partition("/")[0] for file in faces.files]
    (found,) = change(names, faces.templates, faces.templates)
    assert 0 < found.first < 1
    assert found.first == pytest.approx(naive(faces.templates, names))


def test_a_draw_is_the_same_whether_few_scores_are_looked_at_or_all() -> None:
    faces = people(40, 1.0)
    found = searches(faces.templates, [file.partition("/")[0] for file in faces.files])
    lopsided = np.zeros(40)
    lopsided[:2] = 20.0
    rng = np.random.default_rng(0)
    drawn = [lopsided, *(rng.multinomial(40, np.full(40, 1 / 40)).astype(np.float64) for _ in range(10))]
    _, shares = resampled(found, drawn, 0.01)
    assert shares == [rates(found, times, 0.01)[0] for times in drawn]
    assert rates(found, np.ones(40), 0.01)[1] > NEAR > 0


def test_people_shown_are_spread_over_the_set_one_photo_each() -> None:
    photos = [Listed(Path(f"p{k}/{j}"), f"p{k}", f"p{k}/{j}") for k in range(10) for j in range(2)]
    assert [one.name for one in spread(photos, 4)] == ["p0/0", "p3/0", "p6/0", "p9/0"]
    assert len(spread(photos, 100)) == 10


def test_photos_are_shown_as_the_networks_see_them(
    models_ready: Path, samples: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    for path in samples("public"):
        target = tmp_path / path.stem / path.name
        target.parent.mkdir()
        target.write_bytes(path.read_bytes())
    shown = FacesOfDataset().shown(tmp_path)
    assert shown.people >= 2
    assert {crop.shape for crop in shown.crops} == {(1, 112, 112, 3)}
    assert {square.shape for square in shown.squares} == {(256, 256, 3)}
    assert len(shown.crops) == len(shown.squares) == shown.people


def test_a_data_set_without_a_face_is_refused(models_ready: Path, tmp_path: Path) -> None:
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(EvidenceUnusable, match="none of 1 photos"):
        FacesOfDataset().shown(tmp_path)


def test_models_are_chosen_by_role_and_one_of_each() -> None:
    detector, recogniser = card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT)
    assert by_role([]) == {"detector": None, "recogniser": None}
    assert by_role([recogniser]) == {"detector": None, "recogniser": RECOGNISER_DEFAULT}
    with pytest.raises(UsageError, match="one of each"):
        by_role([detector, recogniser, detector])


def test_the_command_takes_a_data_set_and_refuses_one_that_is_not_there(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    args = parser.parse_args(["engines", "compare", "fp32", "int8", "--faces", str(tmp_path / "none")])
    with pytest.raises(EvidenceUnusable, match="no such folder"):
        args.run(args)
