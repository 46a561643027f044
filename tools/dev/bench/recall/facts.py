"""An observer that keeps what the pipeline did with one clip, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device.domain.sight import Face
from device.vision.observer import Look, NoLook, Weighed

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Followed:
    """A detected face that belongs to a track."""

    frame: int
    track: int
    passage: int | None
    box: Box


class Facts:
    """device.vision.observer.Observer over one clip."""

    def __init__(self) -> None:
        self.found: dict[int, list[Box]] = {}
        self.followed_faces: list[Followed] = []
        self.no_looks: dict[tuple[int, int], NoLook] = {}
        self.looks: list[Look] = []
        self.decisions: list[Weighed] = []
        self.joins: list[tuple[int, int, int]] = []

    def detected(self, frame: int, faces: Sequence[Face]) -> None:
        self.found[frame] = [_box(face) for face in faces]

    def followed(self, frame: int, track: int, passage: int | None, face: Face) -> None:
        self.followed_faces.append(Followed(frame, track, passage, _box(face)))

    def not_looked(self, frame: int, track: int, why: NoLook) -> None:
        self.no_looks[(frame, track)] = why

    def looked(self, look: Look) -> None:
        self.looks.append(look)

    def weighed(self, decision: Weighed) -> None:
        self.decisions.append(decision)

    def joined(self, frame: int, earlier: int, later: int) -> None:
        self.joins.append((frame, earlier, later))

    def ended(self, passage: int) -> None:
        """Not kept."""


def _box(face: Face) -> Box:
    left, top, right, bottom = (float(v) for v in face.box)
    return left, top, right, bottom
