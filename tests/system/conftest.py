"""One booted machine for all tests of a run, with the device installed as systemd/README.md says, and its hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system import emulated_parts, guest
from tests.system.emulated import Emulated
from tests.system.guest import Guest

HERE = Path(__file__).parent
BROKER_PORT, PAGE_PORT, REPOSITORY_PORT = 18883, 18080, 18444
ENTRY = "e-000000000001"
PATIENT = "/etc/systemd/system/lfr.service.d/patient.conf"
"""A drop-in with a longer watchdog: a machine that stands still for 1.5 s is no fault of the device. test_service.py
takes it away where the watchdog is what is tested."""
CLIP_TIMES = 18  # the clip is played that often in a row: three minutes, longer than any test looks


@pytest.fixture(scope="session")
def canaries(models_ready: Path) -> tuple[Path, Any, Any]:
    """The canary clip, its truth, and everything of its two passers-by that is looked for."""
    from tools.dev.proof.canaries import canary_clip, wanted_of

    clip, truth = canary_clip()
    return clip, truth, wanted_of(clip, truth)


class EmulatedMachines:
    """QEMU machines: whether one can be had here, and one."""

    def cannot(self) -> str:
        """The reason why there is none; empty when there is one."""
        return guest.cannot() or emulated_parts.cannot()

    def machine(self, scratch: Path) -> Emulated:
        """A machine that is not booted yet; what it is made of is made first if it is not there."""
        parts, root = emulated_parts.parts(), guest.root_file_system()
        return Emulated(parts, root, scratch)


@pytest.fixture(scope="session")
def emulated() -> EmulatedMachines:
    return EmulatedMachines()


class Board:
    """The machine, with what a field engineer and an operator do on it."""

    def __init__(self, guest: Guest, scratch: Path) -> None:
        self.guest = guest
        self.scratch = scratch

    def publish(self, ends_in: timedelta = timedelta(hours=1), alert_hours: int = 0) -> None:
        """Publish a signed deployment at the hub, in place of the last one; its window ends then."""
        program = "/opt/lfr/.venv/bin/python /opt/lfr/source/tests/system/publish.py"
        given = f"/etc/lfr {ENTRY} /srv/host/listed.jpg {ends_in.total_seconds():.0f} {alert_hours}"
        share = "chgrp -R lfr /etc/lfr/roots && chmod -R g+rX /etc/lfr/roots"
        self.guest.run("sh", "-ec", f"LFR_CACHE=/var/cache/lfr {program} {given}; {share}")

    def lists(self) -> list[str]:
        """Sealed lists that lie on the device."""
        return str(self.guest.run("find", "/var/lib/lfr", "-path", "*/payloads/*", "-type", "f")).split()

    def status(self) -> dict[str, Any]:
        """`lfr status --json`; empty while there is none."""
        import json

        output = self.guest.run("/opt/lfr/.venv/bin/lfr", "status", "--json", check=False)
        try:
            found: dict[str, Any] = json.loads(output)
        except ValueError:
            return {}
        return found

    def state(self) -> str:
        """The device's state by its status; empty while there is none."""
        return str(self.status().get("state", ""))

    def line(self) -> str:
        """The service's status line."""
        return self.guest.show("lfr", "StatusText")["StatusText"]

    def until_line(self, *words: str) -> None:
        """Wait until the status line has all these words; they may come a beat after what they tell of."""
        self.guest.until(lambda: all(word in self.line() for word in words), why=self.line)

    def start(self) -> None:
        """Start the service and wait until it recognises."""
        self.guest.run("systemctl", "reset-failed", "lfr", check=False)
        self.guest.run("systemctl", "start", "lfr", check=False)  # systemd starts it again where it did not come up
        self.until_recognising()

    def until_recognising(self) -> None:
        """Wait until it recognises."""
        self.guest.until(lambda: self.state() == "recognising", why=self.why)

    def why(self) -> str:
        """`lfr why` and the end of the service's journal."""
        said = self.guest.run("/opt/lfr/.venv/bin/lfr", "why", check=False)
        return f"{said}\n" + "\n".join(self.guest.journal("lfr")[-30:])

    def main_pid(self) -> int:
        return int(self.guest.show("lfr", "MainPID")["MainPID"])


@pytest.fixture
def repeated() -> Callable[[Path, Path, int], None]:
    """Write a clip several times in a row."""
    return repeat


