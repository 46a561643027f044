"""A hub with its keys, officers and devices, as an organisation would set it up, and a device that reads it.

`Reader` is python-tuf's own client over the repository's folder: what it accepts, a device accepts.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyrage
import yaml
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from device.config.publication import Index, index_target, parse_index
from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
from tools.hub.publishing.change import Change, Proposal, propose
from tools.hub.publishing.deployment_records import Record
from tools.hub.publishing.publisher import Publisher, empty_withdrawn
from tools.hub.publishing.signing_keys import open_key

PAYLOAD = b"age-encryption.org/v1 noise of a sealed list"


class Clock:
    """Real time plus what a test adds: python-tuf's client reads the real clock."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> WallTime:
        return wall(datetime.now(timezone.utc) + self.ahead)


class FolderFetcher(FetcherInterface):
    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield Path(url.removeprefix("file://")).read_bytes()
        except FileNotFoundError as fault:
            raise DownloadHTTPError(str(fault), 404) from fault


@dataclass
class Reader:
    """A device's copy of what it trusts."""

    repository: Path
    folder: Path
    device: str
    root: bytes

    def updater(self) -> Updater:
        for part in ("metadata", "targets"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        trusted = None if (self.folder / "metadata" / "root.json").exists() else self.root
        made = Updater(
            str(self.folder / "metadata"),
            f"file://{self.repository}/metadata/",
            str(self.folder / "targets"),
            f"file://{self.repository}/targets/",
            FolderFetcher(),
            bootstrap=trusted or self.root,
        )
        made.refresh()
        return made

    def get(self, path: str, updater: Updater | None = None) -> bytes | None:
        updater = updater or self.updater()
        info = updater.get_targetinfo(path)
        if info is None:
            return None
        return Path(updater.download_target(info, str(self.folder / "targets" / secrets.token_hex(8)))).read_bytes()

    def index(self) -> Index | None:
        content = self.get(index_target(self.device))
        assert content is not None, "no index is published for this device"
        return parse_index(content)

    def active(self) -> Index:
        """The index, of a device that has a deployment."""
        found = self.index()
        assert found is not None, "no deployment is published for this device"
        return found


@dataclass
class Site:
    root: Path
    devices: tuple[str, ...] = ("cam-1", "cam-2")
    officers: tuple[str, ...] = ("AO-1",)
    threshold: int = 1
    root_keys: int = 1
    root_threshold: int = 1
    mode: Mode = Mode.TEST
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.hub = self.root / "hub"
        self.ceremony = Ceremony(self.root / "safe")
        self.publisher = Publisher(self.hub, self.clock)
        plan = NewAuthority(
            mode=self.mode,
            devices=self.devices,
            make_officers=self.officers,
            threshold=self.threshold,
            root_keys=self.root_keys,
            root_threshold=self.root_threshold,
        )
        begin(self.publisher, self.ceremony, plan, self.clock())
        self.content = pyrage.x25519.Identity.generate()

    def key(self, officer: str) -> Path:
        return self.ceremony.folder / "officers" / f"{officer}.key"

    def reader(self, device: str = "cam-1") -> Reader:
        root = self.publisher.places.trust(self.mode).read_bytes()
        return Reader(self.publisher.store.root, self.root / f"disk-{device}", device, root)

    def document(self, **changes: object) -> dict[str, Any]:
        now = self.clock()
        stem = secrets.token_hex(16)
        return {
            "id": "d-1",
            "mode": self.mode.value,
            "controller": "C",
            "owner": "O",
            "authorising_officer": "AO-1",
            "purpose": "p",
            "legal_basis": "l",
            "place": "x",
            "zones": ["north-gate"],
            "window": {"start": now - timedelta(minutes=5), "end": now + timedelta(hours=2)},
            "devices": list(self.devices),
            "categories": {"missing": {"response_code": "R3"}},
            "max_watchlist_size": 10,
            "watchlist": {
                "id": "wl-1",
                "sha256": hashlib.sha256(PAYLOAD).hexdigest(),
                "subjects": 1,
                "images": 1,
                "payload": f"deployments/{stem}.payload",
                "created_at": now,
                "expires": now + timedelta(hours=2),
                "recognisers": ["b" * 64],
            },
            "hub_recipient": "age1" + "q" * 58,
            "notice": {"en": "n", "cy": "n"},
            **changes,
        }

    def proposed(self, **changes: object) -> Change:
        """A change of one deployment, unsigned."""
        document = self.document(**changes)
        listed = document["watchlist"]
        assert isinstance(listed, dict)
        stem = str(listed["payload"]).removeprefix("deployments/").removesuffix(".payload")
        window = document["window"]
        assert isinstance(window, dict)
        proposal = Proposal(
            kind="deployment",
            says="a deployment",
            deployment_id=str(document["id"]),
            stem=stem,
            ends=wall(window["end"]),
            add={
                f"deployments/{stem}.yaml": yaml.safe_dump(document).encode(),
                f"deployments/{stem}.payload": PAYLOAD,
                f"deployments/{stem}.withdrawn.json": empty_withdrawn(str(document["id"])),
            },
        )
        places = self.publisher.places
        return propose(
            places.pending / str(document["id"]),
            self.publisher.store,
            self.publisher.records.running(),
            proposal,
            self.clock(),
        )

    def publish(self, change: Change, *officers: str) -> Record | None:
        change.sign([open_key(self.key(officer)) for officer in officers])
        return self.publisher.publish(change, str(self.content))

    def deployed(self, **changes: object) -> Record:
        record = self.publish(self.proposed(**changes), *self.officers[: self.threshold])
        assert record is not None
        return record
