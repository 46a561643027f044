"""lfr.service through systemctl(1): what is read, what is run, and a service manager that does not answer."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from threading import Thread

import pytest

from device.edges.service.systemctl import SystemctlService
from device.errors import Unavailable

SCRIPT = """#!/bin/sh
echo "$@" >>{log}
case "$1" in
  show) printf 'ActiveState=active\\nNRestarts=2\\nStatusText=ready (release 0.2.0)\\n' ;;
  reset-failed) exit 1 ;;
  restart) exit {restart} ;;
esac
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl on the path that writes down how it was called."""
    place(tmp_path, restart=0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "log"


def place(folder: Path, *, restart: int) -> None:
    (folder / "systemctl").write_text(SCRIPT.format(log=folder / "log", restart=restart))
    (folder / "systemctl").chmod(0o755)


def test_a_reading_has_the_managers_words_and_a_fresh_status(commands: Path, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"version": "0.2.0"}))
    reading = SystemctlService(tmp_path / "status.json").reading()
    assert (reading.state, reading.restarts, reading.line) == ("active", 2, "ready (release 0.2.0)")
    assert reading.status == {"version": "0.2.0"}


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_status_that_is_missing_or_damaged_is_none(commands: Path, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    assert SystemctlService(tmp_path / "status.json").reading().status is None


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_status_that_is_not_written_any_more_is_none_also_when_the_clock_was_set_back(
    commands: Path, tmp_path: Path, seconds: int
) -> None:
    (tmp_path / "status.json").write_text("{}")
    at = time.time() + seconds
    os.utime(tmp_path / "status.json", (at, at))
    assert SystemctlService(tmp_path / "status.json").reading().status is None


def test_a_status_that_is_a_link_is_none(commands: Path, tmp_path: Path) -> None:
    """The folder is the unprivileged service's own, and the reader is root."""
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "status.json").symlink_to("elsewhere.json")
    assert SystemctlService(tmp_path / "status.json").reading().status is None


def test_a_status_that_is_a_pipe_does_not_hold_the_reader_up(commands: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "status.json")
    read: list[object] = []
    reader = Thread(
        target=lambda: read.append(SystemctlService(tmp_path / "status.json").reading().status), daemon=True
    )
    reader.start()
    reader.join(60.0)
    assert read == [None]


def test_no_more_is_read_than_a_status_has(commands: Path, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(" " * 1_000_000 + "{}")
    assert SystemctlService(tmp_path / "status.json").reading().status is None


def test_a_restart_reads_the_units_again_and_does_not_wait(commands: Path, tmp_path: Path) -> None:
    SystemctlService(tmp_path / "status.json").restart()
    said = commands.read_text().splitlines()
    assert said == ["daemon-reload", "reset-failed lfr.service", "restart --no-block lfr.service"]


def test_a_restart_that_is_refused_is_an_error(commands: Path, tmp_path: Path) -> None:
    place(tmp_path, restart=4)
    with pytest.raises(Unavailable, match="restart --no-block"):
        SystemctlService(tmp_path / "status.json").restart()
