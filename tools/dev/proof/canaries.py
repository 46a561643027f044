"""Two unlisted people walk by, one after the other: the clip, and the patterns to search for.

seconds    0       4       6         8.5                        16
first      ███████·  gone  ░░░░░░░░░░░░░ must be nowhere
second                  ███████████·  gone  ░░░░░░░░░░░░░░░░░░░░

While the second is in view, the search must find the second (a positive control) and not the first (who was wiped). The
patterns are made here with the product's own steps from the same recording: every frame's planes, the detector's
picture, the second look's patch, the recogniser's crop, and templates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.domain.operating_point import MIN_FACE_PX
from device.domain.sight import F32, Face, Frame, Planes
from device.edges.camera.recording import RecordedSource
from device.enrolment.model_sessions import ModelSessions
from device.vision.align import align
from device.vision.detector import DetectionSize
from device.vision.picture import Scaler, warp
from tools.dev.clip.make import ClipTruth, FaceTruth, ready_clip
from tools.dev.clip.spec import DEFAULT_SCENE, ClipSpec, Passer
from tools.dev.proof.search import Kind, Pattern, Piece, pieces_of
from tools.dev.samples.extract import distinct_avatars, sample_files

FIRST, SECOND = "first", "second"
SEES_PX = 40.0
"""Face height from which a face is looked for."""
TEMPLATE_LIKE, ROW_LIKE = 0.75, 0.985
"""Correlations: different people's templates stay below .5; rows of different faces, put upright, reach .97."""
TEMPLATES, CROPS = 10, 4


@dataclass(slots=True)
class Wanted:
    """Patterns to search for, of both people."""

    pieces: list[Piece] = field(default_factory=list)
    patterns: list[Pattern] = field(default_factory=list)


def canary_clip() -> tuple[Path, ClipTruth]:
    """The clip of the cache, made when it is not there."""
    photos = {path.name: path for path in sample_files("public")}
    scene = next(path for path in sample_files("scenes") if path.name == DEFAULT_SCENE)
    walkers = (
        Passer(FIRST, photos["biden.jpg"], listed=True, start_s=1.6),
        Passer(SECOND, distinct_avatars()[0], listed=True, start_s=6.4),
    )
    spec = ClipSpec(seed=11, seconds=16.0, width=960, height=540, listed=walkers, scene=scene, accessories=0.0)
    return ready_clip(spec)


def wanted_of(clip: Path, truth: ClipTruth) -> Wanted:
    """All patterns; in half precision only where the backend computes in it."""
    room = ModelSessions("auto", threads=1)
    try:
        return _wanted_by(room, clip, truth)
    finally:
        room.close()


def _wanted_by(room: ModelSessions, clip: Path, truth: ClipTruth) -> Wanted:
    kinds: tuple[Kind, ...] = ("f32", "bf16") if room.backend.endswith("bf16") else ("f32",)
    wanted = Wanted()
    faces: dict[int, list[tuple[str, FaceTruth]]] = {}
    for passage in truth.passages:
        for face in passage.faces:
            if face.visible >= 0.9 and face.box[3] - face.box[1] >= SEES_PX:
                faces.setdefault(face.frame, []).append((passage.person, face))
    front_end = _Eyes(room, truth.width, truth.height)
    crops: dict[str, list[NDArray[np.uint8]]] = {FIRST: [], SECOND: []}
    templates: dict[str, list[F32]] = {FIRST: [], SECOND: []}
    source = RecordedSource(clip, decode_threads=1)
    try:
        for frame in source.frames():
            for whose, face in faces.get(frame.index, []):
                wanted.pieces += _of_planes(whose, frame, face)
                wanted.pieces += front_end.pieces(whose, frame, face, crops[whose], templates[whose])
    finally:
        source.close()
    for whose in (name for name, found in templates.items() if found):
        wanted.patterns += _patterns(whose, crops[whose], templates[whose], kinds)
    return wanted


def _of_planes(whose: str, frame: Frame, face: FaceTruth) -> Iterator[Piece]:
    """Rows of luma and chroma across the middle of the face."""
    left, top, right, bottom = (int(v) for v in face.box)
    shown = frame.picture
    assert isinstance(shown, Planes)  # of a recording
    for name, plane, half in (("luma", shown.y, 1), ("chroma", shown.u, 2), ("chroma", shown.v, 2)):
        rows = range(int(top * 0.7 + bottom * 0.3) // half, int(top * 0.25 + bottom * 0.75) // half, 3)
        yield from pieces_of(whose, f"{name} of a frame", (plane[row, left // half : right // half] for row in rows))


class _Eyes:
    """The product's own steps on one frame."""

    def __init__(self, room: ModelSessions, width: int, height: int) -> None:
        fit = DetectionSize.for_frame(width, height, min_face_px=MIN_FACE_PX)
        self._size = (width, height)
        self._share = fit.width / width
        self._detector = room.detector(fit.height, fit.width)
        self._scaler = Scaler(fit.width, fit.height)
        self._picture = np.zeros((fit.height, fit.width, 3), np.uint8)
        self._refiner, self._embedder = room.refiner(), room.embedder()

    def pieces(
        self, whose: str, frame: Frame, truth: FaceTruth, crops: list[NDArray[np.uint8]], templates: list[F32]
    ) -> Iterator[Piece]:
        """Rows of the detector's picture, the patch and the crop; the crop and its template are kept."""
        self._scaler.scale(frame, self._picture)
        left, top, right, bottom = (int(v * self._share) for v in truth.box)
        rows = range((2 * top + bottom) // 3, (top + 3 * bottom) // 4)
        yield from pieces_of(whose, "detector's picture", (self._picture[row, left:right] for row in rows))
        if frame.index % 2:
            return
        faces = self._detector.detect(self._picture, frame_size=self._size)
        face = next((f for f in faces if _same(f, truth)), None)
        if face is None:
            return
        patches: list[NDArray[np.uint8]] = []

        def cut(to_patch: F32, size: tuple[int, int]) -> NDArray[np.uint8]:
            patch = warp(frame, to_patch, size)
            patches.append(patch.copy())
            return patch

        refined = self._refiner.refine(cut, face)
        yield from pieces_of(whose, "second look's patch", (patch[row, 40:88] for patch in patches for row in (55, 70)))
        if refined is None:
            return
        crop = align(frame, refined)
        yield from pieces_of(whose, "recogniser's crop", (crop[row, 24:88] for row in (48, 60, 72, 84)))
        template = np.zeros(self._embedder.template_dim, np.float32)
        self._embedder.embed(crop, template)
        crops.append(crop)
        templates.append(template)


def _same(face: Face, truth: FaceTruth) -> bool:
    middle = (face.box[:2] + face.box[2:]) / 2
    left, top, right, bottom = truth.box
    return bool(left < middle[0] < right and top < middle[1] < bottom)


def _patterns(
    whose: str, crops: list[NDArray[np.uint8]], templates: list[F32], kinds: tuple[Kind, ...]
) -> Iterator[Pattern]:
    """Templates and rows of crops, spread over the passage."""
    for number in np.linspace(0, len(templates) - 1, TEMPLATES).astype(int):
        for kind in kinds:
            yield Pattern(whose, "template", kind, templates[number], TEMPLATE_LIKE)
    for number in np.linspace(0, len(crops) - 1, CROPS).astype(int):
        for row in (52, 72):
            across = crops[number][row, 24:88].astype(np.float32)
            yield Pattern(whose, "crop by likeness", "u8", across.reshape(-1), ROW_LIKE)
            for kind in kinds:
                yield Pattern(whose, "recogniser's input", kind, across[:, 1], ROW_LIKE)
