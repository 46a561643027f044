"""Runs both sides over all clips and judges every labelled passage.

1. Both have the same list, recogniser, alignment and score (naive_scores.py); the product runs as `lfr replay` does, in
   this process, with an observer.
2. First both at the product's threshold; then each at its own, at which both make as many false claims (tally.py). The
   product is run again there, because its scheduling depends on the threshold.
3. Labels of which the labeller was not sure take part in matching, but are not counted.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from device.enrolment.model_sessions import EngineRoom
from device.enrolment.template_cache import TemplateCache
from device.recognition.build import Listed, gallery_of
from device.recognition.replay import Request, replay
from tools.dev.bench.recall.cases import Case, Cases
from tools.dev.bench.recall.facts import Facts
from tools.dev.bench.recall.labels import Label, Pose, owner
from tools.dev.bench.recall.naive_scores import Looker, NaiveRun
from tools.dev.bench.recall.reasons import Explained, Missed
from tools.dev.bench.recall.tally import Claim, Judged, judge, owners_of, threshold_for
from tools.dev.clip.spec import write_watchlist
from tools.dev.progress import bar

TURNED_YAW = 0.45
"""|Pose.yaw| by the landmarks from which an unlabelled face is called turned; about 25 degrees."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How to run. `threshold` None: the device's own for this list; `every`: of the naive loop's frames; `share`: of
    strangers' passages that may alert where the rates are made equal."""

    backend: str | None = None
    threshold: float | None = None
    evidence: Path | None = None
    evidence_keys: Path | None = None
    every: int = 1
    share: float = 0.01


@dataclass(slots=True)
class Run:
    """One side's result for one clip; for the product also why each label was missed."""

    judged: Judged
    report: dict[str, Any]
    explained: Explained | None = None


def measure(cases: Cases, terms: Terms, cache: TemplateCache | None) -> dict[str, Any]:
    """Everything as one JSON object. Raises what `replay` raises."""
    with tempfile.TemporaryDirectory(prefix="lfr-recall-") as scratch:
        watchlist = write_watchlist(Path(scratch) / "list", cases.enrol)
        naive_runs, refs = _naive(cases.cases, watchlist, terms, cache)
        labelled = [_described(case, run) for case, run in zip(cases.cases, naive_runs, strict=True)]
        naive = [Run(_naive_judged(c, r, refs), {}) for c, r in zip(labelled, naive_runs, strict=True)]
        rates = [run.rate_hz for run in naive_runs]
        product, claims = _product(labelled, rates, watchlist, terms, cache)
        threshold = float(product[0].report["threshold"])
        listed = set(refs)
        strangers = sum(label.sure and label.person not in listed for case in labelled for label in case.labels)
        own = (
            threshold_for([s for judged in claims for s in judged.false.values()], strangers, terms.share),
            threshold_for([s for run in naive for s in run.judged.false.values()], strangers, terms.share),
        )
        again, _ = _product(labelled, rates, watchlist, replace(terms, threshold=own[0]), cache)
    sides = {
        "same_threshold": _sides((product, naive), (threshold, threshold)),
        "equal_rate": _sides((again, naive), own),
    }
    return {
        "listed": len(refs),
        "backend": product[0].report["backend"],
        "threshold_source": product[0].report["threshold_source"],
        "strangers": strangers,
        "share": terms.share,
        "naive_every": terms.every,
        **{name: side for name, (side, _) in sides.items()},
        "clips": [_clip(case, run, r) for case, run, r in zip(labelled, product, naive_runs, strict=True)],
        "passages": _rows(labelled, listed, naive, {name: rows for name, (_, rows) in sides.items()}, (product, again)),
    }


def _naive(
    cases: Sequence[Case], watchlist: Path, terms: Terms, cache: TemplateCache | None
) -> tuple[list[NaiveRun], list[str]]:
    """Rule 1: the naive loop's faces of all clips, and the list's references."""
    room = EngineRoom(terms.backend, threads=1)
    try:
        listed = enrol(watchlist, [EnginePhotoReader(room)], cache=cache, progress=True)
        entries = [(entry.ref, entry.templates) for entry in listed.entries]
        identity = f"{room.backend} {room.recogniser_card.source_sha256} {_digest(entries)}"
        looker = Looker(room.eyes(MIN_FACE_PX), Listed(gallery_of(entries)), identity)
        runs = []
        for case in cases:
            with tqdm(desc=f"naive loop, {case.name}", unit="frame", **bar()) as progress:
                runs.append(looker.run(case.clip, terms.every, partial(progress.update, 1)))
        return runs, [ref for ref, _ in entries]
    finally:
        room.close()


