"""Passages: one person's way through the zone, assembled from tracks by identity.

1. Two people are never one passage. A template is compared with the usual likeness of its passage: a face's own
   templates are .83 to .96 alike, a turned or blurred one .5 to .8, another person's under .35. Two good templates
   that disagree are never averaged: the track moves to a passage of its own. Where geometry is unsure of a track
   (`Track.doubtful`), less disagreement is enough, and a poor template is not used at all.
2. A new track is a new passage, unless its first template is that of a passage that was seen within the last GONE_S
   and is not surely in view now: then the person was occluded. The same holds for a track whose template is clearly
   more like another passage than like its own: it has changed people.
3. A passage ends GONE_S after the last sighting. Then everything personal in it is overwritten; what is left is a count
   and one score without a name.
4. Templates and best shots are kept in slots that are allocated beforehand and reused.
5. Two passages that match one entry, are like each other, and of which the earlier is just out of view, are one person
   whom rule 2 has missed: there is one alert. A person who is unlike an alerted passage never joins it.
6. Whom a pair's screen has ruled out does not become somebody who is in view elsewhere: a first template that is a
   passage's in sure view is of that face, found twice where two cross, and used for nothing.
7. A track whose face suddenly looks different (a cut, one person stepping into another's place) is in doubt; one that
   looks as at its passage's last template is not (appearance.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from device.domain.decision_rule import keep_two_best
from device.domain.sight import F32, U8, Damage, Face, Frame
from device.domain.time import NS_PER_S, MediaNs
from device.vision.appearance import Appearance, Seen
from device.vision.quality import quality_of, weight_of
from device.vision.tracker import Sighting, Track

GONE_S = 2.0  # a person who reappears later is a new passage
SAME_PERSON = 0.50  # cosine of two passages' templates that joins them; different people: 1 pair in about 10^5 (LFW)
# A template is somebody else's when its cosine with its passage is below this share of what is usual in that passage.
# Measured 2026-11-30 (`hamilton`, television, raw length 8.5 and above): own templates below .57 in one of a
# hundred, usual .75 to .92; other people of the clip .31 at most. In a second clip (an arcade, small and turned faces)
# own templates of .33 to .52 were seen, mostly of raw lengths under 8.7.
OTHER_PERSON = 0.55
OTHER_PERSON_UNDOUBTED = 0.40  # the same when geometry saw no reason to doubt
USUAL = 0.80  # likeness that is usual in a passage of which nothing is known yet
POOR_OTHER = 0.25  # cosine below which even poor templates, ASKED_MAX in a row, are somebody else's
CLEARLY = 0.15  # by how much more like another passage than like its own a template must be to change people
TELLING = 0.0  # a template of less quality says nothing when it is unlike
# The same where the quality is geometry's alone (measured 2026-11-24, SFace without its lengths, two clips of 20 and 8
# people: 27 and 9 passages with .3, 25 and 8 with .6, 24 and 7 with .7 and above; with its lengths 18 and 7).
TELLING_BY_GEOMETRY = 0.70
ASKED_MAX = 3  # inconclusive looks after which a doubt is dropped
CARRIED_ON = 0.35  # likeness from which two passages that match one entry are one person (rule 5)
WINDOW = 3  # templates in the mean of the last ones
PROBE_PX = 160  # side of the best shot that is kept for an alert
SLOTS = 96  # people in view or just gone; beyond it the least promising passage is ended


@dataclass(slots=True)
class Slot:
    """The personal part of a passage, in buffers that are used again.

    fused (template_dim,) float32: weighted sum of all templates
    recent (WINDOW, template_dim) float32: the last ones, weighted;  recent_sum (template_dim,): `Passage.recent_sum`
    best_looks (2, 2, entries) float32: of plain and of mirrored looks (decision.py) the two highest scores with every
    entry of the watchlist; 0: none;  volunteer_looks: the same for the blue list
    shot (160, 160, 3) uint8 RGB;  appearance: signatures of the face
    """

    fused: F32
    recent: F32
    recent_sum: F32
    best_looks: F32
    volunteer_looks: F32
    shot: U8 = field(default_factory=lambda: np.zeros((PROBE_PX, PROBE_PX, 3), np.uint8))
    appearance: Appearance = field(default_factory=Appearance)

    @classmethod
    def of(cls, template_dim: int, listed: int = 0, volunteers: int = 0) -> Slot:
        """An empty one for templates of that length and lists of so many entries."""
        return cls(
            fused=np.zeros(template_dim, np.float32),
            recent=np.zeros((WINDOW, template_dim), np.float32),
            recent_sum=np.zeros(template_dim, np.float32),
            best_looks=np.zeros((2, 2, listed), np.float32),
            volunteer_looks=np.zeros((2, 2, volunteers), np.float32),
        )

    def wipe(self) -> None:
        """Overwrite with zeros."""
        for buffer in self.buffers:
            buffer[:] = 0

    @property
    def buffers(self) -> tuple[F32 | U8, ...]:
        """All that is personal."""
        templates = self.fused, self.recent, self.recent_sum
        return *templates, self.best_looks, self.volunteer_looks, self.shot, self.appearance.rows


@dataclass(slots=True)
class Passage:
    """State of one passage.

    weight        sum of the fused templates' weights; 0 until the first template is accepted
    usual         how like the passage its own templates are, a cosine
    best_quality  of the best template (quality.template_quality); below 0 before the first
    shot_quality  of the template whose picture is kept; below 0 where there is none;  best_face: its face
    reassured     whether the last template answered a doubt: it was this person's
    screened      looks in which a pair's screen ruled every entry out: compared, without a template
    best_damage   of that picture: a whole one goes before a better one that is damaged
    damaged       whether any template was taken from a damaged picture
    attempts      looks so far;  tried_at: last attempt
    tried_geometry  geometric quality of the best shot that was tried
    best_score    highest score against the list so far;  alerted_*: of the last revision that was stated
    """

    id: int
    slot: Slot
    first_seen: MediaNs
    last_seen: MediaNs
    weight: float = 0.0
    usual: float = USUAL
    templates: int = 0
    reassured: bool = False
    screened: int = 0
    attempts: int = 0
    tried_at: MediaNs | None = None
    tried_geometry: float = 0.0
    best_quality: float = -1.0
    shot_quality: float = -1.0
    best_face: Face | None = None
    best_frame_size: tuple[int, int] = (0, 0)
    best_damage: Damage = Damage.NONE
    damaged: bool = False
    best_score: float = -1.0
    alerted_entry: int | None = None
    alerted_score: float = -1.0
    alerted_quality: float = -1.0
    revision: int = -1

    @property
    def compared(self) -> bool:
        """Whether it has a template that passed the quality gate."""
        return self.templates > 0

    @property
    def counted(self) -> bool:
        """Whether it counts as a face seen: it was compared with the list, by a template or by the screen alone."""
        return self.templates > 0 or self.screened > 0

    @property
    def quality(self) -> float:
        """Quality 0..1 of its best template."""
        return quality_of(self.best_quality)

    def is_better(self, quality: float, damage: Damage) -> bool:
        """Whether the picture of a template of this quality and damage replaces the one that is kept."""
        return self.best_face is None or (damage, -quality) < (self.best_damage, -self.shot_quality)

    def likeness(self, template: F32) -> float:
        """Cosine of a unit template with the fused one; 0 before the first."""
        length = float(np.linalg.norm(self.slot.fused))
        return float(self.slot.fused @ template) / length if length > 0 else 0.0

    def fuse(self, template: F32, quality: float) -> None:
        """Add one unit template with the weight of its quality: a poor one hardly moves a good sum."""
        if self.templates:
            self.usual += (self.likeness(template) - self.usual) * min(1.0, weight_of(quality)) / (self.templates + 1)
        weight, newest = weight_of(quality), self.slot.recent[self.templates % WINDOW]
        np.multiply(template, weight, out=newest)  # numpy keeps small temporary arrays, content and all
        self.slot.fused += newest
        self.weight += weight
        self.templates += 1

    def recent_sum(self) -> F32:
        """The sum of the last WINDOW weighted templates, in a buffer of the slot; the caller overwrites it."""
        return np.sum(self.slot.recent, axis=0, out=self.slot.recent_sum)


class Passages:
    """All open passages of one camera and which track belongs to which; one owner thread."""

    def __init__(self, template_dim: int, *, telling: float = TELLING, listed: int = 0, volunteers: int = 0) -> None:
        """`telling`: quality from which an unlike template says that it is somebody else's; two lists' entries."""
        self._empty = partial(Slot.of, template_dim, listed, volunteers)
        self._telling = telling
        self._free = [self._empty() for _ in range(SLOTS)]
        self._open: list[Passage] = []
        self._of_track: dict[int, Passage] = {}
        self._in_view: list[Track] = []
        self._made = 0

    @property
    def open(self) -> tuple[Passage, ...]:
        return tuple(self._open)

    def follow(self, at: MediaNs, sightings: list[Sighting], lost: list[Track]) -> list[Passage]:
        """Account for one detection pass; passages that had to give way to newer ones are returned, to be closed."""
        self._in_view = [sighting.track for sighting in sightings]
        for track in lost:
            self._of_track.pop(track.id, None)
        ousted: list[Passage] = []
        newcomers: list[Track] = []
        for sighting in sightings:
            passage = self._of_track.get(sighting.track.id)
            if passage is None:
                newcomers.append(sighting.track)
            else:
                passage.last_seen = at
        for track in newcomers:
            begun = self._begin(at, ousted)
            if begun is not None:
                self._of_track[track.id] = begun
        return ousted

    def of(self, track: Track) -> Passage | None:
        """The passage that a sighted track belongs to; None while every slot is taken by somebody in view."""
        return self._of_track.get(track.id)

    def note_appearance(self, frame: Frame, sightings: list[Sighting]) -> None:
        """Rule 7: compare how everybody looks with how they looked a moment ago, and at the last template."""
        for sighting in sightings:
            passage = self._of_track.get(sighting.track.id)
            if passage is None:
                continue
            seen = passage.slot.appearance.see(frame, sighting.face.box)
            if seen is Seen.DIFFERENT:
                sighting.track.doubtful = True
            elif seen is Seen.SAME:
                sighting.track.doubtful, sighting.track.asked = False, 0

    def settle(self, at: MediaNs, track: Track, template: F32, quality: float) -> Passage | None:
        """Decide whose template this is (rules 1 and 2), fuse it there and return that passage.

        None when it is used for nothing: too poor to tell whose it is on a doubtful track, or seen twice (rule 6).
        """
        passage = before = self._of_track[track.id]
        if before.screened and not before.compared and self._seen_twice(template):
            return None
        shown = self._shows_one(before)
        likeness = passage.likeness(template)
        other = self._lookalike(passage, template, likeness + CLEARLY)
        if other is not None:
            self._move(track, passage, other, at)
            passage = other
        elif passage.compared and self._somebody_else(passage, track, likeness, quality):
            passage = self._begin_for(at, track)
        elif passage.compared and self._too_poor(passage, track, likeness, quality):
            track.asked += 1
            if track.asked < ASKED_MAX:
                return None
            track.doubtful, track.asked = False, 0  # the doubt is dropped, the poor templates with it
            if likeness >= POOR_OTHER:
                return None
            passage = self._begin_for(at, track)
        passage.reassured = track.doubtful and passage is before and passage.compared
        track.doubtful, track.asked = False, 0
        if shown and quality >= self._telling and not (passage.compared and self._unlike(passage, template)):
            passage.slot.appearance.settle()
        passage.fuse(template, quality)
        return passage

    def _seen_twice(self, template: F32) -> bool:
        """Rule 6: whether a template is that of a passage that is surely in view."""
        sure = self._surely_in_view()
        return any(id(p) in sure and p.compared and p.likeness(template) >= SAME_PERSON for p in self._open)

    def _shows_one(self, passage: Passage) -> bool:
        """Whether one track alone is the passage's: its last signature is that track's (rule 7)."""
        return sum(other is passage for other in self._of_track.values()) == 1

    @staticmethod
    def _unlike(passage: Passage, template: F32) -> bool:
        return passage.likeness(template) < passage.usual * OTHER_PERSON

    def _somebody_else(self, passage: Passage, track: Track, likeness: float, quality: float) -> bool:
        """Rule 1: whether a good template disagrees with a passage that has good ones, or, in doubt, has not."""
        unsure = track.doubtful or track.near
        if quality < self._telling:
            return False
        if passage.best_quality < self._telling:
            return unsure and likeness < POOR_OTHER
        return likeness < passage.usual * (OTHER_PERSON if unsure else OTHER_PERSON_UNDOUBTED)

    def _too_poor(self, passage: Passage, track: Track, likeness: float, quality: float) -> bool:
        """Rule 1: whether a doubt is left that a template of this quality cannot settle."""
        unsure = track.doubtful or track.near
        return unsure and quality < self._telling and likeness < passage.usual * OTHER_PERSON

    def alerted_before(self, passage: Passage, entry: int) -> Passage | None:
        """Rule 5: the passage whose alert a first possible match of `passage` belongs to, if there is one."""
        if passage.alerted_entry is not None:
            return None
        sure = self._surely_in_view()
        own = max(float(np.linalg.norm(passage.slot.fused)), 1e-9)
        options = [p for p in self._open if p.alerted_entry == entry and id(p) not in sure and p is not passage]
        return next((p for p in options if p.likeness(passage.slot.fused) / own >= CARRIED_ON), None)

    def merge(self, earlier: Passage, later: Passage) -> None:
        """Rule 5: merge `later`, which ends without an alert, into `earlier`."""
        self._of_track = {t: earlier if p is later else p for t, p in self._of_track.items()}
        earlier.last_seen = max(earlier.last_seen, later.last_seen)
        earlier.slot.fused += later.slot.fused
        earlier.slot.recent[:] = later.slot.recent
        keep_two_best(earlier.slot.best_looks, later.slot.best_looks)
        keep_two_best(earlier.slot.volunteer_looks, later.slot.volunteer_looks)
        earlier.slot.appearance.rows[:] = later.slot.appearance.rows
        earlier.weight, earlier.templates = earlier.weight + later.weight, earlier.templates + later.templates
        earlier.damaged = earlier.damaged or later.damaged
        earlier.best_quality = max(earlier.best_quality, later.best_quality)
        if later.best_face is not None and earlier.is_better(later.shot_quality, later.best_damage):
            earlier.shot_quality, earlier.best_face = later.shot_quality, later.best_face
            earlier.best_frame_size, earlier.best_damage = later.best_frame_size, later.best_damage
            earlier.slot.shot[:] = later.slot.shot

    def ended(self, at: MediaNs) -> list[Passage]:
        """Passages that ended (rule 3); the caller counts them and calls `close`."""
        return [p for p in self._open if at - p.last_seen > GONE_S * NS_PER_S]

    def close(self, passage: Passage) -> bool:
        """Overwrite all that is personal in a passage and release its slot; whether all of it verifies as zero now."""
        passage.slot.wipe()
        passage.best_face = None
        self._open.remove(passage)
        if len(self._free) + len(self._open) < SLOTS:
            self._free.append(passage.slot)
        self._of_track = {t: p for t, p in self._of_track.items() if p is not passage}
        return not any(buffer.any() for buffer in passage.slot.buffers)

    def _begin(self, at: MediaNs, ousted: list[Passage]) -> Passage | None:
        """A new passage; when all slots are taken, in place of one that is out of view, which goes to `ousted`."""
        if not self._free:
            idle = [p for p in self._open if p.last_seen < at and p not in ousted]
            if not idle:
                return None
            ousted.append(min(idle, key=lambda p: (p.alerted_entry is not None, p.last_seen, p.quality)))
        self._made += 1
        passage = Passage(self._made, self._free.pop() if self._free else self._empty(), at, at)
        self._open.append(passage)
        return passage

    def _begin_for(self, at: MediaNs, track: Track) -> Passage:
        """Rule 1: the track is another person, and of no known passage: a new passage."""
        self._made += 1
        passage = Passage(self._made, self._free.pop() if self._free else self._empty(), at, at)
        self._open.append(passage)
        if self._shows_one(self._of_track[track.id]):
            passage.slot.appearance.take_over(self._of_track[track.id].slot.appearance)
        self._of_track[track.id] = passage
        return passage

    def _lookalike(self, own: Passage, template: F32, least: float) -> Passage | None:
        """Rule 2: another passage with this face, at least `least` like it, that is not surely in view elsewhere.

        A track that may have changed places does not count as a sure sight: after a swap both are unsure.
        """
        sure = self._surely_in_view()
        options = [p for p in self._open if p is not own and p.compared and id(p) not in sure]
        best = max(options, key=lambda p: p.likeness(template), default=None)
        return best if best is not None and best.likeness(template) >= max(SAME_PERSON, least) else None

    def in_view(self) -> set[int]:
        """Numbers of the passages that have a track in view."""
        return {self._of_track[track.id].id for track in self._in_view if track.id in self._of_track}

    def _surely_in_view(self) -> set[int]:
        """Passages (by identity) with a track in view that has no reason for doubt."""
        mapped = [t for t in self._in_view if t.id in self._of_track and not (t.doubtful or t.near)]
        return {id(self._of_track[t.id]) for t in mapped}

    def _move(self, track: Track, old: Passage, new: Passage, at: MediaNs) -> None:
        """Hand a track over; an old passage that was never compared has been nobody and vanishes.

        One that counts as a face seen, by a pair's screen alone, ends by rule 3 and is counted as discarded then.
        """
        if self._shows_one(old):
            new.slot.appearance.take_over(old.slot.appearance)
        self._of_track[track.id] = new
        new.last_seen = at
        if not old.counted and old not in self._of_track.values():
            new.first_seen = min(new.first_seen, old.first_seen)
            self.close(old)
