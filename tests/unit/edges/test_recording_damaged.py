"""Recordings as bad links and old recorders leave them: nothing is lost that is there, and what is missing is noted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from device.domain.sight import Damage
from device.edges.camera.capture_buffer import END, CaptureBuffer
from device.edges.camera.pyav import OpenOptions, Video
from device.edges.camera.recording import RecordedSource
from tests.pictures import planes

LOOK_EVERY_MS = 60
"""device.recognition.pipeline: frames closer than this are passed over."""


def looked_at(times_ms: list[float]) -> int:
    """How many frames are searched for faces."""
    count, last = 0, None
    for at in times_ms:
        if last is None or at - last >= LOOK_EVERY_MS:
            count, last = count + 1, at
    return count


def test_packed_b_frames_keep_their_order_and_an_even_pace(
    tmp_path: Path, videos: ModuleType, damaged_videos: ModuleType
) -> None:
    source = RecordedSource(damaged_videos.packed_b_frames(tmp_path / "a"), decode_threads=1)
    frames = [(videos.index_in(planes(frame).y), frame.at / 1e6) for frame in source.frames()]
    times = [at for _, at in frames]
    assert [number for number, _ in frames] == list(range(60))
    assert set(np.diff(times)) <= {40.0, 80.0}
    assert np.diff(times).tolist().count(80.0) <= 1, "one step is lost where the disorder is noticed"
    assert looked_at(times) == looked_at([40.0 * n for n in range(60)]), "a third of the detections were lost"
    assert any("repaired" in note for note in source.info.notes)


LOST = frozenset({(10, 1), (20, 3), (31, 0)})


@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_that_lost_slices_are_marked_and_so_are_those_predicted_from_them(
    threads: int, tmp_path: Path, damaged_videos: ModuleType
) -> None:
    path = damaged_videos.lost_slices(tmp_path / "a", lost=LOST, key_every=25)
    source = RecordedSource(path, decode_threads=threads)
    damage = [frame.damage for frame in source.frames()]
    assert len(damage) == 40
    own = {n for n, one in enumerate(damage) if one is Damage.PICTURE}
    assert own == {10, 20, 31}
    assert {n for n, one in enumerate(damage) if one is Damage.NONE} == {*range(10), *range(25, 31)}, (
        "until a key frame"
    )
    assert "3 picture(s) arrived damaged, 21 more were predicted from damaged ones" in source.info.notes


def test_a_camera_is_decoded_so_that_lost_slices_are_seen(tmp_path: Path, damaged_videos: ModuleType) -> None:
    """libavcodec does not detect them where it decodes several slices at once, whatever number of threads is asked."""
    path = damaged_videos.lost_slices(tmp_path / "a", lost=LOST, key_every=25)
    video = Video(str(path), OpenOptions(decode_threads=4, low_latency=True))
    assert sum(frame.damage is Damage.PICTURE for frame in video.frames()) == 3
    assert video.damaged[Damage.PICTURE] == 3


def test_pictures_after_a_packet_that_does_not_decode_are_marked(tmp_path: Path, videos: ModuleType) -> None:
    source = RecordedSource(videos.damaged_in_the_middle(tmp_path / "a"), decode_threads=1)
    damage = [frame.damage for frame in source.frames()]
    assert damage[:10] == [Damage.NONE] * 10
    assert any(one is not Damage.NONE for one in damage[10:])
    assert damage[-1] is Damage.NONE, "a key frame came since"


def test_a_whole_recording_is_marked_nowhere(tmp_path: Path, videos: ModuleType, damaged_videos: ModuleType) -> None:
    for path in (
        videos.recording(tmp_path / "a.mp4"),
        videos.interlaced(tmp_path / "b.mp4"),
        damaged_videos.packed_b_frames(tmp_path / "c"),
        videos.numbered_images(tmp_path / "d"),
        videos.one_frame(tmp_path / "e.mp4"),
    ):
        source = RecordedSource(path, decode_threads=1)
        assert {frame.damage for frame in source.frames()} == {Damage.NONE}, path.name


def test_a_feed_counts_damaged_pictures_and_knows_their_share(tmp_path: Path, damaged_videos: ModuleType) -> None:
    path = damaged_videos.lost_slices(tmp_path / "a", lost=LOST, key_every=25)
    feed = CaptureBuffer(RecordedSource(path, decode_threads=1), pace="full")
    assert feed.damaged_share == 0.0
    while feed.take(5.0) is not END:
        pass
    assert feed.damaged == 3
    assert feed.damaged_share == pytest.approx(24 / 40)
    feed.close()
