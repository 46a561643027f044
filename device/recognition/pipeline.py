"""The spine: frame -> faces -> tracks -> probes -> candidates. Read it from top to bottom.

1. Only what leaves `process` may cross to the supervisor: references, scores, times. Pixels and templates stay.
2. Everybody who is compared is counted once, as a passage, and wiped when the passage ends: alerted or discarded.
3. Faces are found by a `FaceFrontEnd` (device/vision/face_front_end.py). `look` and `process` may run in two threads,
   each in one only.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from device.domain.finding import MOST_RIVALS, Candidate, Counters, VolunteerFinding
from device.domain.sight import F32, U8, Damage, Face, Frame
from device.domain.time import NS_PER_MS, MediaNs
from device.recognition.candidate import ListedPerson, candidate_of
from device.recognition.detect_ahead import Pressed, Stopwatch, always
from device.recognition.observation import Observation
from device.recognition.rivals import RaisedPassages
from device.recognition.volunteers import VolunteerSearch
from device.vision.align import DegenerateGeometry
from device.vision.cadence import DetectionCadence
from device.vision.cuts import CutDetector
from device.vision.decision import MIRRORED, Best, Decision, Gallery
from device.vision.face_front_end import FaceFrontEnd
from device.vision.observer import LookOutcome, Observer
from device.vision.passages import TELLING, TELLING_BY_GEOMETRY, Passage, Passages
from device.vision.probe import take_shot
from device.vision.quality import geometric, template_quality
from device.vision.scheduling import choose, pressing
from device.vision.stillness import Stillness
from device.vision.tracker import Sighting, Tracker
from device.vision.zone import Zone

LOOKS_PER_FRAME = 2  # per detection pass: bounds a frame's cost in a crowd; just below the threshold a look is twice
LOOK_EVERY_NS = 60 * NS_PER_MS  # people move half a face at most in that time; see decision record 0004
PATIENT_NS = 90 * NS_PER_MS  # frames this close: a first look may wait for the next one
DAMAGED_AFTER_NS = 200 * NS_PER_MS  # a damaged picture is searched when no whole one has come for so long


@dataclass(frozen=True, slots=True)
class Sight:
    """What the pipeline needs: a front end, a list, a threshold, and the zone."""

    front_end: FaceFrontEnd
    gallery: Gallery
    entries: tuple[ListedPerson, ...]
    threshold: float
    zone: Zone
    min_face_px: float


class Pipeline:
    """One camera's spine. `counters` and `times` are the only things that outlive a passage."""

    def __init__(
        self, sight: Sight, *, observer: Observer | None = None, volunteers: VolunteerSearch | None = None
    ) -> None:
        """`observer`: for measuring (device/vision/observer.py); the worker of a device has none."""
        self._sight = sight
        self._volunteers = volunteers
        refs = [entry.ref for entry in sight.entries]
        self._observed = None if observer is None else Observation(observer, sight.gallery, refs)
        self._tracker = Tracker()
        self._cuts = CutDetector()
        self._stillness = Stillness()
        self._cadence = DetectionCadence()
        self._anybody = False
        self._cut_at: deque[int] = deque()  # frames that begin another scene, from `look` to `process`
        self._pressed = False
        telling = TELLING_BY_GEOMETRY if sight.front_end.lengths is None else TELLING
        self._passages = Passages(
            sight.front_end.template_dim,
            telling=telling,
            listed=len(sight.gallery),
            volunteers=0 if volunteers is None else len(volunteers),
        )
        self._decision = Decision(sight.gallery, sight.threshold, [e.threshold_offset for e in sight.entries])
        self._template: F32 = np.zeros(sight.front_end.template_dim, np.float32)
        self._size = (0, 0)
        self._clean = True
        self._stalled = False
        self._looked_at: int | None = None
        self._last_due: MediaNs | None = None
        self._last_judged: MediaNs | None = None
        self._raised = RaisedPassages()
        self._latest: tuple[list[tuple[Passage, Sighting]], list[Face]] = ([], [])
        self.counters = Counters()
        self.times = Stopwatch()

    def prepare(self, width: int, height: int) -> None:
        """Open the engines for frames of this size before the first one comes, and run them once on a blank."""
        self._sight.front_end.prepare(width, height)
        self._wipe_runtimes()

    # ── frame ────────────────────────────────────────────────────────────────────────────────────────────────────
    def due(self, frame: Frame) -> bool:
        """Whether this frame is to be searched: some fifteen a second, and damaged ones only where no others come.

        Called by the capture thread. The answer depends on the frames alone, so a recording gives the same result each
        time.
        """
        wait_ns = DAMAGED_AFTER_NS if frame.damage is Damage.PICTURE else LOOK_EVERY_NS
        if self._last_due is not None and 0 <= frame.at - self._last_due < wait_ns:
            return False
        self._last_due = frame.at
        return True

    def pressed(self) -> bool:
        """Whether somebody in view may be found by a further look so soon that every frame counts."""
        return self._pressed

    @property
    def anybody_in_view(self) -> bool:
        """Whether the last frame that was searched had a face in it; for any thread."""
        return self._anybody

    # ── faces ────────────────────────────────────────────────────────────────────────────────────────────────────
    def look(self, frame: Frame, pressed: Pressed = always) -> list[Face] | None:
        """All faces of a frame, in frame pixels; where nobody was and nothing has moved, there is nobody.

        None where it is passed over (device/vision/cadence.py), never when `pressed`; asked only where that matters.
        """
        if self._cuts.cut(frame):
            self._cut_at.append(frame.index)
            self._cadence.restart()
        if not self._cadence.due(frame.at, pressed=pressed):
            return None
        since = time.perf_counter_ns()
        still = not self._anybody and self._stillness.still(frame)
        faces = [] if still else self._sight.front_end.look(frame)
        self._cadence.seen(frame.at, faces)
        self._anybody = bool(faces)
        if faces:
            self._stillness.forget()
        if not still:
            self.times.lap("detect", since)
        return faces

    def process(self, frame: Frame, faces: list[Face]) -> list[Candidate]:
        """Track the faces, recognise those that the scheduler selects, and return the candidates."""
        since = time.perf_counter_ns()
        self._stalled = False
        counters, at = self.counters, frame.at
        # ── tracks ───────────────────────────────────────────────────────────────────────────────────────────────
        everybody, faces = faces, self._sight.zone.inside(faces, frame.width, frame.height)
        counters.detections += len(faces)
        cut = self._size not in ((0, 0), (frame.width, frame.height))
        while self._cut_at and self._cut_at[0] <= frame.index:
            self._cut_at.popleft()
            cut = True
        lost = self._tracker.restart() if cut else []
        self._size = (frame.width, frame.height)
        sightings, missing = self._tracker.update(at, faces)
        counters.tracks = self._tracker.started
        for passage in self._passages.follow(at, sightings, lost + missing):
            self._close(passage)
        self._passages.note_appearance(frame, sightings)
        patient = self._last_judged is None or at - self._last_judged <= PATIENT_NS
        self._last_judged = at
        known = [(self._passages.of(s.track), s) for s in sightings if s.height_px >= self._sight.min_face_px]
        wanted = [(passage, sighting) for passage, sighting in known if passage is not None]
        self._latest = (wanted, everybody)
        if self._observed is not None:
            whose = [(s, self._passages.of(s.track)) for s in sightings]
            self._observed.frame(frame, faces, whose, self._sight.min_face_px)
        shots = choose(
            wanted,
            at,
            self._size,
            budget=LOOKS_PER_FRAME,
            patient=patient,
            threshold=self._sight.threshold,
            passed_over=None if self._observed is None else self._observed.passed_over,
        )
        self.times.lap("track", since)
        # ── probes and candidates ────────────────────────────────────────────────────────────────────────────────
        stated = [self._recognise(frame, passage, s, geometry, everybody) for passage, s, geometry in shots]
        for passage in self._passages.ended(at):
            self._close(passage)
        if not self._clean and self._looked_at not in {p.id for p in self._passages.open}:
            self._wipe_runtimes()
        self._pressed = any(pressing(p, self._sight.threshold) for p, _ in wanted)
        counters.open_passages = sum(p.counted and p.alerted_entry is None for p in self._passages.open)
        return [candidate for candidate in stated if candidate is not None]

    def end_of_source(self, frame: Frame) -> list[Candidate]:
        """The source has ended with `frame`: take the first looks that were still deferred."""
        wanted, everybody = self._latest
        rated = [(p, s, geometric(s.face, *self._size)) for p, s in wanted if p.tried_at is None]
        stated = [self._recognise(frame, p, s, geometry, everybody) for p, s, geometry in rated]
        return [candidate for candidate in stated if candidate is not None]

    def stalled(self) -> None:
        """No picture comes, or always the same: end the passages as if nobody were in view, once."""
        if not self._stalled:
            self._stalled = True
            self._tracker.restart()
            self.finish()

    def finish(self) -> None:
        """End every passage and wipe its buffers; clean ones are not wiped again, because a stop has half a second."""
        for passage in self._passages.open:
            self._close(passage)
        self.counters.open_passages = 0
        self._wipe_view()
        if not self._clean:
            self._wipe_runtimes()

    def wipe(self) -> None:
        """Overwrite every buffer that held a picture or a template, the runtimes' included."""
        self._wipe_view()
        self._wipe_runtimes()

    def _wipe_view(self) -> None:
        """Overwrite what `look` kept of the last frame."""
        self._sight.front_end.wipe_view()
        self._cuts.wipe()
        self._stillness.wipe()
        self._cadence.restart()

    def _wipe_runtimes(self) -> None:
        """Nobody is left in view: run a blank picture through the runtimes, so that none keeps a face (rule 2)."""
        self._template[:] = 0
        self._sight.front_end.wipe_faces()
        self._clean = True

    def volunteers_seen(self) -> list[VolunteerFinding]:
        """Volunteers of the blue list that were recognised since the last call."""
        return [] if self._volunteers is None else self._volunteers.take()

    def shot(self, passage_id: int) -> U8 | None:
        """The best shot of an open passage, (160, 160, 3) uint8 RGB, for the probe of its alert; None when it ended."""
        return next((p.slot.shot for p in self._passages.open if p.id == passage_id and p.best_face), None)

    def _recognise(
        self, frame: Frame, passage: Passage, sighting: Sighting, geometry: float, everybody: list[Face]
    ) -> Candidate | None:
        """One look: refine the landmarks, embed, assign the template to a passage, and weigh the passage's score.

        everybody  all faces of the frame, in the zone or not: the others are blanked in the probe
        """
        passage.attempts += 1
        sighting.track.failures += 1  # until this look has given a template
        passage.tried_at = frame.at
        passage.tried_geometry = max(passage.tried_geometry, geometry)
        since = time.perf_counter_ns()
        self._clean, self._looked_at = False, passage.id
        face = self._sight.front_end.refine(frame, sighting.face, looks=passage.attempts - 1)
        since = self.times.lap("align", since)
        if face is None:
            self._fruitless(LookOutcome.NO_LANDMARKS, passage, sighting)
            return None
        try:
            length = self._sight.front_end.embed(frame, face, self._template, gated=not passage.templates)
        except DegenerateGeometry:
            self._fruitless(LookOutcome.DEGENERATE, passage, sighting)
            return None
        self.counters.templates += 1
        if length is None:
            self.times.lap("embed", since)
            self._screened(passage, sighting)
            return None
        since = self.times.lap("embed", since)
        worth = template_quality(self._sight.front_end.lengths, length, geometry)
        settled = None if worth is None else self._passages.settle(frame.at, sighting.track, self._template, worth)
        if self._observed is not None:
            self._observed.template(passage, sighting, self._template, settled, worth)
        if settled is None or worth is None:
            self._template[:] = 0
            return None
        self._note_look(settled)
        self._looked_at = settled.id
        self.counters.faces_seen += settled.templates == 1 and not settled.screened
        sighting.track.failures = 0
        settled.damaged = settled.damaged or frame.damage is not Damage.NONE
        settled.best_quality = max(settled.best_quality, worth)
        best = self._decision.weigh(settled)
        if best is None:
            since = self.times.lap("match", since)
            best = self._mirrored_look(frame, face, settled)
            since = time.perf_counter_ns()
        self._template[:] = 0
        if settled.is_better(worth, frame.damage) and self._decision.may_match(settled):
            self._keep_picture(frame, settled, face, worth)
            take_shot(frame, sighting.face, everybody, settled.slot.shot)
            if best is None and settled.alerted_entry is not None:
                best = self._decision.weigh(settled)  # a better picture may be worth a revision
        if self._observed is not None:
            self._observed.weighed(settled, self._decision, best)
        self.times.lap("match", since)
        candidate = self._state(frame, settled, best)
        if self._volunteers is not None and candidate is None:
            self._volunteers.weigh(frame, settled)
        return candidate

    def _keep_picture(self, frame: Frame, passage: Passage, face: Face, worth: float) -> None:
        """Note whose face, of which template's quality, the picture of a passage shows from now on."""
        if frame.damage < passage.best_damage:
            passage.alerted_quality = -1.0  # an alert with a probe from a damaged picture is revised
        passage.shot_quality, passage.best_face, passage.best_frame_size = worth, face, self._size
        passage.best_damage = frame.damage

    def _note_look(self, passage: Passage) -> None:
        """Enter the scores of `_template` into the passage, for both lists."""
        self._decision.note_look(passage, self._template)
        if self._volunteers is not None:
            self._volunteers.note_look(passage, self._template)

    def _mirrored_look(self, frame: Frame, face: Face, passage: Passage) -> Best | None:
        """Where it may decide, make `_template` that of the mirrored look, for the list alone that it may decide of.

        Returns the watchlist's decision then. A run for the blue list alone is not among `counters.templates`.
        """
        sought = self._decision.undecided(passage)
        volunteers = self._volunteers if self._volunteers is not None and self._volunteers.undecided(passage) else None
        if not sought and volunteers is None:
            return None
        since = time.perf_counter_ns()
        self._sight.front_end.mirror(frame, face, self._template)
        self.times.lap("embed", since)
        self.counters.templates += sought
        if volunteers is not None:
            volunteers.note_look(passage, self._template, MIRRORED)
        if not sought:
            return None
        self._decision.note_look(passage, self._template, MIRRORED)
        return self._decision.weigh(passage)

    def _screened(self, passage: Passage, sighting: Sighting) -> None:
        """A pair's screen found nobody listed possible: the face was compared, and there is no template of it."""
        if self._observed is not None:
            self._observed.fruitless(LookOutcome.SCREENED, passage, sighting)
        sighting.track.failures = 0
        if sighting.track.doubtful:  # it may be somebody else, whose next looks are due as soon as after a first one
            passage.screened = min(passage.screened, 1)
        passage.screened += 1
        sighting.track.doubtful, sighting.track.asked = False, 0  # there is no template that could be somebody else's
        self.counters.faces_seen += passage.screened == 1 and not passage.templates

    def _fruitless(self, outcome: LookOutcome, passage: Passage, sighting: Sighting) -> None:
        if self._observed is not None:
            self._observed.fruitless(outcome, passage, sighting)

    def _state(self, frame: Frame, passage: Passage, best: Best | None) -> Candidate | None:
        """Make the candidate that may cross the bar from a decision."""
        earlier = None if best is None else self._passages.alerted_before(passage, best.entry)
        if earlier is not None:
            if self._observed is not None:
                self._observed.joined(earlier, passage)
            self._passages.merge(earlier, passage)
            passage, best = earlier, self._decision.weigh(earlier)
        if best is None or passage.best_face is None:
            return None
        first = passage.alerted_entry is None
        passage.revision += 1
        passage.alerted_entry, passage.alerted_score = best.entry, best.score
        passage.alerted_quality = passage.shot_quality
        self.counters.alerted += first
        rivals = self._raised.rivals(passage, self._passages.open, self._passages.in_view())[:MOST_RIVALS]
        person = self._sight.entries[best.entry]
        return candidate_of(passage, best, person, self._decision.threshold(best.entry), frame, rivals)

    def _close(self, passage: Passage) -> None:
        """A passage ended: wipe it; count it as discarded if it was compared and its buffers verify as zero."""
        counters = self.counters
        if self._observed is not None:
            self._observed.ended(passage)
        self._raised.ended(passage)
        if self._volunteers is not None:
            self._volunteers.ended(passage)
        wiped = self._passages.close(passage)
        if passage.counted:
            counters.discarded += wiped and passage.alerted_entry is None
            counters.score_histogram[min(19, max(0, int((passage.best_score + 1) * 10)))] += 1
        elif passage.attempts or passage.last_seen > passage.first_seen:
            counters.quality_rejects += 1