def _digest(entries: Sequence[tuple[str, F32]]) -> str:
    mark = hashlib.sha256()
    for ref, templates in entries:
        mark.update(ref.encode() + b"\0" + np.ascontiguousarray(templates).tobytes())
    return mark.hexdigest()


def _product(
    cases: Sequence[Case], rates: Sequence[float], watchlist: Path, terms: Terms, cache: TemplateCache | None
) -> tuple[list[Run], list[Judged]]:
    """`lfr replay` over all clips: what was alerted, and what would have been at any threshold."""
    runs, claims = [], []
    for case, rate_hz in zip(cases, rates, strict=True):
        facts = Facts()
        request = Request(
            str(case.clip),
            watchlist,
            terms.backend,
            terms.threshold,
            evidence=terms.evidence,
            evidence_keys=terms.evidence_keys,
        )
        with tqdm(desc=f"lfr replay, {case.name}", unit="frame", **bar()) as progress:

            def tick(frames: int, total: int | None, progress: tqdm[Any] = progress) -> None:
                progress.total = total
                progress.update(frames - progress.n)

            report = replay(request, cache=cache, progress=tick, talk=False, observer=facts)
        explained = Explained(case.labels, facts)
        alerts = (
            Claim(a["track"], a["entry"], a["frame"], a["score"], explained.owners(a["track"]))
            for a in report["alerts"]
        )
        runs.append(Run(judge(case.labels, alerts, rate_hz), report, explained))
        weighed = (Claim(d.passage, d.entry, d.frame, d.score, explained.owners(d.passage)) for d in facts.decisions)
        claims.append(judge(case.labels, weighed, rate_hz))
    return runs, claims


def _naive_judged(case: Case, run: NaiveRun, refs: Sequence[str]) -> Judged:
    claims = (
        Claim(f.track, refs[f.entry], f.frame, f.score, owners_of(case.labels, f.frame, f.box)) for f in run.faces
    )
    return judge(case.labels, claims, run.rate_hz)


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


def _sides(
    runs: tuple[Sequence[Run], Sequence[Run]], thresholds: tuple[float, float]
) -> tuple[dict[str, Any], list[tuple[set[int], set[int]]]]:
    """One comparison: thresholds and false alerts, and per clip the labels that each side found."""
    product, naive = runs
    found = [
        (p.judged.found_at(-1.0), n.judged.found_at(thresholds[1]))  # the product's are alerts: all of them count
        for p, n in zip(product, naive, strict=True)
    ]
    summary = {
        "product_threshold": round(thresholds[0], 4),
        "naive_threshold": round(thresholds[1], 4),
        "product_false": sum(run.judged.false_at(-1.0) for run in product),
        "naive_false": sum(run.judged.false_at(thresholds[1]) for run in naive),
    }
    return summary, found


def _rows(
    cases: Sequence[Case],
    listed: set[str],
    naive: Sequence[Run],
    found: dict[str, list[tuple[set[int], set[int]]]],
    product: tuple[Sequence[Run], Sequence[Run]],
) -> list[dict[str, Any]]:
    """One row a listed passage that is counted (rule 3)."""
    rows = []
    for n, case in enumerate(cases):
        for label in case.labels:
            if label.person not in listed or not label.sure:
                continue
            row: dict[str, Any] = {
                "clip": case.name,
                "person": label.person,
                "frames": [label.first, label.last],
                "height_px": None if label.height_px is None else round(label.height_px, 1),
                "pose": label.pose.value,
                "kind": label.kind,
                "naive_best": naive[n].judged.found.get(label.id),
            }
            for (name, clips), runs in zip(found.items(), product, strict=True):
                ours, theirs = (label.id in side for side in clips[n])
                missed = None if ours else _missed(runs[n], label)
                row[name] = {
                    "product": ours,
                    "naive": theirs,
                    "missed": None if missed is None else {"kind": missed.kind, "detail": missed.detail},
                }
            rows.append(row)
    return rows


def _missed(run: Run, label: Label) -> Missed | None:
    return None if run.explained is None else run.explained.why_missed(label, float(run.report["threshold"]))


def _clip(case: Case, run: Run, naive: NaiveRun) -> dict[str, Any]:
    """How many people a clip has by label and by each side."""
    return {
        "clip": case.name,
        "frames": naive.frames,
        "labels": len(case.labels),
        "people": len({label.person for label in case.labels}),
        "faces_seen": run.report["faces_seen"],
        "templates": run.report["templates"],
        "naive_templates": len(naive.faces),
        "naive_tracks": len({face.track for face in naive.faces}),
        "false_alerts": [
            f"{a['entry']} at frame {a['frame']}, {a['score']:.3f}"
            for a in run.report["alerts"]
            if a["track"] in run.judged.false
        ],
    }
