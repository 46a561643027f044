"""`lfr doctor --board` on a folder that looks like a board's: which node, which line of the unit, which release."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device.cli.doctor.board import SHIPPED, Machine, board
from device.cli.doctor.finding import Finding

DEVICES = """Character devices:
  1 mem
 10 misc
 81 video4linux
226 drm
254 gpiochip
507 host1x-fence
508 17000000.gpu
509 nvhost

Block devices:
259 blkext
"""
NODES = {
    "nvmap": (10, 120),
    "nvgpu/igpu0/ctrl": (508, 2),
    "nvgpu/igpu0/as": (508, 1),
    "host1x-fence": (507, 0),
    "dri/renderD128": (226, 128),
    "nvhost-vic": (509, 3),
    "gpiochip0": (254, 0),
    "video0": (81, 0),
}


@dataclass
class FakeBoard:
    """A folder with the files of an Orin NX with JetPack 6.2.2; `numbers` by name below /dev."""

    root: Path
    numbers: dict[str, tuple[int, int]] = field(default_factory=lambda: dict(NODES))
    faults: dict[str, OSError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.write("proc/devices", DEVICES)
        self.write(
            "proc/device-tree/compatible", "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"
        )
        self.write("etc/nv_tegra_release", "# R36 (release), REVISION: 5.0, GCID: 1, BOARD: generic\n")
        self.write("etc/systemd/system/lfr.service", SHIPPED.read_text())
        for name in self.numbers:
            self.write(f"dev/{name}", "")

    def write(self, name: str, text: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def findings(self) -> dict[str, Finding]:
        machine = Machine(self.root, self._number, self._open)
        return {finding.name: finding for finding in board(machine)}

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root / "dev")) if path.is_relative_to(self.root / "dev") else ""

    def _number(self, path: Path) -> tuple[int, int] | None:
        return self.numbers.get(self._name(path))

    def _open(self, path: Path) -> None:
        if fault := self.faults.get(self._name(path)):
            raise fault


@pytest.fixture
def orin(tmp_path: Path) -> FakeBoard:
    return FakeBoard(tmp_path)


def test_every_node_of_an_orin_is_admitted_by_the_unit_that_ships_and_opens(orin: FakeBoard) -> None:
    found = orin.findings()
    nodes = {name: finding.level for name, finding in found.items() if name.startswith("/dev/")}
    assert nodes == {f"/dev/{name}": "ok" for name in NODES}


def test_a_super_board_is_the_board_that_it_is(orin: FakeBoard) -> None:
    assert "Jetson Orin Nano / NX" in orin.findings()["board"].text


@pytest.mark.parametrize(
    ("line", "node", "remedy"),
    [
        ("DeviceAllow=/dev/nvmap rw", "/dev/nvmap", "DeviceAllow=/dev/nvmap rw"),
        ("DeviceAllow=char-*.gpu rw", "/dev/nvgpu/igpu0/ctrl", "DeviceAllow=char-17000000.gpu rw"),
        ("DeviceAllow=char-host1x-fence rw", "/dev/host1x-fence", "DeviceAllow=char-host1x-fence rw"),
        ("DeviceAllow=char-drm rw", "/dev/dri/renderD128", "DeviceAllow=char-drm rw"),
    ],
)
def test_a_line_that_the_unit_lacks_is_named(orin: FakeBoard, line: str, node: str, remedy: str) -> None:
    orin.write("etc/systemd/system/lfr.service", SHIPPED.read_text().replace(line, ""))
    found = orin.findings()
    assert found[node].level == "fail"
    assert (found[node].remedy or "").startswith(remedy)
    orin.write("etc/systemd/system/lfr.service.d/override.conf", f"[Service]\n{line}\n")
    assert orin.findings()[node].level == "ok"


@pytest.mark.parametrize("value", ["char-nvmap", "char-nvgpu"])
def test_a_line_that_matches_nothing_is_named(orin: FakeBoard, value: str) -> None:
    text = SHIPPED.read_text() + f"\nDeviceAllow={value} rw\n"
    orin.write("etc/systemd/system/lfr.service", text)
    assert orin.findings()["unit"].text == f"DeviceAllow={value} names nothing on this board"


@pytest.mark.parametrize("name", ["nvmap", "host1x-fence", "dri/renderD128"])
def test_a_node_that_the_gpu_needs_and_that_is_not_there(orin: FakeBoard, name: str) -> None:
    del orin.numbers[name]
    found = {key: value for key, value in orin.findings().items() if value.text == "not there"}
    assert len(found) == 1
    assert next(iter(found.values())).level == "fail"


def test_a_node_without_permission_and_one_that_does_not_open_are_different_findings(orin: FakeBoard) -> None:
    orin.faults = {
        "nvmap": PermissionError(errno.EACCES, "Permission denied"),
        "video0": OSError(errno.ENODEV, "No such device"),
    }
    found = orin.findings()
    assert (found["/dev/nvmap"].level, found["/dev/nvmap"].remedy) == ("fail", "run it as the user lfr")
    assert (found["/dev/video0"].level, "No such device" in found["/dev/video0"].text) == ("warn", True)


@pytest.mark.parametrize(
    ("release", "shown", "fault"),
    [
        ("R36 (release), REVISION: 5.0", "36.5.0, JetPack 6.2.2", "known fault csi"),
        ("R36 (release), REVISION: 4.4", "36.4.4, JetPack 6.2.1", "known fault gpio"),
        ("R36 (release), REVISION: 4.3", "36.4.3, JetPack 6.2", None),
        ("R36 (release), REVISION: 9.9", "36.9.9: not in the table of releases", None),
    ],
)
def test_releases_and_their_known_faults(orin: FakeBoard, release: str, shown: str, fault: str | None) -> None:
    orin.write("etc/nv_tegra_release", f"# {release}, GCID: 1\n")
    found = orin.findings()
    assert found["jetson linux"].text == shown
    assert {name for name in found if name.startswith("known fault")} == ({fault} if fault else set())


def test_a_thor_is_known_by_name_and_its_pci_gpu_is_admitted(orin: FakeBoard) -> None:
    orin.write("proc/device-tree/compatible", "nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264\0")
    orin.write("proc/devices", DEVICES.replace("17000000.gpu", "0000:01:00.0") + "")
    orin.numbers |= {"nvgpu/igpu-0000:01:00.0/ctrl": (508, 0)}
    orin.write("dev/nvgpu/igpu-0000:01:00.0/ctrl", "")
    found = orin.findings()
    assert "a Thor" in found["board"].text
    assert found["/dev/nvgpu/igpu-0000:01:00.0/ctrl"].level == "ok"
    assert found["/dev/nvidia*"].text == "not there"


def test_an_unknown_board_and_no_board(orin: FakeBoard) -> None:
    orin.write("proc/device-tree/compatible", "other,board\0other,chip\0")
    assert orin.findings()["board"].level == "fail"
    (orin.root / "proc/device-tree/compatible").unlink()
    assert "no board" in orin.findings()["board"].text


def test_the_camera_daemons_socket(orin: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    assert orin.findings()["camera daemon"].level == "warn"
    (orin.root / "tmp").mkdir()
    monkeypatch.chdir(orin.root / "tmp")  # a socket's path has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("argus_socket")
        assert orin.findings()["camera daemon"].level == "ok"
