"""The state of a repository, for people and machines: keys, thresholds, expiries, deployments, changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData
from tools.hub.publishing.change import Change
from tools.hub.publishing.pending_changes import changes, expiry
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.roles import OFFICERS, RELEASES, device_role, devices_in, keys_of, role_of


@dataclass(frozen=True, slots=True)
class Status:
    """The state in two forms: values for a machine, lines for a person."""

    values: dict[str, Any]
    lines: list[str]


def status_of(publisher: Publisher, now: WallTime) -> Status:
    """Read everything; Unavailable when there is no repository."""
    store, names, targets = publisher.store, publisher.places.names(), publisher.targets()
    expiries = {
        "root": store.root_role().signed,
        "targets": targets,
        "snapshot": store.snapshot().signed,
        "timestamp": store.timestamp().signed,
    }
    for role in (OFFICERS, RELEASES, *(device_role(d) for d in devices_in(targets))):
        published = store.published(role)
        if published is not None:
            expiries[role] = published.signed
    officers = [names.get(key.keyid, key.keyid[:12]) for key in keys_of(targets, OFFICERS)]
    threshold = role_of(targets, OFFICERS).threshold
    roles = {
        name: {
            "version": signed.version,
            "expires": rfc3339(wall(signed.expires)),
            "expired": signed.expires <= now,
        }
        for name, signed in expiries.items()
    }
    records = publisher.records.all()
    values: dict[str, Any] = {
        "mode": publisher.places.mode.value,
        "officers": officers,
        "threshold": threshold,
        "devices": list(devices_in(targets)),
        "revoked": sorted(publisher.places.revoked_devices()),
        "roles": roles,
        "running": [record.id for record in records if record.running],
        "ended": [record.id for record in records if not record.running],
        "pending": waiting_rows(publisher),
    }
    lines = [
        f"mode {values['mode']}; {threshold} of {len(officers)} officers sign: {', '.join(officers)}",
        f"devices: {', '.join(devices_in(targets)) or 'none'}"
        + (f"; revoked: {', '.join(values['revoked'])}" if values["revoked"] else ""),
        *(
            f"{name}: version {role['version']}, {'EXPIRED' if role['expired'] else 'until'} {role['expires']}"
            for name, role in roles.items()
        ),
        *(
            f"running: {record.id}, {len(record.devices)} device(s), to {rfc3339(record.over)}"
            for record in records
            if record.running
        ),
        *waiting_lines(values["pending"]),
    ]
    return Status(values, lines)


def waiting_rows(publisher: Publisher) -> list[dict[str, Any]]:
    """Every change that waits: its content, who has signed, whether it still can be published, and until when."""
    return [_pending(change, publisher) for change in changes(publisher)]


def waiting_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The state as lines for a person."""
    return [
        f"waiting: {row['name']}: {row['says']} (signed by {row['signed']} of {row['needed']}"
        + (", made upon an older publication: make it anew" if row["stale"] else "")
        + (f"), until {row['expires']}" if row["expires"] else ")")
        for row in rows
    ]


def _pending(change: Change, publisher: Publisher) -> dict[str, Any]:
    until = expiry(change)
    row = {"name": change.name, "expires": None if until is None else rfc3339(until)}
    try:
        described, delegations = change.description(), change.delegations()
        who, needed = change.signed_by(publisher.targets() if delegations is None else delegations.signed)
    except BadData as fault:
        return row | {"says": f"damaged: {fault}", "signed": 0, "needed": 0, "stale": True}
    published = publisher.store.published(OFFICERS)
    stale = described.upon != (0 if published is None else published.signed.version)
    return row | {"says": described.says, "signed": len(who), "needed": needed, "stale": stale}
