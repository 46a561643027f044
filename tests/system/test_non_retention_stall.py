"""A camera that stalls or freezes with somebody in view: our buffers are wiped, the decoder ends with its worker."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from device.wire.link import Beat, Fault, Hello
from tests.machine_time import of_processes
from tests.unit.edges.rtsp_camera import RtspCamera
from tools.dev.clip.make import ClipTruth, FaceTruth, PassageTruth
from tools.dev.proof.canaries import FIRST, SECOND, canary_clip, wanted_of
from tools.dev.proof.process_memory import NoView, Region, changed_since
from tools.dev.proof.search import Pieces, find_alike
from tools.dev.proof.watched import Watched
from tools.dev.proof.worker import given

FROZEN_S = 200.0  # links to one file: longer than a busy machine searches
GONE_WITHIN_S = 8.0
"""A read deadline of 2 s, and the end of a process; machine time."""
WITHIN_S = 60.0
TRIES = 3


@pytest.fixture(scope="module")
def clip() -> tuple[Path, ClipTruth, int]:
    """The canary clip and the frame at which it stops: the first is in the middle of the picture."""
    path, truth = canary_clip()
    return path, truth, (truth.passages[0].first + truth.passages[0].last) // 2


def pictures(clip: Path, until: int) -> list[Any]:
    with av.open(str(clip)) as container:
        return [frame for _, frame in zip(range(until + 1), container.decode(video=0), strict=False)]


def transport_stream(clip: Path, until: int, out: Path) -> Path:
    """The clip up to a frame as a camera sends it: no pictures out of order, a key frame every ten."""
    with av.open(str(out), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for number, picture in enumerate(pictures(clip, until)):
            frame = picture.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out


def test_a_camera_that_stalls_takes_the_decoder_and_the_worker_with_it(
    clip: tuple[Path, ClipTruth, int], tmp_path: Path
) -> None:
    path, truth, cut = clip
    stream = transport_stream(path, cut, tmp_path / "camera.ts")
    shown = ClipTruth(truth.width, truth.height, 25, cut + 1, 0, truth.passages)
    pieces = Pieces(wanted_of(stream, shown).pieces)
    seen: set[str] = set()
    for attempt in range(TRIES):  # a busy machine may copy the memory only when the person is forgotten
        (tmp_path / str(attempt)).mkdir()
        seen = {hit.whose for hit in pieces.find(memory_before_a_stall(stream, tmp_path / str(attempt)))}
        if seen:
            break
    assert seen == {FIRST}, "the search cannot see"


def memory_before_a_stall(stream: Path, place: Path) -> list[Region]:
    """A worker's memory with somebody in view; then its camera stalls, and the worker must be gone in time."""
    camera = RtspCamera(stream)
    try:
        task = given(place, camera.address, pace="live").task  # it takes seconds, for which no worker should wait
        with Watched(place) as one:
            one.send(task)
            hello = one.until(Hello)
            assert hello.protections["seccomp"]
            one.until(Beat, lambda beat: beat.counters.detections > 0)
            assert one.process_memory is not None
            with one.stopped():
                in_view = one.process_memory.copy()
            assert camera.played.wait(WITHIN_S)
            with of_processes(lambda: (os.getpid(), one.process.pid)) as machine:
                fault = one.until(Fault)
                assert (fault.error, fault.exit_status) == ("SourceLost", 69)
                assert one.process.wait(WITHIN_S) == 69
                assert machine.seconds < GONE_WITHIN_S
            with pytest.raises((NoView, ProcessLookupError)):
                one.process_memory.copy()
            return in_view
    finally:
        camera.close()


def test_a_picture_that_freezes_is_all_that_is_left_of_who_stands_in_it(
    clip: tuple[Path, ClipTruth, int], tmp_path: Path
) -> None:
    path, truth, cut = clip
    folder = tmp_path / "frozen"
    folder.mkdir()
    for number, picture in enumerate(pictures(path, cut)):
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), picture.to_ndarray(format="bgr24"))
    still = folder / f"{cut:05d}.jpg"
    for number in range(cut + 1, cut + round(FROZEN_S * 25)):
        os.link(still, folder / f"{number:05d}.jpg")
    known = wanted_of(folder, ClipTruth(truth.width, truth.height, 25, cut + 1, 0, truth.passages))
    pieces = Pieces(known.pieces)
    task = given(tmp_path, str(folder)).task
    with Watched(tmp_path) as one:
        one.send(task)
        one.until(Hello)
        assert one.process_memory is not None
        with one.stopped():
            before = one.process_memory.copy()
        assert pieces.find(before) == []
        one.until(Beat, lambda beat: beat.counters.frames >= cut - 5)
        in_view = {hit.what for hit in pieces.find(one.process_memory.copy())}
        assert "luma of a frame" in in_view, "the search cannot see"
        for _ in range(4):
            one.until(Beat, lambda beat: beat.camera == "frozen")
        left = changed_since(before, one.process_memory.copy())
        hits = pieces.find(left) + find_alike(left, known.patterns)
        # The camera goes on sending this picture, so the decoder goes on holding it; nothing else does.
        assert {hit.what for hit in hits} <= {"luma of a frame", "chroma of a frame"}, hits[:5]
        frozen = [m for m in one.received if isinstance(m, Beat)][-1]
        assert frozen.counters.open_passages == 0


def test_the_clip_shows_both_people_long_enough(clip: tuple[Path, ClipTruth, int]) -> None:
    _, truth, _ = clip
    people: dict[str, list[FaceTruth]] = {p.person: p.faces for p in truth.passages if isinstance(p, PassageTruth)}
    assert set(people) == {FIRST, SECOND}
    assert all(np.median([f.box[3] - f.box[1] for f in faces]) > 60 for faces in people.values())
