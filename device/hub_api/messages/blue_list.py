"""The blue list: consenting volunteers who are recognised, and passes that are logged. Neither is an alert."""

from __future__ import annotations

from typing import ClassVar, Literal

from device.hub_api.messages.base import Cosine, Message, Timestamp


class VolunteerSeen(Message, frozen=True, kw_only=True):
    """A volunteer was recognised: nobody is to be stopped, nothing is to be judged. No picture exists of it.

    entry_ref  opaque reference on the blue list;  threshold  the watchlist's
    """

    TYPE: ClassVar[str] = "uk.lfr.volunteer-seen.v1"
    kind: Literal["blue"] = "blue"
    deployment_id: str
    camera_id: str
    entry_ref: str
    score: Cosine
    threshold: Cosine
    at: Timestamp


class VolunteerPass(Message, frozen=True, kw_only=True):
    """Somebody logged with a button that a volunteer passes now; which one is not known."""

    TYPE: ClassVar[str] = "uk.lfr.volunteer-pass.v1"
    kind: Literal["blue"] = "blue"
    deployment_id: str
    at: Timestamp
