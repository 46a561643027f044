"""The deployment: who allowed what, where, when, against which list. The struct of deployment.yaml.

1. `DeploymentPlan` is what an officer decides before a list exists; `Deployment` adds the list. Officers sign the bytes
   of a `Deployment` (tools/hub/publishing/README.md), and a device that received one reads it with `parse_signed`.
2. What a signed document must contain beyond its shape (zones, the list's payload, times and recognisers, the public
   notice in both languages) may be missing in a draft; `unsignable` names what is missing, and a device rejects it.
3. `seriousness`, `authorising_rank`, `regulator_reference` and `alternative_route` may be missing: deployments that
   were signed before these fields existed still load. An older device refuses one that has them: an unknown key. The
   same holds for `watchlist.rehearsal`.
4. The blue list (consenting volunteers) is no part of the watchlist: it counts in no size and moves no threshold.
5. A category may only be stricter than the operating point: an offset is added to the threshold and never negative.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from device.config.document import parse
from device.config.model import Name, Number, Recipient, Section, WholeNumber, matching
from device.config.publication import (
    VOLUNTEER_MAX_BYTES,
    VOLUNTEERS_MOST,
    PayloadTarget,
    VolunteerRef,
    VolunteerTarget,
    stem,
)
from device.domain.finding import Mode
from device.domain.retention import CEILING_DAYS
from device.domain.time import WallTime, wall
from device.errors import BadData, ConfigError

LARGEST_WATCHLIST = 100_000  # exact search stays in budget up to here
LARGEST_OFFSET = 0.3  # of a category's threshold; with more than this nobody's own photos would match
PUBLIC_LANGUAGES = ("en", "cy")  # R41: Welsh and English public text
UNOFFICIAL_MOST = 10  # subjects on a list of a demonstration or a test (DESIGN, section 4)

YEARS = range(2000, 2200)  # a time near the ends of the calendar cannot be turned into UTC, or have hours added


def _in_years(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"must be a time in the years {YEARS[0]} to {YEARS[-1]}")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_years)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Language = Annotated[str, matching(r"[a-z]{2}", "a two-letter language code")]
RehearsalName = Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,30}", "1 to 31 small letters, digits or hyphens")]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "a SHA-256 in 64 lower-case hexadecimal digits")]


class Window(Section):
    """When recognition is authorised; both ends with their time zone."""

    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.end <= self.start:
            raise ValueError("end must be later than start")
        return self

    def holds(self, moment: WallTime) -> bool:
        return wall(self.start) <= moment < wall(self.end)


class Category(Section):
    """Why people of this category are sought decides how officers respond (R18, R19).

    threshold_offset  added to the operating point's threshold for entries of this category (rule 5)
    """

    response_code: Annotated[str, matching(r"[A-Za-z0-9-]{1,16}", "1 to 16 letters, digits or hyphens")]
    threshold_offset: Annotated[Number, Field(ge=0, le=LARGEST_OFFSET)] = 0.0


class RehearsalReference(Section):
    """The kept list of consenting people that a test's or demonstration's list was made from, and its last moment."""

    name: RehearsalName
    until: Moment


class WatchlistReference(Section):
    """Which sealed watchlist belongs to this deployment, and no other (R01).

    sha256       of the ciphertext that devices download
    payload      its target's name
    recognisers  SHA-256 of every recogniser that the list holds templates for
    rehearsal    absent but for a copy of a list that may be used again; never in operational mode
    """

    id: Name
    sha256: Sha256
    subjects: Annotated[WholeNumber, Field(ge=0, le=LARGEST_WATCHLIST)]
    images: Annotated[WholeNumber, Field(ge=0)]
    payload: PayloadTarget | None = None
    created_at: Moment | None = None
    expires: Moment | None = None
    recognisers: tuple[Sha256, ...] = ()
    rehearsal: RehearsalReference | None = None

    @model_validator(mode="after")
    def _in_order(self) -> WatchlistReference:
        if self.created_at is not None and self.expires is not None and self.expires <= self.created_at:
            raise ValueError("expires must be later than created_at")
        return self


class Volunteer(Section):
    """One consenting volunteer: an opaque reference, the end of the consent, and the target with the templates."""

    ref: VolunteerRef
    consent_until: Moment
    target: VolunteerTarget
    sha256: Sha256
    bytes: Annotated[WholeNumber, Field(ge=1, le=VOLUNTEER_MAX_BYTES)]


class BlueListReference(Section):
    """The blue list of this deployment, to measure recognition in the field (rule 4). Each volunteer is a target."""

    id: Name
    recogniser: Sha256
    volunteers: Annotated[tuple[Volunteer, ...], Field(min_length=1, max_length=VOLUNTEERS_MOST)]

    @model_validator(mode="after")
    def _each_once(self) -> BlueListReference:
        refs = [volunteer.ref for volunteer in self.volunteers]
        if len(set(refs)) != len(refs):
            raise ValueError("a volunteer is named twice")
        return self


class Retention(Section):
    """How long an alert record is kept after the end (R06 to R09); a false alert is erased at once in any case."""

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


class DeploymentPlan(Section):
    """One authorised use at one place and time. The equipment's owner may differ from the controller (R27).

    seriousness          the least harm or offence that the use is for, such as a maximum sentence of three years
    authorising_rank     rank or grade of the authorising officer
    regulator_reference  of a regulator's authorisation, where the law asks for one
    alternative_route    by language: how people pass without being recognised
    """

    id: Name
    mode: Mode
    controller: Text
    owner: Text
    authorising_officer: Text
    authorising_rank: Label | None = None
    regulator_reference: Label | None = None
    seriousness: Text | None = None
    purpose: Text
    legal_basis: Text
    place: Text
    alternative_route: Annotated[dict[Language, Text], Field(min_length=1)] | None = None
    zones: tuple[Name, ...] = ()
    window: Window
    devices: Annotated[tuple[Name, ...], Field(min_length=1)]
    categories: Annotated[dict[Name, Category], Field(min_length=1)]
    max_watchlist_size: Annotated[WholeNumber, Field(ge=1, le=LARGEST_WATCHLIST)]
    retention: Retention = Retention()
    hub_recipient: Recipient
    notice: Annotated[dict[Language, Text], Field(min_length=1)]


class Deployment(DeploymentPlan):
    """A plan with its watchlist: what officers sign."""

    watchlist: WatchlistReference
    blue_list: BlueListReference | None = None

    def unsignable(self) -> tuple[str, ...]:
        """What this deployment lacks before it may be signed; empty when it may be signed (rule 2)."""
        problems = list(plan_problems(self))
        listed = self.watchlist
        for name in ("payload", "created_at", "expires", "recognisers"):
            if not getattr(listed, name):
                problems.append(f"watchlist.{name}: missing; `lfr watchlist build` writes it")
        if listed.subjects > self.max_watchlist_size:
            problems.append(
                f"watchlist.subjects: {listed.subjects} is over max_watchlist_size {self.max_watchlist_size}"
            )
        problems += rehearsal_problems(self, listed.rehearsal)
        volunteers = () if self.blue_list is None else self.blue_list.volunteers
        if self.mode is not Mode.OPERATIONAL and len(volunteers) > UNOFFICIAL_MOST:
            problems.append(
                f"blue_list: {len(volunteers)} volunteers; a {self.mode.value} list holds {UNOFFICIAL_MOST}"
            )
        if any(stem(volunteer.target) != stem(listed.payload or "") for volunteer in volunteers):
            problems.append("blue_list.volunteers: their targets and the watchlist's must have the same digits")
        return tuple(problems)


def plan_problems(plan: DeploymentPlan) -> tuple[str, ...]:
    """What a plan must contain before it may be signed, beyond the bounds in its types."""
    problems = [] if plan.zones else ["zones: missing; name every zone of recognition in which people are searched"]
    problems += [
        f"notice.{code}: missing; the public reads it in both languages"
        for code in PUBLIC_LANGUAGES
        if code not in plan.notice
    ]
    if plan.alternative_route is not None and "en" not in plan.alternative_route:
        problems.append("alternative_route.en: missing; every other language falls back to it")
    if plan.mode is not Mode.OPERATIONAL and plan.max_watchlist_size > UNOFFICIAL_MOST:
        problems.append(
            f"max_watchlist_size: {plan.max_watchlist_size}; a {plan.mode.value} list holds at most {UNOFFICIAL_MOST}"
            " consenting people"
        )
    twice = {name for name in plan.devices if plan.devices.count(name) > 1}
    problems += [f"devices: {name} is named twice" for name in sorted(twice)]
    return tuple(problems)


def rehearsal_problems(plan: DeploymentPlan, rehearsal: RehearsalReference | None) -> list[str]:
    """Why a copy of a rehearsal list may not be used for this plan; none without one."""
    if rehearsal is None:
        return []
    if plan.mode is Mode.OPERATIONAL:
        return [f"watchlist.rehearsal: {rehearsal.name} is a rehearsal list; an operational deployment takes none"]
    if wall(plan.window.end) > wall(rehearsal.until):
        until = rehearsal.until.isoformat()
        return [f"window.end: later than the end of rehearsal list {rehearsal.name}, {until}"]
    return []


def parse_signed(content: bytes, place: str) -> Deployment:
    """Parse the bytes that officers signed; BadData with every problem, missing fields included."""
    try:
        deployment = parse(content.decode("utf-8"), Deployment, place)
    except UnicodeDecodeError as fault:
        raise BadData(f"{place}: not UTF-8 text") from fault
    except ConfigError as fault:
        raise BadData(str(fault)) from fault
    problems = deployment.unsignable()
    if problems:
        raise BadData("\n".join((f"{place}: {len(problems)} error(s)", *(f"  {p}" for p in problems))))
    return deployment
