"""The signatures of a release, checked without a network or a clock that is right: root → targets → releases.

For the updater, which runs as root and trusts neither the unprivileged supervisor's folder nor a stick. Both have the
form of the hub's repository. The other module beside `trusted.py` that knows python-tuf.

1. The root of trust is this device's own (/etc/lfr/trust); later roots count only as TUF has it: signed by the old
   threshold and by the new one.
2. Timestamp and snapshot are not asked: they live a day, and a stick is older. Instead, no metadata file may be older
   than the newest that this device has verified (`seen`), and the updater takes later versions only.
3. Expired metadata is refused, the newest root's as well (an older one may have expired: that is what rotations are
   for). A clock in 1970 sees none expire, one that is ahead sees all: the refusal names the clock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.config.release import (
    BUNDLE_MAX_BYTES,
    INDEX_MAX_BYTES,
    ReleaseIndex,
    index_target,
    parse_index,
)
from device.domain.time import WallTime
from device.errors import BadData, RefusedByCondition, Unavailable, reason_of
from device.sync.source import Missing, Source
from device.sync.source_usb import UsbSource
from device.sync.trusted import ROOT_MAX_BYTES, ROOT_ROTATIONS_MOST, TARGETS_MAX_BYTES

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, TargetFile

ROLE, TARGETS = "releases", "targets"
RULE = "release signed"
_NAME = re.compile(r"([1-9][0-9]{0,8})\.(root|targets|releases)\.json")
_BUNDLE = re.compile(r"releases/(.+)\.json")


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release whose signatures are good. seen: version of each metadata file, to be kept by the caller (rule 2)."""

    index: ReleaseIndex
    length: int
    sha256: str
    seen: dict[str, int]
    source: Source

    def copy(self, to: Path) -> None:
        """Copy the release's file out of the untrusted folder; BadData unless the copy is what was signed."""
        digest, received = hashlib.sha256(), 0
        folder, _, name = self.index.bundle.rpartition("/")
        try:
            with to.open("wb") as file:
                for piece in self.source.read(f"targets/{folder}/{self.sha256}.{name}"):
                    received += len(piece)
                    if received > self.length:
                        raise BadData(f"{name} is longer than the {self.length} bytes that were signed")
                    digest.update(piece)
                    file.write(piece)
        except Missing as fault:
            raise BadData(f"{name} is signed but not there; copy the whole repository again") from fault
        if received != self.length:
            raise BadData(f"{name} is cut off: {received} of {self.length} bytes; copy it again")
        if digest.hexdigest() != self.sha256:
            raise BadData(f"{name} is not what was signed; copy it again")


def signed_release(folder: Path, root: bytes, target: str, now: WallTime, seen: Mapping[str, int]) -> SignedRelease:
    """The release that a folder offers for a target. RefusedByCondition or BadData with what is wrong with it."""
    from tuf.api.exceptions import RepositoryError

    source = UsbSource(folder)
    try:
        names = _names(folder)
        trusted, version = _root(source, root, names, now)
        targets, at_targets = _role(source, names, TARGETS, trusted.signed, now)
        releases, at_releases = _role(source, names, ROLE, targets.signed, now)
        found = {"root": version, TARGETS: at_targets, ROLE: at_releases}
        _require_not_older(found, seen)
        index = _index(source, releases, target)
        signed: TargetFile | None = releases.signed.targets.get(index.bundle)
        if signed is None or "sha256" not in signed.hashes:
            raise RefusedByCondition(RULE, f"{index.bundle} is offered but not signed")
        if signed.length > BUNDLE_MAX_BYTES:
            raise RefusedByCondition(
                RULE, f"{index.bundle} is signed with {signed.length} bytes, too many for a release"
            )
        return SignedRelease(index, signed.length, signed.hashes["sha256"], found, source)
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        words = (str(fault).splitlines() or [type(fault).__name__])[0][:160]
        raise RefusedByCondition(RULE, f"{folder} does not verify with this device's root of trust: {words}") from fault


