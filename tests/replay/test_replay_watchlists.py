"""Watchlist folders of every kind: who is enrolled, what is rejected, what is warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.replay.conftest import Ended, ManyRuns


def reasons(ended: Any, kind: str, file: str) -> str:
    return "; ".join(row["reason"] for row in ended.report["watchlist"][kind] if row["file"] == file)


def test_all_people_who_can_be_enrolled_are(first: Ended) -> None:
    assert (first.report["watchlist"]["subjects"], first.report["watchlist"]["images"]) == (5, 5)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("tiny/1.png", "small"),
        ("blurred/1.png", "blurred"),
        ("nobody/wall.jpg", "no face"),
        ("unreadable/text.jpg", "not a picture"),
        ("unreadable/cut.jpg", "cut off"),
    ],
)
def test_what_cannot_be_enrolled_is_rejected_with_its_reason(file: str, reason: str, first: Ended) -> None:
    assert reason in reasons(first, "rejected", file)
    assert len(first.report["watchlist"]["rejected"]) == 5


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("double one/photo.jpg", "also listed as double two"),
        ("double two/photo.jpg", "also listed as double one"),
        ("double one", "looks like the same person as double two"),
        ("group/three.png", "3 faces found: the most central one"),
        ("group", "looks like the same person as middle"),
        ("tiny", "not listed"),
        ("empty", "empty"),
        ("readme.txt", "ignored"),
    ],
)
def test_what_is_enrolled_with_doubts_is_warned_of(file: str, reason: str, first: Ended) -> None:
    assert reason in reasons(first, "warnings", file)


def test_the_same_photo_twice_counts_once(first: Ended, listed_name: str) -> None:
    assert "the same photo" in reasons(first, "warnings", f"{listed_name}/the same again.jpg")


def test_a_list_without_one_usable_photo_is_bad_data(lfr: ManyRuns, walk: Path, tmp_path: Path) -> None:
    (tmp_path / "list" / "ann").mkdir(parents=True)
    (tmp_path / "list" / "ann" / "1.jpg").write_text("no picture")
    ended = lfr(walk, "--watchlist", tmp_path / "list", "--json")
    assert (ended.status, ended.out) == (65, "")
    assert "ann/1.jpg" in ended.err


@pytest.mark.parametrize("kind", ["missing", "a file", "without folders"])
def test_what_is_no_watchlist_is_bad_data(kind: str, lfr: ManyRuns, walk: Path, tmp_path: Path) -> None:
    place = tmp_path / "list"
    if kind == "a file":
        place.write_text("")
    elif kind == "without folders":
        place.mkdir()
    ended = lfr(walk, "--watchlist", place, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert str(place) in ended.err
