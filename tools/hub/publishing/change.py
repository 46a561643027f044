"""A change that officers sign: the next version of their role, with the files it names, in one folder.

change.json     what it is, for people and for `publish`
officers.json   the metadata that is signed; signatures are added to it
files/…         the targets it adds, by their target names
hub/…           what only the hub may open (age): photos and the list's content key
targets.json    new delegations that are published with it, when officers or devices change

1. The folder may be copied: an officer signs a copy on another machine and returns it; `merge` adds the signatures.
2. Before signing, every file that is shown is compared with the digest in the metadata.
3. A change is made upon one published version; when another was published meanwhile, it must be made anew.
4. Deployments that have ended are left out of the next version, whatever the change is for.
5. A change waits until its time (`expires`), and is then neither published nor kept (pending_changes.py).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData, RefusedByCondition, Unavailable
from tools.hub.publishing.deployment_records import Record
from tools.hub.publishing.repository import HASH, Store
from tools.hub.publishing.roles import OFFICERS, signatures
from tools.hub.storage.files import cannot_write, write_file

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Targets

GRACE = timedelta(days=1)  # officers' signatures outlast the last window by this, so that an end can be read
CHANGE, METADATA, DELEGATIONS, FILES, FOR_HUB = "change.json", "officers.json", "targets.json", "files", "hub"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """`upon`: the version of the officers' role that this change replaces, 0 for none; `expires`: null for never."""

    kind: Literal["deployment", "withdrawal", "renewal"]
    deployment_id: str | None
    stem: str | None
    upon: int
    made_at: str
    says: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One folder of a change that waits for signatures."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def description(self) -> Description:
        """BadData when the folder holds no change."""
        try:
            return msgspec.json.decode((self.folder / CHANGE).read_bytes(), type=Description)
        except (OSError, msgspec.DecodeError) as fault:
            raise BadData(f"{self.folder} holds no change to sign ({fault})") from fault

    def metadata(self) -> Metadata[Targets]:
        """What is signed, with the signatures so far."""
        return self._targets(METADATA)

    def delegations(self) -> Metadata[Targets] | None:
        """New delegations that come with the change, signed by the holder of the targets key."""
        return self._targets(DELEGATIONS) if (self.folder / DELEGATIONS).exists() else None

    def files(self) -> dict[str, bytes]:
        """Targets that the change brings, each as the metadata names it (rule 2)."""
        named = self.metadata().signed.targets
        found: dict[str, bytes] = {}
        base = self.folder / FILES
        for file in sorted(p for p in base.rglob("*") if p.is_file()):
            path, content = file.relative_to(base).as_posix(), file.read_bytes()
            if path not in named or named[path].hashes.get(HASH) != hashlib.sha256(content).hexdigest():
                raise BadData(f"{file} is not what {METADATA} names: the change was tampered with; make it anew")
            found[path] = content
        return found

    def for_hub(self, name: str) -> bytes:
        """A sealed file that only the hub opens."""
        try:
            return (self.folder / FOR_HUB / name).read_bytes()
        except OSError as fault:
            raise BadData(f"{self.folder}: {name} is missing ({fault.strerror}); make the change anew") from fault

    def sign(self, signers: Iterable[CryptoSigner]) -> None:
        """Add signatures; files are compared first (rule 2)."""
        self.files()
        metadata = self.metadata()
        for signer in signers:
            metadata.sign(signer, append=True)
        write_file(self.folder / METADATA, metadata.to_bytes())

    def merge(self, *copies: Change) -> None:
        """Take over the signatures of copies that were signed elsewhere (rule 1)."""
        write_file(self.folder / METADATA, self._merged(copies).to_bytes())

    def signed_by(self, targets: Targets, *copies: Change) -> tuple[tuple[str, ...], int]:
        """Key ids whose signatures count, those on `copies` included, and how many are needed."""
        return signatures(targets, OFFICERS, self._merged(copies))

    def _merged(self, copies: Sequence[Change]) -> Metadata[Targets]:
        mine = self.metadata()
        for other in copies:
            theirs = other.metadata()
            if mine.signed != theirs.signed:
                raise BadData(f"{other.folder} is a copy of another change; sign a copy of {self.folder}")
            mine.signatures.update({**theirs.signatures, **mine.signatures})
        return mine

    def discard(self) -> None:
        """Delete the folder. Unavailable when something of it is still there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            raise Unavailable(f"{self.folder} could not be deleted: sealed photos may be in it; delete it by hand")

    def _targets(self, name: str) -> Metadata[Targets]:
        from tuf.api.metadata import Metadata, Targets
        from tuf.api.serialization import DeserializationError

        try:
            metadata: Metadata[Targets] = Metadata.from_bytes((self.folder / name).read_bytes())
        except (OSError, DeserializationError) as fault:
            raise BadData(f"{self.folder / name} is no metadata: {fault}") from fault
        if not isinstance(metadata.signed, Targets):
            raise BadData(f"{self.folder / name} is metadata of another role")
        return metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposed change: targets by name, what only the hub opens, a sentence for people."""

    kind: Literal["deployment", "withdrawal", "renewal"]
    says: str
    deployment_id: str | None = None
    stem: str | None = None
    ends: WallTime | None = None
    expires: WallTime | None = None
    add: Mapping[str, bytes] = field(default_factory=dict)
    for_hub: Mapping[str, bytes] = field(default_factory=dict)
    delegations: Metadata[Targets] | None = None


