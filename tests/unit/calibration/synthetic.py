"""People who do not exist: templates with a person's own direction and a photo's noise, seeded."""

from __future__ import annotations

import numpy as np

from calibration.data.faces import Faces

DIMENSIONS = 24


def people(
    count: int,
    photos: int = 1,
    *,
    noise: float = 0.5,
    seed: int = 0,
    dimensions: int = DIMENSIONS,
    subspace: int | None = None,
) -> Faces:
    """`count` people with `photos` photos each. Few dimensions, so that strangers resemble one another now and then.

    subspace  people differ in so many dimensions only, photos in all
    """
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.standard_normal((count, dimensions)), photos, axis=0)
    if subspace is not None:
        own[:, subspace:] = 0.0
    rows = own + noise * rng.standard_normal(own.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Faces(
        people=tuple(f"p{k:05d}" for k in range(count)),
        source=np.zeros(count, np.intp),
        templates=rows.astype(np.float32),
        looks=rows.astype(np.float32),
        weights=np.ones(count * photos, np.float32),
        owner=np.repeat(np.arange(count), photos),
        files=tuple(f"p{k:05d}/{j}.jpg" for k in range(count) for j in range(photos)),
        face_px=np.full(count * photos, 100, np.float32),
        rejected=(),
        notes=(),
    )
