"""The device's copy of the hub's repository; a power cut leaves the old set or the new one, never a mixture.

<folder>/current            link to the set in use
<folder>/sets/<n>/          metadata (python-tuf's), targets (deployment, index, withdrawn list), facts.json
<folder>/payloads/<sha256>  the sealed watchlist: ciphertext whose key is in memory only
<folder>/staging/           a set that is being made; not used until it is renamed

1. Everything new is made in `staging`, every file and folder of it is flushed to the disk, then it is renamed into
   `sets`, then `current` is replaced by one rename. What `current` does not name is deleted at the next start.
2. A payload is named by its hash and is in its place before a set that needs it; workers may open it at any time.
3. No envelope and no identity is ever written here.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from device.domain.time import WallTime, rfc3339, wall
from device.durable import flush, flush_folder
from device.errors import Unavailable

CURRENT, SETS, PAYLOADS, STAGING, FACTS = "current", "sets", "payloads", "staging", "facts.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """verified_at: this device's clock when the set was verified, which no later reading may precede."""

    verified_at: WallTime
    source: str


class Store:
    """One mode's folder. One thread at a time. Raises Unavailable when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def current(self) -> Path | None:
        """The set in use, None before the first."""
        link = self._folder / CURRENT
        return link.resolve() if (link / FACTS).is_file() else None

    def facts(self) -> Facts | None:
        """Facts about the set in use; None without one."""
        current = self.current
        if current is None:
            return None
        try:
            found = json.loads((current / FACTS).read_bytes())
            return Facts(wall(datetime.fromisoformat(found["verified_at"].replace("Z", "+00:00"))), found["source"])
        except (OSError, ValueError, KeyError) as fault:
            raise Unavailable(
                f"{current / FACTS} cannot be read ({fault}); delete {self._folder} and sync again"
            ) from fault

    def stage(self) -> Path:
        """An empty staging folder with what was verified before in `metadata`."""
        staging, current = self._folder / STAGING, self.current
        try:
            self._sweep(current)
            (staging / "targets").mkdir(parents=True)
            if current is not None:
                shutil.copytree(current / "metadata", staging / "metadata", symlinks=True)
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {fault.strerror}; repair the disk of the state folder") from fault
        return staging

    def payload(self, sha256: str) -> Path:
        """Where the sealed watchlist of that hash lies, or will."""
        return self._folder / PAYLOADS / sha256

    def keep_payload(self, staged: Path, sha256: str) -> Path:
        """Put a verified payload in its place (rule 2)."""
        place = self.payload(sha256)
        try:
            flush(staged)
            place.parent.mkdir(exist_ok=True)
            staged.replace(place)
            flush_folder(place.parent)
        except OSError as fault:
            raise Unavailable(f"{place}: {fault.strerror}; repair the disk of the state folder") from fault
        return place

    def commit(self, staging: Path, facts: Facts, keep: str | None) -> None:
        """Make the staged set the one in use (rule 1). keep: hash of the payload that it needs, None for none."""
        text = {"verified_at": rfc3339(facts.verified_at), "source": facts.source}
        before = self.current
        number = 1 + (int(before.name) if before is not None else 0)
        fresh, link = self._folder / SETS / str(number), self._folder / f"{CURRENT}.new"
        try:
            (staging / FACTS).write_text(json.dumps(text))
            for path in sorted(staging.rglob("*"), reverse=True):
                if not path.is_symlink():
                    flush_folder(path) if path.is_dir() else flush(path)
            flush_folder(staging)
            fresh.parent.mkdir(exist_ok=True)
            staging.rename(fresh)
            flush_folder(fresh.parent)
            link.unlink(missing_ok=True)
            link.symlink_to(Path(SETS) / str(number), target_is_directory=True)
            link.replace(self._folder / CURRENT)
            flush_folder(self._folder)
            self._sweep(fresh, keep)
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {fault.strerror}; repair the disk of the state folder") from fault

    def delete_payloads(self) -> list[str]:
        """Delete every sealed watchlist; what was deleted. Raises Unavailable with the files that remain."""
        gone, left = [], []
        for file in sorted((self._folder / PAYLOADS).glob("*")):
            try:
                file.unlink()
                gone.append(file.name)
            except OSError as fault:
                left.append(f"{file.name} ({fault.strerror})")
        if left:
            raise Unavailable(f"still in {self._folder / PAYLOADS}: {', '.join(left)}; delete by hand")
        return gone

    def _sweep(self, current: Path | None, keep: str | None = None) -> None:
        """Delete what is no longer referenced: staging, other sets, and all payloads but `keep` of a current set."""
        shutil.rmtree(self._folder / STAGING, ignore_errors=True)
        for old in (self._folder / SETS).glob("*"):
            if current is None or old.name != current.name:
                shutil.rmtree(old)
        if keep is not None:
            for payload in (self._folder / PAYLOADS).glob("*"):
                if payload.name != keep:
                    with suppress(FileNotFoundError):
                        payload.unlink()
