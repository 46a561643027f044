"""What the naive loop sees: every face of every frame at full size, each compared alone.

1. Detection, boxes and tracks are those of tools/dev/bench/naive.py. Alignment, recogniser and score are the product's,
   on the product's own list, so that only the loops differ: one that looks at everything, one that chooses.
2. It takes a hundred milliseconds a frame, so its results are kept below `.cache`: frames, boxes, numbers of entries
   and scores. No picture and no template is kept; whose number it is only the list knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from device.domain.sight import F32, U8, Face, Frame
from device.edges.camera.recording import RecordedSource
from device.vision import align, embedder, picture
from device.vision.align import DegenerateGeometry
from device.vision.decision import Gallery
from device.vision.face_front_end import Eyes
from device.vision.picture import warp
from device.vision.quality import pose
from engines.places import cache_dir
from tools.dev.bench import naive
from tools.dev.bench.naive import UNSEEN_S, Naive, Tracks

RATE_HZ = 25.0


class NaiveFace(msgspec.Struct, frozen=True, array_like=True):
    """One face of one frame: box (left, top, right, bottom, pixels), turn of the head as the landmarks have it
    (device.vision.quality.Pose.yaw), the number of the nearest entry, its score, and the track that it belongs to."""

    frame: int
    box: tuple[float, float, float, float]
    yaw: float
    entry: int
    score: float
    track: int


class NaiveRun(msgspec.Struct, frozen=True):
    """`frames`: of the clip, `rate_hz` a second; every `every`-th was looked at."""

    frames: int
    rate_hz: float
    every: int
    faces: list[NaiveFace]


class Looker:
    """The naive loop over one list; `identity` names list, recogniser and backend for the cache."""

    def __init__(self, eyes: Eyes, gallery: Gallery, identity: str) -> None:
        self._eyes, self._gallery, self._identity = eyes, gallery, identity
        self._naive = Naive(1.0, threads=1)
        self._template: F32 = np.zeros(eyes.template_dim, np.float32)

    def run(self, clip: Path, every: int, tick: Callable[[], object]) -> NaiveRun:
        """The faces of every `every`-th frame, from the cache where it has them."""
        kept = cache_dir() / "bench" / "naive" / f"{self._key(clip, every)}.json"
        if kept.is_file():
            return msgspec.json.decode(kept.read_bytes(), type=NaiveRun)
        found = self._look(clip, every, tick)
        kept.parent.mkdir(parents=True, exist_ok=True)
        staged = kept.with_suffix(".part")
        staged.write_bytes(msgspec.json.encode(found))
        staged.replace(kept)
        return found

    def _key(self, clip: Path, every: int) -> str:
        mark = hashlib.sha256(f"{self._identity}\0{every}\0".encode())
        with clip.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                mark.update(block)
        for module in (__file__, naive.__file__, align.__file__, embedder.__file__, picture.__file__):
            mark.update(Path(str(module)).read_bytes())
        return mark.hexdigest()[:24]

    def _look(self, clip: Path, every: int, tick: Callable[[], object]) -> NaiveRun:
        source = RecordedSource(clip, decode_threads=1)
        rate_hz = source.info.rate_hz or RATE_HZ
        tracks, frames = Tracks(), 0
        faces: list[NaiveFace] = []
        ids: dict[int, tuple[int, object]] = {}
        try:
            for frame in source.frames():
                frames += 1
                tick()
                if frame.index % every:
                    continue
                rows = self._naive.detect(_bgr(frame))
                boxes = [np.concatenate([row[:2], row[:2] + row[2:4]]) for row in rows]
                for row, box, track in zip(
                    rows, boxes, tracks.follow(boxes, frame.index, UNSEEN_S * rate_hz), strict=True
                ):
                    number = ids.setdefault(id(track), (len(ids), track))[0]  # the track is kept: ids are not reused
                    face = Face(box, np.asarray(row[4:14].reshape(5, 2), np.float32), float(row[14]))
                    compared = self._compared(frame, face, number)
                    if compared is not None:
                        faces.append(compared)
        finally:
            source.close()
        return NaiveRun(frames, rate_hz, every, faces)

    def _compared(self, frame: Frame, face: Face, track: int) -> NaiveFace | None:
        try:
            self._eyes.embed(frame, face, self._template)
        except DegenerateGeometry:
            return None
        best = self._gallery.nearest(self._template)
        self._template[:] = 0
        left, top, right, bottom = (round(float(v), 1) for v in face.box)
        turn = round(pose(face).yaw, 3)
        return NaiveFace(frame.index, (left, top, right, bottom), turn, best.entry, round(best.score, 5), track)


def _bgr(frame: Frame) -> U8:
    whole = warp(frame, np.eye(2, 3, dtype=np.float32), (frame.width, frame.height))
    return np.ascontiguousarray(whole[:, :, ::-1])
