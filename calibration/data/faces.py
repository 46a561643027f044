"""A data set in LFW's layout (`Person/Person_0001.jpg`), and the templates made of it.

1. One folder a person; its name is the label. Labels are taken from the data set; the same bytes in two people's
   folders show that a label is wrong, and both photos are left out.
2. Photos that the device would refuse to enrol are left out with the device's own reason.
3. Comparisons across two sources are not used: the same person may be in both.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.data.packed import unpacked
from device.domain.sight import F32
from device.enrolment.engine_photo_reader import PhotoTemplates
from device.enrolment.folder import shown
from device.enrolment.photo_file import defect_of
from device.enrolment.rules import Outcome
from device.errors import EvidenceUnusable
from device.vision.quality import weight_of
from engines.cards.model_card import Lengths

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Listed:
    """One photo to be read. `name` is its path inside the data set, as it is printed."""

    path: Path
    person: str
    name: str
    source: int = 0


@dataclass(frozen=True, slots=True)
class Faces:
    """Templates with their labels.

    people      label of each person, sorted within its source;  source  index of each person's source
    templates   (n, d) float32, unit rows, as the photos would be enrolled;  owner  (n,) index into `people`
    looks       (n, d) float32, unit rows, as a look at the photos would give;  weights  (n,) in a mean of looks
    files       (n,) name of each photo
    face_px     (n,) height of each face
    rejected    file and reason of each photo that gave none
    notes       what was odd about the folder, in words
    """

    people: tuple[str, ...]
    source: Indices
    templates: F32
    looks: F32
    weights: F32
    owner: Indices
    files: tuple[str, ...]
    face_px: F32
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def rows(self) -> list[Indices]:
        """Rows of `templates` of each person."""
        order = np.argsort(self.owner, kind="stable")
        return np.split(order, np.searchsorted(self.owner[order], np.arange(1, len(self.people))))

    @property
    def with_two(self) -> int:
        """People with at least two usable photos: only they can be looked for."""
        return int((np.bincount(self.owner, minlength=len(self.people)) >= 2).sum())


def scan(folder: Path, source: int = 0) -> tuple[list[Listed], list[str]]:
    """Photos of a data set in the order of their names, and notes. Raises EvidenceUnusable when there are none."""
    if not folder.is_dir():
        raise EvidenceUnusable(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    photos: list[Listed] = []
    notes: list[str] = []
    for person in sorted(folder.iterdir()):
        label = shown(person.name)
        if label.startswith("."):
            continue
        if not person.is_dir():
            notes.append(f"{label}: not in a person's folder, passed over")
            continue
        inside = sorted(path for path in person.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
        if not inside:
            notes.append(f"{label}: empty folder, this person is not in the data")
        photos += [Listed(path, label, f"{label}/{shown(path.name)}", source) for path in inside]
    if not photos:
        raise EvidenceUnusable(
            f"{folder}: no photos; a data set has one sub-folder a person with photos in it (LFW's layout)"
        )
    return photos, notes


def without_twins(photos: Sequence[Listed]) -> tuple[list[Listed], list[tuple[str, str]]]:
    """Photos with distinct content, and the others with the reason why not (rule 1).

    A broken file is no duplicate: it stays, to be rejected with its own reason.
    """
    copies: dict[bytes, list[Listed]] = defaultdict(list)
    for photo in photos:
        with contextlib.suppress(OSError):  # one that cannot be read is rejected with its reason later
            encoded = photo.path.read_bytes()
            if not defect_of(encoded):
                copies[hashlib.sha256(encoded).digest()].append(photo)
    dropped: dict[str, str] = {}
    for same in copies.values():
        first, *others = same
        if len({(photo.source, photo.person) for photo in same}) > 1:
            names = ", ".join(dict.fromkeys(photo.person for photo in same))
            dropped.update({photo.name: f"the same photo is listed under several people ({names})" for photo in same})
        else:
            dropped.update({photo.name: f"the same photo as {first.name}" for photo in others})
    return [photo for photo in photos if photo.name not in dropped], list(dropped.items())


def gathered(
    photos: Sequence[Listed],
    outcomes: Mapping[str, Outcome],
    dropped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    lengths: Lengths | None = None,
) -> Faces:
    """Templates of the photos that the device would enrol. Raises EvidenceUnusable when there are too few."""
    rejected = list(dropped)
    kept: list[tuple[Listed, PhotoTemplates, float]] = []
    for photo in photos:
        outcome = outcomes[photo.name]
        if outcome.template is None:
            rejected.append((photo.name, outcome.rejected or "no template"))
        else:
            kept.append((photo, unpacked(outcome.template), outcome.face_px))
    labels = sorted({(photo.source, photo.person) for photo, _, _ in kept})
    if len(labels) < 2:
        why = f"; the first of {len(rejected)} rejected, {rejected[0][0]}: {rejected[0][1]}" if rejected else ""
        raise EvidenceUnusable(
            f"{len(labels)} usable person(s): strangers need at least two people, and a rate needs hundreds{why}"
        )
    place = {label: index for index, label in enumerate(labels)}
    return Faces(
        people=tuple(person for _, person in labels),
        source=np.array([source for source, _ in labels], np.intp),
        templates=np.stack([made.entry for _, made, _ in kept]).astype(np.float32),
        looks=np.stack([made.look for _, made, _ in kept]).astype(np.float32),
        weights=np.array([_weight(lengths, made.length) for _, made, _ in kept], np.float32),
        owner=np.array([place[photo.source, photo.person] for photo, _, _ in kept], np.intp),
        files=tuple(photo.name for photo, _, _ in kept),
        face_px=np.array([px for _, _, px in kept], np.float32),
        rejected=tuple(rejected),
        notes=tuple(notes),
    )


def _weight(lengths: Lengths | None, length: float) -> float:
    """Weight of a look as in device.vision.passages: by its quality, 1 where the length is not calibrated."""
    if lengths is None:
        return 1.0
    return weight_of((length - lengths.poor) / (lengths.good - lengths.poor))
