"""From evidence about strangers to a threshold for one list: the mathematics, without files and without numpy.

1. What is known of strangers is a tail: `rate` is the share of comparisons of two strangers that score above `start`;
   above it scores follow a generalised Pareto distribution with `shape` and `scale` (Pickands 1975). A list of N people
   is N such comparisons: the false alert rate is 1 - (1 - p)^N. Comparisons of one passer-by are alike, which makes the
   true rate no larger than that (Jensen), and never smaller than that of a shorter list.
2. Several photos of one entry, and several looks at one passer-by, are combined by the decision rule, which brings
   everybody closer to everybody. `shift[k - 1]` is by how much scores grow with k photos an entry and a passage of
   several looks: a score t of theirs is as rare as t - shift of one photo against one look. (A difference, not a
   factor: measured 2026-11-30 on 622 people with three photos, for one photo and three looks it is .013 to .017 from 1
   comparison in 100 to 1 in 20,000, of the running mean .024 to .025, while the factor falls from 1.08 to 1.056.)
3. `replicates` are the same numbers from resampled people. The bound of a rate is their `confidence` quantile, and the
   threshold is the smallest at which that *bound* meets the limit, not the estimate: a limit that is met only on
   average is missed every second time.
4. A list shorter than `smallest_list` gets the threshold of `smallest_list`; a longer one than `largest_list`, an
   entry with more photos than were tested, or a threshold outside `band`, is outside the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT = 0.001
"""False alerts a face that a device may predict at most: 1 in 1,000 (ceiling of the forces' operating procedures)."""
MIN_FACE_PX = 32.0
"""Smallest face height in pixels that is enrolled, and by default the smallest that is recognised (the true positive
rate at 64, 48 and 32 px was 88, 79 and 55 %: LFW, 1,822 listed, threshold .516)."""
_STEPS = 30  # halvings: 1 / 2^30 is far below any cosine that matters
_SPLIT_EVEN = 1e-9  # a shape nearer to 0 than this is the exponential


@dataclass(frozen=True, slots=True)
class Tail:
    """Strangers' scores above `start` (rules 1 and 2)."""

    start: float
    rate: float
    shape: float
    scale: float
    shift: tuple[float, ...]

    def above(self, threshold: float, photos: int = 1, *, plain: bool = False) -> float:
        """Share of strangers' comparisons above `threshold`; below the start of the tail, 1.

        plain  one photo against one photo, nothing fused
        """
        score = threshold - (0.0 if plain else self.shift[photos - 1])
        if score < self.start:
            return 1.0
        over = (score - self.start) / self.scale
        if abs(self.shape) < _SPLIT_EVEN:
            return self.rate * math.exp(-over)
        inside = 1.0 + self.shape * over
        return self.rate * math.exp(-math.log(inside) / self.shape) if inside > 0.0 else 0.0

    def false_alerts(self, threshold: float, listed: Sequence[float], *, plain: bool = False) -> float:
        """Chance that a stranger is over `threshold` for at least one of `listed[k - 1]` people with k photos each."""
        spared = 0.0
        for photos, people in enumerate(listed, 1):
            chance = self.above(threshold, photos, plain=plain) if people else 0.0
            if chance >= 1.0:
                return 1.0
            spared += people * math.log1p(-chance)
        return -math.expm1(spared)


@dataclass(frozen=True, slots=True)
class Prediction:
    """False alerts a face: the estimate, and the bound that the limit is held against."""

    rate: float
    bound: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Operating points of one recogniser at one precision, as the device needs them of an artefact.

    name        the name in the threshold's source
    band        lowest and highest threshold that was tested
    """

    name: str
    tail: Tail
    replicates: tuple[Tail, ...]
    confidence: float
    smallest_list: int
    largest_list: int
    band: tuple[float, float]

    @property
    def most_photos(self) -> int:
        return len(self.tail.shift)

    def predict(self, threshold: float, listed: Sequence[float]) -> Prediction:
        """What `threshold` means for `listed[k - 1]` people with k photos each."""
        rates = sorted(tail.false_alerts(threshold, listed) for tail in self.replicates)
        estimate = self.tail.false_alerts(threshold, listed)
        return Prediction(estimate, max(estimate, _quantile(rates, self.confidence)))

    def threshold_for(self, listed: Sequence[float], limit: float = LIMIT) -> float:
        """The smallest threshold in the band whose bound meets `limit` (rules 3 and 4); the band's end if none does."""
        padded = self.padded(listed)
        low, high = self.band
        if self.predict(low, padded).bound <= limit:
            return low
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self.predict(middle, padded).bound <= limit:
                high = middle
            else:
                low = middle
        return high

    def padded(self, listed: Sequence[float]) -> tuple[float, ...]:
        """A list at least `smallest_list` long, with the same share of entries with many photos (rule 4)."""
        people = sum(listed)
        grow = max(1.0, self.smallest_list / people) if people else 1.0
        return tuple(count * grow for count in listed)

    def objection(self, threshold: float, listed: Sequence[float], limit: float = LIMIT) -> str:
        """Why this list at this threshold lies outside the evidence; empty when it does not."""
        people = round(sum(listed))
        if people > self.largest_list:
            return f"{people} people are listed and the evidence ends at {self.largest_list}"
        low, high = self.band
        if not low <= threshold <= high:
            return f"threshold {threshold:.3f} lies outside the tested band {low:.3f} to {high:.3f}"
        bound = self.predict(threshold, listed).bound
        if bound > limit:
            return (
                f"at threshold {threshold:.3f} up to {per_thousand(bound)} false alerts in 1,000 faces are predicted, "
                f"the limit is {per_thousand(limit)}"
            )
        return ""


def counted(photos: Sequence[int], most: int) -> tuple[tuple[float, ...], int]:
    """People by their number of photos, 1 to `most`, and how many have more than that; those count as having `most`."""
    counts = [0.0] * most
    for each in photos:
        counts[min(max(each, 1), most) - 1] += 1
    return tuple(counts), sum(each > most for each in photos)


def per_thousand(rate: float) -> str:
    """A rate as false alerts in 1,000 faces, two figures: 0.38, 1.0, 12."""
    value = rate * 1000
    if value >= 10:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.1f}"
    return f"{value:.2g}"


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the ordered values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
