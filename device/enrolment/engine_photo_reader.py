"""Reference photos through the same detector, landmark refinement, alignment and recogniser as camera frames.

An entry's template is the mean of the photo's template and of its mirror image's, normalised. Enrolment happens once,
so its second inference does not matter; a camera's looks are mirrored just below the threshold alone. Measured
2026-11-30, 4,513 people, 1,822 listed with one photo: 87.5 instead of 87.3 % found at FPIR 0.1 %, 94.0 instead of
93.5 % at 1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from device.domain.sight import F32, U8, Face
from device.enrolment.model_sessions import ModelSessions
from device.enrolment.photo_detail import detail_px
from device.enrolment.photo_reader import PhotoFace
from device.vision.align import Alignment, DegenerateGeometry, align_rgb
from device.vision.detector import Detector
from device.vision.pair import LookMaker
from device.vision.picture import fit_square, warp_rgb
from device.vision.quality import pose, sharpness, template_quality
from engines.cards.model_card import ModelCard

# Sides of the square pictures that a photo is fitted into, in the order they are tried: passport-size photos need only
# the small one; a face that fills a large photo is found in the small one, too, when the larger has missed it.
SMALL_PX, LARGE_PX = 256, 512
# Of 500 LFW photos the blurriest is at .106 (measured 2026-11-23). The finer judge is the recogniser's output length.
BLURRED = 0.03
# Changes with whatever cuts faces out for templates, of photos or of frames; or measure it (calibration/README.md).
READER_VERSION = "2"
SURE = 0.6


@dataclass(frozen=True, slots=True)
class PhotoTemplates:
    """Unit templates of one photo's face, (template_dim,) float32 each.

    entry   for the list: mean of the photo and its mirror image
    look    as of a camera's look at this picture;  length  of its raw output
    """

    entry: F32
    look: F32
    length: float


class EnginePhotoReader:
    """PhotoReader over its own ModelSessions; one thread at a time owns it."""

    blurred_below = BLURRED

    def __init__(self, room: ModelSessions, *, checkpoint: Callable[[], None] = lambda: None) -> None:
        """`checkpoint` is called before each photo; what it raises ends the enrolment."""
        self._room = room
        self._checkpoint = checkpoint
        self._refiner = room.refiner()
        self._embedders = room.embedders()
        self._looks = LookMaker(room.recognisers)
        self._dim = room.recognisers.length_of_template
        self._recognisers = room.recognisers

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        """Faces of an (H, W, 3) uint8 RGB photo, best first."""
        self._checkpoint()
        sides = (SMALL_PX, LARGE_PX) if max(rgb.shape[:2]) <= 1.25 * SMALL_PX else (LARGE_PX, SMALL_PX)
        for side in sides:
            found = [f for f in self._fitted(self._room.detector(side, side), rgb, side) if f.score >= SURE]
            if found:
                return [self._described(rgb, face) for face in found]
        return []

    def crop(self, rgb: U8, face: PhotoFace) -> U8 | None:
        """The main recogniser's input for one face: uint8 RGB after the second look; the caller's."""
        try:
            return align_rgb(rgb, self._refined(rgb, face), Alignment.of(self._recognisers.main))
        except DegenerateGeometry:
            return None

    def _refined(self, rgb: U8, face: PhotoFace) -> Face:
        coarse = Face(face.box, face.landmarks, face.score)
        return self._refiner.refine(lambda to_patch, size: warp_rgb(rgb, to_patch, size), coarse) or coarse

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        """(template_dim,) float32 unit template to enrol; None when it is noise or poor."""
        made = self.templates(rgb, face)
        return None if made is None else made.entry

    def templates(self, rgb: U8, face: PhotoFace) -> PhotoTemplates | None:
        """Both templates of one face of the photo; None when they are noise or poor."""
        refined = self._refined(rgb, face)
        look = np.zeros(self._dim, np.float32)
        try:
            length = self._looks.look(partial(self._embedded, rgb, refined, False), look, gated=False)
            entry = look.copy()
            self._looks.mirror(partial(self._embedded, rgb, refined, True), entry)
        except DegenerateGeometry:
            return None
        worth = None if length is None else template_quality(self._recognisers.lengths, length, 1.0)
        if length is None or worth is None or worth < 0.0:  # a poor photo would match nobody
            return None
        return PhotoTemplates(entry, look, length)

    def _embedded(self, rgb: U8, face: Face, mirrored: bool, one: ModelCard, part: F32) -> float:
        embedder = self._embedders[one.name]
        crop = align_rgb(rgb, face, embedder.alignment)
        length = embedder.embed(crop[:, ::-1] if mirrored else crop, part)
        crop[:] = 0
        return length

    def close(self) -> None:
        """Wipe the last photo from the recogniser, and close the detectors that only photos need."""
        for embedder in self._embedders.values():
            embedder.wipe()
        self._room.drop_detectors()

    @staticmethod
    def _fitted(detector: Detector, rgb: U8, side: int) -> list[Face]:
        """Detect in the photo fitted into a grey square of `side`; faces in photo pixels."""
        square, covers = fit_square(rgb, side)
        return detector.detect(square, frame_size=covers)

    @staticmethod
    def _described(rgb: U8, face: Face) -> PhotoFace:
        try:
            crop = align_rgb(rgb, face)
        except DegenerateGeometry:
            return PhotoFace(face.box, face.landmarks, face.score, 0.0, pose(face).yaw)
        return PhotoFace(face.box, face.landmarks, face.score, sharpness(crop), pose(face).yaw, detail_px(crop))
