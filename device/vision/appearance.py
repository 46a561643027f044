"""How a face looks, beside its template: a pattern of 8 x 8 and a colour, to notice that somebody else is there.

1. A face that looks different from a moment ago is in doubt: somebody may have stepped into another's place.
2. A face that looks as it did when a template was found to be its passage's own is that person still: a doubt that
   geometry raised (a crossing, a gap) is answered without a look.
3. Where the picture has no colour (infrared light, a monochrome camera), the pattern alone raises doubts and nothing
   answers them but a template.

Measured 2026-11-30: sightings 80 to 160 ms apart, and the same with another person's signature in place of their own;
the bench's clip, `hamilton` and `facenet_pytorch`, 946, 251 and 318 sightings:

    rule 1                               the same person        another
    pattern below .45, as before         7.5 / 4.0 / 7.9 %      82 / 64 / 63 %
    pattern below .60, colour 2 off      4.9 / 3.2 / 4.7 %      91 / 76 / 77 %
    or pattern below .10                 5.6 / 4.0 / 5.0 %      92 / 79 / 78 %
    pattern below .10 alone              2.2 / 2.0 / 2.2 %      32 / 28 / 26 %
    rule 2: pattern above .80, colour within 1.5
    of the last template                 42 / 69 / 43 %         3 of 147,800 / 0 of 7,534 / 32 of 8,362
    of one of the last three             56 / 71 / 47 %

(pairs of passages in the third clip, where most of the 32 are one person whom two passages have.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import hypot

import numpy as np

from device.domain.sight import F32, Frame
from device.vision.picture import appearance_signature

PATTERN = 64
LENGTH = PATTERN + 2
KEPT = 3  # signatures of templates that were the passage's own
DIFFERENT = 0.60  # correlation of two patterns below which a face of another colour is somebody else's, perhaps
OTHER_COLOUR = 2.0  # distance of two mean colours, in steps of Cb and Cr
UNLIKE = 0.10  # the same for a face of the same colour: coloured light makes all faces one colour
DIFFERENT_GREY = 0.45  # the same where there is no colour to compare
ALIKE = 0.80
SAME_COLOUR = 1.5
COLOURLESS = 4.0  # distance from grey below which a face has no colour; skin lies some 20 to 40 from it
_NEWEST, _USUAL, _SETTLED = 0, 1, 2


class Seen(Enum):
    """What a signature says beside the ones before it."""

    DIFFERENT = "different from a moment ago"
    SAME = "as at one of the last templates"
    NEITHER = "neither"


@dataclass(slots=True)
class Appearance:
    """The signatures of one passage.

    rows (2 + KEPT, LENGTH) float32: of the last sighting; the running mean; at the last templates, newest first. Each
         is a pattern, then mean Cb and Cr less 128 (picture.appearance_signature); blank until there is one
    """

    rows: F32 = field(default_factory=lambda: np.zeros((_SETTLED + KEPT, LENGTH), np.float32))

    def see(self, frame: Frame, box: F32) -> Seen:
        """Take in the face in `box` (left, top, right, bottom) of a frame, and compare it (rules 1 and 2)."""
        newest, usual = self.rows[_NEWEST], self.rows[_USUAL]
        appearance_signature(frame, box, newest)
        likeness = (self.rows[:, :PATTERN] @ newest[:PATTERN]).tolist()
        colours = self.rows[:, PATTERN:].tolist()
        if not usual.any():
            usual[:] = newest
            return Seen.NEITHER
        usual += newest  # the newest counts half
        usual[PATTERN:] /= 2
        usual[:PATTERN] /= max(float(usual[:PATTERN] @ usual[:PATTERN]) ** 0.5, 1e-6)
        return _compared(likeness, colours)

    def settle(self) -> None:
        """A template of the last sighting was the passage's own."""
        for n in range(len(self.rows) - 1, _SETTLED, -1):  # by rows: numpy keeps the content of small temporary arrays
            self.rows[n] = self.rows[n - 1]
        self.rows[_SETTLED] = self.rows[_NEWEST]

    def take_over(self, other: Appearance) -> None:
        """A track of another passage is this one's from now on: the face looks as it did there."""
        self.rows[_NEWEST] = self.rows[_USUAL] = other.rows[_NEWEST]


def _compared(likeness: list[float], colours: list[list[float]]) -> Seen:
    """Rules 1 to 3: the newest row's likeness to each row, and the colour of each."""
    now = colours[_NEWEST]
    grey = hypot(*now) < COLOURLESS
    off = [hypot(now[0] - colour[0], now[1] - colour[1]) for colour in colours]
    settled = range(_SETTLED, len(likeness))
    if not grey and any(likeness[n] > ALIKE and off[n] < SAME_COLOUR for n in settled):
        return Seen.SAME
    if grey and hypot(*colours[_USUAL]) < COLOURLESS:
        limit = DIFFERENT_GREY
    else:
        limit = DIFFERENT if off[_USUAL] >= OTHER_COLOUR else UNLIKE
    return Seen.DIFFERENT if likeness[_USUAL] < limit else Seen.NEITHER
