"""A device's slots, a hub's repository with releases, and a service that behaves as the release that runs is made."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, TargetFile, Targets

from device.config.release import ReleaseIndex, ReleaseManifest, StateSchema, bundle_target, index_target, text_of
from device.domain.time import wall
from device.ports.device_service import Reading
from device.update.gate import Gate
from device.update.machine import Machine
from device.update.slots import COMMITTED, CURRENT, Slots
from device.update.updater import Updater
from device.update.verdict import GOOD, Verdict

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)
HERE = "debian-12-x86_64"


@dataclass
class FakeClock:
    """Seconds that pass only in `sleep`."""

    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class FakeService:
    """lfr.service: runs what `current` named when it was last started. A slot's file `behaviour` says how that goes:

    good · crashes (restarted again and again) · fails · mute (never READY) · dies-later · no-sign
    """

    slots: Slots
    clock: FakeClock
    running: str = ""
    started_s: float = 0.0
    deployment: str | None = None
    starts: list[str] = field(default_factory=list)
    boot_id: str = ""

    def boot(self) -> None:
        """The machine starts, and the service with it."""
        self.boot_id = str(uuid4())
        self.restart()

    def restart(self) -> None:
        self.running = self.slots.require(CURRENT)
        self.started_s = self.clock.now_s
        self.starts.append(self.running)

    def reading(self) -> Reading:
        after, how = self.clock.now_s - self.started_s, self._behaviour()
        status: dict[str, Any] = {
            "version": self.running,
            "state": "ready",
            "deployment": self.deployment,
            "sign": {"sensed": False, "problem": ""},
        }
        if after < 3.0:
            return Reading("activating", 0, "", None)
        if how == "crashes":
            return Reading("activating", int(after), "", None)
        if how == "fails" or (how == "dies-later" and after > 60):
            return Reading("failed", 0, "", None)
        if how == "mute":
            return Reading("activating", 0, "", None)
        if how == "no-sign":
            status["sign"] = {"sensed": None, "problem": "the sensor does not answer"}
        return Reading("active", 0, "ready", status)

    def _behaviour(self) -> str:
        return (self.slots.place(self.running) / "behaviour").read_text()


@dataclass
class Repository:
    """A hub's repository of releases, honest or not."""

    folder: Path
    keys: dict[str, CryptoSigner] = field(
        default_factory=lambda: {
            name: CryptoSigner.generate_ed25519() for name in ("root", "targets", "hub", "releases", "stranger")
        }
    )
    version: int = 0
    root_ends: tuple[datetime, ...] = (NOW + timedelta(days=365),)
    """When each version of the root expires; the first one is the device's own."""
    kept_root: bytes | None = None
    """The root of trust of another process's repository, in its place."""

    def root(self, version: int = 1) -> bytes:
        if self.kept_root is not None:
            return self.kept_root
        root = Root(version=version, expires=self.root_ends[version - 1], consistent_snapshot=True)
        for role, key in (("root", "root"), ("targets", "targets"), ("snapshot", "hub"), ("timestamp", "hub")):
            root.add_key(self.keys[key].public_key, role)
        return self._signed(root, "root")

    def offer(
        self,
        bundle: bytes,
        *,
        version: str = "0.3.0",
        target: str = HERE,
        signer: str = "releases",
        unpacked_bytes: int = 100_000,
    ) -> Path:
        """Publish a release; the folder."""
        self.version += 1
        key = self.keys["releases"].public_key
        role = DelegatedRole("releases", [key.keyid], 1, terminating=True, paths=["releases/*"])
        top = Targets(version=1, expires=NOW + timedelta(days=90))
        top.delegations = Delegations({key.keyid: key}, {"releases": role})
        index = text_of(
            ReleaseIndex(version=version, bundle=bundle_target(target, version), unpacked_bytes=unpacked_bytes)
        )
        signed = Targets(version=self.version, expires=NOW + timedelta(days=90))
        for path, content in ((index_target(target), index), (bundle_target(target, version), bundle)):
            signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])
            folder, _, name = path.rpartition("/")
            place = self.folder / "targets" / folder / f"{hashlib.sha256(content).hexdigest()}.{name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        metadata = self.folder / "metadata"
        metadata.mkdir(exist_ok=True)
        for number in range(1, len(self.root_ends) + 1):
            (metadata / f"{number}.root.json").write_bytes(self.root(number))
        (metadata / "1.targets.json").write_bytes(self._signed(top, "targets"))
        (metadata / f"{self.version}.releases.json").write_bytes(self._signed(signed, signer))
        return self.folder

    def bundle_file(self) -> Path:
        """The newest release's file."""
        files = (self.folder / "targets" / "releases").glob("*.tar.gz")
        return max(files, key=lambda path: path.stat().st_mtime_ns)

    def _signed(self, what: Any, key: str) -> bytes:
        metadata = Metadata(what)
        metadata.sign(self.keys[key])
        return metadata.to_bytes()


