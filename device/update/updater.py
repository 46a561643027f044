"""Updates this device's software from a verified release: a new slot, a swap, a trial, then commit or rollback.

    verify → copy → unpack, compile → plans → self-test → record the trial → link units → swap `current` → restart
           → health gate → commit, or swap back, restart and refuse that version from then on

1. Everything that can be refused is refused before a slot or a link is touched: signatures, an older version, another
   machine, a state folder that one of the two releases could not read, too little room, a deployment that is loaded, a
   device that is not healthy (its health could not be compared). Only `seen` is written then.
2. Before each change of a link the record says what the change is for; `resume` finishes what was interrupted. At every
   moment `current` names a whole slot whose self-test passed, and `committed` one that has proved itself.
3. The updater runs from `committed` (lfr-update.service), so a release that is broken does not have to undo itself.
4. A trial that is interrupted BOOTS_MOST times is over: a release that restarts the machine is bad, too.
5. A version that failed is not tried again; its successor needs a version of its own. Where this machine may be the
   cause (verdict.py), it is tried again after the next start of the machine, TRIES_MOST times in all. A try is recorded
   before plans and self-test, so that a release whose self-test stops the machine counts as well.
6. A disk that became full during a trial does not keep a bad release: what cannot be recorded is done all the same.
   Such a version may be tried again.
7. Plans of a GPU are built before the swap, beside those that are in use, and the build ends when a deployment is
   loaded. Plans are deleted when no slot on the disk uses them: the release before keeps its own as long as its slot.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from device.config.release import STATE, ReleaseManifest, slot_bytes, version_key
from device.domain.time import WallTime
from device.durable import flush_folder, make_folder
from device.errors import BadData, RefusedByCondition, Unavailable, reason_of
from device.logs import event
from device.ports.device_service import DeviceService
from device.sync.release_chain import SignedRelease, signed_release
from device.update import record as records
from device.update import tries
from device.update.gate import Gate, deployed, unhealthy
from device.update.machine import Machine
from device.update.record import Record, Trial
from device.update.slot_programs import SlotPrograms
from device.update.slots import COMMITTED, CURRENT, Slots, delete
from device.update.tries import NEXT_START
from device.update.unpack import compile_slot, manifest_of, unpack
from device.update.verdict import Verdict

_log = logging.getLogger(__name__)
BOOTS_MOST = 3
BUNDLE = "bundle.tar.gz"
IDLE, HEALTHY, LATER = "no deployment loaded", "device healthy", "later version"
WAITS = (IDLE, HEALTHY, NEXT_START)
"""Conditions that will hold at another time."""
ROOM_BYTES = 50_000_000
"""With less free on the disk, a trial that failed may have failed for that."""


class RolledBack(Unavailable):
    """A release was taken back; the one before it runs again."""


class TriedAgain(Unavailable):
    """A release is not in use, for a reason that may pass (rule 5)."""


@dataclass(frozen=True, slots=True)
class Updater:
    """One device's updater; one process at a time.

    folder     the updater's own (/var/lib/lfr-update)
    boot       tells this start of the machine from others
    system     where unit links are made (/); etc
    """

    slots: Slots
    folder: Path
    machine: Machine
    service: DeviceService
    programs: SlotPrograms
    boot: str
    root: Callable[[], bytes]
    now: Callable[[], WallTime]
    system: Path = Path("/")
    gate: Gate = field(default_factory=Gate)
    compile: Callable[[Path], None] = compile_slot

    def apply(self, source: Path) -> str:
        """Install the release that a folder offers; its version once it is committed.

        Raises RefusedByCondition or BadData when nothing was changed, Unavailable after a rollback or a full disk.
        """
        self.resume()
        record = records.read(self.folder)
        release = signed_release(source, self.root(), self.machine.target, self.now(), record.seen)
        if release.seen != record.seen:  # also of a release that is not taken: its keys and roles are the newest
            record = msgspec.structs.replace(record, seen=release.seen)
            records.write(self.folder, record)
        version, previous = release.index.version, self.slots.require(CURRENT)
        self._require_wanted(record, version, previous)
        self._require_idle(previous)
        try:
            self._install(release, previous)
        except OSError as fault:
            raise self._no_room(fault) from fault
        self._require_idle(previous)  # minutes have passed
        self._swap(version, previous)
        return self._judge()

    def resume(self) -> str:
        """Finish what was interrupted (rule 2); the version on trial that was committed, or an empty text."""
        trial = records.trial(self.folder)
        if trial is None:
            return ""
        if not trial.verdict and self.slots.named(CURRENT) != trial.version:
            self._settle(last=f"{trial.version} was interrupted before the swap")  # nothing has changed
            return ""
        return self._judge()

    def rollback(self) -> str:
        """Go back by hand to the newest slot that is older and has not failed here; its version.

        Refused while a deployment is loaded. A newer slot was never on trial, or did not pass it.
        """
        self.resume()
        now_at, refused = self.slots.require(CURRENT), records.read(self.folder).refused
        older_than = version_key(now_at)
        others = [one for one in self.slots.versions() if version_key(one) < older_than and one not in refused]
        if not others:
            raise RefusedByCondition("another slot", f"no release on this device is older than {now_at} and good")
        if deployment := deployed(self.service.reading()):
            raise RefusedByCondition(IDLE, f"deployment {deployment} is loaded; end it first")
        newer, older = self.slots.manifest(now_at), self.slots.manifest(others[-1])
        if newer is not None and older is not None and newer.state.rollback_to > older.state.writes:
            raise RefusedByCondition("state folder", f"{others[-1]} cannot read what {now_at} has written")
        trial = Trial(version=now_at, previous=others[-1], verdict="bad", reason="rolled back by hand")
        self._keep(trial=trial)
        self._take_back(trial)
        return others[-1]

    def forget(self, version: str) -> bool:
        """Let a version that failed be tried again, and at once; whether there was one."""
        return tries.forget(self.folder, version)

    def _require_wanted(self, record: Record, version: str, previous: str) -> None:
        """Refuses an older version, and one that has failed here (rule 5)."""
        if version_key(version) <= version_key(previous):
            raise RefusedByCondition(LATER, f"{version} is offered and {previous} runs; nothing to do")
        tries.require_another(self.folder, record, version, self.boot)

    def _require_no_deployment(self) -> None:
        if deployment := deployed(self.service.reading()):
            raise RefusedByCondition(IDLE, f"deployment {deployment} is loaded; software is never changed during one")

    def _require_idle(self, version: str) -> None:
        """No deployment, and a device whose health can be compared."""
        reading = self.service.reading()
        if deployment := deployed(reading):
            text = f"deployment {deployment} is loaded; software is never changed during one"
            raise RefusedByCondition(IDLE, text)
        if problem := unhealthy(reading, version):
            raise RefusedByCondition(HEALTHY, f"{problem}; a new release could not be judged. See `lfr why`")

    def _install(self, release: SignedRelease, previous: str) -> None:
        """A whole, tested slot; nothing that was there before is changed."""
        make_folder(self.folder, 0o755)
        self.slots.prune(previous)
        self.programs.prune_plans(self.slots.place(previous), self.slots.versions())
        needed = release.length + slot_bytes(release.index.unpacked_bytes)
        for place in (self.folder, self.slots.top):
            self._require_room(place, needed)  # before anything is copied: this is tried again and again
        bundle = self.folder / BUNDLE
        try:
            release.copy(bundle)
            manifest = manifest_of(bundle)
            self._require_fits(manifest, release)
            self._make_slot(bundle, manifest)
        finally:
            bundle.unlink(missing_ok=True)

    def _make_slot(self, bundle: Path, manifest: ReleaseManifest) -> None:
        fresh = self.slots.begin(manifest.version)
        try:
            unpack(bundle, fresh, manifest.unpacked_bytes)
            event(_log, "update.unpacked", version=manifest.version)
            self.compile(fresh)
            self._prove(fresh, manifest.version)
            self.slots.complete(manifest.version, fresh)
        except BaseException as fault:
            if isinstance(fault, Exception):  # not a power cut: the next run sweeps
                delete(fresh)
            raise
        event(_log, "update.installed", version=manifest.version)

    def _prove(self, fresh: Path, version: str) -> None:
        """Build the slot's plans and have it test itself (rules 5 and 7)."""
        before = tries.begin(self.folder, version, self.boot)
        try:
            what, found = "plans", self.programs.build_plans(fresh, self._require_no_deployment)
            if not found:
                what, found = "self-test", self.programs.self_test(fresh)
        except (Exception, KeyboardInterrupt):
            tries.note(self.folder, version, before)  # a deployment was loaded, or a person stopped it: that is no try
            raise
        if found:
            found = Verdict(records.plain(f"{what}: {found.reason}"), found.passing)
            text = f"{version} {found.reason}"
            if again := tries.failed(self.folder, version, found, self.boot):
                self._set_last(f"{text}; {again}", failed=True)
                raise TriedAgain(f"{text}; {again}. The release that runs is unchanged")
            self._set_last(f"{text}; it is not tried again", failed=True)
            raise RefusedByCondition(f"{what} of the new slot", text)

    def _require_fits(self, manifest: ReleaseManifest, release: SignedRelease) -> None:
        """Machine, version and state folder."""
        stated, offered = (manifest.version, manifest.unpacked_bytes), release.index
        if stated != (offered.version, offered.unpacked_bytes):
            raise BadData(f"{release.index.bundle} is release {manifest.version}: the hub must publish again")
        if problem := self.machine.problem(manifest.target, manifest.python):
            raise RefusedByCondition("release for this machine", problem)
        state = manifest.state
        if not state.reads_from <= STATE.writes <= state.writes:
            text = f"it reads state folders of format {state.reads_from} to {state.writes}; this one is {STATE.writes}"
            raise RefusedByCondition("state folder", f"{text}. Take the releases in between first")
        if state.rollback_to > STATE.writes:
            text = f"a rollback from {manifest.version} would leave a state folder that the present release cannot read"
            raise RefusedByCondition("state folder", f"{text} ({STATE.writes} < {state.rollback_to})")

    def _require_room(self, place: Path, needed: int) -> None:
        room = os.statvfs(place)
        if room.f_flag & os.ST_RDONLY:
            raise Unavailable(f"{place} is on a read-only disk: a card that the kernel made read-only is worn out")
        free = room.f_bavail * room.f_frsize
        if free < needed:
            raise Unavailable(f"{place} has {free // 10**6} MB free; the release needs {needed // 10**6} MB")

    def _no_room(self, fault: OSError) -> Unavailable:
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room, then run it again" if full else "look at the card (dmesg)"
        return Unavailable(f"{self.slots.top}: {reason_of(fault)}; {remedy}. The release that runs is unchanged")

    def _swap(self, version: str, previous: str) -> None:
        """From here on the trial is recorded (rule 2)."""
        self._keep(trial=Trial(version=version, previous=previous))
        manifest = self.slots.manifest(version)
        try:
            self._link({} if manifest is None else manifest.links)
            self.slots.point(CURRENT, version)
        except OSError as fault:
            raise self._no_room(fault) from fault
        event(_log, "update.swapped", version=version, previous=previous)
        self.service.restart()

    def _link(self, links: dict[str, str]) -> None:
        """Add the links of units that this release brings; what is there stays, and is of `current` anyway."""
        for inside, to in links.items():
            place = self.system / inside.lstrip("/")
            if not os.path.lexists(place):
                make_folder(place.parent, 0o755)
                place.symlink_to(to)
                flush_folder(place.parent)

    def _judge(self) -> str:
        """Watch the release on trial, unless its verdict is known; then carry it out (rules 2 and 4)."""
        trial = records.trial(self.folder)
        assert trial is not None
        if not trial.verdict:
            trial = msgspec.structs.replace(trial, boots=trial.boots + 1)
            with suppress(Unavailable):  # rule 6
                self._keep(trial=trial)
            found = self._watched(trial)
            trial = msgspec.structs.replace(
                trial, verdict="bad" if found else "good", reason=records.plain(found.reason), passing=found.passing
            )
            with suppress(Unavailable):  # rule 6
                self._keep(trial=trial)
        if trial.verdict == "bad":
            text, again = f"{trial.version} was rolled back to {trial.previous}: {trial.reason}", self._take_back(trial)
            if again:
                raise TriedAgain(f"{text}; {again}")
            raise RolledBack(text)
        self.slots.point(COMMITTED, trial.version)
        tries.note(self.folder, trial.version, None)
        self._settle(last=f"{trial.version} is committed; before: {trial.previous}")
        event(_log, "update.committed", version=trial.version, previous=trial.previous)
        self.programs.prune_plans(self.slots.place(trial.version), self.slots.versions())
        return trial.version

    def _watched(self, trial: Trial) -> Verdict:
        if trial.boots > BOOTS_MOST:  # rule 4; power cuts do that as well
            return Verdict(f"interrupted {BOOTS_MOST} times while it was on trial", passing=True)
        found = self.gate.watch(self.service, trial.version)
        room = os.statvfs(self.folder)
        if found and (room.f_flag & os.ST_RDONLY or room.f_bavail * room.f_frsize < ROOM_BYTES):
            return Verdict(f"{found.reason} (the disk was full or read-only)", passing=True)
        return found

    def _take_back(self, trial: Trial) -> str:
        """Go back; when it is tried again, empty for never."""
        event(_log, "update.rolled_back", level=logging.ERROR, version=trial.version, problem=trial.reason)
        self.slots.point(COMMITTED, trial.previous)  # it is already, unless a person goes back
        self.slots.point(CURRENT, trial.previous)
        self.service.restart()
        again = tries.failed(self.folder, trial.version, Verdict(trial.reason, trial.passing), self.boot)
        text = f"{trial.version} was rolled back to {trial.previous}: {trial.reason}{f'; {again}' if again else ''}"
        self._settle(last=text, failed=True)
        return again

    def _set_last(self, last: str, *, failed: bool = False) -> None:
        record = records.read(self.folder)
        records.write(self.folder, msgspec.structs.replace(record, last=last, failed=last if failed else ""))

    def _settle(self, *, last: str, failed: bool = False) -> None:
        self._set_last(last, failed=failed)
        records.end_trial(self.folder)

    def _keep(self, *, trial: Trial) -> None:
        records.write_trial(self.folder, trial)


