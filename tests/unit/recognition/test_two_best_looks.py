"""The mean of the two best looks, from the frame to the candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from device.domain.sight import F32, U8
from tests.unit.recognition.conftest import World

MakeWorld = Callable[..., Any]


def looks_like_entry(world: World, monkeypatch: pytest.MonkeyPatch, good: Sequence[int]) -> list[float]:
    """Person 0 is .3 like their entry in every look, .6 in the `good` ones; returns the looks taken so far."""
    taken: list[float] = []
    real = world.embedder.embed

    def embed(crop: U8, out: F32) -> float:
        length = real(crop, out)
        cosine = 0.6 if len(taken) in good else 0.3
        out[:] = 0
        out[0], out[100], out[101 + len(taken) % 2] = cosine, 0.7, np.sqrt(1 - 0.7**2 - cosine**2)
        taken.append(cosine)
        return length

    monkeypatch.setattr(world.embedder, "embed", embed)
    return taken


def test_two_good_looks_among_many_poorer_ones_are_an_alert(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = looks_like_entry(world, monkeypatch, good=(3, 8))
    for n in range(60):
        world.show({0: (60 + 8 * n, 180)})
        if len(taken) <= 8:
            assert not world.stated, "one look decides nothing beside the poorer ones"
    assert len({candidate.passage for candidate in world.stated}) == 1
    assert world.stated[0].score == pytest.approx(0.6, abs=1e-4)


def test_a_volunteer_is_found_by_two_good_looks_by_the_same_rule(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(listed=(5,), volunteers=(0,))
    looks_like_entry(world, monkeypatch, good=(3, 6))
    for _ in range(140):
        world.show({0: (300, 180)})
    assert not world.stated
    found = world.pipeline.volunteers_seen()
    assert [each.ref for each in found] == ["V-0"]
    assert found[0].score == pytest.approx(0.6, abs=1e-4)
