"""Key ceremonies: make a root of trust; change officers, devices and the root itself, with offline keys.

A ceremony folder lies on a medium of its own (a safe, a stick), never in the hub's folder:
root-<n>.key .pub      threshold of these signs the root; n counts on over rotations
targets.key .pub       signs delegations: who the officers are, which devices there are
officers/<ref>.key     only if the ceremony made them; officers may bring their own `.pub` instead

1. Every change is a new version signed by the keys that the version before names; devices verify all root versions.
2. A new root is signed by the old threshold and by the new one (TUF specification, 5.3).
3. A change that cannot be completed (a full disk) leaves keys and repository as they were.
4. New officers take effect together with the deployments they sign for: their role is signed anew in the same
   publication.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from device.domain.finding import Mode
from device.domain.time import WallTime
from device.errors import ConfigError, RefusedByCondition, UsageError
from tools.hub.publishing.change import Change, Proposal, propose
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.roles import (
    OFFICERS,
    Holders,
    device_role,
    devices_in,
    keys_of,
    new_root,
    new_targets,
    releases_of,
    role_of,
    sign_anew,
)
from tools.hub.publishing.signing_keys import (
    PRIVATE,
    PUBLIC,
    make_key,
    open_key,
    read_public,
    require_outside,
    unmake_key,
)
from tools.hub.storage.files import write_file, writing

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key
    from tuf.api.metadata import Metadata, Targets

TARGETS_KEY, HUB_KEY = "targets", "hub"
_ROOT_KEY = re.compile(r"root-(\d+)\.key")


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A folder of offline keys, opened with one passphrase or none."""

    folder: Path
    passphrase: bytes | None = field(default=None, repr=False)

    @property
    def root_keys(self) -> tuple[Path, ...]:
        """Private root keys here, in the order in which they were made."""
        found = [(int(m.group(1)), p) for p in self.folder.glob("root-*.key") if (m := _ROOT_KEY.fullmatch(p.name))]
        return tuple(path for _, path in sorted(found))

    def new_root_keys(self, count: int, made: ExitStack) -> tuple[Key, ...]:
        """Make more root keys; they count on. `made` takes them back unless it is released."""
        taken = [int(m.group(1)) for p in self.root_keys if (m := _ROOT_KEY.fullmatch(p.name))]
        start = max(taken, default=0) + 1
        return tuple(self.new_key(f"root-{start + i}", made) for i in range(count))

    def new_key(self, name: str, made: ExitStack, within: str = "") -> Key:
        """A new key in this folder or a sub-folder, likewise."""
        key = make_key(self.folder / within, name, self.passphrase)
        made.callback(unmake_key, self.folder / within, name)
        return key

    def signer(self, name: str) -> CryptoSigner:
        return open_key(self.folder / f"{name}{PRIVATE}", self.passphrase)

    def root_signers(self) -> list[CryptoSigner]:
        return [open_key(path, self.passphrase) for path in self.root_keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAuthority:
    """The wanted root of trust. `officers`: reference to public key; `make_officers`: keys to make here."""

    mode: Mode
    devices: tuple[str, ...]
    officers: dict[str, Key] = field(default_factory=dict)
    make_officers: tuple[str, ...] = ()
    threshold: int = 1
    root_keys: int = 1
    root_threshold: int = 1


def begin(publisher: Publisher, ceremony: Ceremony, plan: NewAuthority, now: WallTime) -> list[str]:
    """Make keys, the first root and an empty repository; returns what was made. UsageError when there is one."""
    places, store = publisher.places, publisher.store
    require_outside(places.hub, ceremony.folder)
    if store.exists or any(places.trust(mode).exists() for mode in Mode):
        raise UsageError(f"{places.hub} has a root of trust already; `lfr authority status` shows it")
    if plan.root_threshold > plan.root_keys or plan.threshold > len(plan.officers) + len(plan.make_officers):
        raise UsageError("a threshold is larger than the number of its keys")
    if plan.root_threshold < 1 or plan.threshold < 1:
        raise UsageError("a threshold is at least 1")
    with _taken_back(lambda: store.exists) as made:
        _begin(publisher, ceremony, plan, now, made)
    return [
        f"{ceremony.folder}: {plan.root_keys} root key(s), threshold {plan.root_threshold}; the targets key",
        *(f"{ceremony.folder / 'officers' / name}.key: officer {name}; hand it over" for name in plan.make_officers),
        f"{places.trust(plan.mode)}: what devices of mode {plan.mode.value} trust",
        f"{store.root}: empty repository for {', '.join(plan.devices) or 'no device yet'}",
    ]


def _begin(publisher: Publisher, ceremony: Ceremony, plan: NewAuthority, now: WallTime, made: ExitStack) -> None:
    """The keys, and everything that they sign, in one publication."""
    from tuf.api.metadata import Metadata

    places, store = publisher.places, publisher.store
    officers = dict(plan.officers) | {name: ceremony.new_key(name, made, "officers") for name in plan.make_officers}
    holders = ceremony.new_root_keys(plan.root_keys, made)
    targets_key = ceremony.new_key(TARGETS_KEY, made)
    hub_key = make_key(places.hub_key.parent, HUB_KEY)
    made.callback(unmake_key, places.hub_key.parent, HUB_KEY)
    root = Metadata(new_root(1, holders, plan.root_threshold, targets_key, hub_key, now))
    sign_anew(root, ceremony.root_signers()[-plan.root_keys :])
    targets = new_targets(1, list(officers.values()), plan.threshold, hub_key, plan.devices, now)
    signed = Metadata(targets)
    sign_anew(signed, [ceremony.signer(TARGETS_KEY)])
    with store.locked():
        save_officers(publisher, officers)
        roles = {"targets": signed, **{device_role(d): publisher.first_of(d, targets) for d in plan.devices}}
        also = {places.trust(plan.mode): root.to_bytes()}
        store.commit(roles, open_key(places.hub_key), now, root=root, also=also)


def delegations(
    publisher: Publisher,
    ceremony: Ceremony,
    now: WallTime,
    *,
    devices: Sequence[str] | None = None,
    officers: Sequence[Key] | None = None,
    threshold: int | None = None,
    releases: Holders | None = None,
) -> Metadata[Targets]:
    """The next delegations, signed; arguments that are not given stay as they are."""
    from tuf.api.metadata import Metadata

    require_outside(publisher.places.hub, ceremony.folder)
    old = publisher.targets()
    hub_key = open_key(publisher.places.hub_key).public_key
    new = Metadata(
        new_targets(
            old.version + 1,
            keys_of(old, OFFICERS) if officers is None else officers,
            role_of(old, OFFICERS).threshold if threshold is None else threshold,
            hub_key,
            devices_in(old) if devices is None else devices,
            now,
            releases=releases_of(old) if releases is None else releases,
        )
    )
    sign_anew(new, [ceremony.signer(TARGETS_KEY)])
    return new


def change_officers(
    publisher: Publisher,
    ceremony: Ceremony,
    now: WallTime,
    *,
    add: dict[str, Key],
    remove: Sequence[str],
    threshold: int | None = None,
) -> Change:
    """A change that replaces officers' keys; it waits for the new officers' signatures (rule 4)."""
    names = publisher.places.names()
    present = {names.get(key.keyid, key.keyid[:12]): key for key in keys_of(publisher.targets(), OFFICERS)}
    unknown = [name for name in remove if name not in present]
    if unknown:
        raise UsageError(f"no officer {', '.join(unknown)}; officers are {', '.join(sorted(present)) or 'none'}")
    kept = {name: key for name, key in present.items() if name not in remove}
    twice = [name for name in add if name in kept]
    if twice:
        raise UsageError(
            f"{', '.join(twice)} has a key already; remove it in the same step, or one person counts twice"
        )
    new = delegations(publisher, ceremony, now, officers=[*kept.values(), *add.values()], threshold=threshold)
    save_officers(publisher, {**kept, **add})
    says = ", ".join([*(f"officer {n} added" for n in add), *(f"officer {n} removed" for n in remove)])
    return propose(
        publisher.places.pending / "officers",
        publisher.store,
        publisher.records.running(),
        Proposal(kind="renewal", says=says or "delegations renewed", delegations=new),
        now,
    )


def rotate_root(
    publisher: Publisher,
    ceremony: Ceremony,
    now: WallTime,
    *,
    new_keys: int,
    threshold: int,
    targets_key: bool = False,
    hub_key: bool = False,
) -> int:
    """A new root: new root keys, and a new targets or hub key if asked for; returns its version (rule 2).

    Everything below a replaced key is signed anew in the same publication.
    """
    from tuf.api.metadata import Metadata

    require_outside(publisher.places.hub, ceremony.folder)
    old = publisher.store.root_role()
    before = [s for s in ceremony.root_signers() if s.public_key.keyid in old.signed.roles["root"].keyids]
    if len(before) < old.signed.roles["root"].threshold:
        raise RefusedByCondition(
            "root threshold",
            f"{len(before)} of the {old.signed.roles['root'].threshold} root keys needed lie in {ceremony.folder}",
        )
    if not 1 <= threshold <= new_keys:
        raise UsageError(f"a root threshold of {threshold} cannot be met by {new_keys} key(s)")
    with _taken_back(lambda: publisher.store.root_role().signed.version > old.signed.version) as made:
        if hub_key:
            _replace(publisher.places.hub_key.parent, HUB_KEY, None, made)
        if targets_key:
            _replace(ceremony.folder, TARGETS_KEY, ceremony.passphrase, made)
        fresh = ceremony.new_root_keys(new_keys, made)
        hub, below = open_key(publisher.places.hub_key).public_key, ceremony.signer(TARGETS_KEY).public_key
        root = Metadata(new_root(old.signed.version + 1, fresh, threshold, below, hub, now))
        after = [s for s in ceremony.root_signers() if s.public_key.keyid in {k.keyid for k in fresh}]
        sign_anew(root, [*before, *after])
        old.verify_delegate("root", root)
        root.verify_delegate("root", root)
        publisher.adopt_root(root, delegations(publisher, ceremony, now))
    return root.signed.version


@contextmanager
def _taken_back(published: Callable[[], bool]) -> Iterator[ExitStack]:
    """Take back what the block makes when it fails before any of it was published (rule 3)."""
    with ExitStack() as made:
        try:
            yield made
        except BaseException:
            if published():
                made.pop_all()
            raise
        made.pop_all()


def _replace(folder: Path, name: str, passphrase: bytes | None, made: ExitStack) -> None:
    """A new key of a name; the old one is set aside as `<name>-old`, for its holder to destroy (rule 3)."""
    for suffix in (PRIVATE, PUBLIC):
        path, aside = folder / f"{name}{suffix}", folder / f"{name}-old{suffix}"
        with writing(path):
            path.replace(aside)
        made.callback(aside.replace, path)
    make_key(folder, name, passphrase)


def save_officers(publisher: Publisher, officers: dict[str, Key]) -> None:
    """Owners of keys: for messages, and for the rule that the named officer signed."""
    named = {key.keyid: name for name, key in officers.items()}
    if len(named) < len(officers):
        raise UsageError("one key stands for two officers; each needs a key of their own")
    # Earlier owners stay named until the change is published, and in the records after it.
    everyone = {**publisher.places.names(), **named}
    write_file(publisher.places.officers, msgspec.json.format(msgspec.json.encode(everyone)))


def officer_key(file: Path) -> tuple[str, Key]:
    """An officer's reference (the file's name) and public key."""
    if file.suffix != ".pub":
        raise ConfigError(str(file), ("must be a .pub file; the private half stays with the officer",))
    return file.stem, read_public(file)
