"""What can be done to a root file system: each kind of step is data with `check`, `do` and `undo`.

1. `check` says whether the step's result is there, without changing anything. `do` may be run again at any time, also
   after it was killed half-way. `undo` takes a step back with the note that `before` made ahead of the first `do`.
2. A note is a small JSON object: what was there before. Replaced files are kept under BACKUP until they are undone.
3. `line` is what `lfr flash plan` prints.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from device.durable import flush, flush_folder
from device.errors import Unavailable
from tools.flash.manifest import sha256_of
from tools.flash.root import Refusal, Root
from tools.flash.targets import Target
from tools.flash.wheelhouse import make_environment, site_packages

STATE = "/var/lib/lfr-flash"
BACKUP = f"{STATE}/before"
Note = dict[str, object]


class Step(Protocol):
    """One step of a plan (rules 1 to 3)."""

    @property
    def name(self) -> str: ...
    @property
    def line(self) -> str: ...
    def check(self, root: Root) -> bool: ...
    def before(self, root: Root) -> Note: ...
    def do(self, root: Root) -> None: ...
    def undo(self, root: Root, note: Note) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with its mode and owner."""

    place: str
    mode: int = 0o755
    user: str = "root"
    group: str = "root"

    @property
    def name(self) -> str:
        return f"folder {self.place}"

    @property
    def line(self) -> str:
        return f"{self.place}/  {self.mode:04o} {self.user}:{self.group}"

    def check(self, root: Root) -> bool:
        place = root.resolve(self.place)
        return place.is_dir() and _has(root, place, self.mode, self.user, self.group)

    def before(self, root: Root) -> Note:
        return {"there": root.resolve(self.place).is_dir()}

    def do(self, root: Root) -> None:
        root.folder(self.place, self.mode, self.user, self.group)

    def undo(self, root: Root, note: Note) -> None:
        place = root.resolve(self.place)
        if not note["there"] and place.is_dir() and not any(place.iterdir()):
            place.rmdir()


@dataclass(frozen=True, slots=True)
class File:
    """A file: from the kit (`source`) or written here (`text`)."""

    place: str
    sha256: str
    source: Path | None = None
    text: bytes | None = None
    mode: int = 0o644
    user: str = "root"
    group: str = "root"

    @property
    def name(self) -> str:
        return f"file {self.place}"

    @property
    def line(self) -> str:
        return f"{self.place}  {self.mode:04o} {self.user}:{self.group}  {self.sha256[:12]}"

    def check(self, root: Root) -> bool:
        place = root.place(self.place)
        if place.is_symlink() or not place.is_file():
            return False
        return _has(root, place, self.mode, self.user, self.group) and sha256_of(place) == self.sha256

    def before(self, root: Root) -> Note:
        return _keep(root, self.place)

    def do(self, root: Root) -> None:
        content = self.text if self.source is None else self.source.read_bytes()
        root.write(self.place, content or b"", mode=self.mode, user=self.user, group=self.group)

    def undo(self, root: Root, note: Note) -> None:
        _restore(root, self.place, note)


