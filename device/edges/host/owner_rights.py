"""Reading, as root, below a folder that the service owns: with its owner's rights, and no link, FIFO or device.

A service that was taken over could put a link where root reads: to a file of root's, whose content root would print, or
to a FIFO, at which it would wait. `rights_of` covers a whole folder, `read_regular` one file. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rights_of(folder: Path) -> Iterator[None]:
    """Inside, root has the rights of the folder's owner and its group, and no other; nobody else is changed.

    The way to the folder is not checked: what it lies in belongs to root, or was named by who runs the command. One
    thread only: all threads of a process share these rights.
    """
    try:
        owner = folder.stat()
    except OSError:
        owner = None
    if owner is None or owner.st_uid == 0 or os.geteuid() != 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def read_regular(file: Path) -> bytes:
    """The content of a regular file. Raises OSError, also for a link, a FIFO, a device or a folder."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        return opened.read()
