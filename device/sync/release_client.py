"""Fetches a release of the software while this device is idle, and places it for the updater, which is another program.

1. python-tuf's whole check, with freshness, upon the set that the deployments' client has verified; on a thread and a
   connection of its own, so that a deployment never waits for a download. What fails here fails no condition.
2. Only a release for this machine, later than the one that runs, that has not failed here, and fits on the disk.
3. `interrupt` ends a download at its next piece: a deployment is offered.
4. `<state>/update/ready` has the form of the hub's repository, with the metadata that the updater checks once more. It
   is whole: flushed, then renamed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from device.config.installed import OFFERED
from device.config.release import (
    BUNDLE_MAX_BYTES,
    INDEX_MAX_BYTES,
    ReleaseIndex,
    index_target,
    parse_index,
    slot_bytes,
    version_key,
)
from device.durable import flush, flush_folder, make_folder, replace_file
from device.errors import BadData, RefusedByCondition, Unavailable, reason_of
from device.logs import event
from device.sync.client import FOLDER
from device.sync.release_chain import ROLE
from device.sync.repository_copy import Store
from device.sync.root import trusted_root
from device.sync.source import Source
from device.sync.trusted import Found, Trusted

_log = logging.getLogger(__name__)
RESERVE_BYTES = 500_000_000
"""Stays free beside a download and its copy: the outbox and the audit log go on."""
INCOMING, VERSION = "incoming", "version"


@dataclass(frozen=True, slots=True)
class Installed:
    """What runs here.

    refused  versions that have failed on this device, read anew each time
    news     what a person should know of the last update
    """

    version: str
    target: str
    refused: Callable[[], frozenset[str]]
    news: Callable[[], str] = str


class ReleaseClient:
    """One device's client for releases. `fetch` blocks and runs on its own thread, `interrupt` anywhere."""

    def __init__(
        self, state_dir: Path, roots: Path, sources: Sequence[Source], installed: Installed, *, memory: Path
    ) -> None:
        self._state_dir = state_dir
        self._roots = roots
        self._sources = tuple(sources)
        self._installed = installed
        self._memory = memory
        self._ready = state_dir / OFFERED
        self._stop = Event()

    def fetch(self) -> str:
        """The version that was placed now; empty when there is nothing to do.

        Raises Unavailable, RefusedByCondition or BadData; then nothing was placed.
        """
        self._stop.clear()
        mode, root = trusted_root(self._roots)
        current = Store(self._state_dir / FOLDER / mode.value, self._memory / FOLDER / mode.value).current
        if current is None or not _offers_releases(current / "metadata"):
            return ""
        problems = []
        for source in self._sources:
            try:
                return self._fetch(source, root, current / "metadata")
            except Unavailable as fault:
                problems.append(f"{source.name}: {fault}")
            except OSError as fault:
                raise Unavailable(f"{self._ready.parent}: {reason_of(fault)}; a release was not placed") from fault
        raise Unavailable("; ".join(problems) or "there is no source of releases")

    def news(self) -> str:
        """The release that failed last here; empty when none did."""
        return self._installed.news()

    def interrupt(self) -> None:
        """End a download in progress (rule 3)."""
        self._stop.set()

    def close(self) -> None:
        self.interrupt()
        for source in self._sources:
            source.close()

    def _fetch(self, source: Source, root: bytes, verified: Path) -> str:
        staging = self._memory / "release"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            shutil.copytree(verified, staging / "metadata", symlinks=True)
            trusted = Trusted(staging / "metadata", root, source, self._progress)
            trusted.refresh()
            offer = trusted.find(index_target(self._installed.target), INDEX_MAX_BYTES)
            if offer is None:
                return ""
            file = staging / "index.json"
            trusted.download(offer, file)
            index = parse_index(file.read_bytes())
            if not self._wanted(index):
                return ""
            bundle = trusted.find(index.bundle, BUNDLE_MAX_BYTES)
            if bundle is None:
                raise BadData(f"{index.bundle} is offered and not signed; the hub must publish again")
            self._require_room(2 * bundle.length + slot_bytes(index.unpacked_bytes) + RESERVE_BYTES)
            self._place(trusted, staging, offer, bundle, index.version)
            return index.version
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _wanted(self, index: ReleaseIndex) -> bool:
        """Rule 2."""
        if version_key(index.version) <= version_key(self._installed.version):
            return False
        if index.version in self._installed.refused():
            return False
        try:
            return (self._ready / VERSION).read_text(encoding="ascii") != index.version
        except (OSError, ValueError):
            return True

    def _require_room(self, needed: int) -> None:
        """For the download, python-tuf's own copy of it, and the slot; nothing is fetched otherwise."""
        room = os.statvfs(self._state_dir)
        free = room.f_bavail * room.f_frsize
        if free < needed:
            text = f"{free // 10**6} MB are free, a release needs {needed // 10**6} MB"
            raise RefusedByCondition("room for a release", f"{self._state_dir}: {text}")

    def _place(self, trusted: Trusted, staging: Path, offer: Found, bundle: Found, version: str) -> None:
        """Rule 4."""
        incoming = self._ready.with_name(INCOMING)
        shutil.rmtree(incoming, ignore_errors=True)
        make_folder(incoming)
        try:
            for found in (offer, bundle):
                folder, _, name = found.name.rpartition("/")
                place = incoming / "targets" / folder / f"{found.sha256}.{name}"
                trusted.download(found, place)
            _copy_metadata(staging / "metadata", incoming / "metadata")
            replace_file(incoming / VERSION, version.encode())
            for path in sorted(incoming.rglob("*"), reverse=True):
                flush_folder(path) if path.is_dir() else flush(path)
            flush_folder(incoming)
            shutil.rmtree(self._ready, ignore_errors=True)
            incoming.rename(self._ready)
            flush_folder(self._ready.parent)
        except BaseException:
            shutil.rmtree(incoming, ignore_errors=True)
            raise
        event(_log, "release.placed", version=version, bytes=bundle.length)

    def _progress(self, path: str, received: int, of: int) -> None:
        if self._stop.is_set():
            raise Unavailable(f"interrupted at {received} of {of} bytes of {path}: a deployment is offered")


def _offers_releases(metadata: Path) -> bool:
    """Whether the snapshot names the role at all: a hub that has published no release has none."""
    try:
        named = json.loads((metadata / "snapshot.json").read_bytes())["signed"]["meta"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return f"{ROLE}.json" in named


def _copy_metadata(verified: Path, to: Path) -> None:
    """Under the names that the hub's repository has: `<version>.<role>.json`."""
    to.mkdir()
    for root in (verified / "root_history").glob("*.root.json"):
        shutil.copyfile(root, to / root.name)
    for role in ("targets", ROLE):
        content = (verified / f"{role}.json").read_bytes()
        (to / f"{json.loads(content)['signed']['version']}.{role}.json").write_bytes(content)
