"""Both sides over a small drawn clip, from the photos to the table; and what a run refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.errors import BadData, UsageError
from tools.dev.bench.recall import naive_scores
from tools.dev.bench.recall.cases import (
    CLEAR_PX,
    NEAR_PX,
    Cases,
    Drawing,
    add_drawn,
    add_folder,
    fill,
    folder_of,
    rotated,
    walk_of,
)
from tools.dev.bench.recall.command import run
from tools.dev.bench.recall.photos import own_scores
from tools.dev.bench.recall.run import Terms, measure
from tools.dev.bench.recall.table import render, summary
from tools.dev.clip import raster
from tools.dev.clip.make import make_clip
from tools.dev.clip.spec import ClipSpec, Passer, Scripted, default_spec
from tools.dev.clip.walks import schedule

Samples = Callable[[str], list[Path]]


@pytest.fixture(scope="module")
def small(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people beside each other for a second, and after a cut a third one at the place of the first."""
    photos = [path for path in samples("avatars") if path.stem in ("001f", "002m", "003f")]
    one, two, three = (Passer(photo.stem, photo) for photo in photos)
    scripted = (
        Scripted(one, "stand", 0, 24, (0.25, 80), (0.25, 80)),
        Scripted(two, "stand", 0, 24, (0.7, 80), (0.7, 80)),
        Scripted(three, "stand", 25, 49, (0.25, 80), (0.25, 80)),
    )
    clip = tmp_path_factory.mktemp("recall") / "small.mp4"
    make_clip(ClipSpec(seed=1, seconds=2, width=640, height=360, scripted=scripted, cuts=(25,)), clip)
    return clip


