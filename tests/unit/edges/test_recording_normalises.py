"""Whatever a recording's pictures are like, the frames are upright, square, progressive, 8-bit 4:2:0, all there."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from device.domain.sight import ColourMatrix, Frame
from device.edges.camera.recording import RecordedSource
from tests.pictures import planes


def read(path: Path, threads: int = 1) -> tuple[RecordedSource, list[Frame]]:
    source = RecordedSource(path, decode_threads=threads)
    return source, list(source.frames())


def numbers(videos: ModuleType, frames: list[Frame]) -> list[int]:
    return [videos.index_in(planes(frame).y) for frame in frames]


def rgb_of(frame: Frame, y: int, x: int) -> np.ndarray:
    """One pixel by the textbook formula, in floating point."""
    kr, kb = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}[planes(frame).matrix]
    luma, cb, cr = (
        float(planes(frame).y[y, x]),
        float(planes(frame).u[y // 2, x // 2]) - 128,
        float(planes(frame).v[y // 2, x // 2]) - 128,
    )
    if not planes(frame).full_range:
        luma, cb, cr = (luma - 16) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    return np.array([red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue])


@pytest.mark.parametrize("threads", [1, 2])
def test_every_frame_of_a_plain_file_is_delivered_in_order(threads: int, tmp_path: Path, videos: ModuleType) -> None:
    source, frames = read(videos.recording(tmp_path / "a.mp4", frames=40), threads)
    assert numbers(videos, frames) == list(range(40))
    assert source.info.notes == ()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotation_flag_is_obeyed(degrees: int, tmp_path: Path, videos: ModuleType) -> None:
    source, frames = read(videos.rotated_by_flag(tmp_path / "a.mp4", degrees))
    assert all(videos.upright(planes(frame).y) for frame in frames)
    assert numbers(videos, frames) == list(range(25))
    assert (frames[0].width, frames[0].height) == ((320, 240) if degrees == 180 else (240, 320))
    assert (source.info.width, source.info.height) == (frames[0].width, frames[0].height)
    assert source.info.notes == (f"rotated {degrees}",)


def test_wide_pixels_become_square(tmp_path: Path, videos: ModuleType) -> None:
    source, frames = read(videos.wide_pixels(tmp_path / "a.mp4"))
    assert (frames[0].width, frames[0].height) == (320, 240)
    disc = planes(frames[0]).v > 150  # the disc is the only red thing
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), abs=3)
    assert "square pixels" in source.info.notes[0]
    assert numbers(videos, frames) == list(range(25))


def test_interlaced_pictures_are_deinterlaced_one_for_one(tmp_path: Path, videos: ModuleType) -> None:
    source, frames = read(videos.interlaced(tmp_path / "a.mp4"))
    assert source.info.notes == ("interlaced: bwdif",)
    assert numbers(videos, frames) == list(range(25))
    assert [frame.at for frame in frames] == [n * 40_000_000 for n in range(25)]
    # Rows of the moving bar that belong to different moments would differ strongly from one to the next.
    combed = [np.abs(np.diff(planes(frame).y[105:135].astype(int), axis=0)).mean() for frame in frames]
    assert max(combed) < 4


@pytest.mark.parametrize(
    "build", ["portrait", "ten_bit", "full_chroma", "half_chroma", "grey", "rgb", "odd_size", "motion_jpeg", "hevc"]
)
def test_every_layout_arrives_whole(build: str, tmp_path: Path, videos: ModuleType) -> None:
    path = getattr(videos, build)(tmp_path / "a.mp4")
    source, frames = read(path)
    assert numbers(videos, frames) == list(range(25))
    assert all(videos.upright(planes(frame).y) for frame in frames)
    half = ((frames[0].height + 1) // 2, (frames[0].width + 1) // 2)
    assert planes(frames[0]).u.shape == planes(frames[0]).v.shape == half
    converted = build in ("ten_bit", "full_chroma", "half_chroma", "grey", "rgb")
    assert bool(source.info.notes) is converted


@pytest.mark.parametrize("build", ["recording", "ten_bit", "full_chroma", "rgb", "motion_jpeg"])
def test_colours_survive_with_the_stated_matrix_and_range(build: str, tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(getattr(videos, build)(tmp_path / "a.mp4"))
    assert rgb_of(frames[0], 120, 160) == pytest.approx(np.array([200, 60, 60]), abs=12)


def test_a_grey_video_is_grey(tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(videos.grey(tmp_path / "a.mp4"))
    assert np.abs(planes(frames[0]).u.astype(int) - 128).max() <= 1
    assert rgb_of(frames[0], 40, 20) == pytest.approx(np.full(3, videos.BRIGHT), abs=6)


def test_high_definition_without_a_stated_matrix_is_bt709_and_less_is_bt601(tmp_path: Path, videos: ModuleType) -> None:
    _, small = read(videos.recording(tmp_path / "a.mp4", frames=1))
    _, large = read(videos.recording(tmp_path / "b.mp4", frames=1, size=(1280, 720)))
    assert (planes(small[0]).matrix, planes(large[0]).matrix) == (ColourMatrix.BT601, ColourMatrix.BT709)


@pytest.mark.parametrize("build", ["size_change", "size_change_raw"])
def test_a_change_of_size_in_mid_stream_loses_nothing(build: str, tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(getattr(videos, build)(tmp_path / "a"))
    assert numbers(videos, frames) == list(range(25))
    assert {(f.width, f.height) for f in frames[:15]} == {(320, 240)}
    assert {(f.width, f.height) for f in frames[15:]} == {(480, 360)}


def test_variable_frame_times_are_kept(tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(videos.variable_rate(tmp_path / "a.mkv"))
    first, *_ = times = videos.variable_times_ms()
    assert [round(frame.at / 1e6) for frame in frames] == [time - first for time in times]


def test_times_count_from_the_first_frame_of_a_late_start(tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(videos.late_start(tmp_path / "a.mp4"))
    assert frames[0].at == 0
    assert numbers(videos, frames) == list(range(25))


def test_a_single_frame_is_a_recording(tmp_path: Path, videos: ModuleType) -> None:
    assert len(read(videos.one_frame(tmp_path / "a.mp4"))[1]) == 1


def test_a_tiny_picture_is_a_recording(tmp_path: Path, videos: ModuleType) -> None:
    assert {(f.width, f.height) for f in read(videos.tiny(tmp_path / "a.mp4"))[1]} == {(16, 16)}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_numbered_pictures_are_read_in_the_order_of_their_numbers(
    suffix: str, tmp_path: Path, videos: ModuleType
) -> None:
    source, frames = read(videos.numbered_images(tmp_path, suffix=suffix))
    assert numbers(videos, frames) == list(range(12))
    assert source.info.notes[0] == "12 numbered pictures: 25 Hz assumed"
    assert rgb_of(frames[0], 120, 160) == pytest.approx(np.array([200, 60, 60]), abs=8)


def test_pictures_of_two_sizes_are_both_delivered(tmp_path: Path, videos: ModuleType) -> None:
    _, frames = read(videos.images_of_two_sizes(tmp_path))
    assert numbers(videos, frames) == list(range(12))
    assert [frame.width for frame in frames] == [320] * 8 + [480] * 4


def test_other_and_hidden_files_among_pictures_are_passed_over(tmp_path: Path, videos: ModuleType) -> None:
    videos.numbered_images(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".frame_3.jpg").write_text("x")
    assert len(read(tmp_path)[1]) == 12


def test_a_picture_turned_by_exif_is_upright(tmp_path: Path, videos: ModuleType) -> None:
    lying = np.ascontiguousarray(np.rot90(videos.picture(5, 240, 320)))
    jpeg = cv2.imencode(".jpg", lying[:, :, ::-1])[1].tobytes()
    # TIFF header, one entry: Orientation (0x0112) SHORT 6, "turn 90 degrees clockwise" (Exif 2.32, 4.6.4).
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (tmp_path / "1.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    _, frames = read(tmp_path)
    assert videos.upright(planes(frames[0]).y)
    assert (frames[0].width, frames[0].height) == (240, 320)


@pytest.mark.parametrize("name", ["a b.mp4", "größe-ŵ.mp4", "per%03dcent.mp4", "co:lon.mp4", "#hash?.mp4"])
def test_any_file_name_will_do(name: str, tmp_path: Path, videos: ModuleType) -> None:
    assert len(read(videos.recording(tmp_path / name, frames=3))[1]) == 3


def test_a_file_address_is_a_path(tmp_path: Path, videos: ModuleType) -> None:
    path = videos.recording(tmp_path / "a.mp4", frames=3)
    assert len(read(Path(f"file://{path}"))[1]) == 3
