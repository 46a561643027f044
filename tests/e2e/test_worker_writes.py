"""Every system call by which a real worker could write, seen by strace over a whole clip: only the link takes bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from device.wire.link import Finished, Hello
from engines.places import cache_dir
from tools.dev.gate.system_packages import STRACE, provide
from tools.dev.proof.watched import Watched
from tools.dev.proof.worker import given

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice")
MAKES = (
    "openat",
    "open",
    "creat",
    "memfd_create",
    "socket",
    "connect",
    "execve",
    "fork",
    "vfork",
    "shmget",
    "truncate",
)
INTERNAL = ("eventfd2", "pipe2", "pipe")
LINE = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)(?: (?P<error>E\w+))?")


@dataclass(frozen=True)
class Call:
    """One finished system call."""

    name: str
    arguments: str
    result: int

    @property
    def descriptor(self) -> int:
        return int(self.arguments.split(",")[0])


def calls_of(log: Path) -> Iterator[Call]:
    """Every call in order, those that another thread's call cut in two put together."""
    begun: dict[tuple[str, str], str] = {}
    for line in log.read_text(errors="replace").splitlines():
        cut = re.match(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", line)
        if cut:
            begun[cut[1], cut[2]] = cut[3]
            continue
        rest = re.match(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", line)
        if rest:
            line = f"{rest[1]} {rest[2]}({begun.pop((rest[1], rest[2]), '')}{rest[3]}"
        found = LINE.match(line)
        if found and found["result"] != "?":
            yield Call(found["name"], found["arguments"], int(found["result"]))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> tuple[list[Call], int]:
    """The calls of a whole run after its lock-down, and the number of the link."""
    place = tmp_path_factory.mktemp("traced")
    log = place / "calls"
    wanted = f"trace={','.join((*WRITES, *MAKES, *INTERNAL, 'mlockall', 'dup', 'dup2', 'dup3'))}"
    strace = str(provide(STRACE, cache_dir()))
    task = given(place, str(clip), pace="full").task  # it takes seconds, for which no worker should wait
    with Watched(
        place, before=[strace, "-f", "-qq", "-s", "12", "-e", wanted, "-e", "signal=none", "-o", str(log)]
    ) as one:
        one.send(task)
        hello = one.until(Hello)
        assert hello.protections["memory_locked"], "strace's log is cut where the memory is locked"
        finished = one.until(Finished)
        assert finished.counters.faces_seen > 10
        one.process.wait(300)
        link = one.link_number
    calls = list(calls_of(log))
    locked = next(n for n, call in enumerate(calls) if call.name == "mlockall" and call.result == 0)
    return calls[locked:], link


def test_only_the_link_takes_bytes(traced: tuple[list[Call], int]) -> None:
    calls, link = traced
    written = [call for call in calls if call.name in WRITES and call.result > 0]
    to_link = [call for call in written if call.descriptor == link]
    assert len(to_link) > 10, "the trace does not show the link's own messages"
    assert [call for call in written if call.descriptor != link] == []


def test_nothing_is_made_started_or_opened_for_writing(traced: tuple[list[Call], int]) -> None:
    calls, _ = traced
    made = [call for call in calls if call.name in MAKES and call.name not in ("open", "openat") and call.result >= 0]
    assert made == []
    opened = [call for call in calls if call.name in ("open", "openat") and call.result >= 0]
    assert opened, "the recording itself is opened after the lock-down"
    writable = [call for call in opened if re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)", call.arguments)]
    assert {call.arguments.split(",")[1].strip() for call in writable} == {'"/dev/null"'}  # the standard streams


def test_the_reader_of_the_trace_sees_a_write_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    log.write_text(
        '7 write(5, "x"..., 3 <unfinished ...>\n8 openat(AT_FDCWD, "/tmp/f", O_WRONLY|O_CREAT, 0666) = 9\n'
        '7 <... write resumed>) = 3\n8 write(9, "y", 1) = -1 EFBIG (File too large)\n8 exit_group(0) = ?\n'
    )
    assert [(call.name, call.result) for call in calls_of(log)] == [("openat", 9), ("write", 3), ("write", -1)]
    assert [call.descriptor for call in calls_of(log) if call.name == "write"] == [5, 9]
