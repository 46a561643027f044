"""After the lock-down nothing leaves the process but through the link; tried in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device.edges.sandbox import landlock
from device.edges.sandbox.hardening import GIVEN, worker_environment

PROGRAM = """
import ctypes, json, os, resource, socket, subprocess, sys, threading
from pathlib import Path
from device.worker.lockdown import Camera, begin, close_network, lock_down

place, locked = Path(sys.argv[1]), sys.argv[2] != "open"
libc = ctypes.CDLL(None, use_errno=True)
answer = os.dup(1)
found = {"granted": {}, "refused": {}}
earlier = open(place / "secret", "rb")
listener = socket.create_server(("127.0.0.1", 0))
daemon = socket.socket(socket.AF_UNIX)
daemon.bind(str(place / "daemon"))
daemon.listen()
port = listener.getsockname()[1]
turn, done = threading.Event(), threading.Event()


def call(name, *arguments):
    if libc[name](*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def attempt(name, act):
    try:
        act()
        found["refused"][name] = None
    except (OSError, ValueError) as fault:  # Python raises ValueError for EPERM of setrlimit
        found["refused"][name] = getattr(fault, "errno", 1)


def in_an_earlier_thread():
    turn.wait(20)
    attempt("a memory file by a thread that was there before", lambda: os.memfd_create("m"))
    done.set()


if locked:
    found["granted"] = begin()
threading.Thread(target=in_an_earlier_thread, daemon=True).start()
if locked:
    camera = {"camera": Camera(ports=(port,)), "daemon": Camera(local_service=True)}.get(sys.argv[2], Camera())
    found["granted"].update(lock_down(camera))
turn.set()
done.wait(20)
attempt("a new file", lambda: os.close(os.open(place / "new", os.O_WRONLY | os.O_CREAT)))
attempt("a file for writing", lambda: os.close(os.open(place / "secret", os.O_RDWR)))
attempt("a file for reading", lambda: os.close(os.open(place / "secret", os.O_RDONLY)))
attempt("a longer file", lambda: os.truncate(place / "other", 10))
attempt("a folder", lambda: os.mkdir(place / "folder"))
attempt("another name", lambda: os.rename(place / "other", place / "renamed"))
attempt("an extended attribute", lambda: os.setxattr(place / "secret", "user.face", b"x"))
attempt("a memory file", lambda: os.memfd_create("m"))
attempt("shared memory that stays", lambda: call("shmget", 0, 4096, 0o1600))
attempt("a program", lambda: subprocess.run(["/bin/true"], check=False))
attempt("a copy of itself", lambda: os.fork() or os._exit(0))
attempt("another process's memory", lambda: call("process_vm_readv", os.getpid(), None, 0, None, 0, 0))
attempt("a Unix socket", lambda: socket.socket(socket.AF_UNIX).close())
attempt("a daemon of this machine", lambda: socket.socket(socket.AF_UNIX).connect(str(place / "daemon")))
attempt("a datagram socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())
attempt("a TCP socket", lambda: socket.socket().close())
attempt("the camera's port", lambda: socket.create_connection(("127.0.0.1", port), 5).close())
attempt("to be dumpable", lambda: call("prctl", 4, 1, 0, 0, 0))
attempt("a higher limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
attempt("memory unlocked", lambda: call("munlockall"))
attempt("a mount", lambda: call("unshare", 0x20000))
found["size limit"] = resource.getrlimit(resource.RLIMIT_FSIZE)
found["core"] = resource.getrlimit(resource.RLIMIT_CORE)
found["streams"] = [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)]
found["code"] = len(Path(json.__file__).read_bytes())
if locked:
    close_network()
attempt("a second line", lambda: socket.socket().close())
attempt("a second line here", lambda: socket.socket(socket.AF_UNIX).close())
os.write(answer, json.dumps(found).encode())
"""


def tried(place: Path, manner: str) -> dict[str, Any]:
    (place / "secret").write_bytes(b"a watchlist")
    (place / "other").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place), manner],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=worker_environment(os.environ),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tried(tmp_path_factory.mktemp("unlocked"), "open")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tried(tmp_path_factory.mktemp("locked"), "recording")


@pytest.fixture(scope="module")
def with_camera(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tried(tmp_path_factory.mktemp("camera"), "camera")


def test_without_the_lock_down_every_way_is_open(unlocked: dict[str, Any]) -> None:
    shut = {way for way, error in unlocked["refused"].items() if error is not None}
    by_a_container = {"an extended attribute", "a mount", "memory unlocked"}  # refused to everybody in some
    assert shut <= by_a_container, "the trial itself is broken"


def test_with_it_every_way_is_shut(locked: dict[str, Any], unlocked: dict[str, Any]) -> None:
    left = {way for way, error in locked["refused"].items() if error is None}
    assert left == (set() if landlock.abi() else {"a file for reading"})
    assert set(locked["refused"]) == set(unlocked["refused"])


def test_the_size_limit_alone_would_refuse_every_byte_too(locked: dict[str, Any]) -> None:
    assert locked["size limit"] == [0, 0] == locked["core"]
    assert locked["granted"]["no_file_writes"] is True


def test_code_can_still_be_read_and_the_streams_lead_nowhere(locked: dict[str, Any]) -> None:
    assert locked["code"] > 0
    assert locked["streams"] == ["/dev/null"] * 3


def test_a_network_camera_may_be_reached_and_nothing_else(with_camera: dict[str, Any]) -> None:
    open_ways = {way for way, error in with_camera["refused"].items() if error is None}
    assert open_ways == {"a TCP socket", "the camera's port"} | (set() if landlock.abi() else {"a file for reading"})


def test_when_the_camera_is_open_no_other_line_is(with_camera: dict[str, Any]) -> None:
    assert with_camera["refused"]["a second line"] == 1  # EPERM


def test_a_cameras_daemon_may_be_reached_and_no_network(tmp_path: Path, locked: dict[str, Any]) -> None:
    refused = tried(tmp_path, "daemon")["refused"]
    reached = {name for name in locked["refused"] if refused[name] is None and locked["refused"][name] is not None}
    assert reached == {"a Unix socket", "a daemon of this machine"}
    assert refused["a second line here"] is not None


def test_granted_protections_are_reported_by_name(locked: dict[str, Any]) -> None:
    granted = dict(locked["granted"])
    by_kernel = {name: granted.pop(name) for name in ("landlock_writes", "landlock_reads", "memory_locked")}
    assert by_kernel["landlock_writes"] is by_kernel["landlock_reads"] is (landlock.abi() > 0)
    assert set(granted) == {
        "core_limit_0",
        "not_dumpable",
        "no_new_privileges",
        "no_file_writes",
        "no_files_open",
        "standard_streams",
        "environment",
        "freed_memory",
        "seccomp",
    }
    assert all(granted.values()), granted


def test_a_process_that_may_not_lock_memory_says_so_and_goes_on(tmp_path: Path) -> None:
    unprivileged = "import resource, os\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))\n"
    drop = "if os.getuid() == 0:\n    os.setgroups([])\n    os.setgid(65534)\n    os.setuid(65534)\n"
    say = "out = os.dup(1)\ngranted = lock_down(Camera())\nos.write(out, json.dumps(granted).encode())\n"
    importing = "import json, numpy\nfrom device.worker.lockdown import Camera, lock_down\n"
    done = subprocess.run(
        [sys.executable, "-c", importing + unprivileged + drop + say], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["memory_locked"] is False
    assert json.loads(done.stdout)["no_file_writes"] is True
    assert json.loads(done.stdout)["seccomp"] is True


def test_a_file_that_was_left_open_for_writing_is_reported() -> None:
    program = (
        "import tempfile\nfrom device.worker.lockdown import writable_files\nassert not writable_files()\n"
        "left = tempfile.NamedTemporaryFile()\nassert writable_files() == [left.name]\n"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300, check=True)


def test_a_worker_inherits_no_secret_and_no_session() -> None:
    ours = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "/s", "HOME": "/home/me", "LANG": "cy_GB"}
    assert worker_environment(ours) == {"PATH": "/bin", "LANG": "cy_GB", **GIVEN}
    assert worker_environment(ours)["HOME"] == "/nonexistent"
