"""The zone of recognition: the part of the picture in which a face may be processed at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device.domain.sight import Face


class Zone:
    """A polygon in 0..1 of the frame. A face belongs to it when the centre of its box does."""

    def __init__(self, polygon: Sequence[tuple[float, float]]) -> None:
        """`polygon` has at least three corners (x, y), each 0..1; the configuration has checked that."""
        self._corners = np.array(polygon, np.float64)
        self._everything = bool(
            len(polygon) == 4
            and set(map(tuple, self._corners.tolist())) == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)}
        )

    def inside(self, faces: Sequence[Face], width: int, height: int) -> list[Face]:
        """The faces of a `width` x `height` frame that lie in the zone, in their order."""
        if self._everything:
            return list(faces)
        return [f for f in faces if self._holds((f.box[0] + f.box[2]) / 2 / width, (f.box[1] + f.box[3]) / 2 / height)]

    def _holds(self, x: float, y: float) -> bool:
        """Even-odd rule (Shimrat 1962)."""
        a, b = self._corners, np.roll(self._corners, -1, axis=0)
        crosses = (a[:, 1] > y) != (b[:, 1] > y)
        rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
        return bool(np.count_nonzero(crosses & (x < a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]))) % 2)
