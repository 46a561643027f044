"""The worker's pipeline over a recording, as fast as possible: no supervisor, no broker, no face written."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from device.config.installed import CONFIG
from device.domain.finding import Candidate, Counters
from device.domain.operating_point import MIN_FACE_PX, Evidence
from device.domain.time import NS_PER_MS
from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.recording import RecordedSource, recording_path
from device.edges.host.process_memory import peak_resident_mb
from device.enrolment.engine_photo_reader import READER_VERSION, EnginePhotoReader
from device.enrolment.folder import Enrolment, OutcomeCache, enrol
from device.enrolment.model_sessions import ModelSessions, chosen_card, chosen_recognisers, resolved
from device.enrolment.template_cache import TemplateCache
from device.errors import EvidenceDamaged, EvidenceUnusable
from device.ports.source import SourceInfo
from device.recognition.build import gallery_of, pipeline_of
from device.recognition.detect_ahead import DetectAhead, frames_ahead, frames_held
from device.recognition.driving_loop import drive
from device.recognition.operating_point import OperatingPoint, Terms, engine_of, known_evidence, operating_point
from device.recognition.pipeline import Pipeline
from device.sync.root import refuse_on_operational_device
from device.vision.observer import Observer

STAGES = ("decode", "detect", "track", "align", "embed", "match")
LARGE_LIST = 40  # photos
DECODE_THREADS = 1  # measured with the other stages, see tools/README.md


@dataclass(frozen=True, slots=True)
class Request:
    """A replay request. `threshold` None: the operating point for this list from the evidence.

    evidence, evidence_keys  an artefact instead of the shipped one, and a folder of keys that may have signed it
    config                   configuration of the device on this machine, if there is one: an operational one refuses
    """

    source: str
    watchlist: Path
    backend: str | None = None
    threshold: float | None = None
    synthetic: int = 0
    detector: str | None = None
    recogniser: str | None = None
    screen: str | None = None
    evidence: Path | None = None
    evidence_keys: Path | None = None
    config: Path = CONFIG

    def terms(self) -> Terms:
        """The terms for the threshold."""
        return Terms(threshold=self.threshold, evidence=self.evidence, keys=self.evidence_keys)

    def room(self) -> ModelSessions:
        """The requested engines."""
        return ModelSessions(
            self.backend, threads=1, detector=self.detector, recogniser=self.recogniser, screen=self.screen
        )


def replay(
    request: Request,
    *,
    cache: OutcomeCache | None,
    progress: Callable[[int, int | None], None],
    talk: bool,
    checkpoint: Callable[[], None] = lambda: None,
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Run the request and return the report of `lfr replay`.

    progress    called with frames decoded and their number, if the container states it
    checkpoint  called between photos and between frames; the run ends with whatever it raises
    observer    receives each step, for measuring; scores and frames, no picture and no template
    Raises SourceUnreadable, WatchlistUnusable, EngineUnavailable, RefusedByCondition; EvidenceUnusable for evidence
    that was named, EvidenceDamaged for the shipped one. Where none is shipped for an engine, the report says so.
    """
    refuse_on_operational_device("replay", request.config)
    evidence = _evidence(request)
    source = RecordedSource(recording_path(request.source), decode_threads=DECODE_THREADS)
    try:
        room, listed = _enrol(request, cache, talk, checkpoint)
    except BaseException:
        source.close()
        raise
    rows, screen_dim = [(e.ref, e.templates) for e in listed.entries], room.recognisers.screen_dim
    gallery = gallery_of(rows, synthetic=request.synthetic, screen_dim=screen_dim)
    point = _operating_point(request, evidence, listed, len(gallery))
    pipeline = pipeline_of(room, gallery, threshold=point.threshold, min_face_px=MIN_FACE_PX, observer=observer)
    at_first = _prepared(pipeline, source)
    ahead = frames_ahead(one_thread=room.one_thread, pace="full")
    feed = CaptureBuffer(source, pace="full", frames_held=frames_held(ahead), wanted=pipeline.due)
    looking = DetectAhead(feed, pipeline.look, ahead=ahead, pressed=pipeline.pressed)
    ran = _run(pipeline, feed, looking, lambda: progress(feed.decoded, at_first.frames), checkpoint)
    frames, seconds = feed.decoded, ran.seconds
    gallery.wipe()
    room.close()
    return {
        "mode": "test",
        "frames": frames,
        "seconds": round(seconds, 4),
        "fps": round(frames / seconds, 2) if seconds > 0 else 0.0,
        "faces_seen": pipeline.counters.faces_seen,
        "templates": pipeline.counters.templates,
        "threshold": round(point.threshold, 4),
        "threshold_source": point.source,
        "watchlist": {
            "subjects": listed.subjects,
            "images": listed.images,
            "rejected": list(listed.rejected),
            "warnings": list(listed.warnings),
        },
        "alerts": _rows(ran.stated),
        "stages_ms": _stages({**pipeline.times.ms, "decode": feed.decode_ms}),
        "backend": room.backend,
        "peak_rss_mb": peak_resident_mb(),
        "operating_point": {"predicted": point.predicted, "bound": point.bound, "outside_evidence": point.problem},
        **_beside_the_contract(pipeline.counters, at_first, source.info),
        "processor_s": round(ran.processor_s, 4),
    }


def _evidence(request: Request) -> Evidence | EvidenceUnusable:
    """The evidence for the requested engines; raises where a replay must not go on."""
    detector = chosen_card(request.detector, "detector")
    recognisers = chosen_recognisers(request.recogniser, request.screen)
    found = known_evidence(engine_of(detector, recognisers, resolved(request.backend)), request.terms())
    if isinstance(found, EvidenceDamaged) or (isinstance(found, EvidenceUnusable) and request.evidence is not None):
        raise found
    return found


