"""After the lock-down nothing leaves the process but through the link; tried in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, os, resource, sys
from device.worker.lockdown import lock_down
from pathlib import Path
place = Path(sys.argv[1])
already = open(place / "opened-before", "wb", buffering=0)
granted = lock_down()
found = {"granted": granted, "core": resource.getrlimit(resource.RLIMIT_CORE), "refused": {}}
def attempt(name, act):
    try:
        act()
        found["refused"][name] = None
    except OSError as fault:
        found["refused"][name] = fault.errno
attempt("a new file", lambda: (place / "new").write_bytes(b"face"))
attempt("a file opened before", lambda: already.write(b"face"))
attempt("a memory file", lambda: os.write(os.memfd_create("m"), b"face"))
attempt("a longer file", lambda: os.truncate(place / "opened-before", 10))
status = Path("/proc/self/status").read_text()
found["no_new_privileges"] = "NoNewPrivs:\\t1" in status
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("locked")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place)], capture_output=True, text=True, timeout=60, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    report["sizes"] = {path.name: path.stat().st_size for path in place.iterdir()}
    return report


@pytest.mark.parametrize("way", ["a new file", "a file opened before", "a memory file", "a longer file"])
def test_no_byte_can_be_written_to_any_file(way: str, found: dict[str, Any]) -> None:
    assert found["refused"][way] == 27  # EFBIG
    assert set(found["sizes"].values()) <= {0}


def test_the_core_limit_is_0(found: dict[str, Any]) -> None:
    assert found["core"] == [0, 0]


def test_what_was_granted_is_said_by_name(found: dict[str, Any]) -> None:
    assert set(found["granted"]) == {
        "core_limit_0",
        "not_dumpable",
        "no_new_privileges",
        "memory_locked",
        "no_file_writes",
    }
    assert found["granted"]["core_limit_0"] is True
    assert found["granted"]["not_dumpable"] is True
    assert found["granted"]["no_file_writes"] is True
    assert found["granted"]["no_new_privileges"] is True is found["no_new_privileges"]


def test_a_process_that_may_not_lock_memory_says_so_and_goes_on(tmp_path: Path) -> None:
    unprivileged = "import resource, os\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))\n"
    drop = "if os.getuid() == 0:\n    os.setgroups([])\n    os.setgid(65534)\n    os.setuid(65534)\n"
    say = "from device.worker.lockdown import lock_down\nprint(json.dumps(lock_down()))\n"
    importing = "import json, device.worker.lockdown, device.edges.process\n"
    done = subprocess.run(
        [sys.executable, "-c", importing + unprivileged + drop + say], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["memory_locked"] is False
    assert json.loads(done.stdout)["no_file_writes"] is True
