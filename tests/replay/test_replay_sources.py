"""Recordings of every kind: bad ones are refused with exit 65, odd ones lose no frame."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.replay.conftest import Desk, ManyRuns

BAD = ("empty", "text", "noise", "truncated_without_index", "zero_frames", "audio_only")


@pytest.mark.parametrize("builder", BAD)
def test_a_file_without_pictures_is_bad_data(
    builder: str, lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    source = getattr(videos, builder)(tmp_path / "clip.mp4")
    ended = lfr(source, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert str(source) in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "source", ["missing.mp4", "nothing-inside", "rtsp://127.0.0.1:9/s", "v4l2:///dev/video0", "csi://0", "/dev/null"]
)
def test_what_is_no_recording_is_bad_data(source: str, lfr: ManyRuns, short_list: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing-inside").mkdir()
    (tmp_path / "nothing-inside" / "notes.txt").write_text("no picture")
    given = source if ":" in source else str(tmp_path / source)
    ended = lfr(given, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert given in ended.err


def test_a_broken_picture_among_pictures_is_bad_data_and_named(
    lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    source = videos.image_among_images_broken(tmp_path / "pictures")
    ended = lfr(source, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert "frame_6.jpg" in ended.err


def test_a_bad_source_is_reported_by_the_real_command_too(desk: Desk, short_list: Path) -> None:
    ended = desk.run("no such clip.mp4", "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert ended.err.startswith("lfr: no such clip.mp4: no such file")


@pytest.mark.parametrize(
    ("builder", "frames", "size", "note"),
    [
        ("variable_rate", 25, (320, 240), ""),
        ("rotated_by_flag", 25, (240, 320), "rotat"),
        ("portrait", 25, (240, 320), ""),
        ("ten_bit", 25, (320, 240), "10"),
        ("interlaced", 25, (320, 240), "interlaced"),
        ("full_chroma", 25, (320, 240), ""),
        ("wide_pixels", 25, (320, 240), ""),
        ("odd_size", 25, (321, 241), ""),
        ("grey", 25, (320, 240), ""),
        ("tiny", 25, (16, 16), ""),
        ("one_frame", 1, (320, 240), ""),
        ("late_start", 25, (320, 240), ""),
        ("size_change", 25, (320, 240), ""),
        ("size_change_raw", 25, (320, 240), ""),
        ("numbered_images", 12, (320, 240), "25 Hz assumed"),
        ("images_of_two_sizes", 12, (320, 240), ""),
    ],
)
def test_odd_recordings_are_replayed_with_every_frame_counted(
    builder: str,
    frames: int,
    size: tuple[int, int],
    note: str,
    lfr: ManyRuns,
    videos: ModuleType,
    short_list: Path,
    tmp_path: Path,
) -> None:
    source = getattr(videos, builder)(tmp_path / ("pictures" if "images" in builder else "clip.mp4"))
    report = lfr(source, "--watchlist", short_list, "--json").report
    assert report["frames"] == frames
    assert (report["source"]["width"], report["source"]["height"]) == size
    assert note in "; ".join(report["source"]["notes"])
    assert report["alerts"] == []
    assert report["faces_seen"] == 0


@pytest.mark.parametrize(("builder", "least"), [("truncated_in_pictures", 10), ("damaged_in_the_middle", 20)])
def test_a_damaged_recording_is_replayed_to_the_damage_and_the_result_states_it(
    builder: str, least: int, lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    report = lfr(getattr(videos, builder)(tmp_path / "clip.mp4"), "--watchlist", short_list, "--json").report
    assert least < report["frames"] < 50
    assert report["source"]["notes"]
