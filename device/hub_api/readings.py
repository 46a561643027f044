"""Readings that a device's own notices are made of: one condition, the lamps, the sign's loop."""

from __future__ import annotations

from typing import Literal

import msgspec


class ConditionReading(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the condition tables as it reads now. `pending`: required and not known yet, so it does not hold.

    `not_yet_required`: its substance comes later, and nothing depends on it.
    """

    name: str
    table: Literal["arm", "run"]
    result: Literal["holds", "fails", "pending", "not_yet_required"]
    text: str
    rule: str = ""


class LampReading(msgspec.Struct, frozen=True, kw_only=True):
    """The sign and the lamps as driven, the sign as sensed."""

    sign_driven: bool
    sign_sensed: bool
    power: bool
    recognising: bool
    alert: bool
    fault: bool
    simulated: bool


class SignHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The sign's loop: what is driven, what its sensor sees, whether it follows its coded pulse, and how fast."""

    driven: bool
    sensed: bool
    proved: bool
    follows: bool | None
    lag_ms: float | None
    pulses: bool = True
    """Whether this kind of sign can follow pulses; one that cannot is proved every ten minutes only."""
    problem: str = ""
