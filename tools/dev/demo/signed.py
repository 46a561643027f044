"""The workspace's authority: a root of trust, an officer, one signed deployment with its list, published by the hub.

For the demo, the latency of `lfr bench` and tests; the same functions as behind `lfr authority`, `watchlist` and
`deployment`. The officer's and the root's keys lie in a folder of their own (`safe`), the device gets `root.json` as
its owner would bring it; nothing else is copied by hand.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

from device.config.deployment import DeploymentPlan
from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from tools.dev.demo.workspace import CATEGORY, DEVICE, OFFICER, RESPONSE, TEMPLATE_PIECE_BYTES, Workspace, plan_document
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key
from tools.hub.storage.folder import Entry
from tools.hub.watchlist.build import CONTENT, build, write
from tools.hub.watchlist.people import People, Person, Photo
from tools.hub.watchlist.photos import open_at_hub


def now() -> WallTime:
    """The host's wall time."""
    return wall(datetime.now(timezone.utc))


def publisher_of(workspace: Workspace) -> Publisher:
    """The hub's repository."""
    return Publisher(workspace.hub.root, now)


def make_authority(workspace: Workspace) -> None:
    """A root of trust for demonstrations, and the device's copy of it."""
    publisher = publisher_of(workspace)
    begin(
        publisher,
        Ceremony(safe(workspace)),
        NewAuthority(mode=Mode.DEMO, devices=(DEVICE,), make_officers=(OFFICER,)),
        now(),
    )
    root = publisher.places.trust(Mode.DEMO)
    (workspace.roots / Mode.DEMO.value).mkdir(mode=0o700, parents=True)
    shutil.copy(root, workspace.roots / Mode.DEMO.value / root.name)


def publish_signed(workspace: Workspace, photos: list[Path], label: str) -> bytes:
    """Enrol the listed person, have the officer sign, publish; the hub resolves the reference with its own photo.

    Returns bytes of the reference template, so that their absence elsewhere can be checked.
    """
    listed = publish_people(workspace, {workspace.entry_ref: photos})
    workspace.hub.add_entry(workspace.entry_ref, Entry(label, CATEGORY, RESPONSE), photos[0].read_bytes())
    return template_piece(workspace, listed)


def publish_people(workspace: Workspace, people: dict[str, list[Path]], **changes: object) -> Path:
    """Enrol these people by their references, have the officer sign, publish; returns the folder of the sealed list.

    changes  fields of the plan to replace
    """
    publisher = publisher_of(workspace)
    if not publisher.store.exists:
        make_authority(workspace)
        publisher = publisher_of(workspace)
    plan = plan_of(workspace, **changes)
    listed = workspace.root / "list"
    build_list(plan, people, listed)
    change = operations.propose_deployment(publisher, plan, listed, now())
    change.sign([open_key(safe(workspace) / "officers" / f"{OFFICER}.key")])
    operations.publish(publisher, change)
    return listed


def end_deployment(workspace: Workspace) -> list[str]:
    """End it at the hub; returns what remains of its keys and its list."""
    publisher = publisher_of(workspace)
    for record in publisher.records.running():
        operations.end(publisher, record.id)
    left = [*workspace.hub.root.glob("keys/content-*"), *workspace.hub.root.glob("keys/deployment-*")]
    left += [*publisher.store.root.rglob("*.payload"), *publisher.store.root.rglob("*.envelope")]
    return [str(path.relative_to(workspace.hub.root)) for path in left]


def safe(workspace: Workspace) -> Path:
    """Where the offline keys lie."""
    return workspace.root / "safe"


def plan_of(workspace: Workspace, **changes: object) -> DeploymentPlan:
    """The officer's part of the plan."""
    named = str(changes.get("id", f"demo-{now():%Y-%m-%d}-{workspace.entry_ref[2:8]}"))
    document = plan_document(workspace, named, now())
    return DeploymentPlan.model_validate({**document, **changes})


def build_list(plan: DeploymentPlan, people: dict[str, list[Path]], out: Path) -> None:
    """A sealed list of these people in the folder `out`. Raises BadData with every problem."""
    from device.enrolment.engine_photo_reader import EnginePhotoReader
    from device.enrolment.model_sessions import ModelSessions
    from device.errors import BadData

    listed = [
        Person(ref, CATEGORY, False, "", tuple(Photo(p, p.name, "sample", None, None) for p in photos))
        for ref, photos in people.items()
    ]
    room = ModelSessions(None, threads=1)
    try:
        report, files = build(
            People(listed),
            plan,
            [EnginePhotoReader(room)],
            room.recognisers.source_sha256,
            now(),
            detector_sha256=room.detector_card.source_sha256,
            progress=False,
        )
    finally:
        room.close()
    if files is None:
        raise BadData(json.dumps({"problems": report.problems, "rejected": report.rejected}))
    write(out, files)


def template_piece(workspace: Workspace, listed: Path) -> bytes:
    """The first bytes of the listed person's template, opened with the hub's keys; the list's folder is deleted."""
    from device.watchlist.sealed import unseal
    from tools.hub.watchlist.build import read_built

    built, payload = read_built(listed)
    identity = operations.key_of(workspace.hub.keys, built.deployment_id)
    content = open_at_hub((listed / CONTENT).read_bytes(), identity, "the list's key").decode()
    shutil.rmtree(listed)
    return bytes(unseal(payload, content).entries[0].templates[:TEMPLATE_PIECE_BYTES])
