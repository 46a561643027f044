"""The worker's system call filter (seccomp(2), classic BPF): a refused call fails with EPERM, for every thread.

1. A deny list, not an allow list: GPU drivers and inference runtimes make calls that cannot be foreseen, and that
   differ by version and board. Every call that could carry a face out is refused by name
   (`device.edges.sandbox.syscalls`).
2. Files are opened for reading only; with `devices`, files that exist may be opened for writing, and Landlock names
   which. No file is created or truncated.
3. Sockets: none; with `camera` only TCP ones, and Landlock names the port; with `local_service` only Unix streams (a
   CSI camera belongs to a daemon of NVIDIA's, nvargus-daemon).
4. A call in another architecture's or in x32 numbering ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from dataclasses import dataclass

from device.edges.sandbox.prctl import PR_SET_DUMPABLE, PR_SET_PTRACER, forbid_new_privileges
from device.edges.sandbox.syscalls import (
    AUDIT_ARCH,
    CLONE,
    CONNECT,
    OPEN,
    OPENAT,
    PRCTL,
    PRLIMIT,
    REFUSED,
    SECCOMP_CALL,
    SOCKET,
    UNKNOWN,
    Call,
)

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand (struct sock_filter)."""

LOAD, AND, JEQ, JGE, JSET, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h, combined
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000  # linux/seccomp.h
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
X32_BIT = 0x40000000
_FILTER, _TSYNC = 1, 1

_WRITES, _CREATES = 0o3 | 0o100 | 0o1000, 0o100 | 0o1000  # O_ACCMODE, O_CREAT, O_TRUNC: the same on both architectures
_CLONE_THREAD = 0x00010000
_LOCAL, _NETWORK = (1,), (2, 10)  # AF_UNIX; AF_INET, AF_INET6
_KINDS, _STREAM = 0xF, 1  # SOCK_STREAM below its flags


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker still needs after its lock-down (rules 2 and 3)."""

    camera: bool = False
    devices: bool = False
    local_service: bool = False


def refuse(needs: Needs) -> bool:
    """Apply the filter to every thread of this process, for good; whether the kernel accepted it."""
    machine = platform.machine()
    if machine not in AUDIT_ARCH or sys.maxsize < 2**32:
        return False
    return _install(machine, program(machine, needs))


def refuse_sockets() -> bool:
    """Forbid new sockets and connections: the camera is connected, and a lost camera needs a new worker."""
    machine = platform.machine()
    return machine in AUDIT_ARCH and _install(
        machine, _whole(machine, [_refused(c, machine) for c in (SOCKET, CONNECT)])
    )


def program(machine: str, needs: Needs) -> list[Instruction]:
    """The filter for one architecture ("x86_64" or "aarch64")."""
    rules = [_refused(call, machine) for calls in REFUSED.values() for call in calls]
    rules += [_refused(call, machine, errno.ENOSYS) for call in UNKNOWN]
    flags = _CREATES if needs.devices else _WRITES
    rules += [_if_any_bit(OPEN, machine, 1, flags), _if_any_bit(OPENAT, machine, 2, flags)]
    rules += [_unless_bit(CLONE, machine, 0, _CLONE_THREAD)]
    rules += [_if_equal(PRCTL, machine, 0, (PR_SET_DUMPABLE, PR_SET_PTRACER))]
    rules += [_if_not_null(PRLIMIT, machine, 2)]
    families = (_NETWORK if needs.camera else ()) + (_LOCAL if needs.local_service else ())
    sockets = [_streams_only(machine, families)] if families else [_refused(c, machine) for c in (SOCKET, CONNECT)]
    rules += sockets
    return _whole(machine, rules)


def _whole(machine: str, rules: list[list[Instruction]]) -> list[Instruction]:
    """Rule 4, then the rules, then everything else is allowed. Each rule leaves the call's number loaded."""
    head: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JEQ, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (JGE, 0, 1, X32_BIT),
        (RETURN, 0, 0, KILL),
    ]
    return [*head, *(step for rule in rules for step in rule), (RETURN, 0, 0, ALLOW)]


def _rule(call: Call, machine: str, body: list[Instruction]) -> list[Instruction]:
    """`body` for one call; nothing where the architecture has no such call."""
    number = call.number(machine)
    return [] if number is None else [(JEQ, 0, len(body), number), *body]


def _refused(call: Call, machine: str, error: int = errno.EPERM) -> list[Instruction]:
    return _rule(call, machine, [(RETURN, 0, 0, ERRNO | error)])


def _if_any_bit(call: Call, machine: str, argument: int, bits: int) -> list[Instruction]:
    return _rule(call, machine, [_low(argument), (JSET, 0, 1, bits), _DENY, _PASS])


def _unless_bit(call: Call, machine: str, argument: int, bits: int) -> list[Instruction]:
    return _rule(call, machine, [_low(argument), (JSET, 1, 0, bits), _DENY, _PASS])


def _if_equal(call: Call, machine: str, argument: int, values: tuple[int, ...]) -> list[Instruction]:
    tests: list[Instruction] = [(JEQ, len(values) - 1 - n, 0, value) for n, value in enumerate(values[:-1])]
    return _rule(call, machine, [_low(argument), *tests, (JEQ, 0, 1, values[-1]), _DENY, _PASS])


def _if_not_null(call: Call, machine: str, argument: int) -> list[Instruction]:
    return _rule(call, machine, [_low(argument), (JEQ, 0, 2, 0), _high(argument), (JEQ, 1, 0, 0), _DENY, _PASS])


def _streams_only(machine: str, families: tuple[int, ...]) -> list[Instruction]:
    """socket(2) of a family that is not listed, or not a stream."""
    last = len(families) - 1
    listed: list[Instruction] = [(JEQ, last - n, 0, family) for n, family in enumerate(families[:-1])]
    body = [
        _low(0),
        *listed,
        (JEQ, 0, 3, families[-1]),
        _low(1),
        (AND, 0, 0, _KINDS),
        (JEQ, 1, 0, _STREAM),
        _DENY,
        _PASS,
    ]
    return _rule(SOCKET, machine, body)


_DENY: Instruction = (RETURN, 0, 0, ERRNO | errno.EPERM)
_PASS: Instruction = (RETURN, 0, 0, ALLOW)


def _low(argument: int) -> Instruction:
    """Load the low half of an argument; both architectures are little-endian."""
    return (LOAD, 0, 0, ARGUMENTS + 8 * argument)


def _high(argument: int) -> Instruction:
    return (LOAD, 0, 0, ARGUMENTS + 8 * argument + 4)


def _install(machine: str, steps: list[Instruction]) -> bool:
    packed = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    filter_program = struct.pack("@HP", len(steps), ctypes.addressof(buffer))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    forbid_new_privileges()
    return bool(libc.syscall(SECCOMP_CALL[machine], _FILTER, _TSYNC, filter_program) == 0)
