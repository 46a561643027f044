"""`lfr flash`, by the field engineer's page: a bare root file system becomes a ready device without a network."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import guest
from tests.system.flashed import Booted, bare_root, command, packages_for, wheels_for
from tools.flash.verify import inside_root

pytestmark = pytest.mark.system
SERIAL = "1421024012345"
FLEET = """
release: {release}
machine: {machine}
hub: {{host: hub.van, address: 10.0.0.1}}
config:
  lines: {{driver: simulated}}
  cameras:
    - {{id: front, source: clip.mp4, zone: {{name: gate, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}}}
devices:
  - {{serial: "{serial}", name: nano-1, board: desk, files: {{clip.mp4: clip.mp4}}}}
"""


SELF_TEST = (
    "/opt/lfr/current/bin/python",
    "-I",
    "-c",
    "import sys; from device.enrolment.model_sessions import ModelSessions\n"
    "print(ModelSessions(sys.argv[1], threads=1).self_test() or 'agrees')",
)
"""A worker's own self-test: every network's answers against the golden tensors."""


CAMERA_DAEMON = (
    "import pathlib, socket; socket.socket(socket.AF_UNIX).bind('/tmp/argus_socket'); "
    "pathlib.Path('/tmp/of-others').touch()"
)
"""What nvargus-daemon leaves in /tmp, beside another program's file."""


@dataclass
class Van:
    """A hub and the kit that it signed."""

    hub: Path
    kit: Path
    code: str
    scratch: Path

    def options(self, root: Path) -> tuple[str | Path, ...]:
        return (self.kit, "--root", root, "--serial", SERIAL, "--authority", self.code)


def lfr(*words: str | Path, status: int = 0) -> str:
    """Output of a command of this checkout; its exit status must be as expected."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory, models_ready: Path, clip: Path) -> Van:
    """Hub, root of trust and kit; skipped where no machine can be booted."""
    if reason := guest.cannot():
        pytest.skip(reason)
    scratch, root = tmp_path_factory.mktemp("flash"), bare_root()
    return make_van(scratch, clip, root, machine="x86_64", packages=packages_for(root, scratch / "packages"))


def make_van(scratch: Path, clip: Path, root: Path, *, machine: str, packages: Path) -> Van:
    """A hub and its kit for a bare root file system."""
    from tools.dev.demo.signed import make_authority
    from tools.dev.demo.workspace import build_hub

    stage = build_hub(_made(scratch / "stage"), 8883, 8443)
    console = stage.hub.console_file
    console.write_text(console.read_text().replace("repository_port: 0", "repository_port: 8444"))
    make_authority(stage)
    facts = dict(line.split("=", 1) for line in (root / "etc/os-release").read_text().splitlines() if "=" in line)
    release = f"{facts['ID']}-{facts['VERSION_ID']}".replace('"', "")
    (scratch / "fleet.yaml").write_text(FLEET.format(release=release, machine=machine, serial=SERIAL))
    shutil.copy(clip, scratch / "clip.mp4")
    options: list[str | Path] = ["--hub", stage.hub.root, "--out", scratch / "kit", "--packages", packages]
    for wheel in wheels_for() if machine == "x86_64" else ():
        options += ["--wheel", wheel]
    output = lfr("flash", "kit", scratch / "fleet.yaml", *options)
    code = output.removeprefix("authority code ").strip()
    return Van(stage.hub.root, scratch / "kit", code, scratch)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def root(van: Van) -> Iterator[Path]:
    """A copy of the bare root file system."""
    place = van.scratch / f"root-{time.monotonic_ns()}"
    subprocess.run(["cp", "-a", "--reflink=auto", str(bare_root()), str(place)], check=True)
    yield place
    shutil.rmtree(place)


def test_a_bare_root_becomes_a_device_that_systemctl_shows_as_ready_without_a_network(van: Van, root: Path) -> None:
    lfr("flash", "apply", *van.options(root))
    table = json.loads(lfr("flash", "verify", *van.options(root), "--json"))
    assert table["ok"]
    assert {row["what"] for row in table["rows"] if row["level"] == "pending"} == {"key", "certificate"}
    assert not list((root / "etc/lfr/pki").glob("*.key"))
    board = Booted(root, van.kit, van.scratch)
    try:
        board.until_active("lfr-first-boot.service", 300.0)
        assert board.run("systemctl", "is-active", "lfr.service") == "inactive"
        board.run("lfr", "flash", "request", "/media/kit", check=True)
        lfr("hub", "sign", van.hub, van.kit)
        board.run("/usr/bin/python3", "-c", CAMERA_DAEMON, check=True)
        board.run("lfr", "flash", "certify", "/media/kit", check=True)
        board.until_active("lfr.service", 120.0)
        private = f"/proc/{board.show('lfr.service', 'MainPID')}/root/tmp"
        assert board.run("ls", private) == "argus_socket"  # of /tmp the camera daemon's socket, and nothing else
        board.until_shown("lfr.service", "StatusText", "ready")
        board.until_active("lfr-erase.timer", 90.0)
        board.until_active("lfr.target", 90.0)
        assert board.show("lfr-engines", "StatusText") == "no plans are needed: the backend is openvino:bf16"
        allowed = board.show("lfr.service", "IPAddressAllow").split()
        assert set(allowed) == {"127.0.0.0/8", "::1/128", "10.0.0.1/32"}  # localhost and the hub
        board.run("journalctl", "--sync", check=True)
        shown = board.run("journalctl", "--catalog", "--unit=lfr", "LFR_EVENT=state", "--no-pager")
        assert "Subject: The device is ready, it was safe" in shown
        board.until(lambda: board.show("lfr-selftest", "ActiveState") in ("active", "failed"), 300.0)
        assert " ok, " in board.show("lfr-selftest", "StatusText")
        assert json.loads(board.run("lfr", "status", "--json"))["state"] == "ready"
        on_board = ("/media/kit", "--root", "/", "--serial", SERIAL, "--authority", van.code, "--json")
        refused = board.run("sh", "-c", 'lfr flash verify "$@" 2>&1', "sh", *on_board)
        assert "is this machine itself" in refused  # a container states no serial number
        assert board.run("ip", "-brief", "address").split()[0] == "lo"
        for backend in ("openvino", "onnxruntime"):
            assert board.run(*SELF_TEST, backend, check=True, within_s=300) == "agrees"
        models = [row for row in _doctor(board) if row["name"].startswith("model ")]
        assert models
        assert all(row["level"] == "ok" for row in models)
    finally:
        board.close()
    again = Booted(root, van.kit, van.scratch)
    try:
        again.until_active("lfr.service", 120.0)
        again.until_shown("lfr.service", "StatusText", "ready")
    finally:
        again.close()


def _doctor(board: Booted) -> list[dict[str, str]]:
    """What `lfr doctor` finds as an ordinary user: the models of the service's own cache."""
    output = board.run("su", "-s", "/bin/sh", "nobody", "-c", "lfr doctor --json", within_s=120)
    rows: list[dict[str, str]] = json.loads(output)["findings"]
    return rows


def test_an_image_that_is_mounted_by_loop_is_flashed_as_a_folder_is(van: Van) -> None:
    image, card = van.scratch / "card.img", _made(van.scratch / "mounted")
    subprocess.run(["truncate", "-s", "3G", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", str(bare_root()), str(image)], check=True)
    subprocess.run(["mount", "-o", "loop,rw", str(image), str(card)], check=True)
    try:
        lfr("flash", "apply", *van.options(card))
    finally:
        subprocess.run(["umount", str(card)], check=True)
    subprocess.run(["mount", "-o", "loop,ro", str(image), str(card)], check=True)
    try:
        assert (card / "etc/hostname").read_text() == "nano-1\n"
        table = json.loads(lfr("flash", "verify", *van.options(card), "--json"))
        assert table["ok"]
        assert "read-only" in lfr("flash", "apply", *van.options(card), status=77)
    finally:
        subprocess.run(["umount", str(card)], check=True)
        image.unlink()


def test_killed_again_and_again_it_goes_on_and_the_result_verifies(van: Van, root: Path) -> None:
    chance = random.Random(12)
    kills = 0
    for _ in range(60):
        process = subprocess.Popen(
            command("flash", "apply", *van.options(root)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=chance.uniform(0.3, 6.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        if process.returncode == 0:
            break
    assert kills >= 1
    lfr("flash", "apply", *van.options(root))
    assert json.loads(lfr("flash", "verify", *van.options(root), "--json"))["ok"]


def test_a_card_that_is_mounted_read_only_or_is_full_is_refused_or_goes_on_later(van: Van, root: Path) -> None:
    card = _made(van.scratch / f"card-{time.monotonic_ns()}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(card)], check=True)
    try:
        for name in ("etc", "usr/bin", "usr/lib", "var/lib/dpkg"):
            (card / name).mkdir(parents=True)
        for name in ("etc/os-release", "var/lib/dpkg/status"):
            shutil.copy(root / name, card / name)
        for python in (root / "usr/bin").glob("python3*"):
            shutil.copy(python, card / "usr/bin" / python.name, follow_symlinks=False)
        assert "MB free; a device needs" in lfr("flash", "apply", *van.options(card), status=77)
        subprocess.run(["mount", "-o", "remount,ro", str(card)], check=True)
        assert "read-only" in lfr("flash", "apply", *van.options(card), status=77)
    finally:
        subprocess.run(["umount", str(card)], check=True)


def test_what_runs_in_a_root_that_is_not_booted_sees_proc_and_sys_and_leaves_no_mount(van: Van, root: Path) -> None:
    looks = (
        "import os; print(os.path.getsize('/etc/os-release') and open('/proc/cpuinfo').read(9), *os.listdir('/sys'))"
    )
    done = subprocess.run(
        [*inside_root(root), "/usr/bin/python3", "-c", looks], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("processor")
    assert "devices" in done.stdout
    assert not any((root / "proc").iterdir())
    assert str(root) not in Path("/proc/mounts").read_text()


def test_the_serial_number_is_asked_for_and_another_one_is_refused(van: Van, root: Path) -> None:
    assert "--serial" in lfr("flash", "apply", van.kit, "--root", root, "--authority", van.code, status=64)
    other = (van.kit, "--root", root, "--serial", "000000", "--authority", van.code)
    assert f"{SERIAL} (nano-1)" in lfr("flash", "apply", *other, status=77)
    assert not (root / "etc/lfr").exists()
