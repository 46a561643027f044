"""Compares two runtimes or precisions on a data set of faces: for `lfr engines compare A B --faces DATASET`.

1. One photo of each of some people, as read by the exact engine, goes to both sides, so that their outputs are of the
   same pictures. The people are spread evenly over the data set.
2. The change in TPIR is measured on everybody, each side from the photo on: detector, second look and recogniser.
3. A photo of which only one side makes a template counts for both; to the other side it matches nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from calibration.data.faces import Faces, Listed, scan
from calibration.evidence.precision_change import change
from device.domain.sight import F32
from device.errors import EvidenceUnusable, UsageError
from engines.cards.model_card import ModelCard
from engines.cli.compare_command import Changes, Shown

PEOPLE_SHOWN = 100
FPIRS = (0.01, 0.001)


class FacesOfDataset:
    """See engines.cli.compare_command.FacesMeasure."""

    def shown(self, dataset: Path) -> Shown:
        """Rule 1. Raises EvidenceUnusable when no photo of them shows a usable face."""
        from calibration.data.crops import CropReader, batch_of
        from device.enrolment.model_sessions import ModelSessions

        photos = spread(scan(dataset)[0], PEOPLE_SHOWN)
        room = ModelSessions("onnxruntime:fp32", threads=1)
        reader = CropReader(room)
        found = [reader.shown(photo.path, photo.person) for photo in photos]
        room.close()
        usable = [one for one in found if one is not None]
        if not usable:
            raise EvidenceUnusable(f"{dataset}: none of {len(found)} photos shows a face that would be enrolled")
        return Shown(len(usable), [batch_of(one.crop) for one in usable], [one.square for one in usable])

    def changes(self, dataset: Path, first: str, second: str, chosen: Sequence[ModelCard]) -> Changes:
        """Rule 2; templates are kept for a day, encrypted, as `lfr evaluate` keeps them."""
        from device.edges.sandbox.hardening import forbid_dumps

        forbid_dumps()  # templates of people are in this process
        names = by_role(chosen)
        one, other = (_read(dataset, backend, names) for backend in (first, second))
        return compared(dataset.name, one, other)


def spread(photos: Sequence[Listed], people: int) -> list[Listed]:
    """The first photo of each of `people` people, evenly over all; of everybody when there are fewer."""
    each = list({photo.person: photo for photo in reversed(photos)}.values())[::-1]
    chosen = np.linspace(0, len(each) - 1, min(people, len(each))).round().astype(int)
    return [each[index] for index in chosen]


def by_role(chosen: Sequence[ModelCard]) -> dict[str, str | None]:
    """Names of the models that were chosen, by role; None is the default one. Raises UsageError for two of a role."""
    names: dict[str, str | None] = {"detector": None, "recogniser": None}
    for one in chosen:
        if names[one.role] is not None:
            raise UsageError(f"{names[one.role]} and {one.name} are both {one.role}s; with --faces name one of each")
        names[one.role] = one.name
    return names


def compared(data: str, one: Faces, other: Faces) -> Changes:
    """The change of rates (rules 2 and 3), on templates of the same photos. BadData with too few people."""
    people, (before, after) = together(one, other)
    found = change(people, before, after, FPIRS)
    alone = [int((~mine.any(1) & theirs.any(1)).sum()) for mine, theirs in ((after, before), (before, after))]
    return Changes(data, len(set(people)), len(people), alone[0], alone[1], tuple(found))


def together(one: Faces, other: Faces) -> tuple[list[str], tuple[F32, F32]]:
    """Person of each photo that either side could use, and both sides' templates; zeros where a side made none."""
    owners: dict[str, str] = {}
    for faces in (one, other):
        owners |= {file: faces.people[owner] for file, owner in zip(faces.files, faces.owner, strict=True)}
    files = sorted(owners)
    return [owners[file] for file in files], (_rows(one, files), _rows(other, files))


def _rows(faces: Faces, files: Sequence[str]) -> F32:
    known = dict(zip(faces.files, faces.templates, strict=True))
    empty = np.zeros(faces.templates.shape[1], np.float32)
    rows: F32 = np.stack([known.get(file, empty) for file in files]).astype(np.float32)
    return rows


def _read(dataset: Path, backend: str, names: dict[str, str | None]) -> Faces:
    from calibration.data.reading import How, read_sets
    from device.cli.replay_command import cache_file
    from device.recognition.replay import cache_at

    with ExitStack() as kept:
        store = kept.enter_context(cache_at(cache_file().with_name("evaluation.sqlite"), backend, looks=True, **names))
        how = How(backend, None, store, talk=True, detector=names["detector"], recogniser=names["recogniser"])
        return read_sets([dataset], how)
