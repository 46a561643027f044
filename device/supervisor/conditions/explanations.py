"""Texts of conditions that hold for another reason than their own text states.

A recording outside operational mode needs no trusted clock, no temperature sensor and no real operator; some signs
cannot pulse. The text of the condition then states that instead of the rule.
"""

from __future__ import annotations

from device.supervisor.conditions.snapshot import Snapshot


def clock(s: Snapshot) -> str:
    """Of *clock synchronised* and *clock trusted*."""
    return (
        "the clock is synchronised" if s.clock_synchronised else "not synchronised: a recording needs no trusted clock"
    )


def temperature(s: Snapshot) -> str:
    """Of *temperature*, with the sensor that is nearest to its limit."""
    slowed = "; it has reduced its clock" if s.thermal.throttled else ""
    if s.thermal.in_range is None:
        return f"{s.thermal.finding}: a recording needs none{slowed}"
    return f"the device is within its temperature range ({s.thermal.finding}){slowed}"


def hub(s: Snapshot) -> str:
    """Of *hub and operator present*."""
    if s.operator == "simulated":
        return "the hub is connected and reports a simulated operator, which counts for recordings only"
    return "the hub is connected and an operator is present"


def pulse(s: Snapshot) -> str:
    """Of *sign follows its pulse*."""
    if s.sign.pulses:
        return "the sign follows a coded pulse every 30 s"
    return "this kind of sign follows no pulse: it went dark and lit again within 10 min, and is only sensed lit since"
