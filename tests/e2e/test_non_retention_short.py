"""Two people on no list walk by a real worker: while one is in view, nothing of the other is left in its memory.

The short form of tests/system/test_non_retention.py, which looks in more places and for more forms.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from device.wire.link import Beat, Hello
from tools.dev.clip.make import ClipTruth
from tools.dev.proof.canaries import FIRST, SECOND, Wanted, canary_clip, wanted_of
from tools.dev.proof.process_memory import NoView, Region, changed_since
from tools.dev.proof.search import Hit, Pieces, find_alike
from tools.dev.proof.watched import Watched
from tools.dev.proof.worker import given

TRIES = 5
ENDS_S, AFTER_S = 2.0, 1.0  # a passage ends 2 s after the last sight; a second later nothing may be left


@pytest.fixture(scope="module")
def canaries(models_ready: Path) -> tuple[Path, ClipTruth, Wanted]:
    clip, truth = canary_clip()
    return clip, truth, wanted_of(clip, truth)


class Late(Exception):
    """This machine was busy with others, and the clip went on meanwhile."""


def copies(place: Path, clip: Path, truth: ClipTruth) -> tuple[list[Region], dict[str, list[Region]]]:
    """The worker's memory before the first picture, and what has changed in it by three moments.

    Late: where a moment was over, by the worker's last beat, when the worker was stopped to be copied.
    """
    first, second = truth.passages
    frames = {
        "the first in view": ((first.first + first.last) // 2, first.last),
        "the first forgotten": (first.last + round((ENDS_S + AFTER_S) * truth.fps), second.last),
        "both forgotten": (second.last + round((ENDS_S + AFTER_S) * truth.fps), None),
    }
    seen: dict[str, list[Region]] = {}
    task = given(place, str(clip)).task  # it takes seconds, for which no worker should wait
    with Watched(place) as one:
        one.send(task)
        one.until(Hello)
        assert one.process_memory is not None
        with one.stopped():
            before = one.process_memory.copy()
        for moment, (frame, most) in frames.items():

            def is_there(beat: Beat, frame: int = frame) -> bool:
                return beat.counters.frames >= frame

            one.until(Beat, is_there)
            with one.stopped():  # the clip goes on, but what is in memory stays while it is copied
                if most is not None and (now := one.of(Beat)[-1].counters.frames) > most:
                    raise Late(f"{moment}: at frame {now}, of {most}")
                try:
                    copied = one.process_memory.copy()
                except (NoView, ProcessLookupError) as over:
                    raise Late("the clip is over") from over
            seen[moment] = changed_since(before, copied)
        assert one.stop() == 0
    return before, seen


def copies_in_time(place: Path, clip: Path, truth: ClipTruth) -> tuple[list[Region], dict[str, list[Region]]]:
    for attempt in range(TRIES - 1):
        (place / str(attempt)).mkdir()
        with contextlib.suppress(Late):
            return copies(place / str(attempt), clip, truth)
    return copies(place, clip, truth)


def whose(hits: list[Hit]) -> set[tuple[str, str]]:
    return {(hit.whose, hit.what) for hit in hits}


def test_while_one_is_in_view_nothing_of_the_other_is_left(
    canaries: tuple[Path, ClipTruth, Wanted], tmp_path: Path
) -> None:
    clip, truth, wanted = canaries
    pieces = Pieces(wanted.pieces)
    templates = [pattern for pattern in wanted.patterns if pattern.what == "template"]
    before, seen = copies_in_time(tmp_path, clip, truth)
    assert pieces.find(before) == [], "the copy from before came too late"
    found = {moment: whose(pieces.find(regions) + find_alike(regions, templates)) for moment, regions in seen.items()}
    in_view = {"luma of a frame", "detector's picture", "template"}
    assert {(FIRST, what) for what in in_view} <= found["the first in view"]
    assert {person for person, _ in found["the first in view"]} == {FIRST}
    assert {person for person, _ in found["the first forgotten"]} == {SECOND}, found
    assert found["both forgotten"] == set()
