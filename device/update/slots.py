"""Slots: each release in a folder of its own, and two links that name one of them. A power cut leaves whole slots only.

    <top>/slots/<version>/    a whole release, read-only: bin/ lib/ systemd/ release.json
    <top>/slots/.<version>.*  a slot that is being made or deleted; nothing names it
    <top>/current             link: the slot that the units run
    <top>/committed           link: the last slot that has proved itself; the updater runs from it

1. A slot gets its name by one rename, after everything in it was flushed; it loses it by one rename, before the first
   file of it is deleted. So a name in `slots` without a dot is whole.
2. A link is replaced by one rename, and the folder is flushed; nothing else ever writes to it.
3. A slot that a link names, or that is named to `prune`, is never deleted.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from device.config.release import MANIFEST, ReleaseManifest, parse_manifest, version_key
from device.durable import flush_folder, make_folder
from device.errors import BadData, Unavailable

CURRENT, COMMITTED, SLOTS = "current", "committed", "slots"


class Slots:
    """The slots of one device below `top` (/opt/lfr)."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.folder = top / SLOTS

    def place(self, version: str) -> Path:
        """Where the slot of a version lies, or will."""
        return self.folder / version

    def versions(self) -> list[str]:
        """Versions of all whole slots, the oldest first."""
        names = [path.name for path in self.folder.glob("[0-9]*") if path.is_dir() and not path.is_symlink()]
        return sorted(names, key=version_key)

    def named(self, link: str) -> str | None:
        """The version that a link names; None when the link is missing or names no whole slot."""
        try:
            to = (self.top / link).readlink()
        except OSError:
            return None
        return to.name if to.parent == Path(SLOTS) and (self.folder / to.name).is_dir() else None

    def require(self, link: str) -> str:
        """As `named`. Unavailable when this machine has no such slot."""
        version = self.named(link)
        if version is None:
            text = f"{self.top / link} names no slot: this device was not made by `lfr flash`, and is updated by hand"
            raise Unavailable(text)
        return version

    def manifest(self, version: str) -> ReleaseManifest | None:
        """What a slot states of itself; None without one that can be read."""
        try:
            return parse_manifest((self.place(version) / MANIFEST).read_bytes())
        except (OSError, BadData):
            return None

    def begin(self, version: str) -> Path:
        """An empty folder for a slot that is being made."""
        fresh = self.folder / f".{version}.new"
        delete(fresh)
        make_folder(self.folder, 0o755)
        fresh.mkdir(mode=0o755)
        return fresh

    def complete(self, version: str, fresh: Path) -> None:
        """Seal a slot, flush it and give it its name (rule 1)."""
        seal(fresh)
        os.sync()  # thousands of files: one flush of the file systems instead of one each
        self.remove(version)
        fresh.rename(self.place(version))
        flush_folder(self.folder)

    def point(self, link: str, version: str) -> None:
        """Have a link name a slot (rule 2). Unavailable when there is no such slot."""
        if not self.place(version).is_dir():
            raise Unavailable(f"{self.place(version)} is not there")
        fresh = self.top / f".{link}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"{SLOTS}/{version}", target_is_directory=True)
        fresh.replace(self.top / link)
        flush_folder(self.top)

    def remove(self, version: str) -> None:
        """Delete a slot that no link names (rules 1 and 3)."""
        place, old = self.place(version), self.folder / f".{version}.old"
        delete(old)
        if version in (self.named(CURRENT), self.named(COMMITTED)) or not place.exists():
            return
        place.rename(old)
        flush_folder(self.folder)
        delete(old)

    def prune(self, *keep: str | None) -> None:
        """Delete every slot but those that a link names and `keep`, and what an interrupted update left."""
        for path in self.folder.glob(".*"):
            delete(path)
        for version in self.versions():
            if version not in keep:
                self.remove(version)


def seal(folder: Path) -> None:
    """Take the right to write from everything in a slot: only an update changes it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def delete(folder: Path) -> None:
    """Delete a folder that may be sealed; nothing when there is none."""
    if not folder.exists():
        return
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
