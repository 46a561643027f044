"""The end of a rehearsal list: its time has come, or its owner or somebody on it wants it gone.

1. The list's key goes first. Then every deployment that it was copied for ends: running ones as with `lfr deployment
   end`, changes and plans as with `lfr deployment discard`. The list's folder, which names them, goes last.
2. What an interruption or a disk prevents is done by the next call: each command does it first, and the hub every
   minute while it runs. A list without a key is over.
"""

from __future__ import annotations

import contextlib

from device.domain.time import WallTime
from device.errors import BadData, LfrError, UsageError
from tools.hub.publishing import operations
from tools.hub.publishing.pending_changes import changes, discard
from tools.hub.publishing.publisher import Publisher
from tools.hub.watchlist.rehearsal import RehearsalLists


def end_rehearsals(publisher: Publisher, now: WallTime | None = None) -> list[str]:
    """End every list that is over (rule 2); what was deleted, as text."""
    lists = RehearsalLists(publisher.places.hub)
    if not lists.names():
        return []
    with publisher.store.locked():  # not one that is being made
        over = lists.over(publisher.now if now is None else now)
    return [line for name in over for line in end_rehearsal(publisher, name)]


def end_rehearsal(publisher: Publisher, name: str) -> list[str]:
    """End one list (rule 1); what was deleted, as text. Raises the first fault when all the rest is done."""
    lists, gone = RehearsalLists(publisher.places.hub), []
    faults: list[LfrError] = []
    lists.keys.drop(name)
    for deployment in _copied_for(publisher, lists, name):
        try:
            gone += _end(publisher, deployment)
        except LfrError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    lists.delete(name)
    return [f"rehearsal list {name}, with everything sealed in it", *gone]


def _copied_for(publisher: Publisher, lists: RehearsalLists, name: str) -> list[str]:
    """Deployments whose list is a copy: as noted with the list, and as their documents say."""
    found: list[str] = []
    with contextlib.suppress(UsageError, BadData):
        found += lists.get(name).copied_for
    documents = [publisher.deployment(record) for record in publisher.records.running()]
    for change in changes(publisher):
        with contextlib.suppress(BadData):
            document = operations.deployment_of(change)
            documents += [] if document is None else [document]
    for document in documents:
        rehearsal = document.watchlist.rehearsal
        found += [document.id] if rehearsal is not None and rehearsal.name == name else []
    return list(dict.fromkeys(found))


def _end(publisher: Publisher, deployment: str) -> list[str]:
    if deployment in {record.id for record in publisher.records.running()}:
        operations.end(publisher, deployment)
        return [f"deployment {deployment}, which ended with it"]
    try:
        return discard(publisher, deployment)
    except UsageError:  # it has ended, or was discarded
        return []
