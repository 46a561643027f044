"""Passages with shorthands, for tests of identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from device.domain.sight import F32
from device.domain.time import MediaNs
from device.vision.passages import TELLING, Passage, Passages
from device.vision.tracker import Sighting, Track

Person = Callable[..., F32]
MakeTrack = Callable[..., Track]
Seconds = Callable[[float], MediaNs]
GOOD, POOR = 1.14, -0.3  # merit (quality.template_quality)


class Scene:
    """Passages with shorthands: sightings of tracks, templates of scripted people."""

    def __init__(self, person: Person, track_at: MakeTrack, at: Seconds, telling: float = TELLING) -> None:
        self.passages = Passages(128, telling=telling, listed=3, volunteers=2)
        self._person, self._track_at, self._at = person, track_at, at
        self._tracks: dict[int, Track] = {}

    def track(self, number: int) -> Track:
        if number not in self._tracks:
            self._tracks[number] = self._track_at(number)
        return self._tracks[number]

    def see(self, seconds: float, *tracks: int, lost: Iterable[int] = ()) -> None:
        sightings = [Sighting(self.track(n), self.track(n).face, False) for n in tracks]
        for ousted in self.passages.follow(self._at(seconds), sightings, [self.track(n) for n in lost]):
            self.passages.close(ousted)

    def look(self, seconds: float, track: int, template: F32 | int, quality: float = GOOD) -> Passage | None:
        shown = self._person(template) if isinstance(template, int) else template
        passage = self.passages.settle(self._at(seconds), self.track(track), shown, quality)
        if passage is not None:
            passage.best_quality = max(passage.best_quality, quality)
        return passage

    def end(self, seconds: float) -> list[int]:
        """Close what is gone; their numbers."""
        ended = self.passages.ended(self._at(seconds))
        for passage in ended:
            self.passages.close(passage)
        return [passage.id for passage in ended]

    @property
    def open(self) -> list[int]:
        return [passage.id for passage in self.passages.open]
