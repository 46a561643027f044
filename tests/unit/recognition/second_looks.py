"""The second look's raw outputs, of pictures that the processor makes and of those that the networks make."""

from __future__ import annotations

import numpy as np

from device.domain.sight import Face, Frame
from device.enrolment.model_sessions import PATCH_SCORE_MIN
from device.vision.face_front_end import HostFrontEnd
from device.vision.face_front_end_sampled import SampledFrontEnd
from device.vision.picture import warp
from device.vision.refine import PATCH_PX, Patch, face_px_of
from engines.cards.model_card import STRIDES

TIED = 1e-3
"""Scores of two cells that see a face this near: which of them is the best may differ, and their landmarks do."""


def second_looks(
    host: HostFrontEnd, sampled: SampledFrontEnd, frame: Frame, face: Face, looks: int
) -> tuple[float, list[float]]:
    """The raw second looks of both, over all cells that see a face: how far one cell's landmarks differ at most, as a
    part of the face's height, and the scores.
    """
    face_px = face_px_of(looks)
    patch = Patch.around(face, face_px)
    picture = warp(frame, patch.to_patch, (PATCH_PX, PATCH_PX))
    runner = host._refiner._detector._runner
    ours = {name: values[0].copy() for name, values in runner.run(picture[None]).items()}
    theirs = sampled._for(frame).second_look.run(sampled._shown(frame), patch.to_patch[None])
    scores, furthest = [], 0.0
    for stride in STRIDES:
        score = np.sqrt(ours[f"cls_{stride}"] * ours[f"obj_{stride}"])[:, 0]
        apart = np.abs(ours[f"kps_{stride}"] - theirs[f"kps_{stride}"][0]).max(axis=1) * stride / face_px
        furthest = max(furthest, float(apart[score >= PATCH_SCORE_MIN].max(initial=0.0)))
        scores += score[score >= PATCH_SCORE_MIN].tolist()
    return furthest, scores
