"""A hub's repository made with python-tuf alone, so that the device's side is tested against the format, not our tools.

`hub(...)` builds one; its fields may be changed, and `publish` signs and writes whatever they say, honest or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from device.domain.time import WallTime, wall
from device.edges.clock.fake import FakeClock
from device.sync.client import Client
from device.sync.source_usb import UsbSource

HEX = "0123456789abcdef0123456789abcdef"
RECIPIENT = "age1" + "q" * 58
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def document(**changes: Any) -> dict[str, Any]:
    """What officers sign, as plain values; `watchlist` changes go into its own mapping."""
    listed = {
        "id": "wl-1",
        "payload": f"deployments/{HEX}.payload",
        "subjects": 3,
        "images": 4,
        "created_at": NOW - timedelta(hours=1),
        "expires": NOW + timedelta(hours=12),
        "recognisers": ["b" * 64],
        **changes.pop("watchlist", {}),
    }
    plain = {
        "id": "d-1",
        "mode": "demo",
        **dict.fromkeys(("controller", "owner", "authorising_officer", "purpose", "legal_basis", "place"), "x"),
        "zones": ["gate"],
        "window": {"start": NOW - timedelta(hours=1), "end": NOW + timedelta(hours=3)},
        "devices": ["cam-1"],
        "categories": {"missing": {"response_code": "R3"}},
        "max_watchlist_size": 10,
        "hub_recipient": RECIPIENT,
        "notice": {"en": "text", "cy": "testun"},
        "watchlist": listed,
    }
    return {**plain, **changes}


@dataclass
class Hub:
    """Keys, what is to be published, and how; `publish` writes it all."""

    folder: Path
    document: dict[str, Any] = field(default_factory=document)
    payload: bytes = b"sealed" * 1000
    withdrawn: Any = field(default_factory=lambda: {"deployment_id": "d-1", "refs": []})
    envelope: bytes | None = None
    recipient: str | None = None
    index: Any = ...
    text: bytes | None = None
    """Instead of `document`."""
    hours: dict[str, float] = field(default_factory=dict)
    officers: int = 1
    """How many officers sign."""
    threshold: int = 1
    lengths: dict[str, int] = field(default_factory=dict)
    """Signed lengths that are not the file's own."""

    def __post_init__(self) -> None:
        names = ("root", "targets", "snapshot", "timestamp", "officer-1", "officer-2", "device", "stranger")
        self.keys = {name: CryptoSigner.generate_ed25519() for name in names}
        self.versions: dict[str, int] = {}

    def publish(self) -> None:
        """Sign and write the next version of everything."""
        digits = self.document["watchlist"]["payload"].rsplit("/", 1)[-1].partition(".")[0]
        self.document["watchlist"]["sha256"] = hashlib.sha256(self.payload).hexdigest()
        text = yaml.safe_dump(self.document, sort_keys=False).encode() if self.text is None else self.text
        officers = {
            f"deployments/{digits}.yaml": text,
            f"deployments/{digits}.payload": self.payload,
            f"deployments/{digits}.withdrawn.json": self._json(self.withdrawn),
        }
        index: Any = {
            "deployment": f"deployments/{digits}.yaml",
            "payload": f"deployments/{digits}.payload",
            "withdrawn": f"deployments/{digits}.withdrawn.json",
        }
        device: dict[str, bytes] = {}
        if self.envelope is not None:
            index |= {"envelope": f"devices/cam-1/{digits}.envelope", "recipient": self.recipient}
            device[index["envelope"]] = self.envelope
        device["devices/cam-1/index.json"] = self._json(index if self.index is ... else self.index)
        self.write(officers, device)

    def write(self, officers: dict[str, bytes], device: dict[str, bytes]) -> None:
        """Metadata of every role and the targets' files."""
        root = Root(version=1, expires=self._expires("root", 24 * 365), consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self.keys[role].public_key, role)
        self._sign("root", root, 1)
        top = Targets(version=self._next("targets"), expires=self._expires("targets", 24 * 90))
        officer_keys = [self.keys["officer-1"], self.keys["officer-2"]]
        roles = {
            "officers": DelegatedRole(
                "officers", [k.public_key.keyid for k in officer_keys], self.threshold, True, ["deployments/*"]
            ),
            "device-cam-1": DelegatedRole(
                "device-cam-1", [self.keys["device"].public_key.keyid], 1, True, ["devices/cam-1/*"]
            ),
        }
        keys: dict[str, Key] = {k.public_key.keyid: k.public_key for k in (*officer_keys, self.keys["device"])}
        top.delegations = Delegations(keys, roles)
        self._sign("targets", top, top.version)
        for role, files in (("officers", officers), ("device-cam-1", device)):
            signed = Targets(version=self._next(role), expires=self._expires(role, 24 * 30))
            for name, content in files.items():
                signed.targets[name] = self._target(name, content)
            self._sign(role, signed, signed.version)
        names = ("targets", "officers", "device-cam-1")
        snapshot = Snapshot(
            version=self._next("snapshot"),
            expires=self._expires("snapshot", 24 * 7),
            meta={f"{n}.json": MetaFile(self.versions[n]) for n in names},
        )
        self._sign("snapshot", snapshot, snapshot.version)
        self.stamp()

    def stamp(self, hours: float = 23) -> None:
        """A new timestamp over what is there, which expires then."""
        signed = Timestamp(
            version=self._next("timestamp"),
            expires=self._expires("timestamp", hours),
            snapshot_meta=MetaFile(self.versions["snapshot"]),
        )
        self._sign("timestamp", signed, None)

    def root(self) -> bytes:
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def metadata(self, role: str) -> Path:
        """A role's newest file."""
        name = role if role == "timestamp" else f"{self.versions.get(role, 1)}.{role}"
        return self.folder / "metadata" / f"{name}.json"

    def _sign(self, role: str, signed: Any, version: int | None) -> None:
        metadata = Metadata(signed)
        for signer in self._signers(role):
            metadata.sign(signer, append=True)
        file = self.folder / "metadata" / (f"{role}.json" if version is None else f"{version}.{role}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(metadata.to_bytes())

    def _signers(self, role: str) -> list[Any]:
        if role == "officers":
            return [self.keys[f"officer-{n + 1}"] for n in range(self.officers)]
        return [self.keys["device" if role.startswith("device-") else role]]

    def _target(self, name: str, content: bytes) -> TargetFile:
        digest = hashlib.sha256(content).hexdigest()
        folder, _, base = name.rpartition("/")
        file = self.folder / "targets" / folder / f"{digest}.{base}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return TargetFile(self.lengths.get(name.rpartition(".")[2], len(content)), {"sha256": digest}, name)

    def _next(self, role: str) -> int:
        self.versions[role] = self.versions.get(role, 0) + 1
        return self.versions[role]

    def _expires(self, role: str, hours: float) -> datetime:
        return NOW + timedelta(hours=self.hours.get(role, hours))

    @staticmethod
    def _json(value: Any) -> bytes:
        return value if isinstance(value, bytes) else json.dumps(value).encode()


@dataclass
class Desk:
    """A device's client beside a hub, on one clock."""

    hub: Hub
    state: Path
    roots: Path
    clock: FakeClock

    def client(self, *sources: Any, device: str = "cam-1") -> Client:
        """A device that starts now and reads the hub's folder as a stick, or other sources."""
        memory = self.state.with_name(f"{self.state.name}-run")
        sources = sources or (UsbSource(self.hub.folder),)
        return Client(self.state, self.roots, device, sources, self.clock, memory=memory)

    def trust(self, mode: str = "demo") -> None:
        """Put the hub's root into the device's folder of a mode."""
        (self.roots / mode).mkdir(parents=True)
        (self.roots / mode / "root.json").write_bytes(self.hub.root())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A hub that has published a good deployment, and a device that trusts its root for demonstrations."""
    made = Desk(Hub(tmp_path / "hub"), tmp_path / "state", tmp_path / "roots", FakeClock(NOW + timedelta(seconds=5)))
    made.hub.publish()
    made.trust()
    return made


@pytest.fixture
def make_hub(tmp_path: Path) -> Callable[..., Hub]:
    """Another hub, with keys of its own."""
    return lambda name="other": Hub(tmp_path / name)


@pytest.fixture
def deployment_document() -> Callable[..., dict[str, Any]]:
    """`document`, for tests that change it."""
    return document


@pytest.fixture
def now() -> WallTime:
    """The moment around which everything in these tests is dated."""
    return wall(NOW)
