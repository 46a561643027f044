"""Memory for frames that a processor decoded: preallocated, reused, zeroed when released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from device.domain.sight import U8, Frame, Packed, Picture, Planes
from device.domain.time import MonotonicNs


class HostSlot:
    """A Slot in ordinary memory, for either kind of picture; no GPU reads it."""

    def __init__(self) -> None:
        self._kept: tuple[U8, ...] = ()

    def keep(self, frame: Frame, decoded: MonotonicNs) -> Frame:
        """See Slot.keep. New memory only when the size changed; the old is zeroed first."""
        given = _arrays(frame.picture)
        if [one.shape for one in given] != [one.shape for one in self._kept]:
            self.wipe()
            self._kept = tuple(np.zeros(one.shape, np.uint8) for one in given)
        for mine, theirs in zip(self._kept, given, strict=True):
            np.copyto(mine, theirs)
        return replace(frame, decoded=decoded, picture=_over(frame.picture, self._kept))

    def wipe(self) -> None:
        """See Slot.wipe."""
        for array in self._kept:
            array.fill(0)


def _arrays(picture: Picture) -> tuple[U8, ...]:
    return (picture.rgb,) if isinstance(picture, Packed) else (picture.y, picture.u, picture.v)


def _over(picture: Picture, kept: Sequence[U8]) -> Picture:
    """The same picture in other memory."""
    if isinstance(picture, Packed):
        return Packed(kept[0])
    y, u, v = kept
    return Planes(y, u, v, picture.matrix, picture.full_range)
