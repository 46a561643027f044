"""Plays a clip with a fault through a real encoder and the device's own decoder, and times what is reported."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from device.domain.camera_fault import CameraFault
from device.domain.sight import U8, Frame
from device.domain.time import NS_PER_S, MediaNs
from device.edges.camera.picture_health import PictureHealth
from device.edges.camera.recording import RecordedSource
from tools.dev.bench.camera_faults.encoders import Encoder, encode
from tools.dev.bench.camera_faults.faulty import Clip, Fault, broken_clip

SearchFaces = Callable[[Frame], bool]


@dataclass
class Found:
    """reported_s: from the break until the fault was reported, or None;  warned_s: until `still` was, when it is frozen

    false_alarms  reports that were not expected, by fault: each begins one;  alarm_s: how long they lasted in all
    """

    reported_s: float | None = None
    warned_s: float | None = None
    false_alarms: Counter[CameraFault] = field(default_factory=Counter)
    alarm_s: float = 0.0
    seconds: float = 0.0
    frames: int = 0
    judged_s: float = 0.0


def measure(
    clip: Clip,
    fault: Fault,
    encoder: Encoder,
    *,
    breaks_s: float,
    seconds: float,
    anybody: SearchFaces = lambda _: False,
) -> Found:
    """One run; times are of the stream, so that it does not matter how fast this machine is."""
    pictures = broken_clip(clip, fault, breaks_s=breaks_s, seconds=seconds)
    frames = played(pictures, clip.rate, encoder, fault, breaks_s)
    return judge(frames, fault.expected, breaks_s=breaks_s, anybody=anybody)


def plain(path: Path, *, anybody: SearchFaces = lambda _: False) -> Found:
    """A clip as it is, in which nothing is wrong. Raises SourceUnreadable."""
    source = RecordedSource(path, decode_threads=1)
    try:
        return judge(source.frames(), None, breaks_s=0.0, anybody=anybody)
    finally:
        source.close()


def judge(
    frames: Iterable[Frame], expected: CameraFault | None, *, breaks_s: float, anybody: SearchFaces = lambda _: False
) -> Found:
    """What is reported of these frames, of a camera that breaks at `breaks_s`."""
    found = Found()
    shown: list[Frame] = []

    def search() -> bool:
        since = time.thread_time()
        seen = anybody(shown[-1])
        found.judged_s -= time.thread_time() - since  # the device has the answer already
        return seen

    health = PictureHealth(anybody_in_view=search)
    reported: set[CameraFault] = set()
    for frame in frames:
        shown[:] = [frame]
        since = time.thread_time()
        health.see(frame)
        found.judged_s += time.thread_time() - since
        found.frames += 1
        at_s = frame.at / NS_PER_S
        found.alarm_s += (at_s - found.seconds) * bool(found.false_alarms and reported)
        found.seconds = at_s
        now = {one for one in (health.fault, health.warning) if one is not None}
        _note(found, now, reported, expected, at_s - breaks_s)
        reported = now
    return found


def _note(
    found: Found, now: set[CameraFault], before: set[CameraFault], expected: CameraFault | None, since_s: float
) -> None:
    """since_s: since the break; nothing is expected before it."""
    for one in now - before:
        right = since_s >= 0 and expected is not None
        if right and one is expected:
            found.reported_s = since_s if found.reported_s is None else found.reported_s
        elif right and expected is CameraFault.FROZEN and one is CameraFault.STILL:
            found.warned_s = since_s if found.warned_s is None else found.warned_s
        else:
            found.false_alarms[one] += 1


def played(pictures: Iterator[U8], rate: float, encoder: Encoder, fault: Fault, breaks_s: float) -> Iterator[Frame]:
    """The pictures as they come out of the decoder; a fault that shrinks them begins a new stream at the break."""
    with tempfile.TemporaryDirectory(prefix="lfr-camera-faults-") as folder:
        if not fault.shrinks:
            yield from _stream(pictures, rate, encoder, Path(folder) / "whole.mkv")
            return
        yield from _stream(islice(pictures, round(breaks_s * rate)), rate, encoder, Path(folder) / "before.mkv")
        halved = (_half(picture) for picture in pictures)
        for frame in _stream(halved, rate, encoder, Path(folder) / "after.mkv"):
            yield replace(frame, at=MediaNs(frame.at + round(breaks_s * NS_PER_S)))


def _stream(pictures: Iterator[U8], rate: float, encoder: Encoder, out: Path) -> Iterator[Frame]:
    encode(pictures, rate, encoder, out)
    source = RecordedSource(out, decode_threads=1)
    try:
        yield from source.frames()
    finally:
        source.close()


def _half(picture: U8) -> U8:
    """Half as wide and half as high."""
    height, width = picture.shape[0] * 2 // 3 // 4 * 2, picture.shape[1] // 4 * 2
    luma = picture[: height * 2, : width * 2].reshape(height, 2, width, 2).mean((1, 3)).astype(np.uint8)
    return np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])
