"""How an alert names another one that cannot be right if it is."""

from __future__ import annotations

from typing import Literal

import msgspec


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """Another alert that cannot be right if this one is, and a sentence for the operator."""

    alert_id: str
    camera_id: str
    text: Literal["same_entry_on_two_people_at_once_at_most_one_can_be_right"] = (
        "same_entry_on_two_people_at_once_at_most_one_can_be_right"
    )
