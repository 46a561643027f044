"""The device's copy of the hub's repository; a power cut leaves the old set or the new one, never a mixture.

    <folder>/current            link to the set in use
    <folder>/sets/<n>/          metadata (python-tuf's), targets (deployment, index, withdrawn list), facts.json
    <folder>/payloads/<sha256>  the sealed watchlist, and each volunteer: ciphertext whose key is in memory only
    <folder>/staging/           a set, or a payload, on its way; not used until it is renamed
    <memory>/staging/           a set that is being verified
    <memory>/unkept/            the newest verified set while the disk refuses to keep it

1. A set is verified in memory, so that an end or a withdrawal is obeyed whatever the disk does. Then it is copied to
   `staging`, every file and folder of it is flushed to the disk, it is renamed into `sets`, and `current` is replaced
   by one rename. What `current` does not name is swept by the next commit.
2. A payload is named by its hash and is in its place before a set that needs it; workers may open it at any time.
3. No envelope and no identity is ever written here.
4. A set that the disk refuses stays in memory and counts as the newest: nothing older is verified after it.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from device.domain.time import WallTime, rfc3339, wall
from device.durable import flush, flush_folder, make_folder, replace_file
from device.errors import Unavailable, reason_of

CURRENT, SETS, PAYLOADS, STAGING, FACTS = "current", "sets", "payloads", "staging", "facts.json"
UNKEPT = "unkept"


@dataclass(frozen=True, slots=True)
class Facts:
    """verified_at: this device's clock when the set was verified, which no later reading may precede."""

    verified_at: WallTime
    source: str


class Store:
    """One mode's folder. One thread at a time. Raises Unavailable when the disk refuses.

    memory  a folder that lies in memory (the run folder's)
    """

    def __init__(self, folder: Path, memory: Path) -> None:
        self._folder = folder
        self._memory = memory

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
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
            raise Unavailable(
                f"{current / FACTS} cannot be read ({fault}); delete {self._folder} and sync again"
            ) from fault

    @property
    def folder(self) -> Path:
        """The mode's folder."""
        return self._folder

    def set_verified_at(self, now: WallTime) -> None:
        """Replace the time of the last verification (`lfr clock recover`); nothing without a set."""
        current, facts = self.current, self.facts()
        if current is None or facts is None:
            return
        try:
            replace_file(current / FACTS, _facts_text(Facts(now, facts.source)))
        except OSError as fault:
            raise Unavailable(f"{current}: {reason_of(fault)}; mend the disk of the state folder") from fault

    def stage(self) -> Path:
        """A staging folder in memory, empty but for what was verified before in `metadata` (rules 1 and 4)."""
        staging, unkept = self._memory / STAGING, self._memory / UNKEPT
        newest = unkept if unkept.is_dir() else self.current
        try:
            shutil.rmtree(staging, ignore_errors=True)
            (staging / "targets").mkdir(mode=0o700, parents=True)
            if newest is not None:
                shutil.copytree(newest / "metadata", staging / "metadata", symlinks=True)
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {reason_of(fault)}; repair the disk of the state folder") from fault
        return staging

    def unstage(self) -> None:
        """Discard a staged set that is not wanted."""
        shutil.rmtree(self._memory / STAGING, ignore_errors=True)

    def incoming(self) -> Path:
        """Where a payload is downloaded to, on the disk."""
        try:
            make_folder(self._folder / STAGING)
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {reason_of(fault)}; repair the disk of the state folder") from fault
        return self._folder / STAGING / "payload"

    def payload(self, sha256: str) -> Path:
        """Where the sealed watchlist of that hash lies, or will."""
        return self._folder / PAYLOADS / sha256

    def keep_payload(self, staged: Path, sha256: str) -> Path:
        """Put a verified payload in its place (rule 2)."""
        place = self.payload(sha256)
        try:
            flush(staged)
            make_folder(place.parent)
            staged.replace(place)
            flush_folder(place.parent)
        except OSError as fault:
            raise Unavailable(f"{place}: {reason_of(fault)}; repair the disk of the state folder") from fault
        return place

    def commit(self, staging: Path, facts: Facts, keep: frozenset[str] | None) -> None:
        """Make the staged set the one in use (rule 1). keep: hashes of the payloads that it needs; None: all.

        Raises Unavailable when the disk refuses; the staged set is then still there.
        """
        before = self.current
        number = 1 + (int(before.name) if before is not None else 0)
        fresh, link = self._folder / SETS / str(number), self._folder / f"{CURRENT}.new"
        on_disk = self._folder / STAGING
        try:
            shutil.rmtree(on_disk, ignore_errors=True)
            make_folder(self._folder)
            shutil.copytree(staging, on_disk, symlinks=True)
            (on_disk / FACTS).write_bytes(_facts_text(facts))
            for path in sorted(on_disk.rglob("*"), reverse=True):
                if not path.is_symlink():
                    flush_folder(path) if path.is_dir() else flush(path)
            flush_folder(on_disk)
            make_folder(fresh.parent)
            shutil.rmtree(fresh, ignore_errors=True)
            on_disk.rename(fresh)
            flush_folder(fresh.parent)
            link.unlink(missing_ok=True)
            link.symlink_to(Path(SETS) / str(number), target_is_directory=True)
            link.replace(self._folder / CURRENT)
            flush_folder(self._folder)
            self._sweep(fresh, keep)
        except OSError as fault:
            raise Unavailable(f"{self._folder}: {reason_of(fault)}; repair the disk of the state folder") from fault
        for place in (STAGING, UNKEPT):
            shutil.rmtree(self._memory / place, ignore_errors=True)

    def hold(self, staging: Path) -> None:
        """Keep a verified set in memory, because the disk refuses it (rule 4)."""
        try:
            shutil.rmtree(self._memory / UNKEPT, ignore_errors=True)
            staging.rename(self._memory / UNKEPT)
        except OSError as fault:
            raise Unavailable(
                f"{staging}: {reason_of(fault)}; the run folder must be in memory and writable"
            ) from fault

    def _no_memory(self, fault: OSError) -> Unavailable:
        return Unavailable(f"{self._memory}: {reason_of(fault)}; the run folder must be in memory and take writes")

    def delete_payloads(self) -> list[str]:
        """Delete every sealed watchlist; what was deleted. Raises Unavailable with the files that remain."""
        gone, left = [], []
        for file in sorted((self._folder / PAYLOADS).glob("*")):
            try:
                file.unlink()
                gone.append(file.name)
            except OSError as fault:
                left.append(f"{file.name} ({reason_of(fault)})")
        if gone:
            flush_folder(self._folder / PAYLOADS)
        if left:
            raise Unavailable(f"still in {self._folder / PAYLOADS}: {', '.join(left)}; delete by hand")
        return gone

    def _sweep(self, current: Path | None, keep: frozenset[str] | None = None) -> None:
        """Delete what is no longer referenced: staging, other sets, and all payloads but `keep` of a current set."""
        shutil.rmtree(self._folder / STAGING, ignore_errors=True)
        for old in (self._folder / SETS).glob("*"):
            if current is None or old.name != current.name:
                shutil.rmtree(old)
        if keep is not None:
            for payload in (self._folder / PAYLOADS).glob("*"):
                if payload.name not in keep:
                    with suppress(FileNotFoundError):
                        payload.unlink()


def _facts_text(facts: Facts) -> bytes:
    return json.dumps({"verified_at": rfc3339(facts.verified_at), "source": facts.source}).encode()
