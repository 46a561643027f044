"""The demo's workspace: hub, clip and device configuration, all made at the start in one folder.

1. The listed person is enrolled under a random reference; the name is known to the hub's folder alone.
2. The deployment is signed and published (signed.py); the workspace has no key of it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from device.config.deployment import UNOFFICIAL_MOST
from device.domain.finding import Mode
from device.domain.time import wall
from tools.dev.clip.make import ClipTruth
from tools.dev.demo.evidence import TruePassage
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

SITE = "demo"
DEVICE = "cam-1"
CAMERA = "front"
ZONE = "north-gate"
OFFICER = "AO-1"
CATEGORY = "missing"
RESPONSE = "R3"
TEMPLATE_PIECE_BYTES = 64
WINDOW_BEFORE = timedelta(minutes=5)
WINDOW_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one demo, all below `root`."""

    root: Path
    entry_ref: str

    @property
    def hub(self) -> HubFolder:
        return HubFolder(self.root / "hub")

    @property
    def roots(self) -> Path:
        """The device's root of trust: copied by hand."""
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
        """The stand-in for the device's disk: no picture, template or name may ever be here in the clear."""
        return (self.state_dir, self.run_dir)


def build_hub(root: Path, broker_port: int, page_port: int) -> Workspace:
    """Make the hub's folder with its certificates and ports (0 takes any free one)."""
    import yaml

    workspace = Workspace(root, f"e-{secrets.token_hex(6)}")
    init_hub(workspace.hub.root, site=SITE, devices=(DEVICE,), mode=Mode.DEMO)
    console = yaml.safe_load(workspace.hub.console_file.read_text(encoding="utf-8"))
    console |= {"broker_port": broker_port, "console_port": page_port, "repository_port": 0}
    workspace.hub.console_file.write_text(
        yaml.safe_dump(console, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    for folder in (*workspace.device_folders, workspace.logs):
        folder.mkdir(mode=0o700)
    return workspace


def true_passages(truth: ClipTruth) -> tuple[TruePassage, ...]:
    """When listed people are in the picture, in media time."""
    to_ms = 1000.0 / truth.fps
    return tuple(TruePassage(p.first * to_ms, (p.last + 1) * to_ms) for p in truth.passages if p.listed)


def label_of(mark: str) -> str:
    """The hub's label of the listed person in the run with the mark `mark`."""
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


def plan_document(workspace: Workspace, deployment_id: str, now: datetime) -> dict[str, object]:
    """A deployment's plan: a demonstration, for this device, for the next hour."""
    settings = workspace.hub.settings()
    return {
        "id": deployment_id,
        "mode": Mode.DEMO.value,
        "controller": "Demonstration Constabulary",
        "owner": "Demonstration Constabulary",
        "authorising_officer": OFFICER,
        "purpose": "Show the public how live facial recognition works, with sample photos only",
        "legal_basis": "demonstration without operational data",
        "place": "this machine",
        "window": {"start": now - WINDOW_BEFORE, "end": now + WINDOW_AFTER},
        "devices": [DEVICE],
        "zones": [ZONE],
        "categories": {CATEGORY: {"response_code": RESPONSE}},
        "max_watchlist_size": UNOFFICIAL_MOST,
        "retention": {"alert_hours": 0, "ceiling_days": 1},
        "hub_recipient": workspace.hub.keys.recipient_for(deployment_id, wall(now + WINDOW_AFTER)),
        "notice": settings.notice,
    }


def write_device_config(workspace: Workspace, broker_port: int, *, realtime: bool, repository_port: int) -> None:
    """The device's configuration file: simulated lines, which only a recording allows."""
    hub = workspace.hub.root
    write_yaml(
        workspace.config,
        {
            "site": SITE,
            "device": DEVICE,
            "cameras": [
                {
                    "id": CAMERA,
                    "source": str(workspace.clip),
                    "pace": "realtime" if realtime else "full",
                    "zone": {"name": ZONE, "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]},
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
            "trust": {"roots": str(workspace.roots), "url": f"https://localhost:{repository_port}"},
            "state_dir": str(workspace.state_dir),
            "run_dir": str(workspace.run_dir),
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
