"""Processes of the demo stop in reverse, end with their owner and say why they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from device.errors import Unavailable
from tools.dev.demo.processes import Processes

WAIT_FOR_EVER = "import sys, time; print('ready', flush=True); time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_until(true: object, limit_s: float = 60.0) -> None:
    """Wait for a condition of another process; the only clock that such a thing obeys is the real one."""
    assert callable(true)
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        os.sched_yield()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_all_processes_are_gone_after_the_block(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        pids = [processes.start(name, python(WAIT_FOR_EVER)).process.pid for name in ("one", "two")]
    assert not any(alive(pid) for pid in pids)


def test_grandchildren_are_gone_too(tmp_path: Path) -> None:
    code = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {WAIT_FOR_EVER!r}])\n"
        "print(p.pid, flush=True); p.wait()"
    )
    with Processes(tmp_path) as processes:
        parent = processes.start("parent", python(code))
        wait_until(lambda: len(parent.log.read_text().split()) == 2)
        grandchild = next(int(w) for w in parent.log.read_text().split() if w.isdigit())
    wait_until(lambda: not alive(grandchild))


def test_one_that_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.dev.demo.processes.STOP_S", 0.2)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT_FOR_EVER}"
    with Processes(tmp_path) as processes:
        stubborn = processes.start("stubborn", python(code))
        wait_until(lambda: "ready" in stubborn.log.read_text())
    assert stubborn.exit_status == -signal.SIGKILL


def test_an_early_end_is_reported_with_the_last_lines_of_output(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        failed = processes.start("hub", python("print('the port is taken'); raise SystemExit(69)"))
        failed.process.wait(60)
        with pytest.raises(Unavailable, match=r"hub ended with status 69(.|\n)*the port is taken"):
            failed.check()


def test_processes_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tools.dev.demo.processes import Processes\n"
        f"p = Processes(Path({str(tmp_path)!r})).__enter__().start('kept', [sys.executable, '-c', {WAIT_FOR_EVER!r}])\n"
        "while 'ready' not in p.log.read_text(): pass\n"
        "print(p.process.pid, flush=True); p.process.wait()"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        kept = int(owner.stdout.readline())
        assert alive(kept)
        owner.kill()
        wait_until(lambda: not alive(kept))


def test_a_program_of_the_demo_does_not_report_to_the_service_manager_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    with Processes(tmp_path) as processes:
        shown = processes.start("shown", python("import os; print('NOTIFY_SOCKET' in os.environ)"))
        wait_until(lambda: shown.log.read_text().strip() != "")
    assert shown.log.read_text().strip() == "False"
