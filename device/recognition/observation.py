"""Reports what the pipeline does to an `Observer`; made only where an observer was given, for measuring.

It runs in the thread of `Pipeline.process`. It may search the list once more for a look (the score of this template
alone), so a measured run is slower than one without.
"""

from __future__ import annotations

from collections.abc import Sequence

from device.domain.sight import F32, Face, Frame
from device.vision.decision import Best, Decision, Gallery
from device.vision.observer import Look, LookOutcome, NoLook, Observer, Weighed
from device.vision.passages import Passage
from device.vision.tracker import Sighting


class Observation:
    """Reports one pipeline to its observer."""

    def __init__(self, observer: Observer, gallery: Gallery, refs: Sequence[str]) -> None:
        """`refs`: the entries' references, in the gallery's order."""
        self._observer = observer
        self._gallery = gallery
        self._refs = tuple(refs)
        self._frame = -1

    def frame(
        self,
        frame: Frame,
        faces: Sequence[Face],
        whose: Sequence[tuple[Sighting, Passage | None]],
        min_face_px: float,
    ) -> None:
        """The faces of a frame and their tracks, before any is recognised."""
        self._frame = frame.index
        self._observer.detected(frame.index, faces)
        for sighting, passage in whose:
            track = sighting.track.id
            self._observer.followed(frame.index, track, passage.id if passage else None, sighting.face)
            if passage is None:
                self._observer.not_looked(frame.index, track, NoLook.NO_SLOT)
            elif sighting.height_px < min_face_px:
                self._observer.not_looked(frame.index, track, NoLook.SIZE)

    def passed_over(self, sighting: Sighting, why: NoLook) -> None:
        """The scheduler did not choose this face."""
        self._observer.not_looked(self._frame, sighting.track.id, why)

    def fruitless(self, outcome: LookOutcome, passage: Passage, sighting: Sighting) -> None:
        """A look that gave no template."""
        self._observer.looked(Look(self._frame, sighting.track.id, passage.id, outcome))

    def template(
        self, passage: Passage, sighting: Sighting, template: F32, settled: Passage | None, quality: float | None
    ) -> None:
        """A look with a template: the passage that it went to, and its score alone."""
        if settled is None and quality is None:
            outcome = LookOutcome.RAW_LENGTH
        elif settled is None:  # Passages.settle: too poor only beside a template that its passage has
            outcome = LookOutcome.TOO_POOR_FOR_DOUBT if passage.compared else LookOutcome.SEEN_TWICE
        else:
            outcome = LookOutcome.KEPT if settled is passage else LookOutcome.LEFT
        alone = self._gallery.nearest(template)
        self._observer.looked(
            Look(
                frame=self._frame,
                track=sighting.track.id,
                passage=passage.id,
                outcome=outcome,
                settled=None if settled is None else settled.id,
                quality=quality,
                entry=self._refs[alone.entry],
                score=alone.score,
            )
        )

    def weighed(self, passage: Passage, decision: Decision, stated: Best | None) -> None:
        """The decision about a passage at this moment."""
        best = decision.latest
        if best is not None:
            self._observer.weighed(
                Weighed(
                    frame=self._frame,
                    passage=passage.id,
                    entry=self._refs[best.entry],
                    score=best.score,
                    threshold=decision.threshold(best.entry),
                    stated=stated is not None,
                )
            )

    def joined(self, earlier: Passage, later: Passage) -> None:
        """`later` is merged into `earlier`."""
        self._observer.joined(self._frame, earlier.id, later.id)

    def ended(self, passage: Passage) -> None:
        """A passage is about to be wiped."""
        self._observer.ended(passage.id)
