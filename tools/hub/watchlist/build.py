"""`lfr watchlist build`: from people to two sealed payloads and a reference that a deployment can name.

    payload.age      templates, to a content identity made here: for devices, which get its key in an envelope
    photos.age       one photo an entry and what the operator reads, to the hub
    content.age      the content identity, to the hub, which keeps it until the end
    watchlist.yaml   the reference; no person in it

1. Nothing leaves this function in the clear: neither payload can be opened where it was built.
2. Every problem and every rejected photo is reported, whatever comes of the list.
3. An entry all of whose photos were rejected is a problem: a list must not be smaller than its makers think.
"""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from device.config.deployment import DeploymentPlan, RehearsalReference, WatchlistReference
from device.config.document import load
from device.config.model import Recipient, Section
from device.domain.sight import F32, U8
from device.domain.time import WallTime, wall
from device.enrolment.folder import (
    Entry,
    Remark,
    Remarks,
    SubjectPhoto,
    enrol_photos,
    stacked,
    warn_of_likeness,
)
from device.enrolment.photo_reader import PhotoFace, PhotoReader
from device.enrolment.rules import Demands
from device.errors import BadData, ConfigError, RefusedByCondition, Unavailable
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist, seal, sha256_of
from tools.hub.storage.files import cannot_write, write_file
from tools.hub.watchlist import photos as hub_photos
from tools.hub.watchlist.people import People, Person, Photo

PAYLOAD, PHOTOS, CONTENT, REFERENCE = "payload.age", "photos.age", "content.age", "watchlist.yaml"


class BuiltList(Section):
    """The content of watchlist.yaml."""

    deployment_id: str
    categories: dict[str, int]
    watchlist: WatchlistReference
    content_recipient: Recipient | None = None
    """Public half of the content identity: the blue list is sealed to it."""


@dataclass(slots=True)
class Report:
    """What a build found; `entries` tells which reference each photo went under, for whoever brought the photos."""

    subjects: int = 0
    images: int = 0
    problems: list[str] = field(default_factory=list)
    rejected: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    entries: dict[str, list[str]] = field(default_factory=dict)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, enrolled: its templates for devices, and what only the hub holds of it.

    on_page.response_code  empty: the plan's category states it
    """

    sealed: SealedEntry
    on_page: hub_photos.HubEntry


@dataclass(frozen=True, slots=True)
class MadeWith:
    """Hashes of what templates are made with; detector: empty when it is not stated."""

    recogniser_sha256: str
    detector_sha256: str = ""


def build(
    people: People,
    plan: DeploymentPlan,
    readers: Sequence[PhotoReader],
    recogniser_sha256: str,
    now: WallTime,
    *,
    detector_sha256: str = "",
    progress: bool = True,
) -> tuple[Report, dict[str, bytes] | None]:
    """The report, and the files of a list; None instead of them when there is a problem (rules 2 and 3)."""
    report, members = enrol(people, readers, progress=progress)
    if report.subjects > plan.max_watchlist_size:
        report.problems.append(
            f"{report.subjects} entries are over the {plan.max_watchlist_size} that the deployment authorises"
        )
    if report.problems or not members:
        return report, None
    return report, files_of(members, plan, MadeWith(recogniser_sha256, detector_sha256), now)


def enrol(people: People, readers: Sequence[PhotoReader], *, progress: bool = True) -> tuple[Report, list[Member]]:
    """The report, and everybody who could be enrolled (rules 2 and 3)."""
    report = Report(problems=list(people.problems))
    members = _enrol(people.people, readers, report, progress)
    report.subjects, report.images = len(members), sum(len(member.sealed.rows) for member in members)
    return report, members


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a list's files into a new folder, whole or not at all."""
    fresh = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        for name, content in files.items():
            write_file(fresh / name, content)
        fresh.rename(folder)
    except (OSError, Unavailable) as fault:
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(fault, OSError) and fault.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise Unavailable(f"{folder}: {fault.strerror}; name a folder that is not there yet with --out") from fault
        raise cannot_write(folder, fault) if isinstance(fault, OSError) else fault from fault


def read_built(folder: Path) -> tuple[BuiltList, bytes]:
    """A list's reference and its payload. BadData when they do not belong together."""
    try:
        payload = (folder / PAYLOAD).read_bytes()
        built = load(folder / REFERENCE, BuiltList)
    except OSError as fault:
        raise BadData(f"{folder} holds no list ({fault.strerror}); `lfr watchlist build` makes one") from fault
    except ConfigError as fault:
        raise BadData(str(fault)) from fault
    if sha256_of(payload) != built.watchlist.sha256:
        raise BadData(f"{folder / PAYLOAD} is not the list that {REFERENCE} names: cut off or changed; build it again")
    return built, payload


def require_fresh(built: BuiltList, plan: DeploymentPlan, now: WallTime) -> None:
    """RefusedByCondition for a list of another deployment or one that is past its time."""
    if built.deployment_id != plan.id:
        raise RefusedByCondition(
            "watchlist of this deployment", f"the list was built for {built.deployment_id}, not for {plan.id} (R01)"
        )
    expires = built.watchlist.expires
    if expires is not None and wall(expires) <= now:
        raise RefusedByCondition("watchlist fresh", f"the list expired at {expires.isoformat()}; build it again")


