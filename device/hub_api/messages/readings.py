"""Readings that several messages carry: a condition, the lamps, the sign, the clock, the engine."""

from __future__ import annotations

from typing import Literal

import msgspec

from device.hub_api.messages.base import Timestamp


class LiveViewReading(msgspec.Struct, frozen=True, kw_only=True):
    """The live view. allowed: by this device's configuration; until: while it is shown.

    given_by  in the status file alone: who may read the state need not know officers
    """

    allowed: bool
    until: Timestamp | None = None
    given_by: str | None = None


class ConditionReading(msgspec.Struct, frozen=True, kw_only=True):
    """One condition at this moment. `pending`: required and not known yet, so it does not hold."""

    name: str
    table: Literal["arm", "run"]
    result: Literal["holds", "fails", "pending"]
    text: str
    rule: str = ""


class LampReading(msgspec.Struct, frozen=True, kw_only=True):
    """The sign and the lamps as driven, the sign as sensed. tower: colour and code that the tower lamp shows."""

    sign_driven: bool
    sign_sensed: bool
    power: bool
    recognising: bool
    alert: bool
    fault: bool
    simulated: bool
    hub: bool = False
    tower: str = ""


class SignHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The sign's state: driven, sensed, whether it follows its coded pulse, and how fast."""

    driven: bool
    sensed: bool
    proved: bool
    follows: bool | None
    lag_ms: float | None
    pulses: bool = True
    """Whether this kind of sign can follow pulses; one that cannot is proved every ten minutes only."""
    problem: str = ""


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the wall clock could be trusted at that moment, and its offset from the reference if known."""

    synced: bool
    offset_ms: float | None = None


class SignReading(msgspec.Struct, frozen=True, kw_only=True):
    """The sensed (not the driven) sign at that moment: evidence that the public was informed."""

    state: Literal["lit", "dark", "simulated", "unknown"]
    sensed_at: Timestamp | None


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The recognising engine, to tie the score to an independent test of the same models."""

    backend: str
    detector: str
    recogniser: str
    detector_sha256: str
    recogniser_sha256: str
    engine_sha256: str | None = None
    trt: str | None = None
    policy_id: str | None = None
