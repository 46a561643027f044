"""The odd recordings are what they say: other tests rely on it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(container.streams.video[0]))


def numbers(videos: ModuleType, path: Path) -> list[int]:
    return [videos.index_in(frame.reformat(format="gray").to_ndarray()) for frame in decoded(path)]


@pytest.mark.parametrize(
    "builder", ["recording", "portrait", "ten_bit", "full_chroma", "half_chroma", "grey", "rgb", "motion_jpeg", "hevc"]
)
def test_every_picture_of_a_good_recording_shows_its_number(videos: ModuleType, tmp_path: Path, builder: str) -> None:
    path = getattr(videos, builder)(tmp_path / "clip.mp4")
    assert numbers(videos, path) == list(range(25))


@pytest.mark.parametrize(("degrees", "reported"), [(90, -90), (180, 180), (270, 90)])
def test_rotation_stands_in_the_container_and_pictures_lie(
    videos: ModuleType, tmp_path: Path, degrees: int, reported: int
) -> None:
    frame = decoded(videos.rotated_by_flag(tmp_path / "clip.mp4", degrees))[0]
    assert (frame.rotation - reported) % 360 == 0
    assert not videos.upright(frame.reformat(format="gray").to_ndarray())


def test_variable_rate_keeps_its_stated_times(videos: ModuleType, tmp_path: Path) -> None:
    times = [round(frame.time * 1000) for frame in decoded(videos.variable_rate(tmp_path / "clip.mp4"))]
    assert times == videos.variable_times_ms()


def test_interlaced_recording_is_flagged(videos: ModuleType, tmp_path: Path) -> None:
    assert all(frame.interlaced_frame for frame in decoded(videos.interlaced(tmp_path / "clip.mp4")))


def test_wide_pixels_are_declared(videos: ModuleType, tmp_path: Path) -> None:
    with av.open(str(videos.wide_pixels(tmp_path / "clip.mp4"))) as container:
        assert container.streams.video[0].sample_aspect_ratio == pytest.approx(4 / 3)


@pytest.mark.parametrize("builder", ["size_change", "size_change_raw"])
def test_size_changes_in_mid_stream_without_losing_a_picture(videos: ModuleType, tmp_path: Path, builder: str) -> None:
    path = getattr(videos, builder)(tmp_path / "clip.mp4")
    sizes = [(frame.width, frame.height) for frame in decoded(path)]
    assert sizes == [(320, 240)] * 15 + [(480, 360)] * 10
    assert numbers(videos, path) == list(range(25))


@pytest.mark.parametrize("builder", ["empty", "text", "noise", "truncated_without_index"])
def test_what_is_no_recording_cannot_be_opened(videos: ModuleType, tmp_path: Path, builder: str) -> None:
    with pytest.raises(av.error.InvalidDataError):
        av.open(str(getattr(videos, builder)(tmp_path / "clip.mp4")))


def test_truncated_recording_gives_its_first_pictures_and_then_an_error(videos: ModuleType, tmp_path: Path) -> None:
    found = []
    with av.open(str(videos.truncated_in_pictures(tmp_path / "clip.mp4"))) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        with contextlib.suppress(av.error.InvalidDataError):
            for frame in container.decode(stream):
                found.append(videos.index_in(frame.reformat(format="gray").to_ndarray()))
            pytest.fail("decoded to the end")
    assert 10 < len(found) < 45
    assert found == list(range(len(found)))


def test_damage_in_the_middle_leaves_both_ends(videos: ModuleType, tmp_path: Path) -> None:
    found = numbers(videos, videos.damaged_in_the_middle(tmp_path / "clip.ts"))
    assert found[0] == 0
    assert found[-1] == 49
    assert len(found) < 50


def test_zero_frames_opens_and_is_empty(videos: ModuleType, tmp_path: Path) -> None:
    assert decoded(videos.zero_frames(tmp_path / "clip.mp4")) == []


def test_audio_only_has_no_video_track(videos: ModuleType, tmp_path: Path) -> None:
    with av.open(str(videos.audio_only(tmp_path / "clip.mp4"))) as container:
        assert not container.streams.video
        assert container.streams.audio


def test_odd_size_is_odd(videos: ModuleType, tmp_path: Path) -> None:
    frame = decoded(videos.odd_size(tmp_path / "clip.mp4"))[0]
    assert (frame.width, frame.height) == (321, 241)


def test_numbered_images_sort_differently_as_text(videos: ModuleType, tmp_path: Path) -> None:
    names = [path.name for path in videos.numbered_images(tmp_path / "clip").iterdir()]
    assert sorted(names)[1] == "frame_10.jpg"
