"""Checks a publication: every rule that needs no worker, each refusal with its own text.

1. The index comes from the hub and is not trusted: everything that it names must be signed by the officers, belong
   together, be of the mode of this device's root, and name this device.
2. A list's age is checked when recognition starts: a deployment that runs already is not stopped at its 24th hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from device.config.deployment import Deployment, parse_signed
from device.config.publication import Index, parse_index, parse_withdrawn
from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData
from device.sync.refusal import AUTHORISED, FOR_THIS_DEVICE, FRESH, SIGNED, SIZE, Refused

OLDEST_AT_START = timedelta(hours=24)
CLOCKS_APART = timedelta(minutes=5)  # between the hub's clock and the device's


@dataclass(frozen=True, slots=True)
class Offer:
    """A deployment that this device may run once an envelope opens.

    payload    the sealed watchlist on this device's disk, verified
    envelope   the content identity, encrypted to `recipient`; both None until the hub has issued one
    withdrawn  entries that must not be searched for
    volunteers  sealed templates of the blue list on this device's disk, by reference: those that may be used now
    volunteers_withdrawn  whom the hub took off the blue list
    """

    deployment: Deployment
    payload: Path
    withdrawn: frozenset[str]
    recipient: str | None = None
    envelope: bytes | None = field(default=None, repr=False)
    volunteers: Mapping[str, Path] = field(default_factory=dict)
    volunteers_withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome of one poll of the repository, verified.

    mode        the root's
    good_until  when the first of the signatures expires; the publication is invalid after that
    offer       None: nothing is published for this device (or no longer)
    refused     why the publication is refused; `offer` is None then
    unkept      why the disk does not keep what was verified; empty when it does
    """

    mode: Mode
    good_until: WallTime
    source: str
    offer: Offer | None = None
    refused: Refused | None = None
    unkept: str = ""


def read_index(content: bytes, device: str) -> Index | None:
    """The index of this device, None when it offers nothing."""
    try:
        index = parse_index(content)
    except BadData as fault:
        raise Refused(SIGNED, "malformed", f"{fault}; the hub must publish again") from fault
    if index is not None and index.envelope is not None and not index.envelope.startswith(f"devices/{device}/"):
        raise Refused(
            FOR_THIS_DEVICE, "another device", f"the index points to {index.envelope}, another device's envelope"
        )
    return index


def read_deployment(content: bytes, index: Index, device: str, mode: Mode) -> Deployment:
    """The officers' document, of our mode, for this device, and about the payload that the index names (rule 1)."""
    try:
        deployment = parse_signed(content, index.deployment)
    except BadData as fault:
        raise Refused(SIGNED, "malformed", str(fault).replace("\n", ";")) from fault
    if deployment.mode is not mode:
        text = (
            f"deployment {deployment.id} says {deployment.mode.value}, and this device's root of trust is for"
            f" {mode.value} use; publish it under a root of its own mode"
        )
        raise Refused(SIGNED, "wrong mode", text)
    if device not in deployment.devices:
        text = f"deployment {deployment.id} names {', '.join(deployment.devices)}, not {device}"
        raise Refused(FOR_THIS_DEVICE, "another device", text)
    if deployment.watchlist.payload != index.payload:
        text = f"deployment {deployment.id} is signed for another list than the hub offers; publish again"
        raise Refused(AUTHORISED, "another list", text)
    return deployment


def read_withdrawn(content: bytes, deployment: Deployment) -> frozenset[str]:
    """The entries that were withdrawn from this deployment's list."""
    try:
        withdrawn = parse_withdrawn(content)
    except BadData as fault:
        raise Refused(
            AUTHORISED, "withdrawn malformed", f"{fault}; recognition stays off until it is published again"
        ) from fault
    if withdrawn.deployment_id != deployment.id:
        text = f"the withdrawn list is of deployment {withdrawn.deployment_id}, not of {deployment.id}"
        raise Refused(AUTHORISED, "another list", text)
    return frozenset(withdrawn.refs)


def require_usable(deployment: Deployment, now: WallTime, *, running: bool) -> None:
    """Check the list's size and time (rule 2). Raises Refused."""
    listed, name = deployment.watchlist, f"watchlist {deployment.watchlist.id}"
    if listed.subjects > deployment.max_watchlist_size:
        text = f"{name} holds {listed.subjects} people; {deployment.max_watchlist_size} are authorised"
        raise Refused(SIZE, "over size", text)
    if listed.created_at is None or listed.expires is None:
        raise Refused(SIGNED, "malformed", f"{name} states no time")
    created, expires = wall(listed.created_at), wall(listed.expires)
    if expires <= now:
        raise Refused(FRESH, "expired", f"{name} expired at {rfc3339(expires)}; build a new one")
    if created > now + CLOCKS_APART:
        raise Refused(FRESH, "not yet valid", f"{name} is dated {rfc3339(created)}, which is in the future")
    start = max(now, wall(deployment.window.start))
    if not running and start - created > OLDEST_AT_START:
        hours = (start - created).total_seconds() / 3600
        text = f"{name} would be {hours:.0f} h old at the start; it may be 24: build it again"
        raise Refused(FRESH, "too old", text)


def over(deployment: Deployment, now: WallTime) -> bool:
    """Whether its window has ended."""
    return wall(deployment.window.end) <= now