def _names(folder: Path) -> dict[str, list[int]]:
    """Versions of each role's metadata in the folder, the newest last."""
    found: dict[str, list[int]] = {"root": [], TARGETS: [], ROLE: []}
    try:
        names = [path.name for path in (folder / "metadata").iterdir()]
    except OSError as fault:
        raise Unavailable(f"{folder} holds no copy of a hub's repository ({reason_of(fault)})") from fault
    for name in names:
        if match := _NAME.fullmatch(name):
            found[match[2]].append(int(match[1]))
    return {role: sorted(versions) for role, versions in found.items()}


def _root(source: Source, root: bytes, names: Mapping[str, list[int]], now: WallTime) -> tuple[Metadata[Any], int]:
    """The newest root (rules 1 and 3)."""
    from tuf.api.metadata import Metadata, Root

    trusted: Metadata[Root] = Metadata.from_bytes(root)
    trusted.verify_delegate("root", trusted)
    for _ in range(ROOT_ROTATIONS_MOST):
        version = trusted.signed.version + 1
        if version not in names["root"]:
            break
        fresh: Metadata[Root] = Metadata.from_bytes(_read(source, f"{version}.root.json", ROOT_MAX_BYTES))
        trusted.verify_delegate("root", fresh)
        fresh.verify_delegate("root", fresh)
        if fresh.signed.version != version:
            raise ValueError(f"{version}.root.json is version {fresh.signed.version}")
        trusted = fresh
    if trusted.signed.is_expired(now):
        remedy = "at the hub run `lfr authority root`, then copy the repository again"
        raise RefusedByCondition(RULE, f"root version {trusted.signed.version} {_expired(trusted, now)}; {remedy}")
    return trusted, trusted.signed.version


def _role(
    source: Source, names: Mapping[str, list[int]], role: str, above: Any, now: WallTime
) -> tuple[Metadata[Any], int]:
    """The newest metadata of a role, by the keys that `above` names (rule 3)."""
    from tuf.api.metadata import Metadata, Targets

    if not names[role]:
        raise RefusedByCondition(RULE, f"there is no metadata of {role}: the hub has published no release")
    version = names[role][-1]
    found: Metadata[Targets] = Metadata.from_bytes(_read(source, f"{version}.{role}.json", TARGETS_MAX_BYTES))
    above.verify_delegate(role, found.signed_bytes, found.signatures)
    if found.signed.version != version:
        raise ValueError(f"{version}.{role}.json is version {found.signed.version}")
    if found.signed.is_expired(now):
        renewed = "publish a release again" if role == ROLE else "run `lfr authority releases` again"
        remedy = f"copy the repository again; if that is the newest, {renewed} at the hub"
        raise RefusedByCondition(RULE, f"{version}.{role}.json {_expired(found, now)}; {remedy}")
    return found, version


def _expired(found: Metadata[Any], now: WallTime) -> str:
    return f"expired {found.signed.expires:%Y-%m-%d} (the clock here is at {now:%Y-%m-%d})"


def _require_not_older(found: Mapping[str, int], seen: Mapping[str, int]) -> None:
    """Rule 2."""
    for role, version in found.items():
        if version < seen.get(role, 0):
            text = f"{role} is version {version}; this device has verified {seen[role]}: an old copy is offered"
            raise RefusedByCondition(RULE, text)


def _index(source: Source, releases: Metadata[Any], target: str) -> ReleaseIndex:
    """The offer for a target."""
    name = index_target(target)
    signed: TargetFile | None = releases.signed.targets.get(name)
    if signed is None:
        known = sorted(match[1] for path in releases.signed.targets if (match := _BUNDLE.fullmatch(path)))
        text = f"no release for {target} is offered, only for {', '.join(known) or 'nothing'}"
        raise RefusedByCondition("release for this machine", text)
    folder, _, base = name.rpartition("/")
    content = _read(source, f"{signed.hashes['sha256']}.{base}", INDEX_MAX_BYTES, f"targets/{folder}")
    signed.verify_length_and_hashes(content)
    return parse_index(content)


def _read(source: Source, name: str, most_bytes: int, folder: str = "metadata") -> bytes:
    content = bytearray()
    try:
        for piece in source.read(f"{folder}/{name}"):
            content += piece
            if len(content) > most_bytes:
                raise ValueError(f"{name} is longer than {most_bytes} bytes")
    except Missing as fault:
        raise BadData(f"{name} is signed but is not there; copy the whole repository again") from fault
    return bytes(content)
