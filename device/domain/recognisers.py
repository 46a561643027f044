"""Recognisers that make a template: one, or a pair with one score.

1. A pair's template is both templates one after the other, the main one times sqrt(weight), the screen's times
   sqrt(1 - weight). It has length 1, and its dot product with another is weight * main cosine + (1 - weight) * screen
   cosine: lists, means over photos or looks, and the search work on it unchanged.
2. `source_sha256` identifies what makes templates: of one recogniser its weights, of a pair both and their weight. A
   list, evidence or cache of another pair, of one of the two alone, or of another weight is of another model.
3. The screen runs first. Where the best cosine of its own template with any entry is under `gate`, the main one is not
   run, and the look is no possible match. The gate is part of the evidence's `found`, not of a template.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from device.domain.sight import F32
from engines.cards.model_card import Lengths, ModelCard


@dataclass(frozen=True, slots=True)
class Fusion:
    """How two recognisers make one score (rule 1) and when the main one looks (rule 3)."""

    main_weight: float
    gate: float


FUSION = Fusion(main_weight=0.65, gate=0.45)
"""Measured 2026-11-30, SFace and face-reidentification-retail-0095 on 4,513 people, 1,822 listed: 92.4 % found at FPIR
0.1 % where SFace alone finds 87.3; the gate lets 7 % of strangers through and costs .2 points."""


@dataclass(frozen=True, slots=True)
class Recognisers:
    """One recogniser (`screen` None) or a pair; has what a ModelCard has of its templates.

    Both of a pair compute in one runtime and precision.
    """

    main: ModelCard
    screen: ModelCard | None = None
    fusion: Fusion = FUSION

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The main one first."""
        return (self.main,) if self.screen is None else (self.main, self.screen)

    @property
    def name(self) -> str:
        """The name in evidence and messages: both names of a pair."""
        return "+".join(one.name for one in self.cards)

    @property
    def source_sha256(self) -> str:
        """The identity of the weights (rule 2)."""
        if self.screen is None:
            return self.main.source_sha256
        parts = f"{self.main.source_sha256} {self.screen.source_sha256} {self.fusion.main_weight:.4f}"
        return hashlib.sha256(parts.encode()).hexdigest()

    @property
    def length_of_template(self) -> int:
        """Numbers of a template, of a pair of both."""
        return sum(one.length_of_template for one in self.cards)

    @property
    def screen_dim(self) -> int:
        """Numbers of the screen's part, at the end; 0 without one."""
        return 0 if self.screen is None else self.screen.length_of_template

    @property
    def lengths(self) -> Lengths | None:
        """The main recogniser's calibration of raw length."""
        return self.main.lengths

    @property
    def scales(self) -> tuple[float, ...]:
        """The factor of each recogniser's unit template (rule 1)."""
        if self.screen is None:
            return (1.0,)
        return math.sqrt(self.fusion.main_weight), math.sqrt(1.0 - self.fusion.main_weight)

    def part(self, template: F32, place: int) -> F32:
        """A view of one recogniser's numbers in the last dimension of templates: 0 the main one, 1 the screen."""
        start = sum(one.length_of_template for one in self.cards[:place])
        return template[..., start : start + self.cards[place].length_of_template]
