"""A van for scripted days and soaks: hub, broker and devices as processes, an operator at the page, a published list.

`lfr hub serve` with mosquitto over TLS; each device is `scripted_device.py`, the whole supervisor with an emulated
worker. Everything that these programs write is below one folder, their logs included; the source photos are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np

from device.config.deployment import DeploymentPlan
from device.domain.finding import Mode
from device.domain.sight import F32, U8
from device.domain.time import WallTime, wall
from device.enrolment.photo_reader import PhotoFace
from tests.system.emulated_worker import DETECTOR_SHA256, RECOGNISER_SHA256
from tests.system.scripted_device import warm
from tools.dev.demo.workspace import write_yaml
from tools.hub.broker.mosquitto import free_port
from tools.hub.publishing import operations
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.users import Role, Users
from tools.hub.watchlist.build import build, write
from tools.hub.watchlist.people import People, Person, Photo

ROOT = Path(__file__).parents[2]
SITE, OFFICER, CATEGORY, ZONE, CAMERA = "van-7", "AO-1", "missing", "north-gate", "front"
DIMENSION = 128
PASSWORD = "correct horse battery"
OPERATOR, SUPERVISOR = "op-4711", "sup-12"
STEP_WITHIN_S = 60.0


def now() -> WallTime:
    """The host's wall time."""
    return wall(datetime.now(timezone.utc))


@dataclass(frozen=True)
class Listed:
    """One listed person as the script knows them. templates: (photos, DIMENSION) float32, as the list holds them."""

    ref: str
    label: str
    photos: tuple[Path, ...]
    templates: F32


class DrawnReader:
    """Reads drawn photos: one face each, its template by the photo's number, which its corner pixel holds."""

    blurred_below = 0.0

    def __init__(self, templates: dict[int, F32]) -> None:
        self._templates = templates

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        return [PhotoFace(np.array([40, 40, 200, 220], np.float32), np.zeros((5, 2), np.float32), 0.9, 1.0, 0.0)]

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        return self._templates[round(float(rgb[4:12, 4:12, 0].mean()) / 8)]


def drawn(number: int, seed: int) -> bytes:
    """A JPEG with noise in it, that no other has; `number` (below 30) in its corner."""
    noise = np.random.default_rng(seed).integers(0, 255, (30, 30, 3), np.uint8)
    picture = cv2.resize(noise, (240, 240), interpolation=cv2.INTER_CUBIC)
    picture[:24, :24] = number * 8
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return content.tobytes()


def listed_people(names: Sequence[str], photos_each: Sequence[int], sources: Path, seed: int) -> list[Listed]:
    """People with drawn photos in `sources` and random templates."""
    sources.mkdir(parents=True)
    random, number, people = np.random.default_rng(seed), 0, []
    for person, (name, photos) in enumerate(zip(names, photos_each, strict=True)):
        files, rows = [], []
        for _ in range(photos):
            number += 1
            files.append(sources / f"photo-{number}.jpg")
            files[-1].write_bytes(drawn(number, seed * 100 + number))
            row = random.standard_normal(DIMENSION).astype(np.float32)
            rows.append(row / np.float32(np.linalg.norm(row)))
        people.append(Listed(f"e-{seed:06d}{person:06d}", name, tuple(files), np.stack(rows)))
    return people