def propose(folder: Path, store: Store, running: Sequence[Record], proposal: Proposal, now: WallTime) -> Change:
    """Write the change's folder: the published officers' targets of running deployments, and what is added."""
    from tuf.api.metadata import Metadata, TargetFile, Targets

    published = store.published(OFFICERS)
    stems = {record.stem for record in running}
    old = {} if published is None else published.signed.targets
    targets = {path: target for path, target in old.items() if path.split("/")[-1].split(".")[0] in stems}
    targets.update({path: TargetFile.from_data(path, content, [HASH]) for path, content in proposal.add.items()})
    over = [record.over for record in running] + ([proposal.ends] if proposal.ends else [])
    upon = 0 if published is None else published.signed.version
    metadata = Metadata(Targets(version=upon + 1, expires=max([now, *over]) + GRACE, targets=targets))
    described = Description(
        kind=proposal.kind,
        deployment_id=proposal.deployment_id,
        stem=proposal.stem,
        upon=upon,
        made_at=now.isoformat(),
        says=proposal.says,
        expires=proposal.expires,
    )
    fresh = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        for path, content in proposal.add.items():
            write_file(fresh / FILES / path, content)
        for name, content in proposal.for_hub.items():
            write_file(fresh / FOR_HUB / name, content)
        if proposal.delegations is not None:
            write_file(fresh / DELEGATIONS, proposal.delegations.to_bytes())
        write_file(fresh / METADATA, metadata.to_bytes())
        write_file(fresh / CHANGE, msgspec.json.format(msgspec.json.encode(described)))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    except (OSError, Unavailable) as fault:
        shutil.rmtree(fresh, ignore_errors=True)
        raise cannot_write(folder, fault) if isinstance(fault, OSError) else fault from fault
    return Change(folder)


def require_current(change: Change, store: Store) -> None:
    """RefusedByCondition when another change was published since this one was made (rule 3)."""
    published = store.published(OFFICERS)
    version = 0 if published is None else published.signed.version
    if change.description().upon != version:
        raise RefusedByCondition(
            "change upon what is published",
            f"another change was published since {change.name} was made; make it anew and sign that",
        )


def require_in_time(change: Change, now: WallTime) -> None:
    """RefusedByCondition when a change has expired (rule 5)."""
    expires = change.description().expires
    if expires is not None and wall(expires) <= now:
        raise RefusedByCondition(
            "change in its time", f"{change.name} waited until {rfc3339(wall(expires))}, too long; make it anew"
        )
