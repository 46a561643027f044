"""Looks through a pair of recognisers: the screen first, the main one only where a match is possible.

1. A gated look whose screen template is under the gate with every entry gives no template: the face was compared, and
   the main recogniser is not run.
2. Every other look gives the pair's template (device.domain.recognisers, rule 1).
3. A mirrored look is, of each recogniser by itself, the mean of the face's template and its mirror image's. Photos are
   enrolled so, too, and the evidence counts these as mirrored looks.
4. Templates beside `out` are overwritten before the call returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from device.domain.recognisers import Recognisers
from device.domain.sight import F32
from engines.cards.model_card import ModelCard

NO_DIRECTION = 1e-3  # of the sum of two templates that point opposite ways

Embed = Callable[[ModelCard, F32], float]
"""Write the unit template that a recogniser makes of the face in hand, and return its raw length."""


class ScreenList(Protocol):
    """What the gate needs of the watchlist."""

    def screen_best(self, template: F32) -> float:
        """The best cosine of the screen's unit template with anybody listed."""
        ...


class ScreenLists:
    """Several lists behind one gate: a look passes where one of them leaves somebody possible."""

    def __init__(self, *lists: ScreenList) -> None:
        self._lists = lists

    def screen_best(self, template: F32) -> float:
        """See ScreenList.screen_best."""
        return max(one.screen_best(template) for one in self._lists)


class LookMaker:
    """One recogniser or a pair behind one call; one thread at a time owns it."""

    def __init__(self, recognisers: Recognisers, listed: ScreenList | None = None) -> None:
        """`listed` None: no gate, as for photos that are enrolled."""
        self._recognisers = recognisers
        self._listed = listed
        self._other: F32 = np.zeros(recognisers.length_of_template, np.float32)

    def look(self, embed: Embed, out: F32, *, gated: bool) -> float | None:
        """Write the unit template into `out` (template_dim,) float32 and return the main one's raw length.

        gated  rule 1 applies: None is returned and `out` is zero where the main recogniser is not run
        """
        chosen = self._recognisers
        if chosen.screen is None:
            return embed(chosen.main, out)
        main, screen = chosen.part(out, 0), chosen.part(out, 1)
        embed(chosen.screen, screen)
        if gated and self._listed is not None and self._listed.screen_best(screen) < chosen.fusion.gate:
            out[:] = 0
            return None
        length = embed(chosen.main, main)
        for part, scale in zip((main, screen), chosen.scales, strict=True):
            np.multiply(part, scale, out=part)
        return length

    def mirror(self, embed_mirrored: Embed, out: F32) -> None:
        """Turn `out`, a look's unit template, into that of the mirrored look (rule 3); opposite ones leave it alone.

        embed_mirrored  of the crop as a mirror shows it
        """
        chosen = self._recognisers
        try:
            for place, (one, scale) in enumerate(zip(chosen.cards, chosen.scales, strict=True)):
                part, other = chosen.part(out, place), chosen.part(self._other, place)
                embed_mirrored(one, other)
                np.multiply(other, scale, out=other)
                other += part
                norm = float(np.linalg.norm(other))
                if norm > NO_DIRECTION:
                    np.divide(other, norm / scale, out=part)
        finally:
            self._other[:] = 0
