"""Publishes with the hub's own key: what officers signed, key envelopes, renewed signatures, ends.

1. Nothing is published that the officers' threshold did not sign, nor a deployment that its own authorising officer
   did not sign (admission.py).
2. A device takes part in one deployment at a time.
3. An end needs no officer: stopping is always safe. The hub's own key of the deployment is erased first, then the
   list's content key, then the envelopes, then the index.
4. A revoked device gets no envelope and no index again; taking its delegation away needs the targets key.
5. A volunteer is taken off the blue list without an officer: the sealed file is deleted, the index says so.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from device.config.deployment import Deployment, parse_signed
from device.config.publication import (
    Index,
    Withdrawn,
    index_target,
    index_text,
    parse_index,
    parse_withdrawn,
    withdrawn_text,
)
from device.domain.time import WallTime
from device.errors import BadData, RefusedByCondition, Unavailable
from tools.hub.publishing.admission import admitted, require_signed
from tools.hub.publishing.change import Change, require_current, require_in_time
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.publishing.places import Places
from tools.hub.publishing.repository import HASH, SNAPSHOT_DAYS, TIMESTAMP_HOURS, Store
from tools.hub.publishing.roles import DEVICE_DAYS, OFFICERS, device_role, devices_in, role_of
from tools.hub.publishing.signing_keys import open_key
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.files import write_file

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Targets


class Publisher:
    """One hub's repository. Every method that changes it takes the lock."""

    def __init__(self, hub: Path, now: Callable[[], WallTime]) -> None:
        self.places = Places(hub)
        self.store = Store(self.places.repository)
        self.records = Records(hub)
        self.keys = DeploymentKeys(hub)
        self._now = now

    def targets(self) -> Targets:
        """The delegations as published."""
        metadata = self.store.published("targets")
        if metadata is None:
            raise Unavailable(f"{self.store.root} is no repository; `lfr authority init` makes one")
        return metadata.signed

    @property
    def now(self) -> WallTime:
        """The hub's wall time."""
        return self._now()

    def publish(self, change: Change, content_key: str | None = None) -> Record | None:
        """Publish a signed change; returns the deployment's record. `content_key` opens a new deployment's list."""
        with self.store.locked():
            require_current(change, self.store)
            require_in_time(change, self._now())
            described, files = change.description(), change.files()
            delegations = change.delegations()
            targets = self.targets() if delegations is None else delegations.signed
            require_signed(change, targets, self.places)
            roles: dict[str, Metadata[Targets]] = {OFFICERS: change.metadata()}
            if delegations is not None:
                self._require_delegations(delegations)
                roles["targets"] = delegations
            record = None
            if described.kind == "deployment":
                record = self._admit(change, files, targets, content_key)
                roles |= {device_role(d): self._for_device(d, targets, _index(record), {}) for d in record.devices}
            for path, content in files.items():
                self.store.add_target(path, content)
            self.store.commit(roles, self._signer(), self._now())
            if described.kind == "withdrawal" and described.deployment_id is not None:
                record = self._count_withdrawn(described.deployment_id, files)
            with contextlib.suppress(Unavailable):  # published; what is left of the folder is discarded when it expires
                change.discard()
            return record

    def issue(self, device: str, deployment_id: str, recipient: str) -> bool:
        """Encrypt the list's key to a device's recipient; False when it has that envelope already.

        Raises RefusedByCondition for a revoked device, one that the deployment does not name, and an ended deployment.
        """
        with self.store.locked():
            if device in self.places.revoked_devices():
                raise RefusedByCondition("device trusted", f"{device} was revoked; it gets no key")
            record = self.records.current(device)
            if record is None or record.id != deployment_id:
                raise RefusedByCondition("deployment running", f"{deployment_id} is not published for {device}")
            if record.envelopes.get(device) == recipient:
                return False
            identity = self.records.content_key(record.id)
            if identity is None:
                raise RefusedByCondition("deployment running", f"the key of {record.id} is gone: it has ended")
            name = f"devices/{device}/{secrets.token_hex(16)}.envelope"
            index = _index(record, name, recipient)
            role = self._for_device(device, self.targets(), index, {name: sealed_to(identity, recipient)})
            self.store.commit({device_role(device): role}, self._signer(), self._now())
            self.records.save(msgspec.structs.replace(record, envelopes={**record.envelopes, device: recipient}))
            return True

    def end(self, deployment_id: str) -> Record:
        """End a deployment: rule 3. Ending one that has ended changes nothing."""
        with self.store.locked():
            record = self.records.get(deployment_id)
            self.keys.drop(deployment_id)
            self.records.drop_content_key(deployment_id)
            targets = self.targets()
            known = [d for d in record.devices if d in devices_in(targets)]
            mine = [d for d in known if self.records.current(d) in (record, None)]
            roles = {device_role(d): self._for_device(d, targets, None, {}) for d in mine}
            self.store.commit(roles, self._signer(), self._now())
            self._delete_payload(record)
            if record.ended_at is None:
                record = msgspec.structs.replace(record, ended_at=self._now(), envelopes={})
                self.records.save(record)
            return record

    def take_off_volunteers(self, deployment_id: str, refs: Iterable[str]) -> tuple[str, ...]:
        """Take volunteers off the blue list of a running deployment; who was on it. It needs no officer (rule 5)."""
        with self.store.locked():
            record = self.records.get(deployment_id)
            gone = tuple(ref for ref in refs if ref in record.volunteers and ref not in record.volunteers_withdrawn)
            if not gone or not record.running:
                return ()
            without = msgspec.structs.replace(record, volunteers_withdrawn=(*record.volunteers_withdrawn, *gone))
            targets, roles = self.targets(), {}
            for device in record.devices:
                if device in devices_in(targets) and self.records.current(device) == record:
                    roles[device_role(device)] = self._readdressed(device, without, targets)
            self.store.commit(roles, self._signer(), self._now())
            self.records.save(without)  # after the devices' index: a disk that refused it is asked again
            for ref in gone:
                for file in self.store.targets.glob(f"deployments/*.{record.stem}.{ref}.volunteer"):
                    file.unlink()
            return gone

    def _readdressed(self, device: str, record: Record, targets: Targets) -> Metadata[Targets]:
        """A device's role with a new index; the envelope stays."""
        content = self.store.target(device_role(device), index_target(device))
        before = None if content is None else parse_index(content)
        name = None if before is None else before.envelope
        envelope = None if name is None else self.store.target(device_role(device), name)
        if before is None or name is None or envelope is None:
            return self._for_device(device, targets, _index(record), {})
        return self._for_device(device, targets, _index(record, name, before.recipient), {name: envelope})

    def revoke(self, device: str) -> None:
        """A lost device gets no key and no index again (rule 4); other devices go on."""
        with self.store.locked():
            revoked = {**self.places.revoked_devices(), device: self._now().isoformat()}
            write_file(self.places.revoked, msgspec.json.encode(revoked))
            targets = self.targets()
            if device in devices_in(targets):
                role = self._for_device(device, targets, None, {})
                self.store.commit({device_role(device): role}, self._signer(), self._now())
            record = self.records.current(device)
            if record is not None:
                left = {d: r for d, r in record.envelopes.items() if d != device}
                self.records.save(msgspec.structs.replace(record, envelopes=left))

    def change_delegations(self, delegations: Metadata[Targets]) -> None:
        """Publish new delegations that keep the officers' signatures valid: devices are added or removed."""
        with self.store.locked():
            self._require_delegations(delegations)
            roles: dict[str, Metadata[Targets]] = {"targets": delegations}
            before, after = devices_in(self.targets()), devices_in(delegations.signed)
            roles |= {
                device_role(d): self._for_device(d, delegations.signed, None, {}) for d in after if d not in before
            }
            self.store.commit(roles, self._signer(), self._now())

    def first_of(self, device: str, targets: Targets) -> Metadata[Targets]:
        """A device's role before anything was published for it: an empty index."""
        return self._for_device(device, targets, None, {})

    def adopt_root(self, root: Metadata[Root], delegations: Metadata[Targets]) -> None:
        """Publish a new root and sign anew all that lies below it."""
        with self.store.locked():
            self._require_delegations(delegations, root)
            roles: dict[str, Metadata[Targets]] = {"targets": delegations}
            for device in devices_in(delegations.signed):
                published = self.store.published(device_role(device))
                if published is not None:
                    roles[device_role(device)] = self._again(published)
            also = {self.places.trust(self.places.mode): root.to_bytes()}
            self.store.commit(roles, self._signer(), self._now(), root=root, also=also)

    def renew(self, *, always: bool = False) -> bool:
        """Sign anew what is past half of its lifetime, or was signed in the future, by a clock that was ahead; whether
        anything was. `always`: even when it is not.
        """
        if not self.store.exists:
            return False
        with self.store.locked():
            now, targets = self._now(), self.targets()
            due: dict[str, Metadata[Targets]] = {}
            for device in devices_in(targets):
                published = self.store.published(device_role(device))
                if published is not None and _due(published.signed.expires, timedelta(days=DEVICE_DAYS), now):
                    due[device_role(device)] = self._again(published)
            half = _due(self.store.timestamp().signed.expires, timedelta(hours=TIMESTAMP_HOURS), now)
            half = half or _due(self.store.snapshot().signed.expires, timedelta(days=SNAPSHOT_DAYS), now)
            if not (due or half or always):
                return False
            self.store.commit(due, self._signer(), now)
            return True

    def expired(self) -> tuple[Record, ...]:
        """Deployments that still run here although their window is over."""
        now = self._now()
        return tuple(record for record in self.records.running() if record.over <= now)

    def withdrawn(self, record: Record) -> Withdrawn:
        """The withdrawn list as published."""
        content = self.store.target(OFFICERS, f"deployments/{record.stem}.withdrawn.json")
        if content is None:
            raise Unavailable(f"the withdrawn list of {record.id} is not in {self.store.root}")
        return parse_withdrawn(content)

    def deployment(self, record: Record) -> Deployment:
        """The document as published."""
        path = f"deployments/{record.stem}.yaml"
        content = self.store.target(OFFICERS, path)
        if content is None:
            raise Unavailable(f"{path} is not in {self.store.root}")
        return parse_signed(content, path)

    def _require_delegations(self, delegations: Metadata[Targets], root: Metadata[Root] | None = None) -> None:
        from tuf.api.exceptions import UnsignedMetadataError

        root = self.store.root_role() if root is None else root
        try:
            root.verify_delegate("targets", delegations)
        except UnsignedMetadataError as fault:
            raise RefusedByCondition(
                "targets key", f"the delegations are not signed by the root's targets key: {fault}"
            ) from fault
        if delegations.signed.version != self.targets().version + 1:
            raise RefusedByCondition("targets key", "other delegations were published meanwhile; make them anew")

    def _admit(self, change: Change, files: Mapping[str, bytes], targets: Targets, content_key: str | None) -> Record:
        """Keep what a new deployment needs; its record is written before devices can see it, so that none is lost."""
        record = admitted(change, files, targets, self.places, self.records, self._now())
        if content_key is None:
            raise BadData(f"{change.folder} brings no key of the list")
        self.records.keep_content_key(record.id, content_key)
        self.records.save(record)
        return record

    def _for_device(
        self, device: str, targets: Targets, index: Index | None, envelopes: Mapping[str, bytes]
    ) -> Metadata[Targets]:
        """The next version of a device's role: its index and what it names."""
        from tuf.api.metadata import Metadata, TargetFile, Targets

        role_of(targets, device_role(device))
        published = self.store.published(device_role(device)) if self.store.exists else None
        files = {index_target(device): index_text(index), **envelopes}
        for path, content in files.items():
            self.store.add_target(path, content)
        role = Metadata(
            Targets(
                version=1 if published is None else published.signed.version + 1,
                expires=self._now() + timedelta(days=DEVICE_DAYS),
                targets={path: TargetFile.from_data(path, content, [HASH]) for path, content in files.items()},
            )
        )
        role.sign(self._signer())
        return role

    def _again(self, published: Metadata[Targets]) -> Metadata[Targets]:
        published.signed.version += 1
        published.signed.expires = self._now() + timedelta(days=DEVICE_DAYS)
        published.sign(self._signer())
        return published

    def _count_withdrawn(self, deployment_id: str, files: Mapping[str, bytes]) -> Record:
        record = self.records.get(deployment_id)
        listed = parse_withdrawn(files[f"deployments/{record.stem}.withdrawn.json"])
        record = msgspec.structs.replace(record, withdrawn=len(listed.refs))
        self.records.save(record)
        return record

    def _delete_payload(self, record: Record) -> None:
        for kind in ("payload", "*.volunteer"):
            for file in self.store.targets.glob(f"deployments/*.{record.stem}.{kind}"):
                file.unlink()

    def _signer(self) -> CryptoSigner:
        return open_key(self.places.hub_key)


def _index(record: Record, envelope: str | None = None, recipient: str | None = None) -> Index:
    base = f"deployments/{record.stem}"
    return Index(
        deployment=f"{base}.yaml",
        payload=f"{base}.payload",
        withdrawn=f"{base}.withdrawn.json",
        envelope=envelope,
        recipient=recipient,
        volunteers_withdrawn=record.volunteers_withdrawn,
    )


def sealed_to(identity: str, recipient: str) -> bytes:
    """A key envelope: one age identity, encrypted to one recipient. BadData when the recipient is none."""
    import pyrage

    try:
        key = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as fault:
        raise BadData("what the device gave is no age recipient") from fault
    sealed: bytes = pyrage.encrypt(identity.strip().encode(), [key])
    return sealed


def empty_withdrawn(deployment_id: str) -> bytes:
    """The withdrawn list that a deployment starts with."""
    return withdrawn_text(Withdrawn(deployment_id=deployment_id))


def _due(expires: datetime, life: timedelta, now: WallTime) -> bool:
    return not life / 2 <= expires - now <= life
