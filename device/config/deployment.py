"""The deployment: who allowed what, where, when, against which list. The struct of deployment.yaml.

Unsigned for now: the arm condition `deployment signed` shows `not yet required`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from device.config.document import load
from device.config.model import Name, Recipient, Section, WholeNumber, matching
from device.domain.finding import Mode
from device.domain.time import WallTime, wall

CEILING_DAYS = 31  # R09: "biometric data and CCTV will only be retained for up to 31 days"
LARGEST_WATCHLIST = 100_000  # exact search stays in budget up to here
FILE = "deployment.yaml"
WATCHLIST_FILE = "watchlist.age"
IDENTITY_FILE = "identity.txt"

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Language = Annotated[str, matching(r"[a-z]{2}", "a two-letter language code")]


class Window(Section):
    """When recognition is authorised; both ends with their time zone."""

    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.end <= self.start:
            raise ValueError("end must be later than start")
        return self

    def holds(self, moment: WallTime) -> bool:
        return wall(self.start) <= moment < wall(self.end)


class Category(Section):
    """Why people of this category are sought decides how officers respond (R18, R19)."""

    response_code: Annotated[str, matching(r"[A-Za-z0-9-]{1,16}", "1 to 16 letters, digits or hyphens")]


class WatchlistReference(Section):
    """Which sealed watchlist belongs to this deployment, and no other (R01)."""

    id: Name
    sha256: Annotated[str, matching(r"[0-9a-f]{64}", "a SHA-256 in 64 lower-case hexadecimal digits")]
    subjects: Annotated[WholeNumber, Field(ge=0, le=LARGEST_WATCHLIST)]
    images: Annotated[WholeNumber, Field(ge=0)]


class Retention(Section):
    """How long an alert record is kept after the end (R06 to R09); a false alert goes at once, whatever this says."""

    alert_hours: Annotated[WholeNumber, Field(ge=0, le=CEILING_DAYS * 24)] = 24
    ceiling_days: Annotated[WholeNumber, Field(ge=1, le=CEILING_DAYS)] = CEILING_DAYS

    @model_validator(mode="after")
    def _under_the_ceiling(self) -> Retention:
        if self.alert_hours > self.ceiling_days * 24:
            raise ValueError(f"alert_hours must not exceed ceiling_days ({self.ceiling_days} days)")
        return self

    @property
    def after_end(self) -> timedelta:
        return timedelta(hours=self.alert_hours)


class Deployment(Section):
    """One authorised use at one place and time. The controller answers for it; the kit's owner may differ (R27)."""

    id: Name
    mode: Mode
    controller: Text
    owner: Text
    authorising_officer: Text
    purpose: Text
    legal_basis: Text
    place: Text
    window: Window
    devices: Annotated[tuple[Name, ...], Field(min_length=1)]
    categories: Annotated[dict[Name, Category], Field(min_length=1)]
    max_watchlist_size: Annotated[WholeNumber, Field(ge=1, le=LARGEST_WATCHLIST)]
    watchlist: WatchlistReference
    retention: Retention = Retention()
    hub_recipient: Recipient
    notice: Annotated[
        dict[Annotated[str, matching(r"[a-z]{2}", "a two-letter language code")], Text], Field(min_length=1)
    ]


def load_deployment(folder: Path) -> Deployment:
    """Read a deployment folder's deployment.yaml; ConfigError with every problem at once."""
    return load(folder / FILE, Deployment)
