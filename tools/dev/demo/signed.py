"""The stage's authority: a root of trust, an officer, one signed deployment with its list, published by the hub.

For the demo, the latency of `lfr bench` and tests; the same functions as behind `lfr authority`, `watchlist` and
`deployment`. The officer's and the root's keys lie in a folder of their own (`safe`), the device gets `root.json` as
its owner would bring it; nothing else passes by hand.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

from device.config.deployment import DeploymentPlan
from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from tools.dev.demo.stage import CATEGORY, DEVICE, OFFICER, RESPONSE, TEMPLATE_PIECE_BYTES, Stage, plan_document
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key
from tools.hub.storage.folder import Entry
from tools.hub.watchlist.build import CONTENT, build, write
from tools.hub.watchlist.people import People, Person, Photo
from tools.hub.watchlist.photos import open_at_hub


def now() -> WallTime:
    """The machine's wall time."""
    return wall(datetime.now(timezone.utc))


def publisher_of(stage: Stage) -> Publisher:
    """The hub's repository."""
    return Publisher(stage.hub.root, now)


def make_authority(stage: Stage) -> None:
    """A root of trust for demonstrations, and the device's copy of it."""
    publisher = publisher_of(stage)
    begin(
        publisher,
        Ceremony(safe(stage)),
        NewAuthority(mode=Mode.DEMO, devices=(DEVICE,), make_officers=(OFFICER,)),
        now(),
    )
    root = publisher.places.trust(Mode.DEMO)
    (stage.roots / Mode.DEMO.value).mkdir(mode=0o700, parents=True)
    shutil.copy(root, stage.roots / Mode.DEMO.value / root.name)


def publish_signed(stage: Stage, photos: list[Path], label: str) -> bytes:
    """Enrol the listed person, have the officer sign, publish; the hub resolves the reference with its own photo.

    Returns bytes of the reference template, so that their absence elsewhere can be checked.
    """
    listed = publish_people(stage, {stage.entry_ref: photos})
    stage.hub.add_entry(stage.entry_ref, Entry(label, CATEGORY, RESPONSE), photos[0].read_bytes())
    return template_piece(stage, listed)


def publish_people(stage: Stage, people: dict[str, list[Path]], **changes: object) -> Path:
    """Enrol these people by their references, have the officer sign, publish; returns the folder of the sealed list.

    changes  fields of the plan that shall be others
    """
    publisher = publisher_of(stage)
    if not publisher.store.exists:
        make_authority(stage)
        publisher = publisher_of(stage)
    plan = plan_of(stage, **changes)
    listed = stage.root / "list"
    build_list(plan, people, listed)
    change = operations.propose_deployment(publisher, plan, listed, now())
    change.sign([open_key(safe(stage) / "officers" / f"{OFFICER}.key")])
    operations.publish(publisher, change)
    return listed


def end_deployment(stage: Stage) -> list[str]:
    """End it at the hub; returns what is still there of its keys and its list."""
    publisher = publisher_of(stage)
    for record in publisher.records.running():
        operations.end(publisher, record.id)
    left = [*stage.hub.root.glob("keys/content-*"), *stage.hub.root.glob("keys/deployment-*")]
    left += [*publisher.store.root.rglob("*.payload"), *publisher.store.root.rglob("*.envelope")]
    return [str(path.relative_to(stage.hub.root)) for path in left]


def safe(stage: Stage) -> Path:
    """Where the offline keys lie."""
    return stage.root / "safe"


def plan_of(stage: Stage, **changes: object) -> DeploymentPlan:
    """What the officer decides."""
    named = str(changes.get("id", f"demo-{now():%Y-%m-%d}-{stage.entry_ref[2:8]}"))
    document = plan_document(stage, named, now())
    return DeploymentPlan.model_validate({**document, **changes})


def build_list(plan: DeploymentPlan, people: dict[str, list[Path]], out: Path) -> None:
    """A sealed list of these people in the folder `out`. Raises BadData with every problem."""
    from device.enrolment.engine_photo_reader import EnginePhotoReader
    from device.enrolment.model_sessions import EngineRoom
    from device.errors import BadData

    listed = [
        Person(ref, CATEGORY, False, "", tuple(Photo(p, p.name, "sample", None, None) for p in photos))
        for ref, photos in people.items()
    ]
    room = EngineRoom(None, threads=1)
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


def template_piece(stage: Stage, listed: Path) -> bytes:
    """The first bytes of the listed person's template, opened as only the hub can; the list's folder goes."""
    from device.watchlist.sealed import unseal
    from tools.hub.watchlist.build import read_built

    built, payload = read_built(listed)
    identity = operations.key_of(stage.hub.keys, built.deployment_id)
    content = open_at_hub((listed / CONTENT).read_bytes(), identity, "the list's key").decode()
    shutil.rmtree(listed)
    return bytes(unseal(payload, content).entries[0].templates[:TEMPLATE_PIECE_BYTES])
