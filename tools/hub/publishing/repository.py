"""The TUF repository on disk: `metadata/` and `targets/`, consistent snapshots; an interrupted write keeps the old one.

1. What the snapshot names is what is published. A file of a higher version that no snapshot names was never seen by a
   device and is overwritten.
2. Order of writing: targets, then roles, then the snapshot, then `timestamp.json`, each in a file of its own that is
   synced and renamed. Until the last rename a device gets the old set, from then on the new one.
3. Old metadata of one version back stays for a device in the middle of reading; root versions stay for good, a device
   that was offline verifies all of them.
4. A target that no role names is deleted in the same step.
5. All of a publication is on the disk before the first file of it is renamed: a disk that is full changes nothing.
6. A role that nothing delegates to any more stays in the snapshot: clients take a snapshot that lost one for an attack
   (TUF specification, 5.5.5).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.domain.time import WallTime
from device.errors import Unavailable
from tools.hub.storage.files import PUBLIC, Batch, write_file, writing

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

SNAPSHOT_DAYS = 7
TIMESTAMP_HOURS = 24  # a device that gets no new timestamp for a day refuses to start
HASH = "sha256"


class Store:
    """One repository folder. Writers hold `locked()`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.metadata = root / "metadata"
        self.targets = root / "targets"

    @property
    def exists(self) -> bool:
        return (self.metadata / "timestamp.json").exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time: the commands and the hub's server."""
        lock = self.root.parent / f".{self.root.name}.lock"
        with writing(lock):
            self.root.mkdir(parents=True, exist_ok=True)
            file = lock.open("w")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def root_role(self) -> Metadata[Root]:
        """The newest root."""
        versions = sorted(int(p.name.split(".")[0]) for p in self.metadata.glob("*.root.json"))
        if not versions:
            raise Unavailable(f"{self.root} is no repository; `lfr authority init` makes one")
        return self._read(f"{versions[-1]}.root.json")

    def timestamp(self) -> Metadata[Timestamp]:
        return self._read("timestamp.json")

    def snapshot(self) -> Metadata[Snapshot]:
        return self._read(f"{self.timestamp().signed.snapshot_meta.version}.snapshot.json")

    def published(self, role: str) -> Metadata[Targets] | None:
        """`targets` or a delegated role as the snapshot names it (rule 1); None when it names none."""
        meta = self.snapshot().signed.meta.get(f"{role}.json")
        return None if meta is None else self._read(f"{meta.version}.{role}.json")

    def target(self, role: str, path: str) -> bytes | None:
        """The content of a published target; None when the role does not name it or its file is gone."""
        published = self.published(role)
        if published is None or path not in published.signed.targets:
            return None
        with contextlib.suppress(FileNotFoundError):
            return self._place(path, published.signed.targets[path].hashes[HASH]).read_bytes()
        return None

    def add_target(self, path: str, content: bytes) -> None:
        """Write a target under the name that devices ask for: its digest before its file name."""
        write_file(self._place(path, hashlib.sha256(content).hexdigest()), content)

    def commit(
        self,
        roles: Mapping[str, Metadata[Targets]],
        signer: CryptoSigner,
        now: WallTime,
        *,
        root: Metadata[Root] | None = None,
        also: Mapping[Path, bytes] | None = None,
    ) -> None:
        """Publish new versions of some roles (rules 1 to 6). No roles at all: a refresh.

        root  a new root version, under which the rest is signed; also: files beside the repository that belong to it
        """
        from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

        old_snapshot = self.snapshot().signed if self.exists else None
        meta = {} if old_snapshot is None else dict(old_snapshot.meta)
        files: dict[Path, bytes] = {}
        if root is not None:
            files[self.metadata / f"{root.signed.version}.root.json"] = root.to_bytes()
        files |= also or {}
        for role, metadata in roles.items():
            content = metadata.to_bytes()
            files[self.metadata / f"{metadata.signed.version}.{role}.json"] = content
            meta[f"{role}.json"] = MetaFile(metadata.signed.version, len(content), _digest(content))
        snapshot = Snapshot(
            version=1 if old_snapshot is None else old_snapshot.version + 1,
            expires=now + timedelta(days=SNAPSHOT_DAYS),
            meta=meta,
        )
        signed = Metadata(snapshot)
        signed.sign(signer)
        content = signed.to_bytes()
        files[self.metadata / f"{snapshot.version}.snapshot.json"] = content
        timestamp = Metadata(
            Timestamp(
                version=1 if old_snapshot is None else self.timestamp().signed.version + 1,
                expires=now + timedelta(hours=TIMESTAMP_HOURS),
                snapshot_meta=MetaFile(snapshot.version, len(content), _digest(content)),
            )
        )
        timestamp.sign(signer)
        files[self.metadata / "timestamp.json"] = timestamp.to_bytes()
        with Batch() as batch:
            for path, content in files.items():
                batch.put(path, content, mode=PUBLIC)
        self._tidy()

    def _tidy(self) -> None:
        """Delete old metadata and unnamed targets (rules 3 and 4)."""
        current = self.snapshot().signed
        kept = {"snapshot": current.version, **{n.removesuffix(".json"): m.version for n, m in current.meta.items()}}
        for file in self.metadata.glob("*.*.json"):
            number, role = file.name.removesuffix(".json").split(".", 1)
            if role != "root" and int(number) not in (kept.get(role, 0), kept.get(role, 0) - 1):
                file.unlink()
        named = set()
        for role in (n.removesuffix(".json") for n in current.meta):
            published = self.published(role)
            for path, target in {} if published is None else published.signed.targets.items():
                named.add(self._place(path, target.hashes[HASH]))
        for file in [p for p in self.targets.rglob("*") if p.is_file() and p not in named]:
            file.unlink()

    def _place(self, path: str, digest: str) -> Path:
        folder, _, name = path.rpartition("/")
        return self.targets / folder / f"{digest}.{name}"

    def _read(self, name: str) -> Metadata[Any]:
        from tuf.api.metadata import Metadata
        from tuf.api.serialization import DeserializationError

        try:
            return Metadata.from_bytes((self.metadata / name).read_bytes())
        except OSError as fault:
            raise Unavailable(
                f"{self.metadata / name}: {fault.strerror}; `lfr authority init` makes a repository"
            ) from fault
        except DeserializationError as fault:
            raise Unavailable(f"{self.metadata / name} is damaged; restore the hub's folder from its backup") from fault


def _digest(content: bytes) -> dict[str, str]:
    return {HASH: hashlib.sha256(content).hexdigest()}
