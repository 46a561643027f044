"""The demo's stage: hub, clip and device configuration, all made on the spot in one folder.

1. The listed person is enrolled under a random reference; the name is known to the hub's folder alone.
2. The demo's deployment is signed and published (signed.py). `publish_deployment` makes an unsigned one in a folder,
   for benchmarks with longer lists than a demonstration may hold and for tests without a hub: the watchlist is sealed
   to an identity that lies beside it (mode 0600) until the device has read it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.deployment import FILE, IDENTITY_FILE, WATCHLIST_FILE
from device.domain.finding import Mode
from device.domain.time import wall
from tools.clip.make import ClipTruth
from tools.demo.evidence import TruePassage
from tools.hub.folder import Entry, HubFolder, init_hub

if TYPE_CHECKING:
    from device.watchlist.folder import Enrolment

SITE = "demo"
DEVICE = "cam-1"
CAMERA = "front"
CATEGORY = "missing"
RESPONSE = "R3"
PUBLISHED_LIST_MAX = 10
TEMPLATE_PIECE_BYTES = 64
WINDOW_BEFORE = timedelta(minutes=5)
WINDOW_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """Places of one demo, all below `root`."""

    root: Path
    entry_ref: str

    @property
    def hub(self) -> HubFolder:
        return HubFolder(self.root / "hub")

    @property
    def deployment(self) -> Path:
        return self.root / "deployment"

    @property
    def roots(self) -> Path:
        """What the device trusts: brought by hand."""
        return self.root / "roots"

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    @property
    def run_dir(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "device.yaml"

    @property
    def clip(self) -> Path:
        return self.root / "clip.mp4"

    @property
    def device_folders(self) -> tuple[Path, ...]:
        """What stands for the device's disk: no picture, template or name may ever be here in the clear."""
        return (self.state_dir, self.run_dir, self.deployment)


