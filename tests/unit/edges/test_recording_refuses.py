"""A recording that cannot be read is one SourceUnreadable that says what is wrong; a damaged one gives what it has."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import av
import pytest

from device.edges.camera.recording import RecordedSource, recording_path
from device.errors import SourceUnreadable
from tests.pictures import planes

NOBODY = 65534


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"gone\.mp4: no such file or folder"):
        RecordedSource(tmp_path / "gone.mp4", decode_threads=1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("empty", r"the file is empty \(0 bytes\)"),
        ("zero_frames", "no picture that decodes|not a video"),
        ("audio_only", r"holds no moving picture \(streams found: audio\)"),
        ("text", "not a video"),
        ("noise", "not a video|no picture that decodes"),
        ("truncated_without_index", "cut off before its index"),
    ],
)
def test_what_is_no_video_is_refused_with_the_reason(
    build: str, message: str, tmp_path: Path, videos: ModuleType
) -> None:
    path = getattr(videos, build)(tmp_path / "bad.mp4")
    with pytest.raises(SourceUnreadable, match=message) as refused:
        list(RecordedSource(path, decode_threads=1).frames())
    assert str(path) in str(refused.value)
    assert refused.value.exit_status == 65


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="a folder without pictures"):
        RecordedSource(tmp_path, decode_threads=1)


def test_a_broken_picture_of_a_folder_is_named(tmp_path: Path, videos: ModuleType) -> None:
    source = RecordedSource(videos.image_among_images_broken(tmp_path), decode_threads=1)
    with pytest.raises(SourceUnreadable, match=r"frame_6\.jpg: not a picture that can be read"):
        list(source.frames())


def test_a_cut_off_picture_of_a_folder_is_not_silently_skipped(tmp_path: Path, videos: ModuleType) -> None:
    videos.numbered_images(tmp_path, frames=1, suffix=".png")
    picture = tmp_path / "frame_1.png"
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(SourceUnreadable, match=r"frame_1\.png: not a picture"):
        RecordedSource(tmp_path, decode_threads=1)


def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnreadable, match="neither a file nor a folder"):
        RecordedSource(tmp_path / "pipe", decode_threads=1)


def test_a_file_without_permission_is_refused(tmp_path: Path, videos: ModuleType) -> None:
    path = videos.recording(tmp_path / "a.mp4", frames=1)
    path.chmod(0)
    tmp_path.chmod(0)
    as_root = os.geteuid() == 0
    try:
        if as_root:
            os.seteuid(NOBODY)
        with pytest.raises(SourceUnreadable, match="no permission"):
            RecordedSource(path, decode_threads=1)
    finally:
        if as_root:
            os.seteuid(0)
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("address", ["rtsp://camera/1", "v4l2:///dev/video0", "csi://0", "http://host/a.mp4"])
def test_a_live_address_is_no_recording(address: str) -> None:
    with pytest.raises(SourceUnreadable, match="not a live address"):
        recording_path(address)
    with pytest.raises(SourceUnreadable, match="not a live address"):
        RecordedSource(Path(address), decode_threads=1)


def test_a_playlist_cannot_open_an_address(tmp_path: Path) -> None:
    playlist = tmp_path / "a.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceUnreadable, match=r"a\.m3u8"):
        list(RecordedSource(playlist, decode_threads=1).frames())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_truncated_file_gives_the_pictures_it_has(threads: int, tmp_path: Path, videos: ModuleType) -> None:
    source = RecordedSource(videos.truncated_in_pictures(tmp_path / "a.mp4"), decode_threads=threads)
    numbers = [videos.index_in(planes(frame).y) for frame in source.frames()]
    assert numbers[:20] == list(range(20))
    assert len(numbers) < 50


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_in_the_middle_is_passed_over(threads: int, tmp_path: Path, videos: ModuleType) -> None:
    source = RecordedSource(videos.damaged_in_the_middle(tmp_path / "a"), decode_threads=threads)
    frames = [(videos.index_in(planes(frame).y), frame.at) for frame in source.frames()]
    assert [number for number, _ in frames[:10]] == list(range(10))
    assert frames[-1][0] == 49
    assert [at for _, at in frames] == sorted(at for _, at in frames)


def test_a_packet_that_does_not_decode_is_skipped_and_counted(tmp_path: Path, videos: ModuleType) -> None:
    path = videos.recording(tmp_path / "a.mp4", frames=30, options={"g": "1", "bf": "0"})
    with av.open(str(path)) as opened:
        broken = list(opened.demux(video=0))[12]
        at, size = broken.pos, broken.size
    data = bytearray(path.read_bytes())
    data[at : at + size] = b"\xff" * size
    path.write_bytes(bytes(data))
    source = RecordedSource(path, decode_threads=1)
    numbers = [videos.index_in(planes(frame).y) for frame in source.frames()]
    assert numbers == [*range(12), *range(13, 30)]
    assert source.skipped_packets == 1
    assert source.info.notes == ("1 damaged packet(s) skipped",)