class Van:
    """The folder and what is published in it; nothing runs yet."""

    def __init__(self, folder: Path, devices: Sequence[str], people: Sequence[Listed], safe: Path) -> None:
        """safe: where the officers' and root keys lie, outside the folder that is searched."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.devices, self.people = folder, tuple(devices), tuple(people)
        self.hub = HubFolder(folder / "hub")
        self.ports = [free_port(), free_port(), free_port()]
        self._safe = safe
        init_hub(self.hub.root, site=SITE, devices=self.devices, mode=Mode.DEMO)
        self._set_ports()
        users = Users(self.hub.root)
        roles: tuple[tuple[str, Role], ...] = ((OPERATOR, "operator"), (SUPERVISOR, "supervisor"))
        for ref, role in roles:
            users.put(ref, role, PASSWORD)
        begin(
            self._publisher(),
            Ceremony(safe),
            NewAuthority(mode=Mode.DEMO, devices=self.devices, make_officers=(OFFICER,)),
            now(),
        )
        for device in self.devices:
            self._configure(device)

    def _set_ports(self) -> None:
        import yaml

        console = yaml.safe_load(self.hub.console_file.read_text())
        console |= dict(zip(("console_port", "broker_port", "repository_port"), self.ports, strict=True))
        self.hub.console_file.write_text(yaml.safe_dump(console, sort_keys=False, allow_unicode=True))

    def _publisher(self) -> Publisher:
        return Publisher(self.hub.root, now)

    def state_dir(self, device: str) -> Path:
        return self.folder / device / "state"

    def run_dir(self, device: str) -> Path:
        return self.folder / device / "run"

    def _configure(self, device: str) -> None:
        place = self.folder / device
        for folder in (self.state_dir(device), self.run_dir(device), place / "roots" / "demo"):
            folder.mkdir(parents=True, mode=0o700)
        root = self._publisher().places.trust(Mode.DEMO)
        (place / "roots/demo" / root.name).write_bytes(root.read_bytes())
        warm(place / "host")
        polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]
        certificates = self.hub.root / "devices"
        write_yaml(
            place / "device.yaml",
            {
                "site": SITE,
                "device": device,
                "cameras": [{"id": CAMERA, "source": "rtsp://camera/1", "zone": {"name": ZONE, "polygon": polygon}}],
                "mqtt": {
                    "host": "localhost",
                    "port": self.ports[1],
                    "ca": str(self.hub.root / "ca.pem"),
                    "cert": str(certificates / f"{device}.pem"),
                    "key": str(certificates / f"{device}.key"),
                },
                "lines": {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD33", "stop": "BOARD29"},
                "trust": {"roots": str(place / "roots"), "url": f"https://localhost:{self.ports[2]}"},
                "state_dir": str(self.state_dir(device)),
                "run_dir": str(self.run_dir(device)),
            },
        )

    def publish(self, name: str, **changes: object) -> None:
        """Build the list, have the officer sign, publish. changes: fields of the plan."""
        end = now() + timedelta(hours=8)
        document: dict[str, object] = {
            "id": name,
            "mode": Mode.DEMO.value,
            "controller": "C",
            "owner": "O",
            "authorising_officer": OFFICER,
            "purpose": "p",
            "legal_basis": "l",
            "place": "x",
            "window": {"start": now() - timedelta(minutes=5), "end": end},
            "devices": list(self.devices),
            "zones": [ZONE],
            "categories": {CATEGORY: {"response_code": "R3"}},
            "max_watchlist_size": 10,
            "retention": {"alert_hours": 0},
            "hub_recipient": self.hub.keys.recipient_for(name, end),
            "notice": self.hub.settings().notice,
        }
        plan = DeploymentPlan.model_validate(document | changes)
        templates, listed = {}, []
        for person in self.people:
            photos = tuple(Photo(file, file.name, "custody", date(2026, 3, 1), None) for file in person.photos)
            listed.append(Person(person.ref, CATEGORY, False, "r", photos, person.label))
            for file, row in zip(person.photos, person.templates, strict=True):
                templates[int(file.stem.partition("-")[2])] = row
        reader = DrawnReader(templates)
        report, files = build(
            People(listed), plan, [reader], RECOGNISER_SHA256, now(), detector_sha256=DETECTOR_SHA256, progress=False
        )
        assert files is not None, report
        built = self._safe / f"list-{name}"
        write(built, files)
        publisher = self._publisher()
        change = operations.propose_deployment(publisher, plan, built, now())
        change.sign([open_key(self._safe / "officers" / f"{OFFICER}.key")])
        operations.publish(publisher, change)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"
