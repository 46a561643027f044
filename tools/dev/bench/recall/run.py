"""Runs both sides over all clips and scores every labelled passage.

1. Both have the same list, recogniser, alignment and score (naive_scores.py); the product runs as `lfr replay` does, in
   this process, with an observer.
2. First both at the product's threshold; then each at its own, at which both make as many false claims (tally.py). The
   product is run again there, because its scheduling depends on the threshold; where it then makes more false alerts
   than are allowed, its threshold is raised and it is run once more (`_at_equal_rate`).
3. Labels that are marked unsure take part in matching, but are not counted.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from device.domain.operating_point import MIN_FACE_PX
from device.domain.sight import F32
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.folder import enrol
from device.enrolment.template_cache import TemplateCache
from device.recognition.build import Listed, gallery_of
from device.recognition.replay import Request, replay
from tools.dev.bench.recall.cases import Case, Cases, People
from tools.dev.bench.recall.facts import Facts
from tools.dev.bench.recall.labels import Label, Pose, owner
from tools.dev.bench.recall.naive_scores import Looker, NaiveRun
from tools.dev.bench.recall.photos import own_scores
from tools.dev.bench.recall.reasons import Explained, Missed
from tools.dev.bench.recall.tally import STEP, Assessed, Claim, allowed, assess, increasing, owners_of, threshold_for
from tools.dev.progress import bar

NEAREST = 5
"""False claims that are printed of each side."""

TURNED_YAW = 0.45
"""|Pose.yaw| by the landmarks from which an unlabelled face is called turned; about 25 degrees."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How to run. `threshold` None: the device's own for this list; `every`: of the naive loop's frames; `share`: of
    strangers' passages that may alert where the rates are made equal; None: they are not, and that is not reported."""

    backend: str | None = None
    recogniser: str | None = None
    screen: str | None = None
    threshold: float | None = None
    evidence: Path | None = None
    evidence_keys: Path | None = None
    every: int = 1
    share: float | None = 0.01

    def request(self, clip: Path, watchlist: Path) -> Request:
        """The request of an equivalent `lfr replay`."""
        return Request(
            str(clip),
            watchlist,
            self.backend,
            self.threshold,
            recogniser=self.recogniser,
            screen=self.screen,
            evidence=self.evidence,
            evidence_keys=self.evidence_keys,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The product on one clip: its alerts, what it would have claimed at any threshold, its report and its steps."""

    alerts: Assessed
    claims: Assessed
    report: dict[str, Any]
    explained: Explained

    @property
    def threshold(self) -> float:
        return float(self.report["threshold"])

    def missed(self, label: Label) -> Missed:
        """Why a label was not found."""
        return self.explained.why_missed(label, self.threshold)


@dataclass(slots=True)
class Taken:
    """One clip with one list: both sides, the product `again` at the threshold of the equal rate.

    photos  person to score of the photo shown, of a drawn clip (photos.py)
    """

    case: Case
    refs: tuple[str, ...]
    watchlist: Path
    faces: NaiveRun
    naive: Assessed
    product: Run
    again: Run | None = None
    photos: dict[str, float] = field(default_factory=dict)

    def counted(self, *, listed: bool) -> list[Label]:
        """Rule 3: the labels of people who are listed, or of those who are not."""
        known = set(self.refs)
        return [label for label in self.case.labels if label.sure and (label.person in known) == listed]


def measure(lists: Sequence[Cases], terms: Terms, cache: TemplateCache | None) -> dict[str, Any]:
    """Everything as one JSON object. `lists`: clips with whom to enrol for them. Raises what `replay` raises."""
    taken: list[Taken] = []
    with tempfile.TemporaryDirectory(prefix="lfr-recall-") as scratch:
        for number, cases in enumerate(lists):
            taken += _taken(cases, Path(scratch) / str(number), terms, cache)
        strangers = sum(len(one.counted(listed=False)) for one in taken)
        false = {
            "product": _ranked([(one.case, one.product.claims) for one in taken]),
            "naive": _ranked([(one.case, one.naive) for one in taken]),
        }
        own: list[float] = []
        if terms.share is not None:
            own = [threshold_for([row["score"] for row in rows], strangers, terms.share) for rows in false.values()]
            own[0] = _at_equal_rate(taken, own[0], strangers, terms, cache)
    first = taken[0].product
    equal = {"equal_rate": _side([(one.again or one.product, one.naive) for one in taken], *own)} if own else {}
    theirs = own[1] if own else None
    return {
        "listed": len(taken[0].refs),
        "backend": first.report["backend"],
        "threshold_source": first.report["threshold_source"],
        "strangers": strangers,
        "share": terms.share,
        "naive_every": terms.every,
        "same_threshold": _side([(one.product, one.naive) for one in taken], first.threshold, first.threshold),
        **equal,
        "highest_false": {side: rows[:NEAREST] for side, rows in false.items()},
        "clips": [_clip(one) for one in taken],
        "passages": [_row(one, label, first.threshold, theirs) for one in taken for label in one.counted(listed=True)],
    }


def _at_equal_rate(
    taken: Sequence[Taken], threshold: float, strangers: int, terms: Terms, cache: TemplateCache | None
) -> float:
    """Run the product `again` on every clip at a threshold at which its false alerts are no more than allowed.

    Returns that threshold, at least the one given. In steps: a lower threshold makes the product look oftener at
    whoever comes near it, so that strangers reach higher scores than in the run before. Ends, because scores do.
    """
    share = terms.share or 0.0
    while True:
        there = replace(terms, threshold=threshold)
        for one in taken:
            one.again = _product(one.case, one.faces.rate_hz, one.watchlist, there, cache)
        runs = [(one.case, one.again) for one in taken if one.again is not None]
        if sum(len(run.alerts.false) for _, run in runs) <= allowed(strangers, share):
            return threshold
        rows = _ranked([(case, run.claims) for case, run in runs])
        threshold = max(threshold + STEP, threshold_for([row["score"] for row in rows], strangers, share))


def _taken(cases: Cases, watchlist: Path, terms: Terms, cache: TemplateCache | None) -> list[Taken]:
    """Both sides over the clips of one list, at the same threshold."""
    _write(watchlist, cases.enrol)
    faces, refs, photos = _naive(cases, watchlist, terms, cache)
    taken = []
    for plain, run in zip(cases.cases, faces, strict=True):
        case = _described(plain, run)
        claims = (
            Claim(f.track, refs[f.entry], f.frame, f.score, owners_of(case.labels, f.frame, f.box)) for f in run.faces
        )
        naive = assess(case.labels, claims, run.rate_hz)
        product = _product(case, run.rate_hz, watchlist, terms, cache)
        taken.append(Taken(case, refs, watchlist, run, naive, product, photos=photos))
    return taken


def _naive(
    cases: Cases, watchlist: Path, terms: Terms, cache: TemplateCache | None
) -> tuple[list[NaiveRun], tuple[str, ...], dict[str, float]]:
    """Rule 1: the naive loop's faces of all clips, the list's references, and the scores of the photos shown."""
    room = terms.request(cases.cases[0].clip, watchlist).room()
    try:
        reader = EnginePhotoReader(room)
        listed = enrol(watchlist, [reader], cache=cache, progress=True)
        entries = [(entry.ref, entry.templates) for entry in listed.entries]
        identity = f"{room.backend} {room.recognisers.source_sha256} {_digest(entries)}"
        photos = own_scores(reader, dict(entries), cases.shown)
        looker = Looker(room.front_end(MIN_FACE_PX), Listed(gallery_of(entries)), identity)
        runs = []
        for case in cases.cases:
            with tqdm(desc=f"naive loop, {case.name}", unit="frame", **bar()) as progress:
                runs.append(looker.run(case.clip, terms.every, partial(progress.update, 1)))
        return runs, tuple(ref for ref, _ in entries), photos
    finally:
        room.close()


def _write(folder: Path, enrol: People) -> None:
    """The list as `lfr replay` takes it; photos of several folders may have the same name."""
    for person, photos in enrol.items():
        (folder / person).mkdir(parents=True, exist_ok=True)
        for number, photo in enumerate(photos):
            shutil.copyfile(photo, folder / person / f"{number}-{photo.name}")


def _digest(entries: Sequence[tuple[str, F32]]) -> str:
    mark = hashlib.sha256()
    for ref, templates in entries:
        mark.update(ref.encode() + b"\0" + np.ascontiguousarray(templates).tobytes())
    return mark.hexdigest()


def _product(case: Case, rate_hz: float, watchlist: Path, terms: Terms, cache: TemplateCache | None) -> Run:
    """`lfr replay` over one clip."""
    facts = Facts()
    request = terms.request(case.clip, watchlist)
    with tqdm(desc=f"lfr replay, {case.name}", unit="frame", **bar()) as progress:

        def tick(frames: int, total: int | None) -> None:
            progress.total = total
            progress.update(frames - progress.n)

        report = replay(request, cache=cache, progress=tick, talk=False, observer=facts)
    steps = Explained(case.labels, facts)
    alerts = [Claim(a["track"], a["entry"], a["frame"], a["score"], steps.owners(a["track"])) for a in report["alerts"]]
    weighed = [Claim(d.passage, d.entry, d.frame, d.score, steps.owners(d.passage)) for d in facts.decisions]
    return Run(assess(case.labels, alerts, rate_hz), assess(case.labels, increasing(weighed), rate_hz), report, steps)


def _described(case: Case, run: NaiveRun) -> Case:
    """Heights and poses that nobody labelled, from the faces that the naive loop found."""
    heights: dict[int, list[float]] = {}
    turns: dict[int, list[float]] = {}
    for face in run.faces:
        label = owner(case.labels, face.frame, face.box)
        if label is not None:
            heights.setdefault(label.id, []).append(face.box[3] - face.box[1])
            turns.setdefault(label.id, []).append(abs(face.yaw))
    labels = []
    for label in case.labels:
        if label.height_px is None and label.id in heights:
            label = replace(label, height_px=median(heights[label.id]))
        if label.pose is Pose.UNKNOWN and label.id in turns:
            label = replace(label, pose=Pose.TURNED if median(turns[label.id]) > TURNED_YAW else Pose.FRONTAL)
        labels.append(label)
    return Case(case.name, case.clip, tuple(labels))


def _ranked(sides: Sequence[tuple[Case, Assessed]]) -> list[dict[str, Any]]:
    """The best false claim of each track or passage, highest first."""
    rows = [
        {"clip": case.name, "entry": c.entry, "frame": c.frame, "score": round(c.score, 4), "of": _people(case, c)}
        for case, assessed in sides
        for c in assessed.false.values()
    ]
    return sorted(rows, key=lambda row: float(row["score"]), reverse=True)


def _people(case: Case, claim: Claim) -> list[str]:
    return sorted({label.person for label in case.labels if label.id in claim.owners})


def _side(runs: Sequence[tuple[Run, Assessed]], ours: float, theirs: float) -> dict[str, Any]:
    """One comparison: thresholds and false alerts; whatever the product alerted counts."""
    return {
        "product_threshold": round(ours, 4),
        "naive_threshold": round(theirs, 4),
        "product_false": sum(len(product.alerts.false) for product, _ in runs),
        "naive_false": sum(naive.false_at(theirs) for _, naive in runs),
    }


def _row(one: Taken, label: Label, threshold: float, naive_threshold: float | None) -> dict[str, Any]:
    """One listed passage: found by whom in each comparison, and why not by the product.

    naive_threshold  at the equal rate; None: that was not measured
    """
    row: dict[str, Any] = {
        "clip": one.case.name,
        "person": label.person,
        "frames": [label.first, label.last],
        "height_px": None if label.height_px is None else round(label.height_px, 1),
        "pose": label.pose.value,
        "kind": label.kind,
        "naive_best": one.naive.found.get(label.id),
        "photo": one.photos.get(label.person),
    }
    each = [("same_threshold", one.product, threshold)]
    if naive_threshold is not None:
        each.append(("equal_rate", one.again or one.product, naive_threshold))
    for name, run, theirs in each:
        missed = None if label.id in run.alerts.found else run.missed(label)
        row[name] = {
            "product": missed is None,
            "naive": label.id in one.naive.found_at(theirs),
            "missed": None if missed is None else {"kind": missed.kind, "detail": missed.detail},
        }
    return row


def _clip(one: Taken) -> dict[str, Any]:
    """How many people a clip has by label and by each side."""
    report = one.product.report
    return {
        "clip": one.case.name,
        "frames": one.faces.frames,
        "labels": len(one.case.labels),
        "people": len({label.person for label in one.case.labels}),
        "faces_seen": report["faces_seen"],
        "templates": report["templates"],
        "naive_templates": len(one.faces.faces),
        "naive_tracks": len({face.track for face in one.faces.faces}),
        "false_alerts": [
            f"{a['entry']} at frame {a['frame']}, {a['score']:.3f}"
            for a in report["alerts"]
            if a["track"] in one.product.alerts.false
        ],
    }
