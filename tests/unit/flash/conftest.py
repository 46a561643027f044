"""A kit, a bare root file system and a hub's authority in small: every file real, only tiny."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tools.flash.kit import UNIT_FILES
from tools.flash.manifest import Manifest, authority_code, read_kit, write_manifest
from tools.flash.plan import Plan, make_plan
from tools.flash.root import Root
from tools.flash.targets import MACHINES
from tools.hub.pki.certificate_authority import Authority, open_authority

MADE = datetime(2026, 11, 30, 9, 0, tzinfo=timezone.utc)
NOW = datetime(2026, 11, 30, 10, 0, tzinfo=timezone.utc)
SERIAL, OTHER = "1421024012345", "1421024099999"
UNITS = Path(__file__).resolve().parents[3] / "systemd"
SYSUSERS = """#!/bin/sh
root=${1#--root=}
grep -q ^lfr: "$root/etc/passwd" || echo 'lfr:x:997:997::/var/lib/lfr:/usr/sbin/nologin' >>"$root/etc/passwd"
for name in gpio lfr video render; do
  grep -q "^$name:" "$root/etc/group" || echo "$name:x:99${#name}:" >>"$root/etc/group"
done
"""


@dataclass
class Owners:
    """Stands for chown(2), which only root may call: records, and can fail at its n-th call."""

    fail_at: int = 0
    fault: OSError | None = None
    calls: list[tuple[str, int, int]] = field(default_factory=list)

    def __call__(self, path: Path, uid: int, gid: int) -> None:
        self.calls.append((path.name, uid, gid))
        if self.fault is not None and len(self.calls) == self.fail_at:
            raise self.fault


@dataclass
class Bench:
    """One kit and what makes roots; `plan` plans for a root as a person would."""

    kit: Path
    authority: Authority
    code: str
    folder: Path

    def root(self, name: str = "root", *, python: str = "3.11", machine: str = "x86_64") -> Path:
        """A bare root file system: what the planner reads of one, and a few files to be left alone."""
        place = self.folder / name
        for folder in ("etc", "usr/bin", "usr/lib", "var/lib/dpkg", "run", "lib/systemd"):
            (place / folder).mkdir(parents=True)
        release = {"3.10": ("ubuntu", "22.04"), "3.11": ("debian", "12"), "3.12": ("ubuntu", "24.04")}[python]
        text = f'PRETTY_NAME="A {release[0]} {release[1]}"\nID={release[0]}\nVERSION_ID="{release[1]}"\n'
        (place / "etc/os-release").write_text(text)
        head = b"\x7fELF" + bytes(14) + struct.pack("<H", MACHINES[machine])
        (place / f"usr/bin/python{python}").write_bytes(head + bytes(40))
        (place / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (place / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
        (place / "etc/hostname").write_text("bare\n")
        (place / "etc/hosts").write_text("127.0.0.1 localhost")
        installed = ("python3-systemd", "chrony")
        rows = "".join(f"Package: {name}\nStatus: install ok installed\n\n" for name in installed)
        (place / "var/lib/dpkg/status").write_text(rows)
        return place

    def manifest(self) -> Manifest:
        return read_kit(self.kit, self.code)

    def plan(self, root: Path, owners: Owners | None = None, serial: str = SERIAL) -> tuple[Plan, Root]:
        opened = Root(root, owners or Owners())
        return make_plan(self.manifest(), opened, serial, NOW), opened

    def sign(self, **changed: object) -> None:
        """Write the manifest again, with some facts changed."""
        facts: dict[str, object] = {
            "target": ["debian-12", "x86_64"],
            "made": MADE.isoformat(),
            "site": "north",
            "version": "0.2.0",
            "devices": {SERIAL: "nano-1", OTHER: "nano-2"},
            "needs_bytes": 1000,
        }
        write_manifest(self.kit, {**facts, **changed}, self.authority.key)


def wheel(folder: Path, name: str, content: str = "VALUE = 1\n") -> Path:
    """A whole wheel of one module."""
    place, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    import base64

    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    with ZipFile(place, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join((*rows, f"{info}/RECORD,,")) + "\n")
    return place


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A kit for two boards of debian-12 on x86_64, signed; and a stand-in of systemd-sysusers on the path."""
    kit = tmp_path / "kit"
    authority = open_authority(tmp_path / "hub", "north")
    wheel(kit / "wheels", "tiny")
    (kit / "packages").mkdir()
    (kit / "models").mkdir()
    (kit / "models" / "one.onnx").write_bytes(b"model")
    (kit / "systemd").mkdir()
    for name in UNIT_FILES:
        (kit / "systemd" / name).write_bytes((UNITS / name).read_bytes())
    (kit / "trust" / "test").mkdir(parents=True)
    (kit / "trust" / "test" / "root.json").write_text("{}")
    (kit / "ca.pem").write_bytes((tmp_path / "hub" / "ca.pem").read_bytes())
    for serial, name in ((SERIAL, "nano-1"), (OTHER, "nano-2")):
        place = kit / "devices" / serial
        (place / "files").mkdir(parents=True)
        (place / "files" / "front.credential").write_text("user:secret")
        (place / "device.yaml").write_text(CONFIG.format(name=name))
        facts = {"serial": serial, "name": name, "board": "desk", "hub_host": "hub.van", "hub_address": "10.0.0.1"}
        (place / "bundle.json").write_text(json.dumps(facts))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "systemd-sysusers").write_text(SYSUSERS)
    (programs / "systemd-sysusers").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    made = Bench(kit, authority, authority_code((kit / "ca.pem").read_bytes()), tmp_path)
    made.sign()
    return made


CONFIG = """site: north
device: {name}
cameras:
  - id: front
    source: rtsp://10.0.0.20:554/stream1
    credential: front.credential
    zone: {{name: gate, polygon: [[0, 0], [1, 0], [1, 1]]}}
mqtt: {{host: hub.van, ca: pki/ca.pem, cert: pki/device.pem, key: pki/device.key}}
lines: {{driver: gpiozero, sign: BOARD31, sign_sense: BOARD33, stop: BOARD29}}
trust: {{roots: trust, url: "https://hub.van:8444/"}}
"""


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, str]]:
    """`snapshot(folder)`: every path below it with its content or target."""

    def of(folder: Path) -> dict[str, str]:
        found = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[name] = "folder"
        return found

    return of


@pytest.fixture
def stranger() -> ec.EllipticCurvePrivateKey:
    """A key that is nobody's here."""
    return ec.generate_private_key(ec.SECP256R1())
