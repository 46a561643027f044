"""Offers releases of the device's software: signed by the keys of `releases`, which lie on no hub.

1. One release a target; a later one replaces it. An older version is refused, and so is the same one with another
   content.
2. Signed in one go by as many keys as the threshold asks for. What a device takes is its own decision (device/update).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.release import (
    BUNDLE_MAX_BYTES,
    ReleaseIndex,
    ReleaseManifest,
    bundle_target,
    index_target,
    parse_index,
    text_of,
    version_key,
)
from device.errors import BadData, RefusedByCondition, UsageError
from device.update.unpack import manifest_of
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.repository import HASH
from tools.hub.publishing.roles import RELEASES, releases_of, sign_anew, signatures
from tools.hub.publishing.signing_keys import open_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, TargetFile, Targets

RELEASE_DAYS = 365
"""Its signers are offline; devices that took a release keep it after that."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A release's file and what it states."""

    file: Path
    manifest: ReleaseManifest


def read_bundle(file: Path) -> Bundle:
    """A file of `lfr flash release`. BadData when it is none, or too large."""
    if not file.is_file():
        raise UsageError(f"{file} is no file; `lfr flash release` makes one")
    if file.stat().st_size > BUNDLE_MAX_BYTES:
        raise BadData(f"{file} has {file.stat().st_size} bytes; a release has at most {BUNDLE_MAX_BYTES}")
    return Bundle(file, manifest_of(file))


def publish_releases(publisher: Publisher, bundles: Sequence[Bundle], signers: Sequence[CryptoSigner]) -> None:
    """Offer releases, one a target. Raises RefusedByCondition; then nothing was published."""
    from tuf.api.metadata import Metadata, TargetFile, Targets

    with publisher.store.locked():
        delegations, now = publisher.targets(), publisher.now
        holders = releases_of(delegations)
        if holders is None:
            raise RefusedByCondition("release signed", "nobody may sign releases yet: `lfr authority releases`")
        entitled = {key.keyid for key in holders.keys}
        published = publisher.store.published(RELEASES)
        targets = {} if published is None else dict(published.signed.targets)
        contents: dict[str, bytes] = {}
        for bundle in bundles:
            _replace(publisher, targets, contents, bundle)
        targets |= {path: TargetFile.from_data(path, content, [HASH]) for path, content in contents.items()}
        role = Metadata(
            Targets(
                version=1 if published is None else published.signed.version + 1,
                expires=now + timedelta(days=RELEASE_DAYS),
                targets=targets,
            )
        )
        sign_anew(role, [signer for signer in signers if signer.public_key.keyid in entitled])
        _require_signed(delegations, role)
        for path, content in contents.items():
            publisher.store.add_target(path, content)
        publisher.store.commit({RELEASES: role}, open_key(publisher.places.hub_key), now)


def _replace(publisher: Publisher, targets: dict[str, TargetFile], contents: dict[str, bytes], bundle: Bundle) -> None:
    """Put a release in the place of its target's last one (rule 1)."""
    stated = bundle.manifest
    index, path = index_target(stated.target), bundle_target(stated.target, stated.version)
    content = bundle.file.read_bytes()
    if (old := publisher.store.target(RELEASES, index)) is not None:
        offered = parse_index(old)
        if version_key(stated.version) < version_key(offered.version):
            raise RefusedByCondition("later version", f"{offered.version} is offered; {stated.version} is older")
        if offered.bundle == path:
            _require_same(targets[path], content, stated.version)
        targets.pop(offered.bundle, None)
    contents[path] = content
    contents[index] = text_of(ReleaseIndex(version=stated.version, bundle=path, unpacked_bytes=stated.unpacked_bytes))


def _require_same(signed: TargetFile, content: bytes, version: str) -> None:
    from tuf.api.exceptions import LengthOrHashMismatchError

    try:
        signed.verify_length_and_hashes(content)
    except LengthOrHashMismatchError as fault:
        text = f"{version} was published with another content; a release never changes: raise its version"
        raise RefusedByCondition("later version", text) from fault


def _require_signed(delegations: Targets, role: Metadata[Targets]) -> None:
    signed, needed = signatures(delegations, RELEASES, role)
    if len(signed) < needed:
        text = f"{len(signed)} of {needed} keys that may sign releases were given; name them with --key"
        raise RefusedByCondition("release signed", text)
