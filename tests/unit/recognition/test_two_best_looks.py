"""The mean of the two best looks, plain and mirrored, from the frame to the candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from device.domain.sight import F32, U8, Face, Frame
from device.domain.time import NS_PER_MS
from device.vision.align import as_mirrored, to_template
from device.vision.decision import UNDECIDED, Best, Gallery
from device.vision.passages import Passage
from device.vision.picture import warp
from tests.unit.recognition.conftest import GOOD, World

MakeWorld = Callable[..., Any]


def looks_like_entry(world: World, monkeypatch: pytest.MonkeyPatch, good: Sequence[int]) -> list[float]:
    """Person 0 is .2 like their entry in every look, .6 in the `good` ones; returns the looks taken so far."""
    taken: list[float] = []
    real = world.embedder.embed

    def embed(crop: U8, out: F32) -> float:
        length = real(crop, out)
        cosine = 0.6 if len(taken) in good else 0.2
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


def looks_by_kind(world: World, monkeypatch: pytest.MonkeyPatch, plain: float, mirrored: float) -> list[bool]:
    """Person 0 is `plain` like their entry in a look and `mirrored` in the mirrored one; returns which were taken."""
    return looks_in_turn(world, monkeypatch, [({0: plain}, {0: mirrored})])


def looks_in_turn(
    world: World, monkeypatch: pytest.MonkeyPatch, rows: Sequence[tuple[Mapping[int, float], Mapping[int, float]]]
) -> list[bool]:
    """A look after the other (the last row for all others): how like whom it is as it is, and its mirror image.

    Returns which kind was taken.
    """
    taken: list[bool] = []

    def template(likeness: Mapping[int, float]) -> F32:
        row = np.zeros(128, np.float32)
        for person, cosine in likeness.items():
            row[person] = cosine
        row[100] = np.sqrt(1 - float(row @ row))
        return row

    def embed(_frame: Frame, _face: Face, out: F32, *, gated: bool = False) -> float:
        out[:] = template(rows[min(taken.count(False), len(rows) - 1)][0])
        taken.append(False)
        return GOOD

    def mirror(_frame: Frame, _face: Face, out: F32) -> None:
        out += template(rows[min(taken.count(False) - 1, len(rows) - 1)][1])
        out /= np.linalg.norm(out)
        taken.append(True)

    monkeypatch.setattr(world.front_end, "embed", embed)
    monkeypatch.setattr(world.front_end, "mirror", mirror)
    return taken


def stand(world: World, frames: int = 12) -> None:
    for n in range(frames):
        world.show({0: (200 + 8 * n, 180)})


def test_just_below_the_threshold_two_mirrored_looks_decide(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """.48 as it is, .56 mirrored: the mean of the two templates is .52 like the entry."""
    taken = looks_by_kind(world, monkeypatch, 0.48, 0.56)
    stand(world)
    mean = (np.array([0.48, np.sqrt(1 - 0.48**2)]) + np.array([0.56, np.sqrt(1 - 0.56**2)])) / 2
    assert [c.score for c in world.stated[:1]] == pytest.approx([mean[0] / np.linalg.norm(mean)], abs=1e-4)
    assert taken[:4] == [False, True, False, True], "one mirrored look decides nothing"
    assert sum(taken) == 2, "none is taken once there is an alert"
    assert world.pipeline.counters.templates == len(taken)


@pytest.mark.parametrize("plain", [0.2, 0.5 - UNDECIDED - 0.001, 0.501])
def test_elsewhere_no_mirrored_look_is_taken(plain: float, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = looks_by_kind(world, monkeypatch, plain, 1.0)
    stand(world)
    assert taken
    assert not any(taken)


def test_a_mirrored_look_leaves_no_template_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = looks_by_kind(world, monkeypatch, 0.48, 0.2)
    stand(world)
    assert any(taken)
    assert not world.pipeline._template.any()


def test_no_mirrored_look_is_taken_of_whoever_has_an_alert(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert is by one look at .6; the mean of all falls to just below the threshold afterwards."""
    taken = looks_in_turn(world, monkeypatch, [({0: 0.6}, {0: 0.6}), ({0: 0.3}, {0: 0.3})])
    monkeypatch.setattr("device.vision.decision.nearest_of", only_the_mean)
    stand(world, frames=40)
    assert world.stated
    assert len(taken) > 2
    assert not any(taken)


def only_the_mean(gallery: Gallery, passage: Passage, _looks: F32, _threshold: Callable[[int], float]) -> Best:
    return gallery.nearest(passage.slot.fused)


def test_a_mirrored_look_for_a_volunteer_changes_nothing_for_anybody_who_is_sought(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look 1 is just below the threshold for the volunteer alone, and its mirror image is very like the entry."""
    rows = [({0: 0.44, 1: 0.48}, {0: 0.62, 1: 0.2}), ({0: 0.488, 1: 0.1}, {0: 0.56}), ({0: 0.2}, {0: 0.2})]
    counted, mirrored = [], []
    for volunteers in ((1,), ()):
        world = world_of(listed=(0,), volunteers=volunteers)
        taken = looks_in_turn(world, monkeypatch, rows)
        stand(world, frames=40)
        world.pipeline.finish()
        mirrored.append(sum(taken))
        counted.append(([c.score for c in world.stated], msgspec.to_builtins(world.pipeline.counters)))
    assert counted[0] == counted[1]
    assert mirrored[0] > mirrored[1] > 0


def test_the_time_of_a_mirrored_look_is_the_recogniser_s_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = looks_by_kind(world, monkeypatch, 0.48, 0.2)
    slow, clock = world.front_end.mirror, [0]
    monkeypatch.setattr("device.recognition.pipeline.time.perf_counter_ns", lambda: clock[0])
    monkeypatch.setattr("device.recognition.detect_ahead.time.perf_counter_ns", lambda: clock[0])

    def mirror(frame: Frame, face: Face, out: F32) -> None:
        clock[0] += 50 * NS_PER_MS
        slow(frame, face, out)

    monkeypatch.setattr(world.front_end, "mirror", mirror)
    stand(world)
    assert sum(world.pipeline.times.ms["embed"]) == 50 * sum(taken)
    assert not any(world.pipeline.times.ms["match"])


def test_a_volunteer_just_below_the_threshold_is_found_by_mirrored_looks(
    world_of: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(listed=(5,), volunteers=(0,))
    looks_by_kind(world, monkeypatch, 0.48, 0.56)
    stand(world, frames=40)
    assert [each.ref for each in world.pipeline.volunteers_seen()] == ["V-0"]


def test_a_mirrored_crop_is_the_crop_with_its_columns_in_reverse_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host flips the crop; where networks sample the frame (test_face_front_end.py), the map does it."""
    shown: list[U8] = []

    def embed(crop: U8, out: F32) -> float:
        shown.append(crop.copy())
        return GOOD

    monkeypatch.setattr(world.embedder, "embed", embed)
    frame, out = world.frame({0: (300, 180), 1: (270, 160)}), np.zeros(128, np.float32)
    faces = world.pipeline.look(frame)
    assert faces
    world.front_end.embed(frame, faces[0], out)
    world.front_end.mirror(frame, faces[0], out)
    assert np.array_equal(shown[1], shown[0][:, ::-1])
    assert not np.array_equal(shown[1], shown[0]), "a crop that looks the same in a mirror would prove nothing"
    turned = warp(frame, as_mirrored(to_template(faces[0].landmarks)), (112, 112))
    assert np.abs(turned.astype(int) - shown[1]).mean() < 1
