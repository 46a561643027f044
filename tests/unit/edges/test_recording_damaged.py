"""Recordings as bad links and old recorders leave them: nothing is lost that is there, and what is missing is noted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from device.edges.camera.recording import RecordedSource
from tests.replay.damaged_videos import packed_b_frames

LOOK_EVERY_MS = 60
"""device.recognition.pipeline: frames closer than this are passed over."""


def looked_at(times_ms: list[float]) -> int:
    """How many frames are searched for faces."""
    count, last = 0, None
    for at in times_ms:
        if last is None or at - last >= LOOK_EVERY_MS:
            count, last = count + 1, at
    return count


def test_packed_b_frames_keep_their_order_and_an_even_pace(tmp_path: Path, videos: ModuleType) -> None:
    source = RecordedSource(packed_b_frames(tmp_path / "a"), decode_threads=1)
    frames = [(videos.index_in(frame.picture.y), frame.at / 1e6) for frame in source.frames()]
    times = [at for _, at in frames]
    assert [number for number, _ in frames] == list(range(60))
    assert set(np.diff(times)) <= {40.0, 80.0}
    assert list(np.diff(times)).count(80.0) <= 1, "one step is lost where the disorder is noticed"
    assert looked_at(times) == looked_at([40.0 * n for n in range(60)]), "a third of the detections were lost"
    assert any("repaired" in note for note in source.info.notes)
