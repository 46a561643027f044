"""Who may sign what: root, targets with its delegations, and what the hub's own key covers. No files here.

    root       offline, threshold of its keys          names every key below
    targets    offline, one key; lists no target       delegates to the two kinds of role below
    officers   threshold of officers' keys             deployments/*
    releases   threshold of keys, offline; optional    releases/*
    device-X   the hub's key, one role a device        devices/X/*
    snapshot, timestamp   the hub's key                what is current, and that it is fresh

A hub that is broken into can withhold or renew what officers signed, and readdress envelopes it still has the key
for; it cannot make a deployment, change one, put anybody on a list, or give a device other software.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from device.domain.time import WallTime
from device.errors import RefusedByCondition, UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key
    from tuf.api.metadata import DelegatedRole, Metadata, Root, Targets

OFFICERS = "officers"
RELEASES = "releases"
DEVICE = "device-"
ROOT_DAYS = 365
TARGETS_DAYS = 90
DEVICE_DAYS = 7  # renewed by the hub while it runs


@dataclass(frozen=True, slots=True)
class Holders:
    """Public keys of a role, and how many of them must sign."""

    keys: tuple[Key, ...]
    threshold: int


def releases_of(targets: Targets) -> Holders | None:
    """Who signs releases; None when nobody does."""
    roles = targets.delegations.roles if targets.delegations and targets.delegations.roles else {}
    return Holders(keys_of(targets, RELEASES), roles[RELEASES].threshold) if RELEASES in roles else None


def device_role(device: str) -> str:
    """The role that publishes for one device."""
    return f"{DEVICE}{device}"


def devices_in(targets: Targets) -> tuple[str, ...]:
    """Devices that something may be published for."""
    roles = targets.delegations.roles if targets.delegations and targets.delegations.roles else {}
    return tuple(name.removeprefix(DEVICE) for name in roles if name.startswith(DEVICE))


def new_root(
    version: int,
    holders: Sequence[Key],
    threshold: int,
    targets_key: Key,
    hub_key: Key,
    now: WallTime,
) -> Root:
    """A root version. UsageError for a threshold that its holders cannot meet."""
    from tuf.api.metadata import Role, Root

    require_threshold(threshold, len(holders), "root")
    keys = {key.keyid: key for key in (*holders, targets_key, hub_key)}
    hub = Role([hub_key.keyid], 1)
    return Root(
        version=version,
        expires=now + timedelta(days=ROOT_DAYS),
        keys=keys,
        roles={
            "root": Role([key.keyid for key in holders], threshold),
            "targets": Role([targets_key.keyid], 1),
            "snapshot": hub,
            "timestamp": Role([hub_key.keyid], 1),
        },
        consistent_snapshot=True,
    )


def new_targets(
    version: int,
    officers: Sequence[Key],
    threshold: int,
    hub_key: Key,
    devices: Sequence[str],
    now: WallTime,
    *,
    releases: Holders | None = None,
) -> Targets:
    """The delegations: officers by threshold, one role a device for the hub, and who signs releases, if anybody."""
    from tuf.api.metadata import DelegatedRole, Delegations, Targets

    require_threshold(threshold, len(officers), "officers")
    roles: dict[str, DelegatedRole] = {
        OFFICERS: DelegatedRole(
            OFFICERS, [key.keyid for key in officers], threshold, terminating=True, paths=["deployments/*"]
        )
    }
    if releases is not None:
        require_threshold(releases.threshold, len(releases.keys), RELEASES)
        ids = [key.keyid for key in releases.keys]
        roles[RELEASES] = DelegatedRole(RELEASES, ids, releases.threshold, terminating=True, paths=["releases/*"])
    for device in devices:
        role = device_role(device)
        roles[role] = DelegatedRole(role, [hub_key.keyid], 1, terminating=True, paths=[f"devices/{device}/*"])
    signers = () if releases is None else releases.keys
    keys = {key.keyid: key for key in (*officers, *signers, hub_key)}
    return Targets(
        version=version,
        expires=now + timedelta(days=TARGETS_DAYS),
        delegations=Delegations(keys=keys, roles=roles),
    )


def role_of(targets: Targets, name: str) -> DelegatedRole:
    """A delegated role. RefusedByCondition when there is none of that name."""
    roles = targets.delegations.roles if targets.delegations and targets.delegations.roles else {}
    if name not in roles:
        raise RefusedByCondition(
            "delegated", f"nothing is delegated to {name}; `lfr authority devices` adds devices, and takes them away"
        )
    return roles[name]


def keys_of(targets: Targets, name: str) -> tuple[Key, ...]:
    """The public keys of a delegated role."""
    assert targets.delegations is not None
    return tuple(targets.delegations.keys[keyid] for keyid in role_of(targets, name).keyids)


def require_threshold(threshold: int, holders: int, role: str) -> None:
    """UsageError unless 1 <= threshold <= number of holders."""
    if not 1 <= threshold <= holders:
        raise UsageError(f"{role}: a threshold of {threshold} cannot be met by {holders} key(s); 1 to {holders} can")


def sign_anew(metadata: Metadata[Any], signers: Sequence[CryptoSigner]) -> None:
    """Leave on `metadata` a signature of each signer, and no other."""
    metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)


def signatures(targets: Targets, role: str, metadata: Metadata[Targets]) -> tuple[tuple[str, ...], int]:
    """Key ids whose signature of `metadata` counts for `role`, and how many are needed."""
    result = targets.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return tuple(sorted(result.signed)), result.threshold
