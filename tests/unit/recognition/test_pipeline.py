"""The spine on a painted world: who is counted, who is stated, and that nothing personal is left."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.finding import Counters
from device.domain.sight import U8, Face
from device.recognition.pipeline import LOOK_EVERY_NS, LOOKS_PER_FRAME, Pipeline
from device.vision.passages import Slot
from device.vision.refine import FACE_IN_PATCH_PX, OTHER_FACE_IN_PATCH_PX, PATCH_PX, face_px_of
from engines.cards.model_card import Lengths
from tests.unit.recognition.conftest import STEP_MS, World

MakeWorld = Callable[..., Any]


def slots(pipeline: Pipeline) -> list[Slot]:
    return [*pipeline._passages._free, *(p.slot for p in pipeline._passages.open)]


def balance(counters: Counters) -> tuple[int, int]:
    return counters.faces_seen, counters.discarded + counters.alerted


def test_a_listed_person_is_stated_once_and_a_passer_by_never(world: World) -> None:
    world.walk(0, 1, steps=25)
    world.pipeline.finish()
    assert [(c.entry_ref, c.revision) for c in world.stated] == [("entry-0", 0)]
    assert world.pipeline.counters.faces_seen == 2
    assert (world.pipeline.counters.alerted, world.pipeline.counters.discarded) == (1, 1)


def test_a_candidate_states_category_scores_frame_and_quality(world: World) -> None:
    world.walk(0)
    (stated,) = world.stated
    assert stated.category == "missing"
    assert stated.score == pytest.approx(1.0, abs=1e-5)
    assert stated.threshold == 0.5
    assert stated.margin == pytest.approx(0.5, abs=1e-5)
    assert stated.second_gap == float("inf")  # there is no other entry
    assert stated.faces_used == 1
    assert stated.frame_size == (640, 360)
    assert stated.quality == 1.0
    left, top, right, bottom = stated.box_in_frame
    assert (left + right) / 2 == pytest.approx(100, abs=6)
    assert (top + bottom) / 2 == pytest.approx(180, abs=6)
    assert (stated.frame, stated.media_ns) == (0, 0)  # at the first good sight, not at the end
    assert stated.first_seen_ns == 0


def test_two_listed_people_are_two_alerts_of_two_passages(world_of: MakeWorld) -> None:
    world = world_of(listed=(0, 3))
    world.walk(0, 3)
    assert sorted(c.entry_ref for c in world.stated) == ["entry-0", "entry-3"]
    assert len({c.passage for c in world.stated}) == 2


def test_a_person_who_returns_after_more_than_2_seconds_is_stated_again(world: World) -> None:
    world.walk(0)
    world.empty(2.4)
    world.walk(0)
    world.pipeline.finish()
    assert [c.revision for c in world.stated] == [0, 0]
    assert world.pipeline.counters.faces_seen == world.pipeline.counters.alerted == 2


def test_a_person_behind_a_pillar_for_a_moment_is_one_passage(world: World) -> None:
    world.walk(0)
    world.empty(1.3)
    world.walk(0)
    world.pipeline.finish()
    assert len(world.stated) == 1
    assert world.pipeline.counters.faces_seen == 1


def test_a_recogniser_looks_no_oftener_than_the_budget_of_a_frame(world: World) -> None:
    for n in range(6):
        before = len(world.embedder.looks)
        world.show({p: (40 + 75 * p + n, 180) for p in range(8)})
        assert len(world.embedder.looks) - before <= LOOKS_PER_FRAME
    assert world.pipeline.counters.templates == len(world.embedder.looks)
    assert set(world.embedder.looks) == set(range(8))


def test_a_person_is_recognised_a_few_times_and_not_in_every_frame(world: World) -> None:
    world.walk(1, steps=40)
    assert 2 <= len(world.embedder.looks) <= 5


def test_a_crop_that_is_noise_counts_nobody(world: World) -> None:
    world.embedder.raw_lengths[0] = 5.0
    world.walk(0, steps=20)
    world.pipeline.finish()
    counters = world.pipeline.counters
    assert world.stated == []
    assert (counters.faces_seen, counters.quality_rejects) == (0, 1)
    assert counters.templates >= 1


@pytest.mark.parametrize("length", [1.0, 0.001, 400.0])
def test_with_a_recogniser_whose_length_is_no_quality_a_listed_person_is_found_at_any_length(
    length: float, world: World
) -> None:
    world.embedder.lengths = None
    world.embedder.raw_lengths = {0: length, 3: length}
    for _ in range(20):
        world.show({0: (200, 180), 3: (460, 180)})
    (stated,) = world.stated
    assert stated.entry_ref == "entry-0"
    assert 0.5 < stated.quality <= 1.0, "of geometry and detection alone"
    world.pipeline.finish()
    assert world.pipeline.counters.faces_seen == 2


def test_an_output_without_a_direction_is_noise_on_any_scale(world: World) -> None:
    world.embedder.lengths = None
    world.embedder.raw_lengths[0] = 0.0
    world.walk(0, steps=20)
    world.pipeline.finish()
    assert world.stated == []
    assert (world.pipeline.counters.faces_seen, world.pipeline.counters.quality_rejects) == (0, 1)


def test_the_length_is_judged_on_the_cards_own_scale(world: World) -> None:
    """What is noise to SFace is a good template to a recogniser whose lengths are a tenth, and the other way round."""
    world.embedder.lengths = Lengths(0.85, 1.2, "in this test")
    world.embedder.raw_lengths = {0: 1.25, 3: 0.5}
    for _ in range(20):
        world.show({0: (200, 180), 3: (460, 180)})
    assert [(c.entry_ref, c.quality) for c in world.stated] == [("entry-0", 1.0)]
    world.pipeline.finish()
    assert (world.pipeline.counters.faces_seen, world.pipeline.counters.quality_rejects) == (1, 1)


def test_a_face_below_the_least_height_is_followed_but_never_recognised(world_of: MakeWorld) -> None:
    world = world_of(face_px=28)
    world.walk(0, steps=15)
    world.pipeline.finish()
    assert world.pipeline.counters.tracks == 1
    assert world.embedder.looks == []
    assert world.pipeline.counters.faces_seen == 0


def test_a_face_outside_the_zone_is_not_processed(world_of: MakeWorld) -> None:
    world = world_of(listed=(0, 1), zone=((0.5, 0), (1, 0), (1, 1), (0.5, 1)))
    for n in range(12):
        world.show({0: (200 + n, 180), 1: (500 + n, 180)})
    world.pipeline.finish()
    assert {c.entry_ref for c in world.stated} == {"entry-1"}
    assert set(world.embedder.looks) == {1}
    counters = world.pipeline.counters
    assert (counters.tracks, counters.faces_seen, counters.detections) == (1, 1, 12)


def test_a_neighbour_outside_the_zone_is_hidden_in_the_probe_all_the_same(world_of: MakeWorld) -> None:
    """A border through the picture must not show the people beyond it."""
    shots = []
    for zone in (((0, 0), (1, 0), (1, 1), (0, 1)), ((0.5, 0), (1, 0), (1, 1), (0.5, 1))):
        world = world_of(zone=zone)
        for n in range(4):
            world.show({6: (276, 180 + n), 0: (364, 180 + n)})
        (stated,) = world.stated
        shots.append(world.pipeline.shot(stated.passage).copy())
    assert np.array_equal(shots[0], shots[1])


def test_counts_balance_after_every_kind_of_passage(world_of: MakeWorld) -> None:
    world = world_of(listed=(0, 5))
    world.walk(0, 1, 2)
    world.empty(2.5)
    world.embedder.raw_lengths[3] = 5.0
    world.walk(3, 5)
    world.empty(1.0)
    world.walk(1)
    world.pipeline.finish()
    counters = world.pipeline.counters
    assert counters.faces_seen == 5
    assert balance(counters) == (5, 5)
    assert counters.alerted == 2
    assert sum(counters.score_histogram) == 5
    assert counters.open_passages == 0


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("screened", [False, True])
@given(seed=st.integers(0, 100_000))
def test_counts_balance_whatever_people_do(screened: bool, seed: int, world_of: MakeWorld) -> None:
    """In motion, what is seen and neither discarded nor alerted is still open; at rest it is nothing.

    A pair's screen leaves somebody possible in half of its looks, whoever it is.
    """
    random = np.random.default_rng(seed)
    world = world_of(listed=(0, 4), screened=screened)
    world.pipeline._sight.gallery.screen_best = lambda _: float(random.random() < 0.5)
    world.embedder.raw_lengths = {p: float(random.choice([5.0, 9.0, 10.0, 12.5])) for p in range(8)}
    places = {p: random.uniform((0, 60), (640, 300)) for p in range(8)}
    speeds = {p: random.uniform(-25, 25, 2) for p in range(8)}
    for _ in range(40):
        shown = {p: places[p] for p in random.permutation(8) if random.random() < 0.6}
        world.show({int(p): (float(xy[0]), float(xy[1])) for p, xy in shown.items()}, ms=random.choice([40, 80, 900]))
        for p in places:
            places[p] = (places[p] + speeds[p]) % (640, 360)
        counters = world.pipeline.counters
        unalerted = sum(p.counted and p.alerted_entry is None for p in world.pipeline._passages.open)
        assert counters.faces_seen == counters.discarded + counters.alerted + unalerted
    frame = world.frame({})
    world.stated += world.pipeline.end_of_source(frame)
    world.pipeline.finish()
    counters = world.pipeline.counters
    assert counters.faces_seen == counters.discarded + counters.alerted
    assert counters.alerted == len({c.passage for c in world.stated}) == sum(c.revision == 0 for c in world.stated)
    assert counters.templates == len(world.screen.looks if screened else world.embedder.looks)


def test_finish_leaves_no_picture_and_no_template_in_any_buffer(world: World) -> None:
    world.walk(0, 1, 2, steps=20)
    pipeline = world.pipeline
    assert any(slot.shot.any() and slot.fused.any() and slot.best_looks.any() for slot in slots(pipeline))
    assert world.embedder.input.any()
    open_before = pipeline._passages.open
    pipeline.finish()
    assert pipeline._passages.open == ()
    assert not any(buffer.any() for slot in slots(pipeline) for buffer in slot.buffers)
    assert all(p.best_face is None for p in open_before)
    assert not pipeline._template.any()
    assert not world.front_end._picture.any()
    assert world.front_end._scaler is not None
    assert not world.front_end._scaler._planes.any()
    assert not world.embedder.input.any()
    assert pipeline.shot(1) is None


def test_finish_leaves_nothing_of_a_picture_of_another_size(world: World) -> None:
    """The detector's old picture and its planes are wiped when the stream changes its size, not merely dropped."""
    world.walk(0, steps=3)
    old = world.front_end._scaler
    assert old is not None
    world.show({0: (200, 200)}, size=(480, 480))
    assert not old._planes.any()
    world.pipeline.finish()
    assert len(world.opened) == 2
    assert not any(picture.any() for picture in world.detector.pictures)


