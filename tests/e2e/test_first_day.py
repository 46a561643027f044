"""The first day as README.md has it: its ten commands, as they stand there, in a folder with what it asks for."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.dev.clip.spec import watchlist_photos
from tools.dev.gate.stages import ROOT
from tools.hub.broker.mosquitto import free_port

EXAMPLE = ROOT / "systemd" / "examples" / "desk-recording.yaml"
COMMANDS = 10
WITHIN_S = 240.0
PORTS = {"broker_port": 8883, "console_port": 8443, "repository_port": 8444}


def lines_of_the_page() -> list[str]:
    """The commands of the section, one a line."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## The first day\n(.*?)^## ", page, re.M | re.S)
    (block,) = re.findall(r"^```\n(.*?)^```", section, re.M | re.S)
    return [line for line in str(block).splitlines() if line.strip()]


class Desk:
    """The folder, and the commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        binaries = Path(sys.executable).parent
        self._environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}

    def command(self, line: str) -> str:
        """Run one line as a shell does; what it printed. One that ends in `&` goes on, its output in a file."""
        if line.rstrip().endswith("&"):
            command = ["bash", "-c", f"exec {line.rstrip().removesuffix('&')}"]
            with (self.folder / f"output-{len(self.running)}").open("wb") as output:
                started = subprocess.Popen(
                    command, cwd=self.folder, env=self._environment, stdout=output, stderr=subprocess.STDOUT
                )
            self.running.append(started)
            return ""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def printed(self, number: int) -> str:
        return (self.folder / f"output-{number}").read_text(errors="replace")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < deadline, what + "\n" + "\n".join(map(self.printed, range(len(self.running))))
            time.sleep(0.2)


@pytest.fixture
def desk(tmp_path: Path, clip: Path) -> Iterator[Desk]:
    """A folder with a recording, a person's photos, and the example's configuration."""
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / "people" / "e-1").mkdir(parents=True)
    for photo in next(iter(watchlist_photos().values())):
        shutil.copy(photo, tmp_path / "people" / "e-1")
    shutil.copy(EXAMPLE, tmp_path / "device.yaml")
    made = Desk(tmp_path)
    yield made
    for process in made.running:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def use_free_ports(folder: Path) -> None:
    """The usual ones may be in use on a machine that runs tests; device.yaml follows."""
    console, device = folder / "van-7" / "console.yaml", folder / "device.yaml"
    text, configured = console.read_text(), device.read_text()
    for name, usual in PORTS.items():
        port = free_port()
        assert f"{name}: {usual}" in text
        text = text.replace(f"{name}: {usual}", f"{name}: {port}")
        if name == "repository_port":
            assert f":{usual}/" in configured
            configured = configured.replace(f":{usual}/", f":{port}/")
        elif name == "broker_port":
            configured = configured.replace("  host: localhost\n", f"  host: localhost\n  port: {port}\n")
    console.write_text(text)
    device.write_text(configured)


@pytest.mark.long
def test_the_ten_commands_of_the_page_lead_from_an_empty_folder_to_the_report(desk: Desk) -> None:
    lines = lines_of_the_page()
    assert len(lines) == COMMANDS
    assert all(line.startswith("lfr ") for line in lines)
    for line in lines[:-2]:
        desk.command(line)
        if line.startswith("lfr hub init"):
            use_free_ports(desk.folder)
        elif line.startswith("lfr hub serve"):
            desk.until(lambda: '"url"' in desk.printed(0), "the hub does not start")
    book = desk.folder / "van-7" / "report.json"
    desk.until(lambda: book.exists() and '"alerts_received": 2' in book.read_text(), "no possible match came")
    desk.until(lambda: any(desk.folder.glob("van-7/keys/deployment-*")), "no key of the deployment")
    desk.command(lines[-2])
    assert list(desk.folder.glob("van-7/keys/deployment-*")) == []
    desk.until(lambda: not any(desk.folder.glob("state/**/payloads/*")), "the list stays on the device")
    report = desk.command(lines[-1])
    assert re.search(r"faces seen +\d+ ", report)
    assert "(received by the hub 2)" in report
    counted = json.loads(desk.command(f"{lines[-1]} --json"))
    assert counted
