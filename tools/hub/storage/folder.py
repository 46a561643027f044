"""The hub's folder: what `lfr hub init` makes, and the paths in it.

ca.pem ca.key crl.pem · server.pem server.key · hub, listener, witness, auditor, regulator .pem .key · mosquitto.conf
acl · console.yaml · entries.json · devices/<device>.pem .key .serials · references/<entry_ref>.jpg · report.json
keys/ (deployment_keys.py, and tools/hub/publishing/places.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from device.domain.finding import Mode
from device.domain.time import WallTime
from device.edges.broker.paho import BrokerAddress
from device.errors import ConfigError, Unavailable, UsageError
from device.hub_api.topics import level
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.files import write_file

BROKER_PORT = 8883
CONSOLE_PORT = 8443
REPOSITORY_PORT = 8444
CONSOLE_KEY_LEAST = 32
NEW_TLS, OLD_TLS = "1.3", "1.2"
PEOPLE = ("hub", "listener", "witness", "monitor", "auditor", "regulator", "bridge")
NOTICE = {
    "en": "Live facial recognition is in use here. Faces are compared with one watchlist made for this operation. "
    "If you are not on it, your biometric data is deleted at once. Every possible match is judged by an officer.",
    "cy": "Mae adnabod wynebau byw ar waith yma. Caiff wynebau eu cymharu ag un rhestr wylio a wnaed ar gyfer y "
    "gweithrediad hwn. Os nad ydych arni, caiff eich data biometrig ei ddileu ar unwaith. Swyddog sy'n barnu pob "
    "cyfatebiaeth bosibl.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What only the hub knows of a watchlist entry: its label on the operator's card."""

    label: str
    category: str | None = None
    response_code: str | None = None
    look_alike: str | None = None


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The content of console.yaml."""

    site: str
    mode: Mode
    devices: tuple[str, ...]
    notice: dict[str, str]
    entries: dict[str, Entry]
    bind: str
    broker_port: int
    console_port: int
    repository_port: int = REPOSITORY_PORT
    tls: str = OLD_TLS
    """Lowest version of TLS: sites that were made before 1.3 was required say nothing, and keep theirs."""


@dataclass(frozen=True, slots=True)
class HubFolder:
    """Paths of one hub."""

    root: Path

    @property
    def console_file(self) -> Path:
        return self.root / "console.yaml"

    @property
    def entries_file(self) -> Path:
        return self.root / "entries.json"

    @property
    def keys(self) -> DeploymentKeys:
        """The hub's age identities, one a deployment."""
        return DeploymentKeys(self.root)

    @property
    def report_file(self) -> Path:
        return self.root / "report.json"

    @property
    def desk_file(self) -> Path:
        """Open cases, sealed (sealed_desk.py)."""
        return self.root / "desk.sqlite"

    @property
    def references(self) -> Path:
        return self.root / "references"

    def address(self, person: str, port: int, host: str = "localhost") -> BrokerAddress:
        """How `hub`, `listener`, `witness`, `auditor` or a device reaches the broker."""
        folder = self.root if person in PEOPLE else self.root / "devices"
        return BrokerAddress(
            host=host, port=port, ca=self.root / "ca.pem", cert=folder / f"{person}.pem", key=folder / f"{person}.key"
        )

    def console_key(self, given: Path | None = None) -> str:
        """The key in the console's address, made at the first start; delete `keys/console.txt` to end every session.

        given  a file that holds another one. Unavailable when it cannot be read, ConfigError when it is too short.
        """
        if given is not None:
            try:
                key = given.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise Unavailable(f"the console's key {given} cannot be read: {fault}") from fault
            if len(key) < CONSOLE_KEY_LEAST or not key.isalnum():
                raise ConfigError(str(given), (f"needs {CONSOLE_KEY_LEAST} letters and digits (openssl rand -hex 24)",))
            return key
        file = self.root / "keys" / "console.txt"
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(file, secrets.token_urlsafe(24).encode())
        return file.read_text(encoding="utf-8").strip()

    def reference(self, entry_ref: str) -> bytes | None:
        """The reference photo of an entry; None when there is none or the reference is no plain name."""
        try:
            return (self.references / f"{level(entry_ref, 'entry')}.jpg").read_bytes()
        except (OSError, UsageError):
            return None

    def settings(self) -> ConsoleSettings:
        """Read console.yaml; ConfigError with every problem."""
        try:
            raw = self._console_yaml()
        except (FileNotFoundError, NotADirectoryError) as fault:
            raise Unavailable(
                f"{self.root} is no hub folder: it has no {self.console_file.name};"
                f" make one with `lfr hub init {self.root}`"
            ) from fault
        except OSError as fault:
            text = f"{self.console_file} cannot be read: {fault.strerror}; make it a file that this user may read"
            raise Unavailable(text) from fault
        read = _settings(self.console_file, raw)
        return replace(read, entries={**read.entries, **self._entries()})

    def add_entry(self, entry_ref: str, entry: Entry, photo_jpeg: bytes) -> None:
        """Add a reference photo and its label to the console: hub only, never sent."""
        self.add_entries({entry_ref: (entry, photo_jpeg)})

    def add_entries(self, added: Mapping[str, tuple[Entry, bytes]]) -> None:
        """Add many to the console at once: entries.json is rewritten once; a running console reads it again."""
        for entry_ref in added:
            level(entry_ref, "entry")
        self.references.mkdir(mode=0o700, exist_ok=True)
        for entry_ref, (_, photo_jpeg) in added.items():
            write_file(self.references / f"{entry_ref}.jpg", photo_jpeg, synced=False)
        os.sync()
        self._write_entries({**self._entries(), **{ref: entry for ref, (entry, _) in added.items()}})

    def erase_entries(self, given_before: WallTime | None = None) -> int:
        """Erase reference photos and labels at the end of the deployment; returns the number of photos.

        given_before  what was given to the console later stays: it belongs to the next deployment
        Raises ConfigError when console.yaml cannot be read, so that labels are still in it; OSError as it comes.
        """
        photos = sorted(self.references.glob("*.jpg"))
        if given_before is not None:
            photos = [photo for photo in photos if photo.stat().st_mtime <= given_before.timestamp()]
        for photo in photos:
            photo.unlink()
        kept = {photo.stem for photo in self.references.glob("*.jpg")}
        self._keep_labels(lambda ref: ref in kept)
        return len(photos)

    def erase_refs(self, refs: Sequence[str]) -> int:
        """Erase the photos and labels of these entries, which were withdrawn; returns the number of photos."""
        gone = 0
        for ref in refs:
            photo = self.references / f"{level(ref, 'entry')}.jpg"
            gone += photo.exists()
            photo.unlink(missing_ok=True)
        self._keep_labels(lambda ref: ref not in refs)
        return gone

    def entries_written(self) -> tuple[int, ...]:
        """A stamp that changes when labels may have changed."""
        files = (self.console_file, self.entries_file)
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)

    def _keep_labels(self, keeps: Callable[[str], bool]) -> None:
        """Drop the labels of all other entries, also those written into console.yaml by hand."""
        import yaml

        known = self._entries()
        left = {ref: entry for ref, entry in known.items() if keeps(ref)}
        if left != known:
            self._write_entries(left)
        if not self.console_file.exists():
            return
        raw = self._console_yaml()
        by_hand = {ref: entry for ref, entry in (raw.get("entries") or {}).items() if keeps(str(ref))}
        if by_hand != (raw.get("entries") or {}):
            raw["entries"] = by_hand
            write_file(self.console_file, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).encode())

    def _console_yaml(self) -> dict[str, Any]:
        """console.yaml as it is written. ConfigError: no YAML, no text, or no mapping."""
        import yaml

        try:
            raw = yaml.safe_load(self.console_file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as fault:
            raise ConfigError(str(self.console_file), (str(fault).replace("\n", " "),)) from fault
        if not isinstance(raw, dict):
            raise ConfigError(str(self.console_file), ("the file must be a mapping",))
        if not isinstance(raw.get("entries") or {}, dict):
            raise ConfigError(str(self.console_file), ("entries: every entry needs a label",))
        return raw

    def _entries(self) -> dict[str, Entry]:
        """Labels from entries.json: a file of its own, because YAML takes half a minute for 20,000 of them."""
        if not self.entries_file.exists():
            return {}
        try:
            return msgspec.json.decode(self.entries_file.read_bytes(), type=dict[str, Entry])
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise ConfigError(str(self.entries_file), (str(fault),)) from fault

    def _write_entries(self, entries: dict[str, Entry]) -> None:
        write_file(self.entries_file, msgspec.json.encode(entries))

    def revoked(self) -> frozenset[str]:
        """Devices whose name is not issued again (tools.hub.publishing writes the file)."""
        file = self.root / "authority" / "revoked.json"
        return frozenset(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else frozenset()


class SiteDevices:
    """The site's devices as console.yaml lists them now, without the revoked; read again when a file has changed."""

    def __init__(self, hub: HubFolder) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._devices: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        """While console.yaml has mistakes, the last valid content stays; revocations always count."""
        with self._lock:
            with contextlib.suppress(OSError, ConfigError, Unavailable):
                stated = self._hub.console_file.stat()
                if self._read_at != (stated.st_mtime_ns, stated.st_ino):
                    self._devices = frozenset(self._hub.settings().devices)
                    self._read_at = (stated.st_mtime_ns, stated.st_ino)
            return self._devices - self._hub.revoked()


def _settings(file: Path, raw: dict[str, Any]) -> ConsoleSettings:
    problems: list[str] = []
    known = {
        "site",
        "mode",
        "devices",
        "notice",
        "entries",
        "bind",
        "broker_port",
        "console_port",
        "repository_port",
        "tls",
    }
    problems += [f"{key}: unknown; known are {', '.join(sorted(known))}" for key in raw if key not in known]
    ports: dict[str, int] = {}
    for key, default in (
        ("broker_port", BROKER_PORT),
        ("console_port", CONSOLE_PORT),
        ("repository_port", REPOSITORY_PORT),
    ):
        port = raw.get(key, default)
        if not isinstance(port, int) or not 0 <= port <= 65535:
            problems.append(f"{key}: {port!r} is no port (0 to 65535, 0 for any free one)")
            port = default
        ports[key] = port
    if raw.get("mode") not in [m.value for m in Mode]:
        problems.append(f"mode: {raw.get('mode')!r} is none of {', '.join(m.value for m in Mode)}")
    if raw.get("tls", OLD_TLS) not in (NEW_TLS, OLD_TLS):
        problems.append(f"tls: {raw.get('tls')!r} is neither '{NEW_TLS}' nor '{OLD_TLS}' (in quotation marks)")
    if not isinstance(raw.get("site"), str):
        problems.append("site: missing")
    if not isinstance(raw.get("devices") or [], list):
        problems.append("devices: must be a list of names")
    if not isinstance(raw.get("notice") or {}, dict):
        problems.append("notice: must be a text for each language")
    entries = raw.get("entries") or {}
    if any(not isinstance(e, dict) or "label" not in e for e in entries.values()):
        problems.append("entries: every entry needs a label")
    if problems:
        raise ConfigError(str(file), tuple(problems))
    return ConsoleSettings(
        site=raw["site"],
        mode=Mode(raw["mode"]),
        devices=tuple(str(d) for d in raw.get("devices") or ()),
        notice={str(k): str(v) for k, v in (raw.get("notice") or NOTICE).items()},
        entries={
            str(ref): Entry(str(e["label"]), e.get("category"), e.get("response_code"), e.get("look_alike"))
            for ref, e in entries.items()
        },
        bind=str(raw.get("bind", "127.0.0.1")),
        broker_port=ports["broker_port"],
        console_port=ports["console_port"],
        repository_port=ports["repository_port"],
        tls=raw.get("tls", OLD_TLS),
    )
