"""A root file system that is not running: read and written as a folder, with nothing of it ever executed.

1. A path is resolved inside the folder: an absolute symbolic link in it (`/var/run -> /run`) leads to the folder's own
   `/run`, never to the workstation's. A link that climbs with `..` stops at the folder.
2. Owners are the accounts of the root's own /etc/passwd and /etc/group.
3. A write that fails for a full or read-only card is Unavailable with what to do; nothing is half-written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from device.durable import flush_folder, replace_file
from device.errors import RefusedByCondition, Unavailable

MOST_LINKS = 40  # as the kernel: path_resolution(7)
Chown = Callable[[Path, int, int], None]


class Refusal(RefusedByCondition):
    """Nothing was written: the root, the kit or this machine is not what it must be (exit 77)."""


def chown_as_root(path: Path, uid: int, gid: int) -> None:
    """Set owner and group of a file or a link itself; the default of Root."""
    os.chown(path, uid, gid, follow_symlinks=False)


class Root:
    """One root file system below `path`. `chown` is what sets owners; tests without root give their own."""

    def __init__(self, path: Path, chown: Chown = chown_as_root) -> None:
        self.path = path.resolve()
        self._chown = chown
        self.sets_owners = chown is chown_as_root

    def resolve(self, inside: str) -> Path:
        """Where `inside` (absolute, of the root) lies on this machine; links are followed inside (rule 1)."""
        return self._walk(PurePosixPath(inside), last=True)

    def place(self, inside: str) -> Path:
        """As `resolve`, but the last name is not followed when it is a link itself."""
        return self._walk(PurePosixPath(inside), last=False)

    def _walk(self, inside: PurePosixPath, *, last: bool) -> Path:
        pending = list(reversed(inside.parts[1:] if inside.is_absolute() else inside.parts))
        here: list[str] = []
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", ".", "/"):
                continue
            if name == "..":
                del here[-1:]
                continue
            found = self.path.joinpath(*here, name)
            if found.is_symlink() and (pending or last):
                links += 1
                if links > MOST_LINKS:
                    raise Refusal("root", f"{inside}: too many symbolic links in {self.path}")
                to = PurePosixPath(str(found.readlink()))
                if to.is_absolute():
                    here = []
                pending += reversed(to.parts)
                continue
            here.append(name)
        return self.path.joinpath(*here)

    def exists(self, inside: str) -> bool:
        """Whether there is a file, folder or whole link."""
        return self.resolve(inside).exists()

    def read(self, inside: str) -> bytes:
        """A file's content. Raises OSError."""
        return self.resolve(inside).read_bytes()

    def ids(self, user: str, group: str) -> tuple[int, int]:
        """Numbers of a user and a group of the root (rule 2). Raises Refusal for one that it does not have."""
        return self._number("/etc/passwd", user), self._number("/etc/group", group)

    def _number(self, file: str, name: str) -> int:
        if name == "root":
            return 0
        rows = self.read(file).decode("utf-8", "replace").splitlines() if self.exists(file) else []
        found = next((row.split(":") for row in rows if row.startswith(f"{name}:")), None)
        if found is None or len(found) < 3 or not found[2].isdigit():
            raise Refusal("accounts", f"{self.path}{file} has no {name!r}")
        return int(found[2])

    def own(self, path: Path, user: str, group: str) -> None:
        """Give a path of this machine below the root to an account of the root."""
        with self.writing(path):
            self._chown(path, *self.ids(user, group))

    def own_numbers(self, path: Path, uid: int, gid: int) -> None:
        """As `own`, by number."""
        with self.writing(path):
            self._chown(path, uid, gid)

    def folder(self, inside: str, mode: int, user: str = "root", group: str = "root") -> None:
        """Make a folder with its parents (0755, root), or set its mode and owner."""
        place = self.resolve(inside)
        with self.writing(place):
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(mode)
        self.own(place, user, group)

    def write(self, inside: str, content: bytes, *, mode: int, user: str = "root", group: str = "root") -> None:
        """Replace a file; it is root's until its owner is set, which a step that was killed in between makes good."""
        place = self.place(inside)
        with self.writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, content, mode=mode)
        self.own(place, user, group)

    def link(self, inside: str, to: str) -> None:
        """Make or replace a symbolic link; `to` is kept as it is given."""
        place = self.place(inside)
        with self.writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_name(f".{place.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(to)
            fresh.replace(place)
            flush_folder(place.parent)

    @contextmanager
    def writing(self, place: Path) -> Iterator[None]:
        """OSError in the block becomes Unavailable with the remedy (rule 3)."""
        try:
            yield
        except OSError as fault:
            raise cannot_write(place, fault) from fault


def cannot_write(place: Path, fault: OSError) -> Unavailable:
    """A write that failed, with what to do."""
    remedy = "look at the card (dmesg), then run the same command again: it goes on where it stopped"
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "the card is full: make room, then run the same command again: it goes on where it stopped"
    elif fault.errno == errno.EROFS:
        remedy = "the card is read-only: mount it with rw; a card that the kernel made read-only is worn out"
    elif fault.errno in (errno.EACCES, errno.EPERM):
        remedy = "run it as root: owners of files are set"
    return Unavailable(f"{place} cannot be written: {fault.strerror or fault}; {remedy}")
