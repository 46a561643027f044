"""Rehearsal lists: consenting people, enrolled once, for several deployments of mode `test` and `demo`.

    rehearsals/<name>/rehearsal.json   owner, consent, end, models, deployments it was copied for; no person
    rehearsals/<name>/members.age      templates, and the face of one photo each, to the list's own key
    keys/rehearsal-<name>.txt          that key, until the end of the list

1. A list has at most UNOFFICIAL_MOST adults, an owner, a reference of their consent and an end at most DAYS_MOST
   ahead.
2. Each deployment gets a copy of its own, sealed to that deployment's keys: they die with it as those of every list.
   The copy is marked, in the document that officers sign and inside the sealed payload: an operational deployment with
   it is refused by the hub, by the device that reads the document and by the worker that opens the payload.
3. The key goes first; what is left after that cannot be opened (tools/hub/publishing/rehearsals.py ends a list).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from device.config.deployment import UNOFFICIAL_MOST, RehearsalReference
from device.domain.retention import CEILING_DAYS
from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData, RefusedByCondition, Unavailable, UsageError
from tools.hub.storage.deployment_keys import REHEARSAL, DeploymentKeys
from tools.hub.storage.files import write_file
from tools.hub.watchlist.build import MadeWith, Member
from tools.hub.watchlist.photos import open_at_hub, seal_for_hub

DAYS_MOST = CEILING_DAYS  # nothing else of a person is kept for longer either
FOLDER, DESCRIPTION, MEMBERS = "rehearsals", "rehearsal.json", "members.age"
RULE = "rehearsal list"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
OWNER = re.compile(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9-]{0,31}")


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """One list. owner: reference of who answers for it;  consent: of the forms;  copied_for: deployments."""

    name: str
    owner: str
    consent: str
    until: datetime
    people: int
    images: int
    recogniser_sha256: str
    detector_sha256: str
    copied_for: tuple[str, ...] = ()

    @property
    def reference(self) -> RehearsalReference:
        """What a deployment says of it."""
        return RehearsalReference(name=self.name, until=self.until)

    @property
    def made_with(self) -> MadeWith:
        return MadeWith(self.recogniser_sha256, self.detector_sha256)


class RehearsalLists:
    """The rehearsal lists of one hub."""

    def __init__(self, hub: Path) -> None:
        self._folder = hub / FOLDER
        self.keys = DeploymentKeys(hub, REHEARSAL)

    def names(self) -> tuple[str, ...]:
        """Every list of which something is here."""
        folders = (folder.name for folder in self._folder.iterdir()) if self._folder.is_dir() else ()
        return tuple(sorted({*folders, *self.keys.deployments()}))

    def get(self, name: str) -> Rehearsal:
        """UsageError names those that are here; BadData for a damaged one."""
        file = self._folder / name / DESCRIPTION
        if not NAME.fullmatch(name) or not file.exists():
            raise UsageError(f"no rehearsal list {name!r} at this hub; there: {', '.join(self.names()) or 'none'}")
        try:
            return msgspec.json.decode(file.read_bytes(), type=Rehearsal)
        except (OSError, msgspec.DecodeError) as fault:
            raise BadData(f"{file} is damaged ({fault}); forget the list and make it anew") from fault

    def keep(self, rehearsal: Rehearsal, members: Sequence[Member], now: WallTime) -> None:
        """Seal a new list (rule 1). UsageError or RefusedByCondition with what it lacks, before anything is written."""
        self.require_new(rehearsal.name)
        require_description(rehearsal, now)
        if not 0 < len(members) <= UNOFFICIAL_MOST:
            raise RefusedByCondition(RULE, f"{len(members)} people; a rehearsal list holds 1 to {UNOFFICIAL_MOST}")
        minors = [member.sealed.ref for member in members if member.sealed.under_18]
        if minors:
            raise RefusedByCondition(RULE, f"{', '.join(minors)}: under 18; a rehearsal list holds adults alone")
        recipient = self.keys.recipient_for(rehearsal.name, wall(rehearsal.until))
        folder = self._folder / rehearsal.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(folder / MEMBERS, seal_for_hub(msgspec.msgpack.encode(tuple(members)), recipient))
        write_file(folder / DESCRIPTION, msgspec.json.encode(rehearsal))

    def require_new(self, name: str) -> None:
        """UsageError for a name that no list can have, or one has."""
        if not NAME.fullmatch(name):
            raise UsageError(f"rehearsal list {name!r}: 1 to 31 small letters, digits or hyphens; no name of a person")
        if name in self.names():
            raise UsageError(f"rehearsal list {name} is there; `lfr watchlist forget {name}` deletes it")

    def copy_for(self, name: str, deployment_id: str, now: WallTime) -> tuple[Rehearsal, tuple[Member, ...]]:
        """A list and its members, for one deployment more, which is noted first. RefusedByCondition past its end."""
        rehearsal = self.get(name)
        secret = self.keys.secret(name)
        if wall(rehearsal.until) <= now or secret is None:
            raise RefusedByCondition(RULE, f"{name} ended at {rfc3339(wall(rehearsal.until))}; make a new one")
        if deployment_id not in rehearsal.copied_for:
            rehearsal = msgspec.structs.replace(rehearsal, copied_for=(*rehearsal.copied_for, deployment_id))
            write_file(self._folder / name / DESCRIPTION, msgspec.json.encode(rehearsal))
        return rehearsal, self._members(name, secret)

    def labels(self, name: str) -> dict[str, str]:
        """Label of everybody on a list by reference, for a person's request; nobody once its key is gone."""
        secret = self.keys.secret(name)
        members = () if secret is None else self._members(name, secret)
        return {member.sealed.ref: member.on_page.label or member.sealed.ref for member in members}

    def _members(self, name: str, secret: str) -> tuple[Member, ...]:
        plain = open_at_hub((self._folder / name / MEMBERS).read_bytes(), secret, f"rehearsal list {name}")
        try:
            return msgspec.msgpack.decode(plain, type=tuple[Member, ...])
        except msgspec.DecodeError as fault:
            raise BadData(f"rehearsal list {name} is of another version ({fault}); make it anew") from fault

    def require_kept(self, reference: RehearsalReference | None, now: WallTime) -> None:
        """RefusedByCondition for a copy of a list that is not at this hub any more, or is past its end."""
        if reference is None:
            return
        try:
            kept = self.get(reference.name)
        except (UsageError, BadData):
            kept = None
        gone = kept is None or self.keys.secret(reference.name) is None or wall(kept.until) <= now
        if kept is None or gone or wall(kept.until) != wall(reference.until):
            raise RefusedByCondition(
                RULE, f"it is a copy of rehearsal list {reference.name}, which this hub has not, or not any more"
            )

    def over(self, now: WallTime) -> tuple[str, ...]:
        """Lists past their end, and those whose beginning or end was interrupted."""
        return tuple(name for name in self.names() if self._is_over(name, now))

    def _is_over(self, name: str, now: WallTime) -> bool:
        if self.keys.secret(name) is None:
            return True
        try:
            return wall(self.get(name).until) <= now
        except (UsageError, BadData):
            return True

    def delete(self, name: str) -> None:
        """Delete what is left of a list; Unavailable when something of it is still there."""
        folder = self._folder / name
        self.keys.drop(name)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise Unavailable(f"{folder} is still there; it cannot be opened any more; delete it by hand")


def require_description(rehearsal: Rehearsal, now: WallTime) -> None:
    """UsageError or RefusedByCondition for an owner, a consent or an end that a list cannot have (rule 1)."""
    if not OWNER.fullmatch(rehearsal.owner):
        raise UsageError(
            f"owner {rehearsal.owner!r}: a reference of letters, digits and hyphens, with a digit; no name"
        )
    if not rehearsal.consent.strip():
        raise UsageError("give the reference of the people's written consent")
    latest = now + timedelta(days=DAYS_MOST)
    if not now < wall(rehearsal.until) <= latest:
        raise RefusedByCondition(
            RULE, f"its end must be ahead, and at most {DAYS_MOST} days: no later than {rfc3339(wall(latest))}"
        )
