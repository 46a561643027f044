"""The photo that a drawn passage shows, as one look at the listed person: the most that a drawing can keep of it.

Who is drawn is chance: in one draw 28 of 39 photos reach .56, in another 62 of 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from device.domain.sight import F32
from device.enrolment.engine_photo_reader import EnginePhotoReader
from tools.dev.clip import raster


def own_scores(reader: EnginePhotoReader, entries: Mapping[str, F32], shown: Mapping[str, Path]) -> dict[str, float]:
    """Person to the best cosine of the largest face of the photo shown with the person's own entry.

    entries  by reference, (k, template_dim) float32 unit rows;  shown  person to photo; who is not listed is left out
    """
    scores = {}
    for person, photo in shown.items():
        if person not in entries:
            continue
        rgb = np.ascontiguousarray(raster.read(photo)[:, :, ::-1])
        faces = reader.read(rgb)
        made = reader.templates(rgb, max(faces, key=lambda face: face.height_px)) if faces else None
        if made is not None:
            scores[person] = round(float((entries[person] @ made.look).max()), 4)
    return scores