def test_finish_lets_the_second_look_forget_its_last_face(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runtime keeps the last patch in buffers of its own; a run on a blank overwrites them, as for the others."""
    seen: list[bool] = []
    detect = world.second_look.detect

    def watched(picture: Any, **how: Any) -> list[Face]:
        seen.append(bool(picture.any()))
        found: list[Face] = detect(picture, **how)
        return found

    monkeypatch.setattr(world.second_look, "detect", watched)
    world.walk(0, steps=5)
    assert seen[-1]
    world.pipeline.finish()
    assert not seen[-1]


def test_after_a_change_of_size_people_are_followed_anew_in_the_new_size(world: World) -> None:
    world.walk(0, steps=10)
    for n in range(10):
        world.show({0: (200 + 5 * n, 300)}, size=(480, 640))
    assert world.opened == [(192, 320), (320, 256)]
    world.pipeline.finish()
    assert world.pipeline.counters.tracks == 2
    assert world.pipeline.counters.faces_seen == 1  # known again by identity


def test_two_people_at_one_place_before_and_after_a_cut_are_two_tracks_and_two_faces(world_of: MakeWorld) -> None:
    world = world_of(listed=(0, 1))
    for person in (0, 1):
        for _ in range(12):
            frame = world.frame({person: (300, 180)})
            _backdrop(frame.picture.y, left=person == 0)
            world.stated += world.pipeline.process(frame, world.pipeline.look(frame))
            world.frames, world.now_ms = world.frames + 1, world.now_ms + STEP_MS
    assert (world.pipeline.counters.tracks, world.pipeline.counters.faces_seen) == (2, 2)
    assert [one.entry_ref for one in world.stated if one.revision == 0] == ["entry-0", "entry-1"]


def _backdrop(luma: U8, *, left: bool) -> None:
    """A scene: one half behind the people is bright."""
    half = luma[:, : luma.shape[1] // 2] if left else luma[:, luma.shape[1] // 2 :]
    half[half == 30] = 245


@pytest.mark.parametrize("rate", [10, 25, 30, 60, 120])
def test_some_fifteen_frames_a_second_are_looked_at_whatever_the_rate(rate: int, world: World) -> None:
    due = 0
    for n in range(rate * 2):
        world.now_ms = 1000 * n / rate
        due += world.pipeline.due(world.frame({}))
    least_gap_s = LOOK_EVERY_NS / 1e9
    assert due / 2 <= min(rate, 1 / least_gap_s) + 1
    assert due / 2 >= min(rate, 0.5 / least_gap_s)


def test_a_source_whose_clock_jumps_back_is_looked_at_again_at_once(world: World) -> None:
    world.now_ms = 5000
    assert world.pipeline.due(world.frame({}))
    world.now_ms = 100
    assert world.pipeline.due(world.frame({}))


def test_a_face_in_the_only_picture_is_looked_at_when_the_source_ends(world_of: MakeWorld) -> None:
    world = world_of(face_px=36)
    picture = {0: (300, 180), 1: (450, 180)}
    world.show(picture)
    assert world.stated == []
    (stated,) = world.pipeline.end_of_source(world.frame(picture))
    assert stated.entry_ref == "entry-0"
    world.pipeline.finish()
    assert balance(world.pipeline.counters) == (2, 2)


def test_at_a_slow_rate_a_single_sighting_is_looked_at(world: World) -> None:
    world.show({}, ms=500)
    world.show({0: (300, 180)}, ms=500)
    assert [c.entry_ref for c in world.stated] == ["entry-0"]


def test_stages_are_timed_by_name(world: World) -> None:
    world.walk(0, 1, steps=5)
    assert set(world.pipeline.times.ms) == {"detect", "track", "align", "embed", "match"}
    assert all(ms >= 0 for ms in chain.from_iterable(world.pipeline.times.ms.values()))


def test_a_template_that_is_not_overwritten_is_not_counted_as_discarded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`discarded` comes from the wipe: without it the counts do not balance, and the audit shows it."""
    monkeypatch.setattr(Slot, "wipe", lambda slot: None)
    world.walk(1, steps=25)
    world.pipeline.finish()
    assert balance(world.pipeline.counters) == (1, 0)


def test_when_nobody_is_left_in_view_a_blank_goes_through_the_runtimes_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    blanks: list[str] = []
    monkeypatch.setattr(world.embedder, "wipe", lambda: blanks.append("recogniser"))
    world.walk(1, steps=10)
    assert blanks == []
    world.empty(4.0)
    assert blanks == ["recogniser"]


def test_each_look_at_a_person_finds_the_landmarks_at_another_scale_than_the_last(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the detector gets wrong at one scale is then not in every template that the mean is made of."""
    shown: list[float] = []
    detect: Callable[..., list[Face]] = world.second_look.detect

    def noted(picture: U8, *, frame_size: tuple[float, float], origin: tuple[float, float] = (0.0, 0.0)) -> list[Face]:
        shown.append(PATCH_PX * world.face_px / frame_size[0])
        found: list[Face] = detect(picture, frame_size=frame_size, origin=origin)
        return found

    monkeypatch.setattr(world.second_look, "detect", noted)
    world.walk(1, steps=30)
    assert len(shown) >= 3
    nearest = [min((FACE_IN_PATCH_PX, OTHER_FACE_IN_PATCH_PX), key=lambda px: abs(px - one)) for one in shown]
    assert nearest == [face_px_of(looks) for looks in range(len(shown))]


def test_who_is_missed_once_and_stands_still_is_searched_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture is that of the frame before, but somebody was in it."""
    for _ in range(3):
        world.show({1: (300, 180)})
    with monkeypatch.context() as missed:
        missed.setattr(world.detector, "detect", lambda *_, **__: [])
        world.show({1: (300, 180)})
    assert not world.pipeline.anybody_in_view
    world.show({1: (300, 180)})
    assert world.pipeline.anybody_in_view
