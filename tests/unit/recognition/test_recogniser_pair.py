"""Two recognisers, one decision: the screen sees first, scores are fused, and what does not fit together is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.finding import Mode
from device.domain.recognisers import FUSION, Fusion, Recognisers
from device.domain.sight import F32
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions, chosen_recognisers
from device.errors import EvidenceUnusable, UsageError, WatchlistUnusable
from device.evidence.artefact import Pair, read, shipped, trusted_keys
from device.recognition.operating_point import Terms, engine_of, evidence_for
from device.vision.pair import LookMaker, ScreenList
from device.watchlist.gallery import Gallery, fill
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist, require_models
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, SCREEN_0095, ModelCard

SFACE, SCREEN = card(RECOGNISER_DEFAULT), card(SCREEN_0095)
PAIR = Recognisers(SFACE, SCREEN)
MakeRoom = Callable[..., ModelSessions]


def unit(seed: int, dim: int) -> F32:
    row: F32 = fill(1, seed, dim)[1][0]
    return row


def look_of(seed: int, listed: ScreenList | None = None, *, gated: bool = False) -> tuple[float | None, F32, list[str]]:
    """What a pair makes of person `seed`, and which recognisers looked."""
    asked: list[str] = []

    def embed(one: ModelCard, out: F32) -> float:
        asked.append(one.name)
        out[:] = unit(seed, one.length_of_template)
        return 11.0 if one is SFACE else 3.0

    out = np.full(PAIR.length_of_template, 7, np.float32)
    return LookMaker(PAIR, listed).look(embed, out, gated=gated), out, asked


def list_of(*people: int) -> Gallery:
    rows = np.stack([look_of(person)[1] for person in people])
    return Gallery([str(p) for p in people], rows, np.arange(len(people)), screen_dim=PAIR.screen_dim)


@given(one=st.integers(0, 99), other=st.integers(0, 99), weight=st.floats(0.05, 0.95))
def test_the_cosine_of_two_pair_templates_is_the_weighted_sum_of_both_cosines(
    one: int, other: int, weight: float
) -> None:
    chosen = Recognisers(SFACE, SCREEN, Fusion(weight, 0.4))

    def embed(seed: int) -> F32:
        out = np.zeros(chosen.length_of_template, np.float32)
        LookMaker(chosen).look(lambda each, part: part.__setitem__(..., unit(seed, len(part))) or 1.0, out, gated=False)
        return out

    first, second = embed(one), embed(other)
    mine, screens = (unit(one, dim) @ unit(other, dim) for dim in (128, 256))
    assert float(first @ second) == pytest.approx(weight * mine + (1 - weight) * screens, abs=1e-5)
    assert float(np.linalg.norm(first)) == pytest.approx(1, abs=1e-5)


def test_the_main_recogniser_looks_only_where_the_screen_leaves_somebody_possible() -> None:
    listed = list_of(1, 2, 3)
    length, out, asked = look_of(50, listed, gated=True)
    assert (length, asked) == (None, [SCREEN.name])
    assert not out.any()
    length, out, asked = look_of(2, listed, gated=True)
    assert (length, asked) == (11.0, [SCREEN.name, SFACE.name])
    assert listed.search(out[None])[0].entry == 1
    length, out, asked = look_of(50, listed, gated=False)
    assert (length, asked) == (11.0, [SCREEN.name, SFACE.name])


def test_the_gate_is_where_the_fusion_says() -> None:
    class Fixed:
        def __init__(self, best: float) -> None:
            self.best = best

        def screen_best(self, template: F32) -> float:
            return self.best

    assert look_of(1, Fixed(FUSION.gate - 1e-6), gated=True)[0] is None
    assert look_of(1, Fixed(FUSION.gate), gated=True)[0] == 11.0


@pytest.mark.parametrize("count", [1, 20_000])
def test_lists_of_one_and_of_twenty_thousand_are_screened_and_searched(count: int) -> None:
    _, rows = fill(count, 5, PAIR.length_of_template)
    rows[0] = look_of(9)[1]
    listed = Gallery([str(n) for n in range(count)], rows, np.arange(count), screen_dim=PAIR.screen_dim)
    assert listed.screen_best(unit(9, 256)) == pytest.approx(1, abs=1e-5)
    hit = listed.search(look_of(9)[1][None])[0]
    assert (hit.entry, round(hit.score, 4)) == (0, 1.0)


def test_withdrawing_and_wiping_reach_the_screen_s_templates_too() -> None:
    listed = list_of(1, 2)
    listed.withdraw(["1"])
    assert listed.screen_best(unit(1, 256)) < FUSION.gate
    assert listed.screen_best(unit(2, 256)) == pytest.approx(1, abs=1e-5)
    listed.wipe()
    assert listed.screen_best(unit(2, 256)) == 0.0
    assert not listed._screen.any()


def test_a_list_without_a_screen_s_part_screens_nobody_in() -> None:
    assert Gallery(["a"], fill(1, 1, 128)[1], np.zeros(1, int)).screen_best(unit(1, 256)) == -1.0


def test_a_pair_another_pair_another_weight_and_one_alone_are_different_models() -> None:
    others = (
        PAIR,
        Recognisers(SFACE),
        Recognisers(SCREEN, SFACE),
        Recognisers(SFACE, SCREEN, replace(FUSION, main_weight=0.6)),
    )
    assert len({one.source_sha256 for one in others}) == len(others)
    assert Recognisers(SFACE).source_sha256 == SFACE.source_sha256
    assert PAIR.name == "sface-2021dec+face-reidentification-retail-0095"
    assert (PAIR.length_of_template, PAIR.screen_dim, PAIR.lengths) == (384, 256, SFACE.lengths)


@pytest.mark.parametrize(
    ("main", "screen", "says"),
    [
        (None, RECOGNISER_DEFAULT, "both sface-2021dec"),
        (None, DETECTOR_DEFAULT, "is a detector; a recogniser is needed"),
        (None, "nobody-s", "unknown model"),
    ],
)
def test_cards_that_are_no_pair_are_refused(main: str | None, screen: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chosen_recognisers(main, screen)


def _sealed(made_by: Recognisers) -> SealedWatchlist:
    row = unit(1, made_by.length_of_template)
    entry = SealedEntry(
        ref="e", category="c", image_source="s", templates=row.astype("<f4").tobytes(), template_dim=len(row)
    )
    return SealedWatchlist(
        format=FORMAT,
        watchlist_id="w",
        deployment_id="d",
        mode=Mode.TEST,
        created_at=datetime(2026, 11, 30, tzinfo=timezone.utc),
        recogniser_sha256=made_by.source_sha256,
        subjects=1,
        images=1,
        entries=(entry,),
    )


@pytest.mark.parametrize("made_by", [Recognisers(SFACE), Recognisers(SCREEN), Recognisers(SCREEN, SFACE)])
def test_a_list_that_lacks_one_recogniser_s_templates_is_refused(made_by: Recognisers) -> None:
    detector = card(DETECTOR_DEFAULT).source_sha256
    with pytest.raises(WatchlistUnusable, match="was made with recogniser"):
        require_models(_sealed(made_by), detector, PAIR.source_sha256)
    require_models(_sealed(PAIR), detector, PAIR.source_sha256)


def test_evidence_for_another_pair_is_refused() -> None:
    detector = card(DETECTOR_DEFAULT)
    with pytest.raises(EvidenceUnusable, match="no evidence is shipped for recogniser"):
        evidence_for(engine_of(detector, Recognisers(SCREEN, SFACE), "any:fp32"), Terms())


def test_the_evidence_that_ships_for_the_pair_names_both_cards_and_the_fusion() -> None:
    artefact = read(shipped(PAIR.name), trusted_keys())
    assert artefact.recogniser_sha256 == PAIR.source_sha256
    assert artefact.pair == Pair(
        main=SFACE.name,
        main_sha256=SFACE.source_sha256,
        screen=SCREEN.name,
        screen_sha256=SCREEN.source_sha256,
        main_weight=FUSION.main_weight,
        gate=FUSION.gate,
    )
    found = evidence_for(engine_of(card(DETECTOR_DEFAULT), PAIR, "any:bf16"), Terms())
    assert found.largest_list >= 3500
    alone = evidence_for(engine_of(card(DETECTOR_DEFAULT), SFACE, "any:bf16"), Terms())
    assert found.threshold_for((1822,)) != alone.threshold_for((1822,))


def test_a_room_with_a_pair_enrols_tests_and_wipes_both(
    own_recogniser: ModelCard, samples: Callable[[str], list[Path]]
) -> None:
    """SFace with a small added recogniser: the mechanism needs no published model."""
    bgr = cv2.imread(str(samples("public")[0]))
    assert bgr is not None
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    alone = {}
    for name in (None, "tiny"):
        sessions = ModelSessions("onnxruntime:fp32", threads=1, recogniser=name)
        reader = EnginePhotoReader(sessions)
        alone[name] = reader.templates(rgb, reader.read(rgb)[0])
        sessions.close()
    sessions = ModelSessions("onnxruntime:fp32", threads=1, screen="tiny")
    reader = EnginePhotoReader(sessions)
    both = reader.templates(rgb, reader.read(rgb)[0])
    assert both is not None
    for place, (name, scale) in enumerate(zip((None, "tiny"), sessions.recognisers.scales, strict=True)):
        single = alone[name]
        assert single is not None
        assert sessions.recognisers.part(both.look, place) == pytest.approx(single.look * scale, abs=1e-5)
        assert sessions.recognisers.part(both.entry, place) == pytest.approx(single.entry * scale, abs=1e-5)
    assert sessions.self_test() == ""
    reader.close()
    assert all(not embedder._input.any() for embedder in sessions.embedders().values())
    sessions.close()


def test_the_self_test_names_the_screen_that_answers_otherwise(own_recogniser: ModelCard) -> None:
    sessions = ModelSessions("onnxruntime:fp32", threads=1, screen="tiny")
    sessions.embedders()
    sessions._others["tiny"], sessions._others[RECOGNISER_DEFAULT] = (
        sessions._others[RECOGNISER_DEFAULT],
        sessions._others["tiny"],
    )
    wrong = sessions.self_test()
    sessions.close()
    assert "tiny" in wrong
    assert RECOGNISER_DEFAULT in wrong


def mirror(looks: LookMaker, out: F32, *, fails: bool = False) -> None:
    """Turn the template of person 1 into that of a mirrored look; the mirror image is like another person."""

    def embed(one: ModelCard, part: F32) -> float:
        part[:] = unit(1, len(part)) * 0.8 + unit(2, len(part)) * (0.6 if one is SFACE else 0.2)
        part /= np.linalg.norm(part)
        if fails and one is SCREEN:
            raise RuntimeError("the runtime is gone")
        return 11.0

    out[:] = look_of(1)[1]
    looks.mirror(embed, out)


def test_a_mirrored_look_of_a_pair_is_the_mean_of_each_recogniser_by_itself() -> None:
    """As the templates of photos that the evidence counts as mirrored looks: `EnginePhotoReader` calls the same."""
    looks, out = LookMaker(PAIR), np.zeros(PAIR.length_of_template, np.float32)
    mirror(looks, out)
    for place, other in ((0, 0.6), (1, 0.2)):
        dim = PAIR.cards[place].length_of_template
        image = unit(1, dim) * 0.8 + unit(2, dim) * other
        mean = unit(1, dim) + image / np.linalg.norm(image)
        expected = mean / np.linalg.norm(mean) * PAIR.scales[place]
        np.testing.assert_allclose(PAIR.part(out, place), expected, atol=1e-6)
    assert np.linalg.norm(out) == pytest.approx(1.0, abs=1e-6)
    assert not looks._other.any()


def test_a_recogniser_that_fails_in_a_mirrored_look_leaves_no_template() -> None:
    looks = LookMaker(PAIR)
    with pytest.raises(RuntimeError):
        mirror(looks, np.zeros(PAIR.length_of_template, np.float32), fails=True)
    assert not looks._other.any()
