"""Labelled passages: who is in view from when to when, how large, how turned, and whose a found face is.

1. Two formats are read (the README describes both): `ClipTruth` beside a drawn clip, with a box for every frame; and
   `truth.json` by eye in a folder of clips, with frames, heights and poses, and places where they are known.
2. A height is the median over the frames in which the face is free (labels by eye: `height_median`).
3. A found face belongs to the label whose box it covers best. Where a label has no boxes, the face must be within its
   frames and heights, and near its place if that is known; a face that fits several such labels belongs to none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from device.errors import BadData
from tools.dev.bench.naive import overlap
from tools.dev.clip.make import ClipTruth, PassageTruth

Box = tuple[float, float, float, float]

FREE = 0.6
"""Visible share of a face from which a frame counts."""

FRAMES_MIN = 8
"""Free frames below which a drawn passage is left out: a third of a second."""

TURNED_DEG = 20.0
PROFILE_DEG = 60.0
OVERLAP_MIN = 0.25
HEIGHTS = (0.65, 1.5)
"""How far a found face's height may be from a label's, least and most, as a share of its heights."""


class Pose(str, Enum):
    """How a passage's face is turned, for most of it."""

    FRONTAL = "frontal"
    TURNED = "turned"
    PROFILE = "profile"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Centre of the face, pixels, at the first and the last frame of a stretch."""

    first: int
    last: int
    x: tuple[float, float]

    def at(self, frame: int) -> float | None:
        """x at a frame; None outside the stretch."""
        if not self.first <= frame <= self.last:
            return None
        share = (frame - self.first) / max(1, self.last - self.first)
        return self.x[0] + (self.x[1] - self.x[0]) * share


@dataclass(frozen=True, slots=True)
class Label:
    """One passage of one person.

    heights  least and most, pixels;  height_px  the median; both None where nobody measured
    boxes    frame to box (left, top, right, bottom) where the face is free; empty for labels by eye
    kind     of a drawn passage (spec.Scripted);  sure  whether who labelled it was
    """

    id: int
    person: str
    first: int
    last: int
    height_px: float | None = None
    heights: tuple[float, float] | None = None
    pose: Pose = Pose.UNKNOWN
    kind: str = ""
    sure: bool = True
    boxes: dict[int, Box] = field(default_factory=dict)
    places: tuple[Place, ...] = ()

    def fit(self, frame: int, box: Box) -> float:
        """How well a found face fits, 0 not at all."""
        if self.boxes:
            own = self.boxes.get(frame)
            shared = overlap(np.array(own), np.array(box)) if own is not None else 0.0
            return shared if shared >= OVERLAP_MIN else 0.0
        if not self.first <= frame <= self.last:
            return 0.0
        height = box[3] - box[1]
        if self.heights and not HEIGHTS[0] * self.heights[0] <= height <= HEIGHTS[1] * self.heights[1]:
            return 0.0
        known = [x for x in (place.at(frame) for place in self.places) if x is not None]
        if self.places:
            return float(any(abs((box[0] + box[2]) / 2 - x) < height for x in known))
        return 0.5


def owner(labels: Sequence[Label], frame: int, box: Box) -> Label | None:
    """Rule 3: whose a found face is."""
    fits = sorted(((label.fit(frame, box), label.id) for label in labels), reverse=True)
    if not fits or fits[0][0] == 0 or (len(fits) > 1 and fits[1][0] == fits[0][0]):
        return None
    return next(label for label in labels if label.id == fits[0][1])


def drawn(truth: ClipTruth) -> list[Label]:
    """Labels of a drawn clip; passages that are hardly in view are left out."""
    labels = (_drawn_label(passage) for passage in truth.passages)
    return [label for label in labels if len(label.boxes) >= FRAMES_MIN]


def _drawn_label(passage: PassageTruth) -> Label:
    free = [face for face in passage.faces if face.visible >= FREE]
    heights = [face.box[3] - face.box[1] for face in free] or [0.0]
    turns = [abs(face.yaw_deg) for face in free] or [0.0]
    return Label(
        id=passage.passage,
        person=passage.person,
        first=passage.first,
        last=passage.last,
        height_px=median(heights),
        heights=(min(heights), max(heights)),
        pose=_pose_of(median(turns)),
        kind=passage.kind,
        boxes={face.frame: face.box for face in free},
    )


def _pose_of(turn_deg: float) -> Pose:
    return Pose.PROFILE if turn_deg >= PROFILE_DEG else Pose.TURNED if turn_deg >= TURNED_DEG else Pose.FRONTAL


def by_eye(file: Path) -> dict[str, list[Label]]:
    """Clip name to labels of a `truth.json`; BadData names what is wrong with it."""
    with _in_format(file):
        clips = json.loads(file.read_text("utf-8"))["clips"]
        return {name: [_label(n, row) for n, row in enumerate(clip["people"])] for name, clip in clips.items()}


def listed_by_eye(file: Path) -> dict[str, list[str]]:
    """Entry to photos, relative to the folder, of a `truth.json` that names them itself."""
    with _in_format(file):
        return {
            str(name): [str(f) for f in files]
            for name, files in json.loads(file.read_text("utf-8")).get("list", {}).items()
        }


@contextmanager
def _in_format(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as fault:
        why = f"{type(fault).__name__}: {fault}"
        raise BadData(f"{file}: no labels in the format of tools/dev/bench/README.md ({why})") from fault


def _label(number: int, row: dict[str, Any]) -> Label:
    low_high = row.get("height")
    middle = row.get("height_median")
    stretches = row.get("stretches", [])
    places = [Place(int(s["first"]), int(s["last"]), (float(s["x"][0]), float(s["x"][1]))) for s in stretches]
    if not places and "x" in row:
        places = [Place(int(row["first"]), int(row["last"]), (float(row["x"][0]), float(row["x"][1])))]
    return Label(
        id=number,
        person=str(row["name"]) if "name" in row else f"person {row['person']}",
        first=int(row["first"]),
        last=int(row["last"]),
        height_px=None if middle is None else float(middle),
        heights=None if low_high is None else (float(low_high[0]), float(low_high[1])),
        pose=_pose_by_eye(row),
        sure=bool(row.get("sure", True)),
        places=tuple(places),
    )


def _pose_by_eye(row: dict[str, Any]) -> Pose:
    named = {"frontal": Pose.FRONTAL, "three_quarter": Pose.TURNED, "turned": Pose.TURNED, "profile": Pose.PROFILE}
    if "pose" in row:
        return named[str(row["pose"])]
    return {True: Pose.FRONTAL, False: Pose.PROFILE, None: Pose.UNKNOWN}[row.get("frontal")]
