"""The face front end: faces of a frame, one face's refined landmarks, its template.

HostFrontEnd     the processor makes every picture and passes it to a runner: any source, any runtime
SampledFrontEnd  (face_front_end_sampled.py) the networks make their pictures from the frame, where it lies

1. `look` and `wipe_view` are called in one thread, all else in one thread; on a GPU that is the same one. Only
   `HostFrontEnd` also lets another thread call `wipe_view`: a stalled camera is wiped while its next frame may come.
2. What was made of a frame or a face is kept until the next one or until it is wiped: then it is overwritten, and a
   blank goes through the runtime, so that it keeps none either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import numpy as np

from device.domain.recognisers import Recognisers
from device.domain.sight import F32, U8, Face, Frame
from device.vision.align import align
from device.vision.detector import DetectionSize, Detector
from device.vision.embedder import Embedder
from device.vision.pair import LookMaker, ScreenList
from device.vision.picture import Scaler, warp
from device.vision.refine import Refiner, face_px_of
from engines.cards.model_card import Lengths, ModelCard


class FaceFrontEnd(Protocol):
    """template_dim  of the recogniser;  lengths  its card's calibration of the raw length of templates"""

    @property
    def template_dim(self) -> int: ...

    @property
    def lengths(self) -> Lengths | None: ...

    def prepare(self, width: int, height: int) -> None:
        """Open what frames of this size need and run it once on a blank: the first frame need not wait for it."""
        ...

    def look(self, frame: Frame) -> list[Face]:
        """All faces of a frame, in frame pixels, best first."""
        ...

    def refine(self, frame: Frame, face: Face, *, looks: int = 0) -> Face | None:
        """The second look: the same face with better landmarks; None when it is not where it should be.

        looks  taken of this person before: the scale changes from look to look (refine.py)
        """
        ...

    def embed(self, frame: Frame, face: Face, out: F32, *, gated: bool = False) -> float | None:
        """Write the face's unit template into `out` (template_dim,) float32 and return its raw length.

        gated  a pair's screen may rule the face out before the main recogniser runs: then None, and `out` is zero
        Raises DegenerateGeometry when its landmarks are no face's; the caller drops it.
        """
        ...

    def mirror(self, frame: Frame, face: Face, out: F32) -> None:
        """Turn `out`, the template of this face of this frame, into the mean with its mirror image's, of length 1."""
        ...

    def wipe_view(self) -> None:
        """Wipe what `look` made (rule 2)."""
        ...

    def wipe_faces(self) -> None:
        """Wipe what `refine` and `embed` made (rule 2)."""
        ...


class HostFrontEnd:
    """Pictures made by the processor; a detector is opened for a frame's size when the first such frame comes."""

    def __init__(
        self,
        detector_for: Callable[[int, int], Detector],
        refiner: Refiner,
        embedders: Mapping[str, Embedder],
        *,
        recognisers: Recognisers,
        min_face_px: float,
        listed: ScreenList | None = None,
    ) -> None:
        """`detector_for` takes height and width of the detector's picture; `embedders` by name of their card."""
        self._detector_for = detector_for
        self._refiner = refiner
        self._embedders = embedders
        self._recognisers = recognisers
        self._looks = LookMaker(recognisers, listed)
        self._min_face_px = min_face_px
        self._lock = threading.RLock()  # rule 1
        self._scaler: Scaler | None = None
        self._picture: U8 = np.zeros((0, 0, 3), np.uint8)
        self._detector: Detector | None = None
        self._size = (0, 0)

    @property
    def template_dim(self) -> int:
        return self._recognisers.length_of_template

    @property
    def lengths(self) -> Lengths | None:
        return self._embedders[self._recognisers.main.name].lengths

    def prepare(self, width: int, height: int) -> None:
        """See FaceFrontEnd.prepare."""
        with self._lock:
            self._opened_for((width, height))
            self.wipe_view()

    def look(self, frame: Frame) -> list[Face]:
        """See FaceFrontEnd.look."""
        with self._lock:
            size = (frame.width, frame.height)
            detector, scaler = self._opened_for(size)
            scaler.scale(frame, self._picture)
            return detector.detect(self._picture, frame_size=size)

    def _opened_for(self, size: tuple[int, int]) -> tuple[Detector, Scaler]:
        """The detector and the scaler of frames of this (width, height)."""
        if self._scaler is None or self._detector is None or size != self._size:
            self.wipe_view()
            self._size = size
            fit = DetectionSize.for_frame(*size, min_face_px=self._min_face_px)
            self._detector = self._detector_for(fit.height, fit.width)
            self._scaler = Scaler(fit.width, fit.height)
            self._picture = np.zeros((fit.height, fit.width, 3), np.uint8)
        return self._detector, self._scaler

    def refine(self, frame: Frame, face: Face, *, looks: int = 0) -> Face | None:
        """See FaceFrontEnd.refine."""
        cut = partial(warp, frame)
        return self._refiner.refine(cut, face, face_px=face_px_of(looks))

    def embed(self, frame: Frame, face: Face, out: F32, *, gated: bool = False) -> float | None:
        """See FaceFrontEnd.embed."""
        return self._looks.look(partial(self._embedded, frame, face, False), out, gated=gated)

    def mirror(self, frame: Frame, face: Face, out: F32) -> None:
        """See FaceFrontEnd.mirror."""
        self._looks.mirror(partial(self._embedded, frame, face, True), out)

    def _embedded(self, frame: Frame, face: Face, mirrored: bool, card: ModelCard, part: F32) -> float:
        embedder = self._embedders[card.name]
        crop = align(frame, face, embedder.alignment)
        length = embedder.embed(crop[:, ::-1] if mirrored else crop, part)
        crop[:] = 0
        return length

    def wipe_view(self) -> None:
        """See FaceFrontEnd.wipe_view."""
        with self._lock:
            self._picture[:] = 0
            if self._scaler is not None and self._detector is not None:
                self._scaler.wipe()
                self._detector.detect(self._picture, frame_size=(1, 1))

    def wipe_faces(self) -> None:
        """See FaceFrontEnd.wipe_faces."""
        self._refiner.wipe()
        for embedder in self._embedders.values():
            embedder.wipe()
