"""What a row says when it holds for another reason than its own text: nothing that is not so is printed as if it were.

A recording outside operational mode needs no trusted clock, no sensor and no person; some signs cannot pulse.
"""

from __future__ import annotations

from device.supervisor.conditions.snapshot import Snapshot


def clock(s: Snapshot) -> str:
    """The clock rows."""
    return (
        "the clock is synchronised" if s.clock_synchronised else "not synchronised: a recording needs no trusted clock"
    )


def temperature(s: Snapshot) -> str:
    """The temperature row, with the sensor that is nearest to its limit."""
    slowed = "; it has slowed itself down" if s.thermal.throttled else ""
    if s.thermal.in_range is None:
        return f"{s.thermal.finding}: a recording needs none{slowed}"
    return f"the device is within its temperature range ({s.thermal.finding}){slowed}"


def hub(s: Snapshot) -> str:
    """The hub's row."""
    if s.operator == "simulated":
        return "the hub is connected and vouches for a simulated operator, which counts for recordings only"
    return "the hub is connected and an operator is at it"


def pulse(s: Snapshot) -> str:
    """The pulse's row."""
    if s.sign.pulses:
        return "the sign follows a coded pulse every 30 s"
    return "this kind of sign follows no pulse: it went dark and lit again within 10 min, and is only sensed lit since"
