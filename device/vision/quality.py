"""Quality of a shot (before recognition, from geometry) and of a template (after it, from its raw length).

Before: height, turn of the head, detector score, cut off by the border. It orders shots of one person; it does not
compare people. After: the length of the recogniser's raw output, where its card calibrates that length
(`ModelCard.lengths`). SFace's follows blur, size and occlusion far better than any sharpness measure that was tried
(measured 2026-11-23, 150 people of LFW at 40, 64 and 100 px with motion blur of 0 to 13 px: mean cosine to the mate
.10 / .24 / .31 / .44 / .58 / .68 for lengths under 7, 8-9, 9-10, 10-11, 11-13 and above; variance of the Laplacian: no
order at all). For a recogniser without this calibration only geometry is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from device.domain.sight import U8, Face
from device.vision.picture import laplacian_energy
from engines.cards.model_card import Lengths

# Quality below which an output is not used; of SFace a raw length of 6.9, noise is about 5. Measured 2026-11-30:
# of 14 looks at people below 7 none is .41 like its photo; what the detector takes for faces (hair, a coat of arms) and
# heads out of focus lie at 5 to 6.9.
NOISE = -0.45
NOTHING = 1e-6  # raw length of an output without a direction, on whatever scale


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face looks, from its five landmarks.

    yaw           -1.5..1.5: offset of the nose tip from the middle of the eyes, in half inter-eye distances; 0 frontal
    inter_eye_px  distance of the eyes in frame pixels
    """

    yaw: float
    inter_eye_px: float


def pose(face: Face) -> Pose:
    """Pose of a face; a degenerate one (eyes coincide) is a full profile."""
    eyes = face.landmarks[1] - face.landmarks[0]
    distance = float(np.hypot(eyes[0], eyes[1]))
    if distance < 1.0:
        return Pose(1.0, distance)
    along = eyes / distance
    offset = float((face.landmarks[2] - (face.landmarks[0] + face.landmarks[1]) / 2) @ along)
    return Pose(float(np.clip(2 * offset / distance, -1.5, 1.5)), distance)


def geometric(face: Face, width: int, height: int) -> float:
    """Quality 0..1 from geometry alone, in a `width` x `height` frame.

    Height: .53 at 32 px, .83 at 48, .94 at 64 (shape of TPIR against height after landmark refinement, measured
    2026-11-23 on 350 people of LFW: 87 % at 32, 92 % at 48, 93 % at 64, 94 % at 100). Yaw: .5 at about 35 degrees.
    """
    size = 1.0 - float(np.exp(-max(face.height_px - 20.0, 0.0) / 16.0))
    turn = float(np.exp(-((pose(face).yaw / 0.75) ** 2)))
    cut = face.box[0] < -2 or face.box[1] < -2 or face.box[2] > width + 2 or face.box[3] > height + 2
    return size * turn * min(1.0, face.score / 0.85) * (0.5 if cut else 1.0)


def template_quality(lengths: Lengths | None, length: float, geometry: float) -> float | None:
    """How good a template is: -.45 hardly a face, 0 poor, 1 good, above 1 better still; None: noise, used for nothing.

    A poor template is used with little weight, because it does no harm: measured 2026-11-30, 3,098 looks at people of
    drawn clips, 1,822 listed, .53: with a raw length of 7 to 8 no mate of 42 and no stranger reaches it (highest .42),
    with 8 to 9 8 % of mates and no stranger (.46), with 9 to 10 25 % (.49), 10 to 11 42 % (.53), above 13 96 % (.51).

    lengths   what the recogniser's card says of lengths; None: nothing, and `geometry` takes their place
    length    of the recogniser's raw output
    geometry  geometric quality of the shot, 0..1
    """
    if length < NOTHING:
        return None
    if lengths is None:
        return geometry
    value = (length - lengths.poor) / (lengths.good - lengths.poor)
    return value if value >= NOISE else None


def weight_of(template_quality: float) -> float:
    """Weight of a template in a mean: 1 for a poor one, 4 for a good one, almost 0 for hardly a face."""
    return max(1.0 + template_quality, 0.1) ** 2


def quality_of(template_quality: float) -> float:
    """Quality 0..1 of a template of that quality."""
    return min(1.0, max(0.0, template_quality))


def sharpness(crop: U8) -> float:
    """Laplacian energy over variance of an aligned (112, 112, 3) uint8 RGB crop, at half its size; 0 is blank.

    Only good for refusing very blurred photos (below BLURRED); it does not order shots (see the module's head).
    """
    return laplacian_energy(np.ascontiguousarray(crop[8:104, 16:96]), (40, 48))