def _enrol(people: Sequence[Person], readers: Sequence[PhotoReader], report: Report, progress: bool) -> list[Member]:
    photos = {(person.ref, photo.name): photo for person in people for photo in person.photos}
    jobs = [
        SubjectPhoto(photo.path, person.ref, photo.name, Demands(alone=True, facing=True, at=photo.at))
        for person in people
        for photo in person.photos
    ]
    notes = Remarks()
    found = enrol_photos(jobs, readers, notes, progress=progress)
    enrolled: list[Member] = []
    for person in people:
        usable = found.get(person.ref, [])
        report.entries[person.ref] = [photo.name for photo in person.photos]
        if not usable:
            report.problems.append(f"{person.ref}: no usable photo; give a better one, or take the person off")
            continue
        for photo, _ in usable:
            if photos[photo.ref, photo.name].taken_on is None:
                notes.warn(photo.name, "no image date: how old the photo is cannot be shown")
        largest = max(usable, key=lambda pair: pair[1].face_px)[0]
        best = photos[largest.ref, largest.name]
        enrolled.append(member_of(person, stacked(usable), best, readers[0]))
    warn_of_likeness([Entry(e.sealed.ref, e.sealed.rows) for e in enrolled], notes)
    report.rejected += notes.rejected
    report.warnings += notes.warnings
    return enrolled


def files_of(
    members: Sequence[Member],
    plan: DeploymentPlan,
    made_with: MadeWith,
    now: WallTime,
    *,
    rehearsal: RehearsalReference | None = None,
) -> dict[str, bytes]:
    """The files of a list for one plan, sealed. BadData when something of it may not be sealed."""
    import pyrage
    import yaml

    content = pyrage.x25519.Identity.generate()
    list_id = f"wl-{secrets.token_hex(6)}"
    listed = _sealed_list(members, plan, made_with, list_id=list_id, now=now)
    sealed = seal(
        msgspec.structs.replace(listed, rehearsal="" if rehearsal is None else rehearsal.name),
        [str(content.to_public())],
    )
    counts: dict[str, int] = {}
    for member in members:
        counts[member.sealed.category] = counts.get(member.sealed.category, 0) + 1
    reference = {
        "id": list_id,
        "sha256": sha256_of(sealed),
        "subjects": listed.subjects,
        "images": listed.images,
        "payload": f"deployments/{secrets.token_hex(16)}.payload",
        "created_at": now,
        "expires": _expires(plan),
        "recognisers": [made_with.recogniser_sha256],
    }
    if rehearsal is not None:
        reference["rehearsal"] = rehearsal.model_dump(mode="json")
    pictures = hub_photos.HubPhotos(
        format=hub_photos.FORMAT,
        watchlist_id=list_id,
        deployment_id=plan.id,
        entries=tuple(_on_page(member, plan) for member in members),
    )
    document = {"deployment_id": plan.id, "categories": counts, "watchlist": reference}
    document["content_recipient"] = str(content.to_public())
    return {
        PAYLOAD: sealed,
        PHOTOS: hub_photos.seal_for_hub(msgspec.msgpack.encode(pictures), plan.hub_recipient),
        CONTENT: hub_photos.seal_for_hub(str(content).encode(), plan.hub_recipient),
        REFERENCE: yaml.safe_dump(document, sort_keys=False).encode(),
    }


def _expires(plan: DeploymentPlan) -> datetime:
    return wall(plan.window.end)


def _sealed_list(
    members: Sequence[Member], plan: DeploymentPlan, made_with: MadeWith, *, list_id: str, now: WallTime
) -> SealedWatchlist:
    return SealedWatchlist(
        format=FORMAT,
        watchlist_id=list_id,
        deployment_id=plan.id,
        mode=plan.mode,
        created_at=now,
        recogniser_sha256=made_with.recogniser_sha256,
        detector_sha256=made_with.detector_sha256,
        subjects=len(members),
        images=sum(len(member.sealed.rows) for member in members),
        entries=tuple(member.sealed for member in members),
    )


def member_of(person: Person, templates: F32, best: Photo, reader: PhotoReader | None) -> Member:
    """An entry out of its templates and the photo that its card shows; BadData when that cannot be made."""

    def find(rgb: U8) -> PhotoFace | None:
        found = () if reader is None else reader.read(rgb)
        return hub_photos.chosen_face(found, (rgb.shape[1], rgb.shape[0]), best.at)

    picture = hub_photos.reference_photo(best.path.read_bytes(), find)
    if picture is None:
        raise BadData(f"{best.name} cannot be made into a reference photo")
    sealed = SealedEntry(
        ref=person.ref,
        category=person.category,
        image_source=best.source,
        image_captured_on=best.taken_on,
        under_18=person.under_18,
        templates=np.ascontiguousarray(templates, "<f4").tobytes(),
        template_dim=templates.shape[1],
    )
    on_page = hub_photos.HubEntry(
        ref=person.ref,
        category=person.category,
        response_code="",
        image_source=best.source,
        image_date=best.taken_on,
        under_18=person.under_18,
        rationale=person.rationale,
        photo=picture,
        label=person.label,
        look_alike=person.look_alike,
    )
    return Member(sealed=sealed, on_page=on_page)


def _on_page(member: Member, plan: DeploymentPlan) -> hub_photos.HubEntry:
    code = plan.categories[member.sealed.category].response_code
    return msgspec.structs.replace(member.on_page, response_code=code)