def _operating_point(
    request: Request, evidence: Evidence | EvidenceUnusable, listed: Enrolment, subjects: int
) -> OperatingPoint:
    """The operating point of a device, whatever its problem: a replay measures, and reports the problem."""
    photos = [len(entry.templates) for entry in listed.entries]
    photos += [1] * (subjects - len(photos))
    point = operating_point(photos, evidence, request.terms())
    outside = f"; outside the evidence: {point.problem}" if point.problem and request.threshold is None else ""
    source = f"{point.source}{outside}" if request.threshold is None else "given on the command line"
    return replace(point, source=source)


def _prepared(pipeline: Pipeline, source: RecordedSource) -> SourceInfo:
    """Properties of the source; the engines for its frames are open now, before the time is taken."""
    pipeline.prepare(source.info.width, source.info.height)
    return source.info


def _beside_the_contract(counters: Counters, at_first: SourceInfo, at_last: SourceInfo) -> dict[str, Any]:
    """Counters for tuning, beside the report's contract."""
    names = ("tracks", "detections", "quality_rejects", "discarded", "alerted")
    # Corrections made from the first picture on are lost with the decoder; damage is found on the way.
    notes = list(dict.fromkeys((*at_first.notes, *at_last.notes)))
    return {
        "counters": {name: getattr(counters, name) for name in names},
        "source": {"notes": notes, "width": at_first.width, "height": at_first.height},
    }


def cache_at(
    path: Path,
    backend: str | None,
    *,
    detector: str | None = None,
    recogniser: str | None = None,
    screen: str | None = None,
    looks: bool = False,
) -> TemplateCache:
    """The template cache in `path` for the models that `replay` would use.

    looks  rows hold both templates of a photo and a length, as calibration reads them
    """
    chosen = chosen_card(detector, "detector"), chosen_recognisers(recogniser, screen)
    lengths = chosen[1].lengths  # it decides which photos are rejected
    models = " ".join([*(one.source_sha256 for one in chosen), "" if lengths is None else f"{lengths.poor}"])
    dim = chosen[1].length_of_template
    kind = " with looks" if looks else ""
    return TemplateCache(
        path, models=f"{models} {resolved(backend)} {READER_VERSION}{kind}", numbers=2 * dim + 1 if looks else dim
    )


def _enrol(
    request: Request, cache: OutcomeCache | None, talk: bool, checkpoint: Callable[[], None]
) -> tuple[ModelSessions, Enrolment]:
    """Enrol the folder; a large one with a second set of engines beside the one that will run the recording."""
    room = request.room()
    helper = request.room() if not room.one_thread and _is_large(request.watchlist) else None
    readers = [EnginePhotoReader(each, checkpoint=checkpoint) for each in (room, helper) if each is not None]
    try:
        checkpoint()
        listed = enrol(request.watchlist, readers, cache=cache, progress=talk)
    except BaseException:
        room.close()
        raise
    finally:
        if helper is not None:
            helper.close()
    readers[0].close()
    return room, listed


def _is_large(folder: Path) -> bool:
    """Whether there are enough photos to be worth opening a second set of engines."""
    return next(itertools.islice(folder.glob("*/*"), LARGE_LIST, None), None) is not None


@dataclass(frozen=True, slots=True)
class _Ran:
    """seconds from the first decode to the last decision, and processor time of all threads in them."""

    seconds: float
    processor_s: float
    stated: list[Candidate]


def _run(
    pipeline: Pipeline,
    feed: CaptureBuffer,
    looking: DetectAhead,
    tick: Callable[[], None],
    checkpoint: Callable[[], None],
) -> _Ran:
    """The loop, timed."""
    stated: list[Candidate] = []
    since, used = time.perf_counter(), time.process_time()
    try:
        drive(
            pipeline,
            looking,
            on_candidates=stated.extend,
            before_frame=checkpoint,
            after_frame=tick,
            idle=checkpoint,
        )
        seconds, used = time.perf_counter() - since, time.process_time() - used
    finally:
        looking.close()
        feed.close()
        pipeline.finish()
    tick()
    return _Ran(seconds, used, stated)


def _rows(stated: list[Candidate]) -> list[dict[str, Any]]:
    """One row an alert: when it was first raised, with its last revision.

    contradicted_by  tracks of the alerts for the same entry that were in view at the same time: at most one is right
    """
    rows: dict[int, dict[str, Any]] = {}
    rivals: dict[int, set[int]] = {}
    for candidate in stated:
        row = rows.setdefault(
            candidate.passage,
            {
                "entry": candidate.entry_ref,
                "score": 0.0,
                "frame": candidate.frame,
                "t_ms": round(candidate.media_ns / NS_PER_MS, 3),
                "track": candidate.passage,
                "picture_damaged": False,
                "contradicted_by": [],
            },
        )
        row["picture_damaged"] = candidate.picture_damaged
        rivals[candidate.passage] = set(candidate.rivals)
        row["entry"], row["score"] = candidate.entry_ref, round(candidate.score, 4)
    for one, row in rows.items():
        named = {other for other in rows if other in rivals[one] or one in rivals[other]}
        row["contradicted_by"] = sorted(other for other in named if rows[other]["entry"] == row["entry"])
    return list(rows.values())


def _stages(samples: Mapping[str, Collection[float]]) -> dict[str, dict[str, float | int | None]]:
    out: dict[str, dict[str, float | int | None]] = {}
    for stage in STAGES:
        values = list(samples.get(stage, ()))
        p50, p95 = np.percentile(values, [50, 95]) if values else (None, None)
        out[stage] = {
            "p50": None if p50 is None else round(float(p50), 3),
            "p95": None if p95 is None else round(float(p95), 3),
            "n": len(values),
        }
    return out