def written(place: str, text: str, *, mode: int = 0o644, group: str = "root") -> File:
    """A file whose content the plan itself makes."""
    content = text.encode()
    return File(place, hashlib.sha256(content).hexdigest(), text=content, mode=mode, group=group)


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; how systemd enables a unit (`systemctl enable`, systemd.unit(5))."""

    place: str
    to: str

    @property
    def name(self) -> str:
        return f"link {self.place}"

    @property
    def line(self) -> str:
        return f"{self.place} -> {self.to}"

    def check(self, root: Root) -> bool:
        place = root.place(self.place)
        return place.is_symlink() and str(place.readlink()) == self.to

    def before(self, root: Root) -> Note:
        place = root.place(self.place)
        return {"to": str(place.readlink()) if place.is_symlink() else None}

    def do(self, root: Root) -> None:
        root.link(self.place, self.to)

    def undo(self, root: Root, note: Note) -> None:
        if isinstance(note["to"], str):
            root.link(self.place, note["to"])
        else:
            root.place(self.place).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of ours in a file that others write to, too, between two marks."""

    place: str
    rows: tuple[str, ...]

    BEGIN, END = "# lfr flash: begin", "# lfr flash: end"

    @property
    def name(self) -> str:
        return f"lines of {self.place}"

    @property
    def line(self) -> str:
        return f"{self.place}: {'; '.join(self.rows)}"

    def check(self, root: Root) -> bool:
        return root.exists(self.place) and self._block() in root.read(self.place).decode("utf-8", "replace")

    def before(self, root: Root) -> Note:
        return {"there": root.exists(self.place)}

    def do(self, root: Root) -> None:
        root.write(self.place, (self._without(root) + self._block()).encode(), mode=0o644)

    def undo(self, root: Root, note: Note) -> None:
        rest = self._without(root)
        if note["there"] or rest.strip():
            root.write(self.place, rest.encode(), mode=0o644)
        else:
            root.place(self.place).unlink(missing_ok=True)

    def _block(self) -> str:
        return "\n".join((self.BEGIN, *self.rows, self.END)) + "\n"

    def _without(self, root: Root) -> str:
        text = root.read(self.place).decode("utf-8", "replace") if root.exists(self.place) else ""
        head, begun, rest = text.partition(f"{self.BEGIN}\n")
        text = head + (rest.partition(f"{self.END}\n")[2] if begun else "")
        return text if not text or text.endswith("\n") else text + "\n"


ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


@dataclass(frozen=True, slots=True)
class Accounts:
    """The users and groups of a sysusers.d(5) file, made by the workstation's systemd-sysusers in the root."""

    file: str
    users: tuple[str, ...]
    groups: tuple[str, ...]
    program: str = "systemd-sysusers"

    @property
    def name(self) -> str:
        return "accounts"

    @property
    def line(self) -> str:
        return f"users {', '.join(self.users)}; groups {', '.join(self.groups)}  ({self.file})"

    def check(self, root: Root) -> bool:
        rows = {kind: _names(root, f"/etc/{kind}") for kind in ("passwd", "group")}
        return set(self.users) <= rows["passwd"] and set(self.groups) <= rows["group"]

    def before(self, root: Root) -> Note:
        return {file: _keep(root, file) for file in ACCOUNT_FILES}

    def do(self, root: Root) -> None:
        command = [self.program, f"--root={root.path}", str(root.resolve(self.file))]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        except FileNotFoundError as fault:
            text = f"{self.program} is missing on this machine; install systemd (it need not run), then run it again"
            raise Unavailable(text) from fault
        if done.returncode != 0 or not self.check(root):
            raise Unavailable(f"{self.program}: {done.stderr.strip()[-400:] or done.returncode}")

    def undo(self, root: Root, note: Note) -> None:
        for file in ACCOUNT_FILES:
            kept = note[file]
            if isinstance(kept, dict):
                _restore(root, file, kept)


