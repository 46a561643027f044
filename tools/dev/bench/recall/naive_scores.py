"""The naive loop's scores: every face of every frame at full size, each compared alone.

1. Detection, boxes and tracks are those of tools/dev/bench/naive.py. Alignment, recogniser and score are the product's,
   on the product's own list, so that only the loops differ: all faces of all frames, or a selection.
2. It takes a hundred milliseconds a frame, so its results are kept below `.cache`: frames, boxes, landmarks, numbers
   of entries and scores. No picture and no template is kept; only the list resolves an entry's number.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import msgspec
import numpy as np

from device.domain.sight import F32, U8, Face, Frame
from device.edges.camera.recording import RecordedSource
from device.vision import align, embedder, picture
from device.vision.align import DegenerateGeometry
from device.vision.decision import Gallery
from device.vision.face_front_end import FaceFrontEnd
from device.vision.picture import warp
from device.vision.quality import pose
from engines.places import cache_dir, placing
from tools.dev.bench.naive import DETECTOR_SCORE, IOU, UNSEEN_S, Naive, Track, Tracks

RATE_HZ = 25.0


class FoundFace(msgspec.Struct, frozen=True, array_like=True):
    """One face of one frame: box (left, top, right, bottom) and landmarks (x, y of each in turn), pixels, and the track
    that it belongs to."""

    frame: int
    box: tuple[float, float, float, float]
    landmarks: list[float]
    detector: float
    track: int

    def face(self) -> Face:
        """As the product has it."""
        points = np.array(self.landmarks, np.float32).reshape(5, 2)
        return Face(np.array(self.box, np.float32), points, self.detector)


class FoundFaces(msgspec.Struct, frozen=True):
    """`frames`: of the clip, `rate_hz` a second; every `every`-th was looked at."""

    frames: int
    rate_hz: float
    every: int
    faces: list[FoundFace]


class NaiveFace(msgspec.Struct, frozen=True, array_like=True):
    """The nearest entry of one face, by its number, and the score; `yaw` as device.vision.quality.Pose has it."""

    frame: int
    box: tuple[float, float, float, float]
    yaw: float
    entry: int
    score: float
    track: int


class NaiveRun(msgspec.Struct, frozen=True):
    """See FoundFaces; faces without an upright are left out."""

    frames: int
    rate_hz: float
    every: int
    faces: list[NaiveFace]


class Looker:
    """The naive loop over one list; `identity` names list, recogniser and backend for the cache."""

    def __init__(self, front_end: FaceFrontEnd, gallery: Gallery, identity: str) -> None:
        self._front_end, self._gallery, self._identity = front_end, gallery, identity
        self._naive = Naive(1.0, threads=1)
        self._template: F32 = np.zeros(front_end.template_dim, np.float32)

    def run(self, clip: Path, every: int, tick: Callable[[], object]) -> NaiveRun:
        """The faces of every `every`-th frame with their scores, from the cache where it has them."""
        seen = f"{_digest(clip)} {every} {DETECTOR_SCORE} {IOU} {_code(Track, Tracks, Naive.detect)}"
        scored = f"{seen} {self._identity} {_code(align, embedder, picture)}"
        return _kept("scores", scored, NaiveRun, lambda: self._scored(clip, self.found(clip, every, seen, tick)))

    def found(self, clip: Path, every: int, key: str, tick: Callable[[], object]) -> FoundFaces:
        """The faces alone: whoever is listed and whatever recognises them, they are the same."""
        return _kept("faces", key, FoundFaces, lambda: self._detected(clip, every, tick))

    def _detected(self, clip: Path, every: int, tick: Callable[[], object]) -> FoundFaces:
        source = RecordedSource(clip, decode_threads=1)
        rate_hz = source.info.rate_hz or RATE_HZ
        tracks, frames = Tracks(), 0
        faces: list[FoundFace] = []
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
                    left, top, right, bottom = (round(float(v), 2) for v in box)
                    points = [round(float(v), 2) for v in row[4:14]]
                    faces.append(FoundFace(frame.index, (left, top, right, bottom), points, float(row[14]), number))
        finally:
            source.close()
        return FoundFaces(frames, rate_hz, every, faces)

    def _scored(self, clip: Path, found: FoundFaces) -> NaiveRun:
        by_frame: dict[int, list[FoundFace]] = {}
        for face in found.faces:
            by_frame.setdefault(face.frame, []).append(face)
        source = RecordedSource(clip, decode_threads=1)
        try:
            scored = [
                compared
                for frame in source.frames()
                for face in by_frame.get(frame.index, ())
                if (compared := self._compared(frame, face)) is not None
            ]
        finally:
            source.close()
        return NaiveRun(found.frames, found.rate_hz, found.every, scored)

    def _compared(self, frame: Frame, found: FoundFace) -> NaiveFace | None:
        face = found.face()
        try:
            self._front_end.embed(frame, face, self._template)
        except DegenerateGeometry:
            return None
        best = self._gallery.nearest(self._template)
        self._template[:] = 0
        turn = round(pose(face).yaw, 3)
        return NaiveFace(found.frame, found.box, turn, best.entry, round(best.score, 5), found.track)


Kept = TypeVar("Kept", FoundFaces, NaiveRun)


def _kept(what: str, key: str, kind: type[Kept], make: Callable[[], Kept]) -> Kept:
    """Rule 2: from the cache, or made and put there."""
    file = cache_dir() / "bench" / "naive" / f"{what}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if file.is_file():
        return msgspec.json.decode(file.read_bytes(), type=kind)
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    with placing(file) as (staged,):
        staged.write_bytes(msgspec.json.encode(made))
    return made


def _digest(file: Path) -> str:
    mark = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(1 << 20), b""):
            mark.update(block)
    return mark.hexdigest()


def _code(*parts: ModuleType | type | Callable[..., object]) -> str:
    """Changes whenever the code of one of them does, and not with comments and docstrings."""
    return hashlib.sha256("".join(map(_statements, parts)).encode()).hexdigest()[:16]


def _statements(part: ModuleType | type | Callable[..., object]) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _bgr(frame: Frame) -> U8:
    whole = warp(frame, np.eye(2, 3, dtype=np.float32), (frame.width, frame.height))
    return np.ascontiguousarray(whole[:, :, ::-1])
