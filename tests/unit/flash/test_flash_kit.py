"""A kit: which wheels, which configurations, and what a fleet's file may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.errors import ConfigError
from tools.flash.fleet import check, read_fleet, rendered
from tools.flash.targets import RELEASES, Target
from tools.flash.wheelhouse import requirements, selected

FLEET = """
release: ubuntu-22.04
machine: aarch64
hub: {host: hub.van, address: 10.0.0.1}
config:
  lines: {driver: gpiozero, sign: BOARD31, sign_sense: BOARD33, stop: BOARD29}
devices:
  - serial: "1421024012345"
    name: nano-1
    board: orin-nano-nx
    config:
      cameras: [{id: front, source: "csi://0", zone: {name: gate, polygon: [[0, 0], [1, 0], [1, 1]]}}]
  - serial: "1421024012346"
    name: nano-2
    board: orin-nano-nx
    config:
      cameras: [{id: front, source: "csi://1", zone: {name: gate, polygon: [[0, 0], [1, 0], [1, 1]]}}]
"""


def fleet_of(folder: Path, text: str = FLEET) -> Path:
    file = folder / "fleet.yaml"
    file.write_text(text)
    return file


def rendered_files(folder: Path, text: str = FLEET) -> list[Path]:
    """Each board's configuration, in a folder of its own."""
    fleet = read_fleet(fleet_of(folder, text))
    found = []
    for device in fleet.devices:
        place = folder / device.serial
        place.mkdir()
        content = rendered(fleet, device, site="north", broker_port=8883, repository_port=8444)
        (place / "device.yaml").write_bytes(content)
        check(place / "device.yaml", device)
        found.append(place / "device.yaml")
    return found


def test_each_board_gets_its_own_configuration_with_the_vans_names(tmp_path: Path) -> None:
    from device.config.loader import load_config

    first, second = (load_config(file) for file in rendered_files(tmp_path))
    assert (first.device, second.device) == ("nano-1", "nano-2")
    assert (first.cameras[0].source, second.cameras[0].source) == ("csi://0", "csi://1")
    assert first.site == "north"
    assert first.mqtt.host == "hub.van"
    assert first.trust.url == "https://hub.van:8444/"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BOARD33", "BOARD34", "BOARD34 is no GPIO of the Jetson Orin Nano / NX's header"),
        ("csi://1", "ftp://x", "cameras"),
        ("polygon: [[0, 0], [1, 0], [1, 1]]}}]\n", "polygon: [[0, 0], [1, 0]]}}]\n", "polygon"),
    ],
)
def test_a_configuration_that_config_check_would_refuse_stops_the_kit(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rendered_files(tmp_path, FLEET.replace(old, new))


def test_an_output_only_pin_as_input_stops_the_kit(tmp_path: Path) -> None:
    text = FLEET.replace("orin-nano-nx", "agx-orin").replace("BOARD29", "BOARD11")
    with pytest.raises(ConfigError, match="can only be an output"):
        rendered_files(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1421024012346", "1421024012345", "serial of its own"),
        ("nano-2", "nano-1", "name of its own"),
        ("ubuntu-22.04", "ubuntu-20.04", "release"),
        ("config:\n  lines", "config:\n  mqtt: {}\n  lines", "the kit writes mqtt"),
        ("    name: nano-2\n", "    name: nano-2\n    files: {a.credential: gone}\n", "gone must be an existing file"),
        ("    name: nano-2\n", "    name: nano-2\n    files: {../x: fleet.yaml}\n", "plain file name"),
        ('"1421024012345"', '"../etc"', "a serial number"),
        ("10.0.0.1", "hub", "address"),
        ("    board: orin-nano-nx\n    config", "    bord: orin-nano-nx\n    config", "board"),
    ],
)
def test_mistakes_in_a_fleets_file_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_fleet(fleet_of(tmp_path, FLEET.replace(old, new, 1)))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_one_version_of_every_package_is_chosen_with_hashes_and_numpy_1(release: object, machine: str) -> None:
    from tools.flash.targets import Release

    assert isinstance(release, Release)
    entries = selected(Target(release, machine))
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names))
    assert [entry.version for entry in entries if entry.name == "numpy"] == ["1.26.4"]
    assert ("openvino" in names) == (machine == "x86_64")
    assert not {"systemd-python", "pycuda", "pytest", "starlette"} & set(names)
    assert all(entry.sha256 for entry in entries)
    text = requirements(entries)
    assert ";" not in text
    assert text.count("--hash=sha256:") == sum(len(entry.sha256) for entry in entries)


def test_wheels_for_a_newer_c_library_are_not_asked_for(tmp_path: Path) -> None:
    jammy = Target(RELEASES[0], "aarch64").platforms
    assert jammy[0] == "manylinux_2_35_aarch64"
    assert "manylinux2014_aarch64" in jammy
    assert not any(tag.startswith("manylinux_2_36") for tag in jammy)
