"""The spine with a pair of recognisers: whom the screen rules out is counted, unseen by the main recogniser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MakeWorld = Callable[..., Any]


def test_the_main_recogniser_sees_only_whom_the_screen_leaves_possible(world_of: MakeWorld) -> None:
    world = world_of(screened=True)
    world.walk(0, 1, steps=25)
    world.pipeline.finish()
    assert set(world.screen.looks) == {0, 1}
    assert set(world.embedder.looks) == {0}
    assert [(c.entry_ref, round(c.score, 4)) for c in world.stated][:1] == [("entry-0", 1.0)]


def test_a_face_that_the_screen_excludes_is_seen_and_discarded(world_of: MakeWorld) -> None:
    world = world_of(screened=True)
    world.walk(1, 2, steps=25)
    world.empty(3)
    counters = world.pipeline.counters
    assert (counters.faces_seen, counters.discarded, counters.alerted) == (2, 2, 0)
    assert not world.embedder.looks


def test_whom_the_screen_rules_out_is_looked_at_less_and_less_and_a_doubt_ends_with_its_look(
    world_of: MakeWorld,
) -> None:
    world = world_of(screened=True)
    world.walk(1, 2, steps=25)
    usual = len(world.screen.looks)
    assert usual <= 8
    for passage, sighting in world.pipeline._latest[0]:
        assert passage.screened
        sighting.track.doubtful = True
    for n in range(25, 29):
        world.show({p: (100 + 12 * n + 130 * i, 180) for i, p in enumerate((1, 2))})
    assert len(world.screen.looks) == usual + 2  # one each, not one at each chance
    assert not any(sighting.track.doubtful for _, sighting in world.pipeline._latest[0])


def test_a_passage_with_a_template_is_looked_at_in_full_from_then_on(world_of: MakeWorld) -> None:
    """Where somebody else takes the place, identity rests on full templates: two people, one alert."""
    world = world_of(screened=True)
    world.walk(0, steps=12)
    world.walk(1, steps=12)
    world.empty(3)
    counters = world.pipeline.counters
    assert counters.faces_seen == counters.discarded + counters.alerted
    assert counters.alerted == 1


def test_both_recognisers_forget_when_the_last_person_is_gone(world_of: MakeWorld) -> None:
    world = world_of(screened=True)
    world.walk(0, steps=12)
    world.empty(3)
    assert not world.embedder.input.any()
    assert not world.screen.input.any()
    assert not world.pipeline._template.any()


def test_a_look_that_the_screen_answers_ends_a_row_of_looks_that_gave_nothing(world_of: MakeWorld) -> None:
    world = world_of(screened=True)
    world.walk(1, steps=3)
    (_, sighting) = world.pipeline._latest[0][0]
    sighting.track.failures = 3
    for n in range(3, 20):
        world.show({1: (100 + 12 * n, 180)})
    assert len(world.screen.looks) > 1
    assert sighting.track.failures == 0
