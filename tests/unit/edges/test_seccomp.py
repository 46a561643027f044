"""The filter's program, run here step by step for both architectures: what it refuses and what it lets pass."""

from __future__ import annotations

import errno
import struct

import pytest

from device.edges.sandbox import seccomp
from device.edges.sandbox.seccomp import ALLOW, ERRNO, KILL, Needs
from device.edges.sandbox.syscalls import AUDIT_ARCH, CLONE, OPENAT, PRCTL, PRLIMIT, REFUSED, SOCKET, UNKNOWN, Call

MACHINES = tuple(AUDIT_ARCH)
READ = Call("read", 0, 63)
REFUSED_WITH_EPERM = ERRNO | errno.EPERM
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
STREAM, DATAGRAM, CLOSE_ON_EXEC = 1, 2, 0o2000000
O_RDWR, O_CREAT, O_TRUNC, O_CLOEXEC = 2, 0o100, 0o1000, 0o2000000


def verdict(machine: str, number: int, *arguments: int, needs: Needs = Needs(), audit: int | None = None) -> int:
    """What the kernel's interpreter would answer (classic BPF, the instructions that the program may use)."""
    data = struct.pack(
        "<iIQ6Q", number, AUDIT_ARCH[machine] if audit is None else audit, 0, *(*arguments, *[0] * 6)[:6]
    )
    program = seccomp.program(machine, needs)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == seccomp.RETURN:
            return operand
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == seccomp.AND:
            accumulator &= operand
        else:
            holds = {
                seccomp.JEQ: accumulator == operand,
                seccomp.JGE: accumulator >= operand,
                seccomp.JSET: bool(accumulator & operand),
            }[code]
            at += if_true if holds else if_false


def number(call: Call, machine: str) -> int:
    found = call.number(machine)
    assert found is not None
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_of_the_list_is_refused_and_ordinary_ones_are_not(machine: str) -> None:
    for calls in REFUSED.values():
        for call in calls:
            if call.number(machine) is not None:
                assert verdict(machine, number(call, machine)) == REFUSED_WITH_EPERM, call.name
    assert verdict(machine, number(READ, machine)) == ALLOW
    for call in UNKNOWN:
        assert verdict(machine, number(call, machine)) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_files_are_opened_for_reading_only(machine: str) -> None:
    def opened(flags: int, needs: Needs) -> int:
        return verdict(machine, number(OPENAT, machine), 0, 0, flags, needs=needs)

    assert opened(O_CLOEXEC, Needs()) == ALLOW
    for flags in (1, O_RDWR, O_CREAT, O_TRUNC, O_RDWR | O_CREAT):
        assert opened(flags, Needs()) == REFUSED_WITH_EPERM
    with_devices = Needs(devices=True)
    assert opened(O_RDWR, with_devices) == ALLOW
    assert opened(O_RDWR | O_CREAT, with_devices) == opened(O_TRUNC, with_devices) == REFUSED_WITH_EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_are_none_or_the_cameras(machine: str) -> None:
    def made(family: int, kind: int, needs: Needs) -> int:
        return verdict(machine, number(SOCKET, machine), family, kind, needs=needs)

    camera = Needs(camera=True)
    assert made(AF_INET, STREAM, Needs()) == REFUSED_WITH_EPERM
    assert made(AF_INET, STREAM | CLOSE_ON_EXEC, camera) == made(AF_INET6, STREAM, camera) == ALLOW
    for family, kind in ((AF_UNIX, STREAM), (AF_NETLINK, STREAM), (AF_INET, DATAGRAM), (AF_INET6, 3)):
        assert made(family, kind, camera) == REFUSED_WITH_EPERM
    daemon = Needs(local_service=True)
    assert made(AF_UNIX, STREAM | CLOSE_ON_EXEC, daemon) == ALLOW
    for family, kind in ((AF_INET, STREAM), (AF_INET6, STREAM), (AF_NETLINK, STREAM), (AF_UNIX, DATAGRAM)):
        assert made(family, kind, daemon) == REFUSED_WITH_EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_may_start_and_processes_may_not(machine: str) -> None:
    of_pthread_create = 0x3D0F00
    assert verdict(machine, number(CLONE, machine), of_pthread_create) == ALLOW
    assert verdict(machine, number(CLONE, machine), 17) == REFUSED_WITH_EPERM  # fork: SIGCHLD alone


@pytest.mark.parametrize("machine", MACHINES)
def test_what_was_given_up_is_not_taken_back(machine: str) -> None:
    assert verdict(machine, number(PRCTL, machine), 4, 1) == REFUSED_WITH_EPERM
    assert verdict(machine, number(PRCTL, machine), 15) == ALLOW  # a thread's name
    assert verdict(machine, number(PRLIMIT, machine), 0, 1, 0) == ALLOW
    for pointer in (0x1000, 1 << 32):
        assert verdict(machine, number(PRLIMIT, machine), 0, 1, pointer) == REFUSED_WITH_EPERM


def test_another_architectures_numbering_ends_the_process() -> None:
    assert verdict("x86_64", 0, audit=0x40000003) == KILL  # i386
    assert verdict("x86_64", 0x40000000 | 1) == KILL  # x32
    assert verdict("aarch64", 64, audit=0x40000028) == KILL  # arm


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "needs",
    [Needs(), Needs(True), Needs(devices=True), Needs(True, True), Needs(True, True, True), Needs(local_service=True)],
)
def test_every_path_of_the_program_ends_inside_it(machine: str, needs: Needs) -> None:
    program = seccomp.program(machine, needs)
    assert len(program) <= 4096  # BPF_MAXINSNS
    for at, (code, if_true, if_false, _) in enumerate(program):
        assert code == seccomp.RETURN or at + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == seccomp.RETURN