def manifest(version: str = "0.3.0", **changed: Any) -> ReleaseManifest:
    state = StateSchema(writes=1, reads_from=1, rollback_to=1)
    facts: dict[str, Any] = {"format": 1, "version": version, "target": HERE, "python": "3.11", "made": "2026-11-30"}
    return ReleaseManifest(**{**facts, "state": state, "unpacked_bytes": 100_000, **changed})


def bundle(stated: ReleaseManifest, behaviour: str = "good", *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A release's file, small: manifest, behaviour, a program, a link to the Python."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in (
            ("release.json", text_of(stated)),
            ("behaviour", behaviour.encode()),
            ("lib/python3.11/site-packages/one.py", b"VALUE = 1\n"),
            ("systemd/lfr.service", b"[Unit]\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3.11"
        archive.addfile(link)
        for entry, content in more:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Board:
    """One device, below `folder`, and the hub's repository beside it."""

    folder: Path
    hub: Repository
    slots: Slots
    service: FakeService
    clock: FakeClock
    tested: list[str] = field(default_factory=list)
    problem: str = ""
    """What the next self-test finds."""
    passing: bool = False
    """Whether that may pass."""
    during_build: Callable[[], None] = lambda: None
    """What happens while a slot's plans are built."""

    @property
    def updates(self) -> Path:
        return self.folder / "lfr-update"

    def updater(self, **changed: Any) -> Updater:
        """The updater as it starts: nothing of an earlier process is left but the disk."""
        parts: dict[str, Any] = {
            "slots": self.slots,
            "folder": self.updates,
            "machine": Machine(HERE, self.folder),
            "service": self.service,
            "programs": self,
            "boot": self.service.boot_id,
            "root": self.hub.root,
            "now": lambda: wall(NOW),
            "system": self.folder,
            "gate": Gate(monotonic=self.clock.monotonic, sleep=self.clock.sleep),
            "compile": lambda slot: None,
        }
        return Updater(**{**parts, **changed})

    def named(self) -> tuple[str | None, str | None]:
        return self.slots.named(CURRENT), self.slots.named(COMMITTED)

    @property
    def plans(self) -> Path:
        """The GPU's plans: a file each, and a list of each release in `used`."""
        return self.folder / "plans"

    def build_plans(self, slot: Path, go_on: Callable[[], None]) -> Verdict:
        """Two plans of each release, one of which is the same for all; `go_on` is asked before each."""
        version = slot.name.removeprefix(".").removesuffix(".new")
        (self.plans / "used").mkdir(parents=True, exist_ok=True)
        for name in ("common", version):
            go_on()
            (self.plans / f"{name}.plan").touch()
            self.during_build()
        (self.plans / "used" / version).touch()
        return GOOD

    def self_test(self, slot: Path) -> Verdict:
        self.tested.append(slot.name)
        return Verdict(self.problem, self.passing)

    def prune_plans(self, slot: Path, keep: list[str]) -> None:
        kept = {f"{name}.plan" for name in ("common", *keep)}
        for file in list(self.plans.glob("*.plan")):
            if file.name not in kept:
                file.unlink()

    def has_plans(self, version: str) -> bool:
        """Whether a worker of that release finds its own."""
        return all((self.plans / f"{name}.plan").exists() for name in ("common", version))


def board_at(folder: Path) -> Board:
    """A device whose release 0.2.0 runs and is healthy; made anew in `folder` unless there is one."""
    slots, clock = Slots(folder / "opt"), FakeClock()
    if not folder.exists():
        (folder / "usr/bin").mkdir(parents=True)
        (folder / "usr/bin/python3.11").touch()
        fresh = slots.begin("0.2.0")
        (fresh / "behaviour").write_text("good")
        (fresh / "release.json").write_bytes(text_of(manifest("0.2.0")))
        slots.complete("0.2.0", fresh)
        for link in (COMMITTED, CURRENT):
            slots.point(link, "0.2.0")
        (folder / "plans").mkdir()
        for name in ("common", "0.2.0"):
            (folder / "plans" / f"{name}.plan").touch()
    service = FakeService(slots, clock)
    service.boot()
    clock.sleep(10)
    return Board(folder, Repository(folder / "stick"), slots, service, clock)


@pytest.fixture
def make_board(tmp_path: Path) -> Callable[..., Board]:
    """`make_board(name)`: a device whose release 0.2.0 runs and is healthy."""
    return lambda name="board": board_at(tmp_path / name)


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    return make_board()


@pytest.fixture
def release() -> Callable[..., bytes]:
    """`release(behaviour="good", version="0.3.0", more=(), **manifest)`: a release's file."""

    def make(behaviour: str = "good", *, version: str = "0.3.0", more: Any = (), **changed: Any) -> bytes:
        return bundle(manifest(version, **changed), behaviour, *more)

    return make
