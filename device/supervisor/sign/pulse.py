"""The coded pulse: the sign blinks a random pattern, and the sensor must reproduce it.

1. A pulse is SLOTS slots of SLOT_S; DARK of them are dark, never two in a row, the last one never. The pattern is drawn
   anew for every pulse, so that no other blinking light can match it: 84 codes.
2. At most three flashes in any second, the general limit (WCAG 2.2, 2.3.1), also when a pulse is repeated. A dark slot
   is 50 ms, 150 ms in all every half minute: visible as a short blink to somebody who looks straight at the sign.
3. In each slot the sensor is read every STEP_S; from LAG_S after the edge on every reading must agree with the slot.
   A loop that comes late makes a slot longer; the criterion stays the same.
4. When the sign is switched off during a pulse, the pulse ends without another switching.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from device.domain.time import NS_PER_S
from device.ports.clock import Clock

SLOTS = 12
DARK = 3
SLOT_S = 0.05
LAG_S = 0.03  # a relay releases in 5 to 15 ms, an opto-coupled sensor follows within 1 ms (to be confirmed on a sign)
STEP_S = 0.01
PULSE_S = SLOTS * SLOT_S


@dataclass(frozen=True, slots=True)
class Answer:
    """The sensor's result for a pulse. lag_s: the longest time it took to follow an edge; None when it never did."""

    lit_in_dark: int
    dark_in_lit: int
    lag_s: float | None

    @property
    def followed(self) -> bool:
        return not self.lit_in_dark and not self.dark_in_lit

    @property
    def finding(self) -> str:
        """The result as text for maintenance."""
        if self.followed:
            return ""
        wrong = []
        if self.lit_in_dark:
            wrong.append(f"sensed lit in {self.lit_in_dark} of {DARK} dark slots")
        if self.dark_in_lit:
            wrong.append(f"sensed dark in {self.dark_in_lit} of {SLOTS - DARK} lit slots")
        return ", ".join(wrong)


def draw_code(source: Random) -> tuple[bool, ...]:
    """Which slots are lit (rule 1)."""
    places = sorted(source.sample(range(SLOTS - DARK), DARK))
    dark = {place + before for before, place in enumerate(places)}
    return tuple(slot not in dark for slot in range(SLOTS))


async def play(
    code: tuple[bool, ...],
    drive: Callable[[bool], None],
    read: Callable[[], bool],
    clock: Clock,
    wanted: Callable[[], bool],
) -> Answer | None:
    """Blink the code and read the sensor; None when the sign was switched off meanwhile (rule 4). Leaves the sign lit.

    drive, read  the two GPIO lines; their exceptions end the pulse
    """
    wrong = {True: 0, False: 0}
    before, lag_s, ever_followed = True, 0.0, False
    for lit in code:
        drive(lit)
        late_s = await _slot(lit, read, clock, wanted)
        if late_s is None:
            return None
        if late_s >= LAG_S:
            wrong[lit] += 1
        elif lit is not before:
            lag_s, ever_followed = max(lag_s, late_s), True
        before = lit
    return Answer(wrong[False], wrong[True], lag_s if ever_followed else None)


async def _slot(lit: bool, read: Callable[[], bool], clock: Clock, wanted: Callable[[], bool]) -> float | None:
    """One slot: how long after its edge the sensor last disagreed (rule 3), or None when the sign was switched off."""
    edge, late_s, since_s = clock.monotonic(), 0.0, 0.0
    while since_s < SLOT_S:
        await asyncio.sleep(min(STEP_S, SLOT_S - since_s))
        if not wanted():
            return None
        agrees = read() is lit
        since_s = (clock.monotonic() - edge) / NS_PER_S
        if not agrees:
            late_s = since_s
    return late_s
