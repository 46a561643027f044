"""A seeded clip: the same from the same seed, and its ground truth is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tools.dev.clip.cutout import FaceFinder, NoFace
from tools.dev.clip.make import ClipTruth, make_clip, read_truth
from tools.dev.clip.render import backdrop
from tools.dev.clip.spec import ClipSpec, Passer, bench_spec, default_spec, portrait_of, write_watchlist
from tools.dev.clip.walks import Walk, held, schedule

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def small(samples: Callable[[str], list[Path]]) -> ClipSpec:
    """Two seconds at a third of the size: quick to draw, with both listed passages."""
    spec = default_spec(seed=3, seconds=2.0)
    return replace(spec, width=640, height=360, face_px=(24.0, 80.0), in_view=(2, 3))


@pytest.fixture(scope="session")
def made(small: ClipSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClipTruth]:
    path = tmp_path_factory.mktemp("clip") / "small.mp4"
    return path, make_clip(small, path)


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both)


@pytest.mark.long
def test_same_spec_gives_the_same_clip_and_truth(small: ClipSpec, made: tuple[Path, ClipTruth], tmp_path: Path) -> None:
    again = make_clip(small, tmp_path / "again.mp4")
    assert again == made[1]
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(made[0]), frames_of(tmp_path / "again.mp4"), strict=True))


def test_another_seed_gives_another_crowd(small: ClipSpec) -> None:
    sizes = dict.fromkeys((*small.listed, *small.crowd), 100.0)
    assert schedule(small, sizes) != schedule(replace(small, seed=4), sizes)
    assert small.digest() != replace(small, seed=4).digest()


def test_clip_is_what_its_spec_says(small: ClipSpec, made: tuple[Path, ClipTruth]) -> None:
    path, truth = made
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 640, 360)
        assert (stream.average_rate, stream.frames) == (25, small.frames)
    assert read_truth(path) == truth
    assert [p.photo for p in truth.passages if p.listed] == ["obama2.jpg", "obama.jpg"]


def test_detector_finds_the_faces_where_the_truth_has_them(made: tuple[Path, ClipTruth]) -> None:
    path, truth = made
    finder = FaceFinder()
    found = wanted = 0
    for number, picture in enumerate(frames_of(path)):
        rows = [(left, top, left + wide, top + tall) for left, top, wide, tall in finder.boxes(picture)]
        for passage in truth.passages:
            for face in passage.faces:
                if face.frame == number and face.visible > 0.95 and face.box[3] - face.box[1] > 30:
                    wanted += 1
                    found += any(overlap(face.box, row) > 0.5 for row in rows)
    assert wanted > 20
    assert found >= 0.9 * wanted


def test_hidden_passage_is_half_covered_and_sound_for_a_while(samples: Callable[[str], list[Path]]) -> None:
    covered = [held(u, 0.6) for u in np.linspace(0, 1, 201)]
    assert np.mean(covered) == pytest.approx(0.6, abs=0.02)
    assert covered[120] == 0.0
    assert covered[0] == covered[-1] == 1.0


def test_default_clip_has_the_crowd_that_is_promised(samples: Callable[[str], list[Path]]) -> None:
    spec = default_spec()
    sizes = dict.fromkeys((*spec.listed, *spec.crowd), 150.0)
    walks = [walk for walk in schedule(spec, sizes) if isinstance(walk, Walk)]
    shown = [walk for walk in walks if walk.first_frame + walk.frames > 0]
    crowd = [walk.passer.person for walk in shown if not walk.passer.listed]
    in_view = [sum(walk.in_view(frame, spec) for walk in walks) for frame in range(spec.frames)]
    assert 50 <= len(crowd) <= 70
    assert len(set(crowd)) == len(crowd)
    assert 6 <= np.mean(in_view) <= 8
    assert [walk.passer.photo.name for walk in shown if walk.passer.listed] == ["obama2.jpg", "obama.jpg"]


def test_listed_people_are_enrolled_with_another_photo(samples: Callable[[str], list[Path]], tmp_path: Path) -> None:
    folder = write_watchlist(tmp_path / "watchlist")
    enrolled = {path.name for path in folder.rglob("*.jpg")}
    assert enrolled == {"obama3.jpg"}
    assert not enrolled & {passer.photo.name for passer in default_spec().listed}


def test_backdrop_shows_nobody(samples: Callable[[str], list[Path]]) -> None:
    for spec in (default_spec(), bench_spec(), portrait_of(default_spec())):
        assert FaceFinder().boxes(backdrop(spec)) == []


def test_photo_without_a_face_is_refused_by_name(samples: Callable[[str], list[Path]], tmp_path: Path) -> None:
    scene = next(path for path in samples("scenes") if "stone-texture" in path.name)
    spec = ClipSpec(seconds=0.2, crowd=(Passer("stone", scene),))
    with pytest.raises(NoFace, match="stone-texture"):
        make_clip(spec, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes", [{"in_view": (0, 3)}, {"face_px": (50.0, 20.0)}, {"width": 641}, {"seconds": 0.0}, {"fps": 0}]
)
def test_spec_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ClipSpec(**changes)
