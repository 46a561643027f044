"""One entry on two people at once: each candidate names the other's passage, whether it is still in view or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from device.domain.sight import F32
from device.vision.decision import Best, Decision
from tests.unit.recognition.conftest import World

TWINS = (0, 3)


class OneEntryForTwo:
    """Gallery of one entry that two painted people are like."""

    def __len__(self) -> int:
        return 1

    def nearest(self, template: F32) -> Best:
        return Best(0, float(max(template[p] for p in TWINS) / np.linalg.norm(template)), -1.0)

    def note_look(self, template: F32, best: F32) -> None:
        """By the means alone."""

    def nearest_by_looks(self, best: F32) -> Best:
        return Best(0, 0.0, -1.0)


@pytest.fixture
def twins(world: World) -> World:
    world.pipeline._decision = Decision(OneEntryForTwo(), 0.5, [0.0])
    return world


def rivals(world: World) -> dict[int, set[int]]:
    """Passage to the passages that its candidates named."""
    named: dict[int, set[int]] = {}
    for candidate in world.stated:
        named.setdefault(candidate.passage, set()).update(candidate.rivals)
    return named


def test_two_people_in_view_at_once_are_named_to_each_other(twins: World) -> None:
    for n in range(12):
        twins.show({0: (100 + 12 * n, 180), 3: (400 + 12 * n, 180)})
    first, second = sorted(rivals(twins))
    assert rivals(twins)[second] == {first}, "named by whoever is stated later; the supervisor names both"


def test_a_track_that_is_found_to_be_somebody_else_is_not_two_people_at_once(twins: World) -> None:
    for _ in range(12):
        twins.show({0: (300, 180)})
    for _ in range(30):
        twins.show({3: (300, 180)})  # in the same place
    assert len(rivals(twins)) == 2
    assert not any(rivals(twins).values())


def test_somebody_who_came_while_the_first_one_was_in_view_names_them_after_they_left(twins: World) -> None:
    for n in range(12):
        twins.show({0: (100 + 12 * n, 180)})
    twins.embedder.raw_lengths[3] = 5.0  # not recognisable yet
    for n in range(12, 20):
        twins.show({0: (100 + 12 * n, 180), 3: (540, 180)})
    for _ in range(30):
        twins.show({3: (540, 180)})
    del twins.embedder.raw_lengths[3]
    for _ in range(60):
        twins.show({3: (540, 180)})
    first, second = sorted(rivals(twins))
    assert rivals(twins)[second] == {first}


def test_one_after_the_other_is_no_contradiction(twins: World) -> None:
    twins.walk(0)
    twins.empty(2.5)
    twins.walk(3)
    assert len(rivals(twins)) == 2
    assert not any(rivals(twins).values())


def test_two_people_of_two_entries_are_no_contradiction(world_of: Callable[..., World]) -> None:
    world = world_of(listed=TWINS)
    world.walk(*TWINS)
    assert len(rivals(world)) == 2
    assert not any(rivals(world).values())
