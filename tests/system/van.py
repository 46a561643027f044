"""A van for scripted days and soaks: hub, broker and devices as processes, an operator at the page, a published list.

`lfr hub serve` with mosquitto over TLS; each device is `scripted_device.py`, the whole supervisor with an emulated
worker. Everything that these programs write is below one folder, their logs included; the source photos are not.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import msgspec
import numpy as np

from device.config.deployment import DeploymentPlan
from device.domain.finding import Candidate, Mode
from device.domain.sight import F32, U8
from device.domain.time import WallTime, wall
from device.enrolment.photo_reader import PhotoFace
from tests.system.emulated_worker import DETECTOR_SHA256, RECOGNISER_SHA256, THRESHOLD
from tests.system.scripted_device import orders_socket, warm
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


def wait(condition: Callable[[], object], what: str, within_s: float = STEP_WITHIN_S) -> float:
    """Seconds until it held. AssertionError when it does not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.03)
    return time.monotonic() - began


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


class Running:
    """The van's programs while they run, and the operator at the page; `stop` ends all of them."""

    def __init__(self, van: Van) -> None:
        self.van = van
        (van.folder / "logs").mkdir(exist_ok=True)
        self.hub: subprocess.Popen[str] | None = None
        self.devices: dict[str, subprocess.Popen[str]] = {}
        self.operator: Operator | None = None

    def start_hub(self) -> None:
        """`lfr hub serve`, until it prints its address; then the operator logs in and opens the page."""
        command = [sys.executable, "-m", "device.cli.main", "hub", "serve", str(self.van.hub.root)]
        with self.van.log("hub").open("ab") as log:
            self.hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
        line = self.hub.stdout.readline() if self.hub.stdout else ""
        assert line, self.van.log("hub").read_text()[-3000:]
        self.operator = Operator(json.loads(line)["url"])

    def start_device(self, name: str) -> None:
        place = self.van.folder / name
        command = [sys.executable, "-m", "tests.system.scripted_device", place / "device.yaml", place / "host"]
        with self.van.log(name).open("ab") as log:
            self.devices[name] = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            )

    @property
    def page(self) -> Operator:
        assert self.operator is not None
        return self.operator

    def kill_hub(self) -> None:
        assert self.hub is not None
        self.page.close()
        self.hub.kill()
        self.hub.wait()

    def kill_broker(self) -> None:
        """SIGKILL; the hub starts another one at once."""
        assert self.hub is not None
        os.kill(child_of(self.hub.pid, "mosquitto"), signal.SIGKILL)

    def kill_device(self, name: str) -> None:
        self.devices[name].kill()
        self.devices[name].wait()

    def kill_worker(self, name: str) -> None:
        os.kill(child_of(self.devices[name].pid, "python"), signal.SIGKILL)

    def leave(self, name: str) -> int:
        """SIGTERM, as a reboot sends it; its exit status."""
        self.devices[name].terminate()
        return self.devices[name].wait(30)

    def state(self, name: str) -> str:
        """The device's state by its status file; empty while there is none."""
        try:
            return str(json.loads((self.van.run_dir(name) / "status.json").read_text())["state"])
        except (OSError, ValueError):
            return ""

    def until_recognising(self, *names: str) -> None:
        for name in names or self.van.devices:
            wait(lambda name=name: self.state(name) == "recognising", f"{name} to recognise")  # type: ignore[misc]

    def order(self, name: str, **order: Any) -> None:
        """One order to a device's worker, once one runs; returns once its messages are on the link."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10.0)
            wait(lambda: not link.connect_ex(str(orders_socket(self.van.run_dir(name)))), f"a worker of {name}")
            link.sendall(json.dumps(order).encode() + b"\n")
            assert link.recv(16) == b"done\n", f"the worker of {name} is gone"

    def walk(self, name: str, people: int, *, still: int = 0) -> None:
        """People come and go unlisted; `still` of them stay in view."""
        self.order(name, walk=people, open=still)

    def appear(self, name: str, passage: int, person: Listed, probe: bytes, revision: int = 0) -> None:
        """A listed person is in view: a candidate with its probe."""
        found = msgspec.to_builtins(candidate(passage, revision, person.ref))
        self.order(name, candidate=found, probe=base64.b64encode(probe).decode())

    def stop(self) -> None:
        """End everything that still runs."""
        if self.operator is not None:
            self.operator.close()
        for process in (*self.devices.values(), *(() if self.hub is None else (self.hub,))):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class Operator:
    """Somebody at the page: logged in, with the event stream open, so that an operator is present."""

    def __init__(self, url: str, ref: str = OPERATOR) -> None:
        self._url = urlsplit(url)
        self._cookie = self._ask("GET", f"/?{self._url.query}")[2].split(";")[0]
        page = self._ask("GET", "/")[1].decode()
        self._token = page.split('name="csrf" content="')[1].split('"')[0]
        status, text, cookie = self._ask("POST", "/login", {"ref": ref, "password": PASSWORD})
        assert status == 200, text
        self._cookie += "; " + cookie.split(";")[0]
        self._stream = http.client.HTTPConnection(self._url.hostname or "", self._url.port)
        self._stream.request("GET", "/events", headers=self._headers())
        self._reader = threading.Thread(target=self._read, args=(self._stream.getresponse(),), daemon=True)
        self._reader.start()

    def snapshot(self) -> dict[str, Any]:
        """What the page shows."""
        status, content, _ = self._ask("GET", "/snapshot")
        assert status == 200, content
        found: dict[str, Any] = json.loads(content)
        return found

    def cases(self) -> dict[str, dict[str, Any]]:
        """Cases on the page, by alert id; empty while the hub does not answer."""
        try:
            return {case["id"]: case for case in self.snapshot()["cases"]}
        except OSError:
            return {}

    def decide(self, alert: str, kind: str, outcome: str) -> int:
        """A judgement, an engagement or a disposition; the HTTP status."""
        return self._ask("POST", f"/cases/{alert}/{kind}", {"outcome": outcome})[0]

    def close(self) -> None:
        """The page is closed; nobody is present any more."""
        with contextlib.suppress(OSError):
            if self._stream.sock is not None:
                self._stream.sock.shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while answer.read1(65536):
                pass

    def _headers(self) -> dict[str, str]:
        return {"Host": self._url.netloc, "Cookie": getattr(self, "_cookie", "")}

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=20)
        headers = self._headers()
        if body is not None:
            headers |= {"Origin": f"http://{self._url.netloc}", "X-CSRF-Token": self._token}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Set-Cookie") or ""
        finally:
            connection.close()


def candidate(passage: int, revision: int, entry: str) -> Candidate:
    """A recorded candidate of a passage."""
    return Candidate(
        passage=passage,
        revision=revision,
        entry_ref=entry,
        category=CATEGORY,
        image_source="custody",
        image_captured_on="2026-03-01",
        score=0.62 + revision / 100,
        threshold=THRESHOLD,
        margin=0.12,
        second_gap=0.3,
        faces_used=3,
        box_in_frame=(100.0, 100.0, 180.0, 190.0),
        frame_size=(1280, 720),
        inter_eye_px=31.0,
        yaw=0.1,
        quality=0.8,
        frame=10,
        media_ns=400_000_000,
        first_seen_ns=time.monotonic_ns(),
        last_seen_ns=time.monotonic_ns(),
        capture_to_decision_ms=40.0,
        decoded_ns=time.monotonic_ns(),
    )


def child_of(parent: int, name: str) -> int:
    """The process id of a child by the beginning of its name, once there is one."""
    found: list[int] = []

    def look() -> bool:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found[:] = [int(pid) for pid in children if comm(int(pid)).startswith(name)]
        return bool(found)

    wait(look, f"a child {name} of {parent}")
    return found[0]


def comm(pid: int) -> str:
    """A process's name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
