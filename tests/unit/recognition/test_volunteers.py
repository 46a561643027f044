"""The blue list beside the watchlist: it finds volunteers, and changes nothing for anybody who is sought."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np

from device.domain.finding import Candidate
from device.domain.recognisers import FUSION
from device.enrolment.model_sessions import ModelSessions
from device.recognition.build import gallery_of, pipeline_of
from device.vision.pair import ScreenList
from device.watchlist.gallery import fill

MakeWorld = Callable[..., Any]


def walked(world: Any) -> tuple[list[Candidate], dict[str, Any]]:
    """A sought person, two passers-by and a return; what was stated and counted, without what reads the clock."""
    world.walk(0, 1, 2, steps=25)
    world.empty(2.4)
    world.walk(1, 0, steps=12)
    world.pipeline.finish()
    stated = [msgspec.structs.replace(each, capture_to_decision_ms=0.0) for each in world.stated]
    return stated, msgspec.to_builtins(world.pipeline.counters)


def test_sought_people_s_alerts_and_every_count_are_the_same_with_and_without_volunteers(world_of: MakeWorld) -> None:
    with_volunteers, without = world_of(volunteers=(1, 2, 0)), world_of()
    assert walked(with_volunteers) == walked(without)
    assert with_volunteers.embedder.looks == without.embedder.looks
    assert {each.ref for each in with_volunteers.pipeline.volunteers_seen()} == {"V-1", "V-2"}


def test_a_volunteer_is_stated_once_a_passage_at_the_watchlist_s_threshold_and_is_no_candidate(
    world_of: MakeWorld,
) -> None:
    world = world_of(volunteers=(1,))
    world.walk(1, steps=30)
    world.empty(2.4)
    world.walk(1)
    world.pipeline.finish()
    found = world.pipeline.volunteers_seen()
    assert [(each.ref, each.threshold) for each in found] == [("V-1", 0.5)] * 2
    assert all(each.score >= 0.5 for each in found)
    assert world.stated == []
    assert world.pipeline.counters.alerted == 0
    assert world.pipeline.counters.discarded == world.pipeline.counters.faces_seen == 2
    assert world.pipeline.volunteers_seen() == [], "taken once"


def test_a_volunteer_who_is_sought_raises_the_alert_and_is_no_volunteer_of_that_passage(world_of: MakeWorld) -> None:
    world = world_of(listed=(0,), volunteers=(0,))
    world.walk(0)
    assert [each.entry_ref for each in world.stated] == ["entry-0"]
    assert world.pipeline.volunteers_seen() == []


def test_a_pair_finds_volunteers_whom_no_listed_person_resembles_and_alerts_stay_the_same(world_of: MakeWorld) -> None:
    with_volunteers, without = world_of(screened=True, volunteers=(1,)), world_of(screened=True)
    (stated, counted), (alone, counted_alone) = walked(with_volunteers), walked(without)
    assert stated == alone
    assert {name for name in counted if counted[name] != counted_alone[name]} <= {"templates", "score_histogram"}
    assert {each.ref for each in with_volunteers.pipeline.volunteers_seen()} == {"V-1"}
    assert set(with_volunteers.embedder.looks) == {0, 1}, "the passer-by is left to the screen"
    assert set(without.embedder.looks) == {0}


def test_the_gate_of_a_worker_s_pipeline_is_open_for_both_lists() -> None:
    """`pipeline_of` gives the front end a gate over watchlist and blue list, of one the watchlist alone."""
    dim = 384
    _, rows = fill(2, 7, dim)
    people, volunteers = (gallery_of([(ref, row[None])], screen_dim=256) for ref, row in zip("ab", rows, strict=True))
    gates: list[ScreenList] = []

    def front_end(*_: Any, listed: ScreenList, **__: Any) -> Any:
        gates.append(listed)
        return SimpleNamespace(lengths=None, template_dim=dim)

    room = SimpleNamespace(front_end=front_end)
    for blue in (volunteers, None):
        pipeline_of(cast(ModelSessions, room), people, threshold=0.5, min_face_px=32.0, volunteers=blue)
    for row, expected in zip(rows, ([True, True], [True, False]), strict=True):
        screen = row[128:] / np.linalg.norm(row[128:])
        assert [gate.screen_best(screen) > FUSION.gate for gate in gates] == expected
