"""The front end whose networks make their own pictures from the frame (engines.graph.sampling); no copy on a GPU.

1. A frame is packed RGB. Where the runtime is on the GPU it gets the frame's address, and no picture is copied to the
   host or from it: maps go in, boxes, landmarks and a template's floats come back.
2. The graphs are made for one size of frame: the three runners are opened together when the first frame comes, and
   another size opens others. The thread that looks owns them, and everything here is called in it.
3. To wipe, a blank frame goes through; it overwrites the runtime's buffers with what they held of the last frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from device.domain.recognisers import Recognisers
from device.domain.sight import F32, U8, Face, Frame, Packed
from device.errors import InternalError
from device.vision.align import Alignment, as_mirrored, to_template
from device.vision.detector import DetectionSize, faces_of
from device.vision.embedder import normalised
from device.vision.pair import LookMaker, ScreenList
from device.vision.refine import PATCH_PX, Patch, face_px_of
from engines.cards.model_card import Lengths, ModelCard
from engines.graph.sampling import whole_frame
from engines.runner import DevicePicture, SampledRunner

UPRIGHT: F32 = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)
"""The map of a picture that is the frame's top left corner."""


@dataclass(frozen=True, slots=True)
class SampledRunners:
    """The networks for one size of frame; recognisers by name of their card.

    fit  the picture that the detector of the whole frame makes
    score_min, patch_score_min  of the two detectors
    """

    detector: SampledRunner
    second_look: SampledRunner
    recognisers: Mapping[str, SampledRunner]
    fit: DetectionSize
    score_min: float
    patch_score_min: float

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.detector.frame_size

    def close(self) -> None:
        """Close all of them."""
        for runner in (self.detector, self.second_look, *self.recognisers.values()):
            runner.close()


class SampledFrontEnd:
    """See device.vision.face_front_end.FaceFrontEnd."""

    def __init__(
        self,
        open_for: Callable[[tuple[int, int], DetectionSize], SampledRunners],
        *,
        on_gpu: bool,
        min_face_px: float,
        recognisers: Recognisers,
        listed: ScreenList | None = None,
    ) -> None:
        """`open_for` takes the frame's height and width, and closes what it opened before; on_gpu: rule 1."""
        self._open_for = open_for
        self._on_gpu = on_gpu
        self._min_face_px = min_face_px
        self._recognisers = recognisers
        self._looks = LookMaker(recognisers, listed)
        self._runners: SampledRunners | None = None

    @property
    def template_dim(self) -> int:
        return self._recognisers.length_of_template

    @property
    def lengths(self) -> Lengths | None:
        return self._recognisers.lengths

    def prepare(self, width: int, height: int) -> None:
        """See FaceFrontEnd.prepare."""
        self._opened_for(width, height)
        self.wipe_view()

    def look(self, frame: Frame) -> list[Face]:
        """See FaceFrontEnd.look."""
        runners = self._for(frame)
        to_picture = whole_frame(runners.frame_size, (runners.fit.height, runners.fit.width))
        outputs = runners.detector.run(self._shown(frame), to_picture)
        return faces_of(outputs, runners.fit, runners.score_min, frame_size=(frame.width, frame.height))

    def refine(self, frame: Frame, face: Face, *, looks: int = 0) -> Face | None:
        """See FaceFrontEnd.refine."""
        runners, patch = self._for(frame), Patch.around(face, face_px_of(looks))
        outputs = runners.second_look.run(self._shown(frame), patch.to_patch[None])
        shown, covers = DetectionSize(PATCH_PX, PATCH_PX), (patch.side, patch.side)
        return patch.same(faces_of(outputs, shown, runners.patch_score_min, frame_size=covers, origin=patch.origin))

    def embed(self, frame: Frame, face: Face, out: F32, *, gated: bool = False) -> float | None:
        """See FaceFrontEnd.embed."""
        return self._looks.look(partial(self._embedded, frame, face, False), out, gated=gated)

    def mirror(self, frame: Frame, face: Face, out: F32) -> None:
        """See FaceFrontEnd.mirror."""
        self._looks.mirror(partial(self._embedded, frame, face, True), out)

    def _embedded(self, frame: Frame, face: Face, mirrored: bool, card: ModelCard, part: F32) -> float:
        alignment = Alignment.of(card)
        upright = to_template(face.landmarks, alignment)
        if mirrored:
            upright = as_mirrored(upright, alignment)
        outputs = self._for(frame).recognisers[card.name].run(self._shown(frame), upright[None])
        return normalised(outputs["template"][0], part)

    def wipe_view(self) -> None:
        """See FaceFrontEnd.wipe_view (rule 3)."""
        if self._runners is not None:
            size = (self._runners.fit.height, self._runners.fit.width)
            self._runners.detector.run(self._blank(), whole_frame(self._runners.frame_size, size))

    def wipe_faces(self) -> None:
        """See FaceFrontEnd.wipe_faces (rule 3)."""
        if self._runners is not None:
            for runner in (self._runners.second_look, *self._runners.recognisers.values()):
                runner.run(self._blank(), UPRIGHT)

    def _for(self, frame: Frame) -> SampledRunners:
        return self._opened_for(frame.width, frame.height)

    def _opened_for(self, width: int, height: int) -> SampledRunners:
        if self._runners is None or self._runners.frame_size != (height, width):
            self._runners = None
            fit = DetectionSize.for_frame(width, height, min_face_px=self._min_face_px)
            self._runners = self._open_for((height, width), fit)
        return self._runners

    def _shown(self, frame: Frame) -> U8 | DevicePicture:
        picture = frame.picture
        if not isinstance(picture, Packed) or (self._on_gpu and picture.address is None):
            raise InternalError("the front end reads frames on the GPU, and this frame is not in its memory")
        if self._on_gpu and picture.address is not None:
            return DevicePicture(picture.address, frame.height, frame.width)
        return picture.rgb

    def _blank(self) -> U8:
        height, width = (0, 0) if self._runners is None else self._runners.frame_size
        return np.zeros((height, width, 3), np.uint8)