@dataclass(frozen=True, slots=True)
class Environment:
    """The virtual environment with the kit's wheels; made beside its place, then renamed."""

    place: str
    target: Target
    wheels: tuple[Path, ...]
    digest: str
    """SHA-256 over the names and hashes of the wheels."""

    STAMP = "lfr-flash.wheels"

    @property
    def name(self) -> str:
        return f"environment {self.place}"

    @property
    def line(self) -> str:
        return f"{self.place}/  {len(self.wheels)} wheels, with the system's packages in view  {self.digest[:12]}"

    def check(self, root: Root) -> bool:
        stamp = root.resolve(self.place) / self.STAMP
        return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == self.digest

    def before(self, root: Root) -> Note:
        return {"there": root.resolve(self.place).is_dir()}

    def do(self, root: Root) -> None:
        place = root.resolve(self.place)
        fresh = place.with_name(f"{place.name}.new")
        with root.writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            make_environment(self.target, self.wheels, fresh, self.place)
            (fresh / self.STAMP).write_text(self.digest + "\n", encoding="utf-8")
        for path in (fresh, *fresh.rglob("*")):
            root.own(path, "root", "root")
        with root.writing(place):
            for path in (fresh / self.STAMP, fresh / site_packages(self.target)):
                flush_folder(path) if path.is_dir() else flush(path)
            os.sync()  # some thousands of files: one flush of the file system instead of one each
            if place.exists():
                old = place.with_name(f"{place.name}.old")
                shutil.rmtree(old, ignore_errors=True)
                place.rename(old)
                shutil.rmtree(old)
            fresh.rename(place)
            flush_folder(place.parent)

    def undo(self, root: Root, note: Note) -> None:
        if note["there"]:
            return  # an environment of before was replaced, and is gone
        for suffix in ("", ".new", ".old"):
            place = root.resolve(self.place)
            shutil.rmtree(place.with_name(place.name + suffix), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class ClockFloor:
    """Files whose age is the earliest time that the board's clock may show, for a board that wakes up in 1970.

    systemd sets the clock forward to the age of /usr/lib/clock-epoch (from 254 on, systemd(1)), systemd-timesyncd to
    that of its own file (systemd-timesyncd.service(8)).
    """

    at_s: int
    PLACES = ("/usr/lib/clock-epoch", "/var/lib/systemd/timesync/clock")

    @property
    def name(self) -> str:
        return "clock floor"

    @property
    def line(self) -> str:
        return f"{', '.join(self.PLACES)}: not before {self.at_s} s since 1970"

    def check(self, root: Root) -> bool:
        places = [root.resolve(place) for place in self.PLACES]
        return all(place.is_file() and int(place.stat().st_mtime) >= self.at_s for place in places)

    def before(self, root: Root) -> Note:
        return {place: root.exists(place) for place in self.PLACES}

    def do(self, root: Root) -> None:
        for inside in self.PLACES:
            if not root.exists(inside):
                root.write(inside, b"", mode=0o644)
            place = root.resolve(inside)
            with root.writing(place):
                os.utime(place, (self.at_s, self.at_s))

    def undo(self, root: Root, note: Note) -> None:
        for inside in self.PLACES:
            if not note[inside]:
                root.resolve(inside).unlink(missing_ok=True)


def _has(root: Root, place: Path, mode: int, user: str, group: str) -> bool:
    """Whether a path has this mode and owner; the owner counts only where this process may set it."""
    now = place.stat()
    if stat.S_IMODE(now.st_mode) != mode:
        return False
    try:
        return not root.sets_owners or (now.st_uid, now.st_gid) == root.ids(user, group)
    except Refusal:  # the accounts are not made yet
        return False


def _names(root: Root, file: str) -> set[str]:
    text = root.read(file).decode("utf-8", "replace") if root.exists(file) else ""
    return {row.partition(":")[0] for row in text.splitlines()}


def _keep(root: Root, inside: str) -> Note:
    """Copy what is there under BACKUP, with its mode and numbers; the note says what it was."""
    place = root.place(inside)
    if place.is_symlink():
        return {"link": str(place.readlink())}
    if not place.is_file():
        return {"there": False}
    kept = f"{BACKUP}/{inside.strip('/').replace('/', '+')}"
    now = place.stat()
    root.write(kept, place.read_bytes(), mode=0o600)
    return {"there": True, "kept": kept, "mode": stat.S_IMODE(now.st_mode), "uid": now.st_uid, "gid": now.st_gid}


def _restore(root: Root, inside: str, note: Note) -> None:
    place = root.place(inside)
    if isinstance(note.get("link"), str):
        root.link(inside, str(note["link"]))
    elif not note.get("there"):
        place.unlink(missing_ok=True)
    else:
        root.write(inside, root.read(str(note["kept"])), mode=int(str(note["mode"])))
        root.own_numbers(place, int(str(note["uid"])), int(str(note["gid"])))
