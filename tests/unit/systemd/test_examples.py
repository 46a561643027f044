"""`lfr config check` accepts every example configuration, beside files that this test makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from device.cli.main import main
from device.config.loader import load_config
from device.config.model import INPUTS, DeviceConfig, recording_path
from device.edges.gpio.jetson_header import AGX_ORIN, ORIN_NANO_NX, Board

FOLDER = Path(__file__).resolve().parents[3] / "systemd" / "examples"
EXAMPLES = sorted(file.name for file in FOLDER.glob("*.yaml"))


def installed(name: str, folder: Path) -> tuple[Path, DeviceConfig]:
    """A copy of the example with every file that it names beside it, and a test root of trust."""
    copy = folder / "device.yaml"
    shutil.copy(FOLDER / name, copy)
    config = load_config(copy)
    files = [config.mqtt.ca, config.mqtt.cert, config.mqtt.key, config.trust.roots / "test" / "root.json"]
    for camera in config.cameras:
        files += [camera.credential] if camera.credential is not None else []
        files += [] if camera.live else [recording_path(camera.source)]
    for file in files:
        assert file.is_relative_to(folder), f"{name} names {file}, which is not beside the configuration"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return copy, config


def test_every_example_that_the_readme_names_is_there_and_no_other() -> None:
    rows = (FOLDER / "README.md").read_text().splitlines()
    assert sorted(row.split("`")[1] for row in rows if row.startswith("| `")) == EXAMPLES
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_check_accepts_the_example(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = installed(name, tmp_path)
    assert main(["config", "check", str(file), "--json", "--offline"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"]
    assert len(said["cameras"]) == len(config.cameras)


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_check_names_the_file_that_an_example_lacks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, config = installed(name, tmp_path)
    config.mqtt.key.unlink()
    assert main(["config", "check", str(file)]) == 78
    assert "mqtt.key: must be an existing file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "board"), [("orin-nano-csi.yaml", ORIN_NANO_NX), ("agx-orin.yaml", AGX_ORIN)], ids=["nano", "agx"]
)
def test_the_pins_of_a_boards_example_are_on_its_header_and_inputs_can_be_read(
    name: str, board: Board, tmp_path: Path
) -> None:
    _, config = installed(name, tmp_path)
    lines = config.lines
    assert all(board.pin(pin) is not None for pin in lines.pins.values())
    assert not board.input_problems({key: getattr(lines, key) for key in INPUTS})
