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
from datetime import date, datetime
from pathlib import Path

import msgspec
import numpy as np

from device.config.deployment import DeploymentPlan, WatchlistReference
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


@dataclass(frozen=True, slots=True)
class _Enrolled:
    person: Person
    templates: F32
    best: Photo
    taken_on: date | None
    source: str


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
    report = Report(problems=list(people.problems))
    enrolled = _enrol(people.people, readers, report, progress)
    report.subjects, report.images = len(enrolled), sum(len(e.templates) for e in enrolled)
    if report.subjects > plan.max_watchlist_size:
        report.problems.append(
            f"{report.subjects} entries are over the {plan.max_watchlist_size} that the deployment authorises"
        )
    if report.problems or not enrolled:
        return report, None
    return report, _files(enrolled, plan, recogniser_sha256, now, detector_sha256, reader=readers[0])


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


def _enrol(people: Sequence[Person], readers: Sequence[PhotoReader], report: Report, progress: bool) -> list[_Enrolled]:
    photos = {(person.ref, photo.name): photo for person in people for photo in person.photos}
    jobs = [
        SubjectPhoto(photo.path, person.ref, photo.name, Demands(alone=True, facing=True, at=photo.at))
        for person in people
        for photo in person.photos
    ]
    notes = Remarks()
    found = enrol_photos(jobs, readers, notes, progress=progress)
    enrolled = []
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
        enrolled.append(_Enrolled(person, stacked(usable), best, best.taken_on, best.source))
    warn_of_likeness([Entry(e.person.ref, e.templates) for e in enrolled], notes)
    report.rejected += notes.rejected
    report.warnings += notes.warnings
    return enrolled


def _files(
    enrolled: Sequence[_Enrolled],
    plan: DeploymentPlan,
    recogniser: str,
    now: WallTime,
    detector: str = "",
    *,
    reader: PhotoReader | None = None,
) -> dict[str, bytes]:
    import pyrage
    import yaml

    content = pyrage.x25519.Identity.generate()
    list_id = f"wl-{secrets.token_hex(6)}"
    listed = msgspec.structs.replace(_sealed_list(enrolled, plan, list_id, recogniser, now), detector_sha256=detector)
    sealed = seal(listed, [str(content.to_public())])
    counts: dict[str, int] = {}
    for entry in enrolled:
        counts[entry.person.category] = counts.get(entry.person.category, 0) + 1
    reference = {
        "id": list_id,
        "sha256": sha256_of(sealed),
        "subjects": len(enrolled),
        "images": sum(len(entry.templates) for entry in enrolled),
        "payload": f"deployments/{secrets.token_hex(16)}.payload",
        "created_at": now,
        "expires": _expires(plan),
        "recognisers": [recogniser],
    }
    pictures = hub_photos.HubPhotos(
        format=hub_photos.FORMAT,
        watchlist_id=list_id,
        deployment_id=plan.id,
        entries=tuple(_for_hub(entry, plan, reader) for entry in enrolled),
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
    enrolled: Sequence[_Enrolled], plan: DeploymentPlan, list_id: str, recogniser: str, now: WallTime
) -> SealedWatchlist:
    return SealedWatchlist(
        format=FORMAT,
        watchlist_id=list_id,
        deployment_id=plan.id,
        mode=plan.mode,
        created_at=now,
        recogniser_sha256=recogniser,
        subjects=len(enrolled),
        images=sum(len(entry.templates) for entry in enrolled),
        entries=tuple(
            SealedEntry(
                ref=entry.person.ref,
                category=entry.person.category,
                image_source=entry.source,
                image_captured_on=entry.taken_on,
                under_18=entry.person.under_18,
                templates=np.ascontiguousarray(entry.templates, "<f4").tobytes(),
                template_dim=entry.templates.shape[1],
            )
            for entry in enrolled
        ),
    )


def _for_hub(entry: _Enrolled, plan: DeploymentPlan, reader: PhotoReader | None) -> hub_photos.HubEntry:
    def find(rgb: U8) -> PhotoFace | None:
        found = () if reader is None else reader.read(rgb)
        return hub_photos.chosen_face(found, (rgb.shape[1], rgb.shape[0]), entry.best.at)

    picture = hub_photos.reference_photo(entry.best.path.read_bytes(), find)
    if picture is None:
        raise BadData(f"{entry.best.name} cannot be made into a reference photo")
    return hub_photos.HubEntry(
        ref=entry.person.ref,
        category=entry.person.category,
        response_code=plan.categories[entry.person.category].response_code,
        image_source=entry.source,
        image_date=entry.taken_on,
        under_18=entry.person.under_18,
        rationale=entry.person.rationale,
        photo=picture,
        label=entry.person.label,
        look_alike=entry.person.look_alike,
    )
