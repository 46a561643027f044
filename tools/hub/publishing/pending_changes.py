"""Changes that wait for signatures: which, until when, and how they are discarded when they are not published.

1. A change's name is one plain level of a path: nothing outside `authority/pending` is ever taken for one.
2. A change of a deployment holds sealed photos and the list's key. It waits until no device would accept its list any
   more (24 h after it was built), and no longer than its window. A withdrawal waits until its deployment is over; a
   change of officers holds no personal data, and waits until its signatures expire.
3. An unpublished change is discarded together with the hub's key of its deployment, the key first: copies of what was
   built for it cannot be opened any more. A plan for which no list was signed loses its key at the end of its window,
   and so does a published one, whether or not a hub ran to end it.
4. `sweep` does that for everything past its time: each command does it first, and the hub every minute while it runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from device.config.deployment import DeploymentPlan
from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData, UsageError
from device.hub_api.topics import level
from device.sync.offer import OLDEST_AT_START
from tools.hub.publishing.change import Change
from tools.hub.publishing.deployment_records import Record
from tools.hub.publishing.publisher import Publisher
from tools.hub.watchlist.build import BuiltList

DAMAGED_KEPT = timedelta(hours=24)  # a folder without a readable change.json may hold photos nevertheless


def last_moment(plan: DeploymentPlan, built: BuiltList) -> WallTime:
    """Until when a deployment's change may wait (rule 2)."""
    end, created = wall(plan.window.end), built.watchlist.created_at
    return end if created is None else min(end, wall(created + OLDEST_AT_START))


def changes(publisher: Publisher) -> list[Change]:
    """The changes that wait at this hub."""
    folder = publisher.places.pending
    return [Change(p) for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] != "."] if folder.is_dir() else []


def pending(publisher: Publisher, name: str) -> Change:
    """A change that waits (rule 1); UsageError names those that do."""
    found = [change for change in changes(publisher) if change.name == level(name, "change")]
    if found:
        return found[0]
    there = ", ".join(change.name for change in changes(publisher))
    raise UsageError(f"no change {name!r} waits at this hub; waiting: {there or 'none'}")


def expiry(change: Change) -> WallTime | None:
    """When it is discarded; None for never. A damaged one by its folder's age."""
    try:
        expires = change.description().expires
    except BadData:
        made = datetime.fromtimestamp(change.folder.stat().st_mtime, timezone.utc)
        return wall(made + DAMAGED_KEPT)
    return None if expires is None else wall(expires)


def planned(publisher: Publisher) -> dict[str, WallTime | None]:
    """Plans of this hub that no list was signed for yet, and until when their keys are kept."""
    taken = {change.name for change in changes(publisher)} | {record.id for record in publisher.records.all()}
    return {name: publisher.keys.until(name) for name in publisher.keys.deployments() if name not in taken}


def discard(publisher: Publisher, name: str) -> list[str]:
    """Discard a change, or a plan without one (rule 3); what was discarded, as text. UsageError when there is none."""
    with publisher.store.locked():
        if name in planned(publisher):
            return _drop_key(publisher, name)
        change = pending(publisher, name)
        gone = _drop_key(publisher, name) if _of_deployment(publisher, name) else []
        change.discard()
        return [*gone, f"change {name}, with everything sealed in it"]


def sweep(publisher: Publisher) -> list[str]:
    """Discard everything past its time (rule 4); what was discarded, as text."""
    now, gone = publisher.now, []
    for change in changes(publisher):
        until = expiry(change)
        if until is not None and until <= now:
            gone += [f"{line} (it waited until {rfc3339(until)})" for line in discard(publisher, change.name)]
    for name, until in planned(publisher).items():
        if until is not None and until <= now:
            gone += _drop_key(publisher, name)
    for record in publisher.records.all():
        if not record.running or record.over <= now:  # ended by the hub, or by `lfr deployment end`
            gone += _drop_key(publisher, record.id)
    return gone


def _of_deployment(publisher: Publisher, name: str) -> bool:
    """Whether a change is of a deployment that does not run; an interrupted publication counts as running."""
    running: tuple[Record, ...] = publisher.records.running()
    return name in publisher.keys.deployments() and name not in {record.id for record in running}


def _drop_key(publisher: Publisher, name: str) -> list[str]:
    text = f"the hub's key of {name}: a list that was built for it cannot be opened"
    return [text] if publisher.keys.drop(name) else []
