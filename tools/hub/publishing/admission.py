"""Checks before a signed change may be published: who signed, and the content of a new deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from device.config.deployment import Deployment, DeploymentPlan, parse_signed
from device.domain.time import WallTime, wall
from device.errors import BadData, RefusedByCondition
from tools.hub.publishing.change import Change
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.publishing.places import Places
from tools.hub.publishing.roles import OFFICERS, device_role, role_of

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Targets

RULE = "officers' threshold"


def require_signed(change: Change, targets: Targets, places: Places, *copies: Change) -> None:
    """RefusedByCondition unless the officers' threshold signed it or a copy; the text says who may still sign."""
    who, needed = change.signed_by(targets, *copies)
    if len(who) >= needed:
        return
    names = places.names()
    missing = [names.get(keyid, keyid[:12]) for keyid in role_of(targets, OFFICERS).keyids if keyid not in who]
    raise RefusedByCondition(
        RULE,
        f"{change.name} is signed by {len(who)} of the {needed} officers needed; `lfr deployment sign"
        f" {change.folder} --key FILE` by {needed - len(who)} of {', '.join(missing) or 'nobody left'}",
    )


def require_officers(signers: Iterable[CryptoSigner], targets: Targets, places: Places) -> None:
    """RefusedByCondition when a key is no officer's: its signature would not count."""
    keyids, names = role_of(targets, OFFICERS).keyids, places.names()
    strange = [signer.public_key.keyid for signer in signers if signer.public_key.keyid not in keyids]
    if strange:
        officers = ", ".join(sorted(names.get(keyid, keyid[:12]) for keyid in keyids))
        raise RefusedByCondition(RULE, f"key {strange[0][:12]} is no officer's; officers are {officers}")


def require_possible(plan: DeploymentPlan, targets: Targets, places: Places) -> None:
    """RefusedByCondition for a plan that could never be published here; checked before anybody signs it."""
    names, keyids = places.names(), role_of(targets, OFFICERS).keyids
    officers = sorted(names.get(keyid, keyid[:12]) for keyid in keyids)
    if plan.authorising_officer not in officers:
        raise RefusedByCondition(
            RULE, f"authorising officer {plan.authorising_officer!r} is none; officers are {', '.join(officers)}"
        )
    for device in plan.devices:
        role_of(targets, device_role(device))
        if device in places.revoked_devices():
            raise RefusedByCondition("device trusted", f"{device} was revoked")


def admitted(
    change: Change,
    files: Mapping[str, bytes],
    targets: Targets,
    places: Places,
    records: Records,
    now: WallTime,
) -> Record:
    """The record of a deployment that may be published now; otherwise RefusedByCondition or BadData with the reason."""
    stem = change.description().stem
    path = f"deployments/{stem}.yaml"
    if stem is None or path not in files:
        raise BadData(f"{change.folder} holds no deployment")
    deployment = parse_signed(files[path], path)
    if deployment.mode is not places.mode:
        raise RefusedByCondition(
            "mode", f"{deployment.id} is {deployment.mode.value}, this hub's root of trust is {places.mode.value}"
        )
    if wall(deployment.window.end) <= now:
        raise RefusedByCondition("in its window", f"{deployment.id} ended at {deployment.window.end.isoformat()}")
    records.require_unused(deployment.id, deployment.watchlist.id, stem)
    require_possible(deployment, targets, places)
    _require_officer(deployment, change, targets, places)
    for device in deployment.devices:
        busy = records.current(device)
        if busy is not None and busy.stem != stem:
            raise RefusedByCondition("one deployment", f"{device} is in deployment {busy.id}; end that first")
    volunteers = () if deployment.blue_list is None else deployment.blue_list.volunteers
    return Record(
        id=deployment.id,
        stem=stem,
        mode=deployment.mode.value,
        watchlist_id=deployment.watchlist.id,
        devices=deployment.devices,
        ends=deployment.window.end,
        published_at=now,
        volunteers={each.ref: each.consent_until for each in volunteers},
    )


def _require_officer(deployment: Deployment, change: Change, targets: Targets, places: Places) -> None:
    who, _ = change.signed_by(targets)
    names = places.names()
    signed = sorted(names.get(keyid, keyid[:12]) for keyid in who)
    if deployment.authorising_officer not in signed:
        raise RefusedByCondition(
            RULE,
            f"{deployment.id} names authorising officer {deployment.authorising_officer!r}, who did not sign it"
            f" (signed: {', '.join(signed)})",
        )
