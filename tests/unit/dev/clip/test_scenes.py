"""Scripted scenes and turned heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tools.dev.clip.make import make_clip
from tools.dev.clip.scenes import ACTS, Cast, scene_of
from tools.dev.clip.spec import ClipSpec, Passer, Scripted
from tools.dev.clip.turn import NECK, shift_of, turned
from tools.dev.clip.walks import ScriptedWalk

PEOPLE = tuple(Passer(f"p{n}", Path(f"{n}.jpg"), listed=n % 2 == 0) for n in range(60))
SPEC = ClipSpec(seed=5, seconds=14)


def scene(seed: int = 5, pairs: int = 8) -> ClipSpec:
    both = tuple(zip(PEOPLE[: 2 * pairs : 2], PEOPLE[1 : 2 * pairs : 2], strict=True))
    return scene_of(replace(SPEC, seed=seed), Cast(PEOPLE[2 * pairs :], both))


def test_the_seed_decides_the_scene_and_nothing_else() -> None:
    assert scene() == scene()
    assert scene().digest() == scene().digest() != scene(6).digest()


def test_nobody_appears_twice_and_every_act_comes() -> None:
    kinds = set()
    for seed in range(12):
        names = [script.passer.person for script in scene(seed).scripted]
        assert len(names) == len(set(names))
        kinds |= {script.kind for script in scene(seed).scripted}
    assert kinds == set(ACTS)


def test_a_cut_ends_everybody_and_the_next_stand_in_the_same_places() -> None:
    made = scene()
    assert len(made.cuts) == 4
    for first, end in pairwise((0, *made.cuts, made.frames)):
        inside = [s for s in made.scripted if first <= s.first < end]
        assert all(s.last < end for s in inside)
    places: dict[float, list[float]] = {}
    for script in made.scripted:
        if script.kind in ("stand", "turned"):
            places.setdefault(script.end[0], []).append(script.end[1])
    assert any(len(sizes) > 1 for sizes in places.values())
    assert all(max(sizes) < 1.08 * min(sizes) for sizes in places.values())


def test_who_steps_in_stands_nearer_at_the_others_place_before_he_is_gone() -> None:
    pairs = [s for seed in range(12) for s in scene(seed).scripted if s.kind == "step-in"]
    assert pairs
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        assert other.end[0] == one.end[0]
        assert other.end[1] > one.end[1]
        assert one.first < other.first < one.last <= other.last


def test_people_who_run_out_leave_lanes_empty() -> None:
    assert len(scene_of(SPEC, Cast(PEOPLE[:3])).scripted) == 3


def test_a_scripted_person_walks_then_stands_and_swings_the_head() -> None:
    script = Scripted(PEOPLE[0], "stand", 10, 60, (0.2, 40), (0.5, 80), moving=20, yaw=(-30, 30))
    walk = ScriptedWalk(script, largest_px=70)
    assert walk.pose(9, SPEC) is None
    assert walk.pose(61, SPEC) is None
    poses = [pose for frame in range(10, 61) if (pose := walk.pose(frame, SPEC)) is not None]
    assert poses[0].size_px == pytest.approx(40)
    assert poses[-1].size_px == 70  # no larger than the photo allows
    assert poses[25].centre[0] == pytest.approx(0.5 * SPEC.width, abs=3)
    assert poses[0].yaw_deg == pytest.approx(-30)
    assert max(pose.yaw_deg for pose in poses) == pytest.approx(30, abs=1)


def head(px: int = 100) -> tuple[np.ndarray, tuple[float, float]]:
    """A grey head with a white nose and a red stripe on its right half in the picture."""
    pixels = np.zeros((4 * px, 3 * px, 4), np.uint8)
    rows, columns = np.mgrid[: 4 * px, : 3 * px]
    inside = ((columns - 1.5 * px) / (0.45 * px)) ** 2 + ((rows - 1.3 * px) / (0.6 * px)) ** 2 < 1
    pixels[inside | ((rows > 2.2 * px) & (abs(columns - 1.5 * px) < px))] = (90, 90, 90, 255)
    pixels[int(1.3 * px) : int(1.4 * px), int(1.47 * px) : int(1.53 * px)] = (255, 255, 255, 255)
    return pixels, (1.5 * px, 1.3 * px)


def nose_column(pixels: np.ndarray) -> float:
    return float(np.nonzero(pixels[:, :, 0] > 200)[1].mean())


@pytest.mark.parametrize("yaw", [-40.0, -20.0, 20.0, 40.0])
def test_a_turned_head_has_its_nose_where_it_looks(yaw: float) -> None:
    pixels, anchor = head()
    moved = nose_column(turned(pixels, anchor, 100, yaw)) - nose_column(pixels)
    assert np.sign(moved) == np.sign(yaw)
    assert abs(moved) == pytest.approx(100 * abs(shift_of(yaw)), rel=0.6)


def test_a_turn_leaves_outline_and_body_as_they_were() -> None:
    pixels, anchor = head()
    out = turned(pixels, anchor, 100, 35)
    below = int(anchor[1] + NECK[1] * 100)
    assert np.array_equal(out[below:], pixels[below:])
    assert (
        abs(int((out[:, :, 3] > 127).sum()) - int((pixels[:, :, 3] > 127).sum())) < 0.02 * (pixels[:, :, 3] > 127).sum()
    )


def test_no_turn_is_no_change() -> None:
    pixels, anchor = head()
    assert abs(nose_column(turned(pixels, anchor, 100, 0.0)) - nose_column(pixels)) < 1.5


def test_the_truth_of_a_scene_has_kinds_and_turns(samples: Callable[[str], list[Path]], tmp_path: Path) -> None:
    photos = samples("avatars")[:2]
    one, other = (Passer(photo.stem, photo) for photo in photos)
    scripted = (
        Scripted(one, "turned", 0, 4, (0.3, 70), (0.3, 70), yaw=(30, 30)),
        Scripted(other, "stand", 5, 9, (0.3, 70), (0.3, 70)),
    )
    spec = ClipSpec(seed=1, seconds=0.4, width=640, height=360, scripted=scripted, cuts=(5,))
    truth = make_clip(spec, tmp_path / "scene.mp4")
    assert [(p.kind, p.first, p.last) for p in truth.passages] == [("turned", 0, 4), ("stand", 5, 9)]
    assert {face.yaw_deg for face in truth.passages[0].faces} == {30.0}
    turned_box, straight_box = truth.passages[0].faces[0].box, truth.passages[1].faces[0].box
    assert turned_box[0] + turned_box[2] > straight_box[0] + straight_box[2] + 10  # the face moved with the turn
