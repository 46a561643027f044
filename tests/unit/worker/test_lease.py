"""A worker whose supervisor hangs wipes and ends within its lease, whatever its own threads are doing."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from device.wire.link import HEADER, Lease, Stop, pack
from device.worker import lease
from tests.unit.worker.leaseholder import LEASE_S
from tools.dev.proof.worker import Given

pytestmark = pytest.mark.slow

WITHIN_S = 60.0
TRIES = 10
LATE_S = 10.0  # on a busy machine; without a lease the holders run for 30 s


@dataclass
class Holder:
    process: subprocess.Popen[bytes]
    link: socket.socket
    reported: int

    def received(self) -> bytes:
        """What it wrote of itself since the last call."""
        return os.read(self.reported, 100) if select.select([self.reported], [], [], WITHIN_S)[0] else b""

    def ends(self) -> tuple[int, float]:
        """Its exit status, and how long that took."""
        begun = time.monotonic()
        return self.process.wait(WITHIN_S), time.monotonic() - begun


@contextmanager
def holder(manner: str) -> Iterator[Holder]:
    ours, theirs = socket.socketpair()
    reported, reports = os.pipe()
    command = [sys.executable, "-m", "tests.unit.worker.leaseholder", manner, str(theirs.fileno()), str(reports)]
    process = subprocess.Popen(command, pass_fds=(theirs.fileno(), reports))
    theirs.close()
    os.close(reports)
    try:
        one = Holder(process, ours, reported)
        assert one.received() == b"ready "
        yield one
    finally:
        process.kill()
        process.wait(WITHIN_S)
        ours.close()
        os.close(reported)


@contextmanager
def renewed(message: Lease | Stop) -> Iterator[Holder]:
    """A holder that was sent messages for twice its lease; another one where this process was held up meanwhile."""
    for _ in range(TRIES):
        with holder("waiting") as one:
            if sent_in_time(one, message):
                yield one
                return
    raise AssertionError(f"this machine held the test up in each of {TRIES} tries")


def sent_in_time(one: Holder, message: Lease | Stop) -> bool:
    """Send for twice the lease; whether no message came later than half a lease after the one before."""
    in_time, last = True, time.monotonic()
    for _ in range(24):
        if one.process.poll() is None:
            one.link.sendall(pack(message))
        at = time.monotonic()
        in_time, last = in_time and at - last < LEASE_S / 2, at
        time.sleep(LEASE_S / 12)
    return in_time


def test_messages_renew_the_lease_and_silence_ends_it_in_order() -> None:
    with renewed(Lease()) as one:
        assert one.process.poll() is None
        status, took_s = one.ends()
        assert one.received() == b"stopped", "the main thread stopped by itself and nothing had to be wiped for it"
    assert status == 70
    assert took_s < LEASE_S + LATE_S


def test_any_message_counts() -> None:
    with renewed(Stop(reason="x")) as one:
        assert one.process.poll() is None


def test_a_busy_main_thread_is_not_waited_for_and_the_list_is_wiped_first() -> None:
    with holder("busy") as one:
        status, took_s = one.ends()
        assert one.received() == b"wiped"
    assert status == 70
    assert took_s < LEASE_S + lease.ORDERLY_S + LATE_S


def test_a_call_that_holds_the_interpreter_is_ended_by_the_kernel() -> None:
    with holder("holding the interpreter") as one:
        status, took_s = one.ends()
    assert status == -signal.SIGALRM
    assert took_s < LEASE_S + lease.KERNEL_S + LATE_S


@pytest.mark.slow
def test_a_stopped_supervisor_loses_its_worker(deployment: Given, tmp_path: Path) -> None:
    """A real worker over the clip, in real time; its supervisor is stopped with SIGSTOP."""
    camera = structs.replace(deployment.task.camera, pace="realtime")
    task = tmp_path / "task"
    task.write_bytes(pack(structs.replace(deployment.task, camera=camera, lease_s=4.0))[HEADER.size :])
    command = [sys.executable, "-m", "tests.unit.worker.hung_supervisor", str(task)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            assert supervisor.stdout is not None
            printed = supervisor.stdout.readline()
            assert printed, "the worker ended before its eighth beat"
            worker = int(printed)
            assert runs(worker), "two seconds of beats, and it still runs"
            supervisor.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            while runs(worker):
                assert time.monotonic() - begun < WITHIN_S
                time.sleep(0.01)
            status = exit_status_of_a_zombie(worker)
        finally:
            supervisor.kill()
    assert status == 70, "0 at the end of the clip, which it reaches without a lease"


def exit_status_of_a_zombie(pid: int) -> int:
    """Field 52 of proc_pid_stat(5); its parent is stopped and does not collect it."""
    return os.waitstatus_to_exitcode(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[49]))


def runs(pid: int) -> bool:
    """Whether a process runs: one whose parent does not collect it has ended all the same."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