def build_hub(root: Path, broker_port: int, page_port: int) -> Stage:
    """Make the hub's folder with its certificates and ports (0 takes any free one)."""
    import yaml

    stage = Stage(root, f"e-{secrets.token_hex(6)}")
    init_hub(stage.hub.root, site=SITE, devices=(DEVICE,), mode=Mode.DEMO)
    console = yaml.safe_load(stage.hub.console_file.read_text(encoding="utf-8"))
    console |= {"broker_port": broker_port, "console_port": page_port, "repository_port": 0}
    stage.hub.console_file.write_text(yaml.safe_dump(console, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for folder in (*stage.device_folders, stage.logs):
        folder.mkdir(mode=0o700)
    return stage


def true_passages(truth: ClipTruth) -> tuple[TruePassage, ...]:
    """When listed people are in the picture, in media time."""
    to_ms = 1000.0 / truth.fps
    return tuple(TruePassage(p.first * to_ms, (p.last + 1) * to_ms) for p in truth.passages if p.listed)


def label_of(mark: str) -> str:
    """What the hub calls the listed person in the run that bears `mark`."""
    return f"Listed person, public-domain portrait ({mark[:12]})"


def marked(photos: list[Path], mark: str, folder: Path) -> list[Path]:
    """Copies of JPEG photos in `folder` with `mark` in a comment: the same pictures, in files of this run alone."""
    copies = []
    for photo in photos:
        content, comment = photo.read_bytes(), mark.encode()
        # A comment segment right after the start of the picture (ITU-T T.81, B.2.4.5).
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        copies.append(folder / photo.name)
        write_private(copies[-1], content[:2] + segment + content[2:])
    return copies


def publish_deployment(stage: Stage, photos: list[Path], label: str) -> bytes:
    """Enrol the listed person, seal the list, write an unsigned deployment; give the hub the reference photo.

    Returns bytes of the reference template, so that their absence elsewhere can be checked.
    """
    import pyrage

    from device.watchlist.sealed import compose, seal, sha256_of
    from engines.cards import RECOGNISER_DEFAULT, card

    now = datetime.now(timezone.utc)
    identity = pyrage.x25519.Identity.generate()
    deployment_id, list_id = f"demo-{now:%Y-%m-%d}-{secrets.token_hex(3)}", f"wl-{secrets.token_hex(6)}"
    enrolment = enrolled(stage, photos)
    watchlist = compose(
        enrolment,
        watchlist_id=list_id,
        deployment_id=deployment_id,
        mode=Mode.DEMO,
        created_at=now,
        recogniser_sha256=card(RECOGNISER_DEFAULT).source.member_sha256,
        category=CATEGORY,
        image_source="public-domain portrait",
    )
    sealed = seal(watchlist, [str(identity.to_public())])
    write_private(stage.deployment / WATCHLIST_FILE, sealed)
    write_private(stage.deployment / IDENTITY_FILE, f"{identity}\n".encode())
    stage.hub.add_entry(stage.entry_ref, Entry(label, CATEGORY, RESPONSE), photos[0].read_bytes())
    reference = {
        "id": list_id,
        "sha256": sha256_of(sealed),
        "subjects": watchlist.subjects,
        "images": watchlist.images,
    }
    write_yaml(stage.deployment / FILE, deployment_document(stage, deployment_id, reference, now))
    return bytes(watchlist.entries[0].templates[:TEMPLATE_PIECE_BYTES])


def enrolled(stage: Stage, photos: list[Path]) -> Enrolment:
    """Enrol from a folder of one person under the random reference; the folder goes at once."""
    from device.watchlist.folder import enrol
    from device.worker.engine_room import EngineRoom
    from device.worker.photos import EnginePhotoReader

    people = stage.root / "enrol"
    (people / stage.entry_ref).mkdir(parents=True)
    room = EngineRoom(None, threads=1)
    try:
        for photo in photos:
            shutil.copy(photo, people / stage.entry_ref / photo.name)
        return enrol(people, [EnginePhotoReader(room)], progress=False)
    finally:
        room.close()
        shutil.rmtree(people)


def deployment_document(
    stage: Stage, deployment_id: str, watchlist: dict[str, object], now: datetime
) -> dict[str, object]:
    """The content of deployment.yaml: a demonstration, for this device, for the next hour."""
    settings = stage.hub.settings()
    return {
        "id": deployment_id,
        "mode": Mode.DEMO.value,
        "controller": "Demonstration Constabulary",
        "owner": "Demonstration Constabulary",
        "authorising_officer": "AO-1",
        "purpose": "Show the public how live facial recognition works, with sample photos only",
        "legal_basis": "demonstration without operational data",
        "place": "this machine",
        "window": {"start": now - WINDOW_BEFORE, "end": now + WINDOW_AFTER},
        "devices": [DEVICE],
        "categories": {CATEGORY: {"response_code": RESPONSE}},
        "max_watchlist_size": PUBLISHED_LIST_MAX,
        "watchlist": watchlist,
        "retention": {"alert_hours": 0, "ceiling_days": 1},
        "hub_recipient": stage.hub.keys.recipient_for(deployment_id, wall(now + WINDOW_AFTER)),
        "notice": settings.notice,
    }


def write_device_config(stage: Stage, broker_port: int, *, realtime: bool, repository_port: int | None = None) -> None:
    """The device's configuration file: simulated lines, which only a recording allows.

    repository_port  where the hub serves signed deployments; None takes the unsigned one in the stage's folder
    """
    hub = stage.hub.root
    signed = {"trust": {"roots": str(stage.roots), "url": f"https://localhost:{repository_port}"}}
    write_yaml(
        stage.config,
        {
            "site": SITE,
            "device": DEVICE,
            "cameras": [
                {
                    "id": CAMERA,
                    "source": str(stage.clip),
                    "pace": "realtime" if realtime else "full",
                    "zone": {"name": "north-gate", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]},
                }
            ],
            "vision": {"backend": "auto"},
            "mqtt": {
                "host": "localhost",
                "port": broker_port,
                "ca": str(hub / "ca.pem"),
                "cert": str(hub / "devices" / f"{DEVICE}.pem"),
                "key": str(hub / "devices" / f"{DEVICE}.key"),
            },
            "lines": {"driver": "simulated"},
            **({"deployment": str(stage.deployment)} if repository_port is None else signed),
            "state_dir": str(stage.state_dir),
            "run_dir": str(stage.run_dir),
        },
    )


def write_yaml(path: Path, document: dict[str, object]) -> None:
    """One YAML file, for its owner."""
    import yaml

    write_private(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner may read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