@pytest.fixture(scope="session")
def board(
    tmp_path_factory: pytest.TempPathFactory, samples: Callable[[str], list[Path]], models_ready: Path, clip: Path
) -> Iterator[Board]:
    """A booted machine with hub, broker and the device's files; skipped where no machine can be booted."""
    if reason := guest.cannot():
        pytest.skip(reason)
    scratch = tmp_path_factory.mktemp("board")
    scratch.chmod(0o755)
    prepare(scratch, models_ready, clip, guest.environment)
    machine = guest.Guest(scratch)
    try:
        install(machine)
        yield Board(machine, scratch)
    finally:
        machine.close()


def prepare(scratch: Path, models: Path, clip: Path, environment: Callable[[Path], None]) -> None:
    """Everything that the machine is given, in one folder on this side."""
    from tools.dev.clip.spec import watchlist_photos
    from tools.dev.demo.workspace import build_hub, write_device_config

    (scratch / "stage").mkdir(mode=0o700)
    workspace = build_hub(scratch / "stage", BROKER_PORT, PAGE_PORT)
    shutil.copy(next(iter(watchlist_photos().values()))[0], scratch / "listed.jpg")
    write_device_config(workspace, BROKER_PORT, realtime=True, repository_port=REPOSITORY_PORT)
    config = workspace.config.read_text()
    for here, there in (
        (str(workspace.clip), "/var/lib/lfr/clip.mp4"),
        (str(workspace.hub.root), "/etc/lfr/hub"),
        (str(workspace.roots), "/etc/lfr/roots"),
        (str(workspace.state_dir), "/var/lib/lfr"),
        (str(workspace.run_dir), "/run/lfr"),
    ):
        config = config.replace(here, there)
    (scratch / "device.yaml").write_text(config)
    repeat(clip, scratch / "clip.mp4", CLIP_TIMES)
    shutil.copytree(models, scratch / "models")
    environment(scratch / "venv")


def install(guest: Guest) -> None:
    """The device as systemd/README.md says; then the hub, with a simulated operator, as a unit of its own."""
    units = "install -m 644 lfr.target lfr.service lfr-[efs]*.service lfr-erase.timer /etc/systemd/system/"
    accounts = "install -m 644 lfr.sysusers.conf /usr/lib/sysusers.d/lfr.conf && systemd-sysusers"
    folders = "install -m 644 lfr.tmpfiles.conf /usr/lib/tmpfiles.d/lfr.conf && systemd-tmpfiles --create lfr.conf"
    guest.run("sh", "-ec", "cp -a /srv/host/venv /opt/lfr/.venv; ln -s .venv /opt/lfr/current; chmod 755 /opt/lfr")
    libraries = "[ ! -d /opt/python ] || { echo /opt/python/lib >/etc/ld.so.conf.d/python.conf; ldconfig; }"
    guest.run("sh", "-ec", libraries)  # a Python that was built with a shared library looks for it where it was built
    guest.run("sh", "-ec", f"cd /opt/lfr/source/systemd; {units}; {accounts}; {folders}; systemctl daemon-reload")
    patient = (
        f"mkdir -p {Path(PATIENT).parent}; printf '[Service]\\nWatchdogSec=60\\n' >{PATIENT}; systemctl daemon-reload"
    )
    guest.run("sh", "-ec", patient)
    guest.run(
        "sh",
        "-ec",
        "cd /srv/host; install -g lfr -m 640 device.yaml /etc/lfr/; install -d -g lfr -m 750 /etc/lfr/hub;"
        "cp -r stage/hub/. /etc/lfr/hub/; chgrp -R lfr /etc/lfr/hub; chmod -R g+rX /etc/lfr/hub;"
        "install -d -o lfr -g lfr /var/cache/lfr; cp -r models /var/cache/lfr/; cp clip.mp4 /var/lib/lfr/;"
        "chown -R lfr:lfr /var/lib/lfr /var/cache/lfr; echo 127.0.0.1 localhost >/etc/hosts",
    )
    hub = ("hub", "serve", "/etc/lfr/hub", "--operator-present", "--repository-port", str(REPOSITORY_PORT))
    guest.run("systemd-run", "--unit=hub", "--quiet", "/opt/lfr/.venv/bin/lfr", *hub)
    guest.until(
        lambda: any('"url"' in line for line in guest.journal("hub")),
        why=lambda: "\n".join(guest.journal("hub")[-20:]),
    )


def repeat(clip: Path, out: Path, times: int) -> None:
    """The clip several times in a row, without coding it again."""
    import av

    with av.open(str(out), "w") as target:
        copied, offset = None, 0
        for _ in range(times):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                copied = copied or target.add_stream_from_template(stream)
                length = 0
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = copied
                    target.mux(packet)
                offset += length
