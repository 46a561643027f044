"""Two people who look alike are never one passage, however their tracks change places."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import F32
from tests.unit.vision.passage_scene import MakeTrack, Person, Scene, Seconds


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    alike=st.floats(0.2, 0.4),
    own=st.floats(0.8, 0.95),
    before=st.integers(1, 8),
    how=st.sampled_from(["cut", "steps into the place", "swap"]),
)
def test_two_people_who_look_alike_are_never_one_passage(
    seed: int, alike: float, own: float, before: int, how: str, person: Person, track_at: MakeTrack, at: Seconds
) -> None:
    """Two people whose photos have a cosine of .2 to .4: after any change of places, no template of one is with the
    other's, and each has one passage."""
    random, scene = np.random.default_rng(seed), Scene(person, track_at, at)
    faces = [person(1), person(2, like=1, cosine=alike)]

    def shown(who: int) -> F32:
        """A look at somebody: `own` like their face, the rest at random."""
        noise = random.standard_normal(128).astype(np.float32)
        noise -= (noise @ faces[who]) * faces[who]
        return np.asarray(own * faces[who] + np.sqrt(1 - own**2) * noise / np.linalg.norm(noise), np.float32)

    found: dict[int, set[int]] = {0: set(), 1: set()}

    def look(seconds: float, track: int, who: int) -> None:
        passage = scene.look(seconds, track, shown(who))
        assert passage is not None
        found[who].add(passage.id)

    both = how == "swap"
    for n in range(before):
        scene.see(0.1 * n, *((1, 2) if both else (1,)))
        look(0.1 * n, 1, 0)
        if both:
            look(0.1 * n, 2, 1)
    now = 0.1 * before
    if how == "cut":
        scene.see(now, 3, lost=[1])
        places = {3: 1}
    else:
        scene.see(now, *((1, 2) if both else (1,)))
        places = {1: 1, 2: 0} if both else {1: 1}
        for track in places:
            scene.track(track).doubtful = True
    for n in range(4):
        for track, who in places.items():
            look(now + 0.1 * n, track, who)
    assert not found[0] & found[1], "two people in one passage"
    assert len(found[1]) == 1
    assert len(found[0]) == 1
