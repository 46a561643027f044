"""`lfr bluelist build`: registered volunteers to sealed files of one deployment, one a volunteer.

    <ref>.volunteer   templates, to the content identity of the deployment's watchlist
    bluelist.yaml     the reference that the deployment names; no person in it

1. It is built for one watchlist: devices open both with one key, which dies with the deployment.
2. A volunteer whose consent has ended, or of whom no photo can be used, is a problem: nothing is built.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.config.deployment import BlueListReference, DeploymentPlan
from device.config.document import load
from device.config.model import Section
from device.config.publication import VOLUNTEER_MAX_BYTES, stem
from device.domain.sight import F32
from device.domain.time import WallTime, wall
from device.enrolment.folder import Remarks, SubjectPhoto, enrol_photos, stacked
from device.enrolment.photo_reader import PhotoReader
from device.enrolment.rules import Demands
from device.errors import BadData, ConfigError, RefusedByCondition
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist, seal, sha256_of
from tools.hub.watchlist.build import BuiltList
from tools.hub.watchlist.volunteers import Consent, VolunteerRegister

REFERENCE, SUFFIX = "bluelist.yaml", ".volunteer"


class BuiltBlueList(Section):
    """The content of bluelist.yaml."""

    deployment_id: str
    watchlist_id: str
    blue_list: BlueListReference


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Hashes of what templates are made with."""

    sha256: str
    detector_sha256: str


def build_blue_list(
    register: VolunteerRegister,
    plan: DeploymentPlan,
    listed: BuiltList,
    readers: Sequence[PhotoReader],
    *,
    made_with: Recogniser,
    now: WallTime,
) -> dict[str, bytes]:
    """The files of a blue list. BadData with every problem (rule 2)."""
    if listed.content_recipient is None:
        raise BadData(f"watchlist {listed.watchlist.id} was built by an older version; build it again")
    theirs = listed.watchlist.recognisers
    if theirs and made_with.sha256 not in theirs:
        raise BadData(
            f"watchlist {listed.watchlist.id} was built with recogniser {theirs[0][:12]}…, this blue list with "
            f"{made_with.sha256[:12]}…: build it with the watchlist's --recogniser and --screen"
        )
    consents = [consent for consent in register.all().values() if wall(consent.until) > now]
    if not consents:
        raise BadData("no volunteer with a valid consent is registered; `lfr bluelist add`")
    photos = [
        SubjectPhoto(photo, each.ref, f"{each.ref}/{photo.name}", Demands(alone=True, facing=True))
        for each in consents
        for photo in register.photos(each.ref)
    ]
    notes = Remarks()
    found = enrol_photos(photos, readers, notes, progress=False)
    problems = [f"{each.ref}: no usable photo" for each in consents if not found.get(each.ref)]
    if problems:
        raise BadData("; ".join([*problems, *(f"{r['file']}: {r['reason']}" for r in notes.rejected)]))
    blue_id = f"bl-{secrets.token_hex(6)}"
    files: dict[str, bytes] = {}
    volunteers = []
    for each in consents:
        sealed = seal(
            _listed(each, stacked(found[each.ref]), blue_id, plan, made_with, now), [listed.content_recipient]
        )
        if len(sealed) > VOLUNTEER_MAX_BYTES:
            raise BadData(f"{each.ref}: {len(sealed)} bytes are too many; register fewer photos")
        files[f"{each.ref}{SUFFIX}"] = sealed
        volunteers.append(
            {
                "ref": each.ref,
                "consent_until": each.until.isoformat(),
                "target": f"deployments/{stem(listed.watchlist.payload or '')}.{each.ref}{SUFFIX}",
                "sha256": sha256_of(sealed),
                "bytes": len(sealed),
            }
        )
    reference: dict[str, object] = {"id": blue_id, "recogniser": made_with.sha256, "volunteers": volunteers}
    return {**files, REFERENCE: _text(plan, listed, reference)}


def read_blue_list(folder: Path, plan: DeploymentPlan, watchlist_id: str) -> tuple[BlueListReference, dict[str, bytes]]:
    """A built blue list and its targets' content. BadData when they do not belong together, or to this deployment."""
    try:
        built = load(folder / REFERENCE, BuiltBlueList)
        files = {each.target: (folder / f"{each.ref}{SUFFIX}").read_bytes() for each in built.blue_list.volunteers}
    except OSError as fault:
        raise BadData(f"{folder} holds no blue list ({fault.strerror}); `lfr bluelist build` makes one") from fault
    except ConfigError as fault:
        raise BadData(str(fault)) from fault
    if (built.deployment_id, built.watchlist_id) != (plan.id, watchlist_id):
        raise RefusedByCondition(
            "blue list of this deployment",
            f"it was built for {built.deployment_id} with watchlist {built.watchlist_id}; build it again",
        )
    changed = [each.ref for each in built.blue_list.volunteers if sha256_of(files[each.target]) != each.sha256]
    if changed:
        raise BadData(f"{folder}: {', '.join(changed)} is not what {REFERENCE} names; build it again")
    return built.blue_list, files


def _text(plan: DeploymentPlan, listed: BuiltList, reference: dict[str, object]) -> bytes:
    import yaml

    document = {"deployment_id": plan.id, "watchlist_id": listed.watchlist.id, "blue_list": reference}
    return yaml.safe_dump(document, sort_keys=False).encode()


def _listed(
    consent: Consent, templates: F32, blue_id: str, plan: DeploymentPlan, made_with: Recogniser, now: WallTime
) -> SealedWatchlist:
    """One volunteer as a sealed list of one entry."""
    entry = SealedEntry(
        ref=consent.ref,
        category="volunteer",
        image_source="volunteer",
        templates=np.ascontiguousarray(templates, "<f4").tobytes(),
        template_dim=templates.shape[1],
    )
    return SealedWatchlist(
        format=FORMAT,
        watchlist_id=blue_id,
        deployment_id=plan.id,
        mode=plan.mode,
        created_at=now,
        recogniser_sha256=made_with.sha256,
        detector_sha256=made_with.detector_sha256,
        subjects=1,
        images=len(templates),
        entries=(entry,),
    )
