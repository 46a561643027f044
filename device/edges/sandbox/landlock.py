"""Landlock: this process gives up file access permanently (landlock(7); Linux 5.13 and later).

1. A restriction holds for the calling thread and for threads that it starts later, so a process
   that restricts itself as a whole does it before its first thread. Restrictions only add up.
2. Rights that the running kernel does not know are left out; `abi` returns its version, 0 for none.
3. What is not named in a rule is refused; descriptors that are open already stay usable.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from device.edges.sandbox import prctl

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # one number on every architecture (asm-generic/unistd.h)
_VERSION, _PATH_BENEATH, _NET_PORT = 1, 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << n for n in range(4))  # linux/landlock.h, LANDLOCK_ACCESS_FS_*
_REMOVE_AND_MAKE = sum(1 << n for n in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
BIND_TCP, CONNECT_TCP = 1, 2
_SCOPES = 3  # abstract Unix sockets and signals stay within this process's own domain
_SINCE = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
READS = READ_FILE | READ_DIR
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV


def abi() -> int:
    """The kernel's Landlock version; 0 when it has none or it is switched off."""
    return max(0, int(_libc().syscall(_CREATE, None, 0, _VERSION)))


def forbid_writes(devices: Iterable[Path]) -> bool:
    """No file is written, made, removed, renamed, truncated or executed any more; whether the kernel holds it.

    devices  character devices that may still be opened for writing
    """
    version = abi()
    writes = EXECUTE | WRITE_FILE | _REMOVE_AND_MAKE | sum(right for since, right in _SINCE if version >= since)
    rules = [(path, WRITE_FILE | _IOCTL_DEV) for path in devices]
    return _restrict(version, files=writes, net=BIND_TCP, scopes=_SCOPES, rules=rules, ports=())


def forbid_reads(but: Iterable[Path], ports: Iterable[int]) -> bool:
    """No file or folder is opened any more but those below `but`, and no TCP port connected to but `ports`."""
    rules = [(path, READS) for path in but]
    return _restrict(abi(), files=READS, net=CONNECT_TCP, scopes=0, rules=rules, ports=tuple(ports))


def _restrict(
    version: int, *, files: int, net: int, scopes: int, rules: list[tuple[Path, int]], ports: tuple[int, ...]
) -> bool:
    """Make a ruleset of the rights that this kernel knows (rule 2) and apply it."""
    if version < 1:
        return False
    libc = _libc()
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", files, net, scopes)[:size]
    ruleset = libc.syscall(_CREATE, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        done = all(_allow(libc, ruleset, path, rights & files) for path, rights in rules)
        if version >= 4:
            for port in ports:
                rule = struct.pack("=QQ", net & CONNECT_TCP, port)
                done &= libc.syscall(_ADD, ruleset, _NET_PORT, rule, 0) == 0
        prctl.forbid_new_privileges()
        return bool(libc.syscall(_RESTRICT, ruleset, 0) == 0 and done)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> bool:
    """One rule; a path that does not exist needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        allowed = rights if path.is_dir() else rights & _OF_A_FILE
        return bool(libc.syscall(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0) == 0)
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
