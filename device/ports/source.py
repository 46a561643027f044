"""Port: sources of frames, and the memory that they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from device.domain.sight import Frame
from device.domain.time import MonotonicNs


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of a source before its first frame.

    live        newest frame wins and frames may be dropped; a recording drops none
    frames      count if the container states it;  rate_hz  nominal, None when unknown or variable
    notes       corrections on the way in: "interlaced: bwdif", "rotated 90", "10 bit: dithered to 8"
    """

    name: str
    live: bool
    width: int
    height: int
    rate_hz: float | None
    frames: int | None
    notes: tuple[str, ...] = ()


class Slot(Protocol):
    """Memory for one frame, made by its source: only the source knows which memory the GPU can read, too.

    One thread at a time owns a slot; it may exist longer than its source. It starts black.
    """

    def keep(self, frame: Frame, decoded: MonotonicNs) -> Frame:
        """Copy the source's present frame over what was here; the frame returned lies here and is finished."""
        ...

    def wipe(self) -> None:
        """Overwrite with zeros: a frame that lies here is black from now on."""
        ...


class FrameSource(Protocol):
    """Delivers frames in presentation order, one owner thread; slots are made before it starts.

    `frames` raises SourceUnreadable (recording) or SourceLost (live); a recording's end just ends the iteration.
    A frame's arrays are valid until the next one is asked for. After `close` the decoder's pictures are gone.
    """

    @property
    def info(self) -> SourceInfo: ...

    def frames(self) -> Iterator[Frame]: ...

    def slot(self) -> Slot: ...

    def close(self) -> None: ...