def attempt(updater: Updater, inbox: Path) -> str:
    """What lfr-update.service does: finish an interrupted update, then install what the supervisor placed in `inbox`.

    Returns the version that was committed, or an empty text. What can wait (a deployment is loaded, the disk is full, a
    try is left) stays in the inbox for the next run; everything else leaves it, so that it is tried once.
    """
    committed = updater.resume()
    if not os.path.lexists(inbox):
        return committed
    if not (inbox / "metadata").is_dir():  # deleting it was interrupted
        discard(inbox)
        return committed
    try:
        version = updater.apply(inbox)
    except RefusedByCondition as fault:
        if fault.rule in WAITS:
            event(_log, "update.waits", level=logging.DEBUG, problem=fault.text)
            return committed
        discard(inbox)
        if fault.rule == LATER:  # committed, and the power failed before the inbox was empty
            return committed
        raise
    except (BadData, RolledBack):
        discard(inbox)
        raise
    discard(inbox)
    return version


def discard(inbox: Path) -> None:
    """Delete the inbox. Unavailable when that fails.

    It and the folder around it belong to the unprivileged supervisor, and root deletes: no link is followed.
    """
    try:
        around = os.open(inbox.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            held = Path(f"/proc/self/fd/{around}") / inbox.name  # the folder that was opened, whatever its name is now
            if held.is_symlink() or not held.is_dir():
                held.unlink(missing_ok=True)
            else:
                shutil.rmtree(held)
        finally:
            os.close(around)
    except OSError as fault:
        raise Unavailable(f"{inbox} cannot be deleted: {reason_of(fault)}; delete it by hand") from fault
