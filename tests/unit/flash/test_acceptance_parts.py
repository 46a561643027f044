"""The board's own parts of an acceptance run: each row runs the command that it names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device.cli.doctor import checks
from device.cli.doctor.finding import Finding
from device.config.loader import load_config
from device.config.model import DeviceConfig
from device.edges.gpio.simulated_levels import SimulatedLevels
from engines import select
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.places import models_dir
from engines.tensorrt.plans import NeededPlans, Profile
from tests.unit.flash.conftest import CONFIG
from tools.flash.acceptance_parts import board_parts, compared, loop_back

pytestmark = pytest.mark.long
SCREEN = "face-reidentification-retail-0095"
Configured = Callable[..., DeviceConfig]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """`configured(recogniser=...)`: the board's configuration with these values of `vision`."""

    def of(**vision: str) -> DeviceConfig:
        text = CONFIG.format(name="nano-1") + f"state_dir: {tmp_path / 'state'}\nrun_dir: {tmp_path / 'run'}\n"
        text += f"vision: {json.dumps(vision)}\n" if vision else ""
        (tmp_path / "device.yaml").write_text(text)
        return load_config(tmp_path / "device.yaml")

    return of


def failing(tmp_path: Path, config: DeviceConfig) -> list[str]:
    return board_parts(config, tmp_path / "device.yaml", []).doctor()


def test_a_check_of_doctor_that_fails_is_in_its_row(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("key store", "warn", "swap is on")
        yield Finding("eraser", "fail", "lfr-erase.timer is inactive")

    monkeypatch.setattr(checks, "CHECKS", (broken,))
    found = failing(tmp_path, configured())
    assert found[0] == "eraser: lfr-erase.timer is inactive"
    assert any(line.startswith("configuration: mqtt.cert") for line in found[1:]), "of the configuration, too"
    assert not any("swap" in line for line in found)


def test_a_recogniser_that_is_not_there_turns_the_engines_row(configured: Configured, tmp_path: Path) -> None:
    config = configured(recogniser="something-else")
    assert "something-else" in board_parts(config, tmp_path / "device.yaml", []).self_test()


def test_a_screen_that_is_not_there_turns_the_engines_row(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for file in models_dir().iterdir():
        if SCREEN not in file.name:
            (tmp_path / "models" / file.name).symlink_to(file)
    config = configured(models_dir=str(tmp_path / "models"))
    assert board_parts(config, tmp_path / "device.yaml", []).self_test() == ""
    config = configured(models_dir=str(tmp_path / "models"), screen=SCREEN)
    assert SCREEN in board_parts(config, tmp_path / "device.yaml", []).self_test()


def test_without_a_bridge_the_loop_back_is_not_done(configured: Configured) -> None:
    row = loop_back(configured(), [])
    assert row.level == "not done"
    assert "lfr doctor gpio" in row.text


@pytest.mark.parametrize(("there", "level"), [({"sign_sense": "sign", "stop": "sign"}, "ok"), ({}, "fail")])
def test_the_loop_back_is_that_of_doctor_and_the_housing_is_asked_for(
    configured: Configured, there: dict[str, str], level: str
) -> None:
    config, asked = configured(), []
    header = SimulatedLevels()
    header.bridges = there

    def ask(text: str) -> str:
        asked.append(text)
        return ""

    bridges = ["sign=sign_sense", "sign=stop"]
    row = loop_back(config, bridges, open_lines=lambda: header, ask=ask)
    assert (row.level, len(asked)) == (level, 1), row.text
    assert "housing" in asked[0]


def test_a_line_without_a_bridge_is_not_done(configured: Configured) -> None:
    config = configured()
    header = SimulatedLevels()
    header.bridges = {"sign_sense": "sign"}
    row = loop_back(config, ["sign=sign_sense"], open_lines=lambda: header, ask=lambda _: "")
    assert (row.level, row.text) == ("not done", "not bridged: stop (BOARD29)")


def test_without_tensorrt_the_plans_row_says_that_it_was_not_run(configured: Configured) -> None:
    row = compared(configured())
    assert (row.level, row.text) == ("not here", "not run: no TensorRT")


@pytest.mark.parametrize(
    ("output", "status", "level", "says"),
    [
        ({"comparisons": [{"agrees": True}]}, 0, "ok", "tensorrt:fp16 agrees with onnxruntime: sface-2021dec 112x112"),
        ({"comparisons": [{"agrees": False}]}, 70, "fail", "differs by more than the card allows"),
        (None, 69, "fail", "it ended with status 69: no plan"),
    ],
)
def test_on_a_board_each_plan_is_compared_by_the_command(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, output: Any, status: int, level: str, says: str
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        text = b"" if output is None else json.dumps(output).encode()
        return SimpleNamespace(stdout=text, stderr=b"no plan\n", returncode=status)

    needed = NeededPlans("tensorrt:fp16", ((card(RECOGNISER_DEFAULT), Profile(1, 2, 8, 112, 112)),))
    monkeypatch.setattr(select, "installed", lambda _: True)
    monkeypatch.setattr("device.recognition.plans_needed.needed_plans", lambda _: needed)
    monkeypatch.setattr(subprocess, "run", run)
    row = compared(configured())
    assert row.level == level
    assert says in row.text
    arguments = ["engines", "compare", "tensorrt:fp16", "onnxruntime", "--model", RECOGNISER_DEFAULT]
    assert asked[0][4:] == [*arguments, "--rounds", "5", "--json"]


def test_the_command_of_the_comparison_is_one() -> None:
    command = [sys.executable, "-I", "-m", "device.cli.main", "engines", "compare", "--help"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"usage: ")
