"""`lfr watchlist verify`: open both payloads of a built list where their keys are, and compare their contents."""

from __future__ import annotations

from pathlib import Path

from device.config.deployment import DeploymentPlan
from device.domain.time import WallTime
from device.errors import BadData
from device.watchlist.sealed import unseal
from tools.hub.publishing.operations import key_of, photos_of
from tools.hub.storage.folder import HubFolder
from tools.hub.watchlist.build import CONTENT, read_built, require_fresh
from tools.hub.watchlist.photos import open_at_hub


def verify(folder: Path, hub_folder: Path, plan: DeploymentPlan | None, now: WallTime) -> list[str]:
    """The checks that passed, a line each. BadData or RefusedByCondition for the first that fails."""
    hub = HubFolder(hub_folder)
    built, payload = read_built(folder)
    listed = built.watchlist
    identity = key_of(hub.keys, built.deployment_id)
    content_key = open_at_hub((folder / CONTENT).read_bytes(), identity, "the list's key").decode()
    opened = unseal(payload, content_key)
    photos = photos_of(hub, folder)
    said = {
        "list id": (opened.watchlist_id, listed.id),
        "deployment": (opened.deployment_id, built.deployment_id),
        "people": (opened.subjects, listed.subjects),
        "photos enrolled": (opened.images, listed.images),
        "recogniser": ((opened.recogniser_sha256,), listed.recognisers),
        "references": (sorted(e.ref for e in opened.entries), sorted(e.ref for e in photos.entries)),
        "list id of the photos": (photos.watchlist_id, listed.id),
    }
    for what, (inside, outside) in said.items():
        if inside != outside:
            raise BadData(f"{folder}: {what} inside the payload is not what watchlist.yaml says; build it again")
    lacking = [e.ref for e in opened.entries if not e.category or not e.image_source]
    if lacking:
        raise BadData(f"{folder}: without category or image source: {', '.join(lacking[:5])}; build it again")
    lines = [
        f"payload sha256 {listed.sha256}",
        f"both payloads open at {hub_folder}",
        f"{opened.subjects} people with {opened.images} templates, all whole, of length 1, with category and source",
        f"templates of recogniser {opened.recogniser_sha256}",
        *([f"behind detector {opened.detector_sha256}"] if opened.detector_sha256 else []),
    ]
    if plan is not None:
        require_fresh(built, plan, now)
        unknown = sorted(set(built.categories) - set(plan.categories))
        if unknown:
            raise BadData(f"{folder}: categories {', '.join(unknown)} are not in the plan")
        if opened.mode is not plan.mode or listed.subjects > plan.max_watchlist_size:
            raise BadData(f"{folder}: mode or size is not what the plan authorises; build it again")
        lines.append(f"made for {plan.id}, within its size, not expired")
    return lines