@pytest.fixture(scope="module")
def result(samples: Samples, small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Listed: the first and the third with the photo that is shown, and a man who is not in the clip."""
    cases = Cases()
    add_folder(cases, small)
    photos = {path.stem: path for path in samples("avatars")}
    cases.enrol = {name: [photos[name]] for name in ("001f", "003f", "020m")}
    kept = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setattr(naive_scores, "cache_dir", lambda: kept)
    try:
        first = measure([cases], Terms(threshold=0.6, every=5), None)
        files = {file: file.stat().st_mtime_ns for file in (kept / "bench" / "naive").iterdir()}
        again = measure([cases], Terms(threshold=0.6, every=5, share=None), None)
        assert {file: file.stat().st_mtime_ns for file in (kept / "bench" / "naive").iterdir()} == files
    finally:
        patch.undo()
    kept_rows = [{key: row[key] for key in row if key != "equal_rate"} for row in first["passages"]]
    assert again["passages"] == kept_rows, "without the equal rate everything else is the same"
    not_measured = "at equal false alert rate: not measured"
    assert not_measured not in render({**first, **summary(first)})
    assert not_measured in render({**again, **summary(again)})
    for file in files:
        assert set(json.loads(file.read_bytes())) == {"frames", "rate_hz", "every", "faces"}
    return first


@pytest.mark.long
def test_listed_passages_are_judged_and_strangers_counted(result: dict[str, Any]) -> None:
    assert [(row["person"], row["kind"], row["pose"]) for row in result["passages"]] == [
        ("001f", "stand", "frontal"),
        ("003f", "stand", "frontal"),
    ]
    assert all(row["same_threshold"]["naive"] for row in result["passages"])
    assert result["strangers"] == 1
    assert result["listed"] == 3
    assert result["same_threshold"]["naive_threshold"] == result["same_threshold"]["product_threshold"] == 0.6


@pytest.mark.long
def test_each_miss_of_the_product_has_a_reason(result: dict[str, Any]) -> None:
    for row in result["passages"]:
        for side in (row["same_threshold"], row["equal_rate"]):
            assert (side["missed"] is None) == side["product"]


@pytest.mark.long
def test_at_the_equal_rate_no_side_has_a_false_claim(result: dict[str, Any]) -> None:
    """One stranger: a hundredth of him is none."""
    assert result["equal_rate"]["naive_false"] == 0
    assert result["equal_rate"]["naive_threshold"] < 0.6


@pytest.mark.long
def test_the_table_fits_a_terminal(result: dict[str, Any]) -> None:
    table = render({**result, **summary(result)})
    assert "at equal false alert rate" in table
    assert "under 10: proves nothing" in table


def test_rotated_lists_make_everybody_listed_once_and_a_stranger_once(small: Path, tmp_path: Path) -> None:
    cases = Cases()
    add_folder(cases, small)
    cases.enrol = {name: [tmp_path / f"{name}.jpg"] for name in ("001f", "002m", "003f", "020m")}
    first, second = rotated(cases)
    assert list(first.enrol) == ["002m", "020m"]
    assert list(second.enrol) == ["001f", "003f", "020m"]
    assert first.cases == second.cases == cases.cases
    with pytest.raises(UsageError, match="two listed people"):
        rotated(Cases(cases.cases, {"001f": []}))


def test_a_clip_that_is_named_but_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text('{"clips": {"a.mp4": {"people": []}}}')
    with pytest.raises(BadData, match=r"a\.mp4: named in truth\.json, but not there"):
        add_folder(Cases(), tmp_path)


def test_a_folder_brings_clips_of_both_formats_and_its_list(small: Path, tmp_path: Path) -> None:
    (tmp_path / "list" / "Ann").mkdir(parents=True)
    for name in ("list/Ann/1.webp", "list/Ann/.hidden", "other.png", "a.mp4"):
        (tmp_path / name).write_bytes(b"")
    people = [{"name": "Bea", "first": 0, "last": 9}]
    (tmp_path / "truth.json").write_text(
        json.dumps({"clips": {"a.mp4": {"people": people}}, "list": {"Bea": ["other.png"]}})
    )
    shutil.copy(small, tmp_path / "drawn.mp4")
    shutil.copy(small.with_name("small.truth.json"), tmp_path / "drawn.truth.json")
    cases = Cases()
    add_folder(cases, tmp_path)
    assert [case.clip.name for case in cases.cases] == ["drawn.mp4", "a.mp4"]
    assert [len(case.labels) for case in cases.cases] == [3, 1]
    assert cases.enrol == {"Ann": [tmp_path / "list" / "Ann" / "1.webp"], "Bea": [tmp_path / "other.png"]}


@pytest.mark.parametrize("name", ["clip.mp4", "."])
def test_without_labels_nothing_is_measured(tmp_path: Path, name: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(BadData, match=r"truth\.json"):
        add_folder(Cases(), tmp_path / name)


def test_a_list_is_filled_with_people_who_are_not_shown(tmp_path: Path) -> None:
    for name in ("ann", "bea", "cat", "dan"):
        (tmp_path / name).mkdir()
        for photo in ("1.jpg", "2.jpg"):
            (tmp_path / name / photo).write_bytes(b"")
    cases = Cases(enrol={"ann": [tmp_path / "ann" / "1.jpg"]})
    fill(cases, 3, [folder_of(tmp_path)], shown={"bea"})
    assert list(cases.enrol) == ["ann", "cat", "dan"]
    assert cases.enrol["cat"] == [tmp_path / "cat" / "1.jpg"]


@pytest.mark.parametrize("name", ["720p", "1080p", "portrait"])
def test_faces_of_a_near_walk_are_larger_than_those_of_a_walk(name: str) -> None:
    crowd = tuple(Passer(str(n), Path(f"{n}.jpg")) for n in range(30))

    def sizes(shape: str) -> Any:
        spec = walk_of(shape, replace(default_spec(5, 10.0), listed=(), crowd=crowd))
        walks = schedule(spec, dict.fromkeys(crowd, 150.0))
        poses = (walk.pose(frame, spec) for walk in walks for frame in range(spec.frames))
        return np.array([pose.size_px for pose in poses if pose is not None])

    near, far = sizes(f"near-{name}"), sizes(f"walk-{name}")
    assert near.min() >= 0.8 * NEAR_PX
    assert np.mean(near >= NEAR_PX) > 0.85
    assert np.mean(far >= NEAR_PX) < np.mean(near >= NEAR_PX)


@pytest.mark.parametrize("name", ["720p", "1080p", "portrait"])
def test_in_a_clear_walk_everybody_comes_nearer_sharp_and_well_encoded(name: str) -> None:
    crowd = tuple(Passer(str(n), Path(f"{n}.jpg"), listed=n % 2 == 0) for n in range(60))
    base = replace(default_spec(5, 10.0), listed=(), crowd=crowd)
    spec, walk = walk_of(f"clear-{name}", base), walk_of(f"walk-{name}", base)
    assert spec.shutter < walk.shutter
    assert spec.crf < walk.crf
    assert not spec.crowd
    assert {passer.listed for passer in spec.listed} == {True, False}
    walks = schedule(spec, dict.fromkeys(spec.listed, 150.0))
    assert len(walks) == len(spec.listed) == len({walk.passer.person for walk in walks})
    for one in walks:
        sizes = [pose.size_px for frame in range(1000) if (pose := one.pose(frame, spec)) is not None]
        assert CLEAR_PX[0] - 1 < min(sizes) < max(sizes) < CLEAR_PX[1] + 1
        assert 1.0 < len(sizes) / spec.fps < 4.5


@pytest.mark.slow
def test_the_photo_that_is_shown_is_scored_as_one_look(samples: Samples) -> None:
    photos = {path.stem: path for path in samples("avatars")}
    reader = EnginePhotoReader(Terms().request(Path("clip.mp4"), Path("list")).room())
    try:
        rows = [{"photo": score} for score in own_scores(reader, _entries(reader, photos["001f"]), photos).values()]
    finally:
        reader.close()
    assert len(rows) == 1
    assert 0.9 < rows[0]["photo"] <= 1.0


def _entries(reader: EnginePhotoReader, photo: Path) -> dict[str, Any]:
    rgb = np.ascontiguousarray(raster.read(photo)[:, :, ::-1])
    made = reader.templates(rgb, reader.read(rgb)[0])
    assert made is not None
    return {photo.stem: made.entry[None]}


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="720p, 1080p, portrait"):
        add_drawn(Cases(), Drawing(("4k",), (1,), 5.0))


@pytest.mark.parametrize(("option", "value"), [("naive_every", 0), ("share", 1.0), ("share", -0.1), ("seeds", "1,x")])
def test_arguments_that_make_no_sense_are_refused(option: str, value: object) -> None:
    import argparse

    given = {"naive_every": 1, "share": 0.01, "seeds": "1", "clips": [], "pool": None, option: value}
    with pytest.raises(UsageError):
        run(argparse.Namespace(**given))


def test_both_sides_run_with_the_recognisers_that_are_named(tmp_path: Path) -> None:
    request = Terms(recogniser="one", screen="other").request(tmp_path / "clip.mp4", tmp_path)
    assert (request.recogniser, request.screen) == ("one", "other")
    with pytest.raises(UsageError, match="the screen and the recogniser are both sface-2021dec"):
        Terms(screen="sface-2021dec").request(tmp_path / "clip.mp4", tmp_path).room()


class Documented:
    def one(self, x: int) -> int:
        """A docstring."""
        return x + 1


class Plain:
    def one(self, x: int) -> int:
        return x + 1  # a comment


class Other:
    def one(self, x: int) -> int:
        return x + 2


def test_the_kept_faces_of_the_naive_loop_depend_on_its_code_and_not_on_docstrings() -> None:
    assert naive_scores._code(Documented.one) == naive_scores._code(Plain.one)
    assert naive_scores._code(Documented.one) != naive_scores._code(Other.one)
