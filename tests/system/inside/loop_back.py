"""`lfr doctor gpio` and the blue-list button on the real GPIO character device."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from device.cli.doctor import gpio_command
from device.cli.main import main
from device.edges.gpio.gpiozero_gpio import DEBOUNCE_S
from tests.system.inside.conftest import CONFIG

if TYPE_CHECKING:
    from tests.system.inside.conftest import Housing

PATIENCE = 4
BRIDGES = {"sign_sense": "sign", "stop": "lamps.power", "tamper": "lamps.fault", "blue_list_button": "lamps.hub"}
EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "examples" / "orin-nano-csi.yaml"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration of this housing."""
    text = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    file = tmp_path / "device.yaml"
    file.write_text(yaml.safe_dump({**text, "lines": CONFIG, "run_dir": str(tmp_path / "run")}), encoding="utf-8")
    return file


def findings(site: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Level by name of a scripted walk with BRIDGES in place."""
    bridges = [word for name, output in BRIDGES.items() for word in ("--bridge", f"{output}={name}")]
    status = main(["doctor", "gpio", "--config", str(site), "--json", *bridges])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (0 if said["ok"] else 69)
    return {row["name"]: row["level"] for row in said["findings"]}


def in_the_end(wanted: Callable[[dict[str, str]], bool], site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A walk finds what is wanted: one of PATIENCE, since a processor that stands still moves a bridged line late."""
    walks: list[dict[str, str]] = []
    while not walks or not wanted(walks[-1]):
        assert len(walks) < PATIENCE, walks
        walks.append(findings(site, capsys))


def failed(found: dict[str, str]) -> list[str]:
    return [name for name, level in found.items() if level == "fail"]


def test_bridges_in_place_are_found_good_and_a_pulled_one_and_a_swapped_pair_are_named(
    housing: Housing, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, output in BRIDGES.items():
        housing.wire(name, "follow", output)
    good = {"stop (BOARD29)": "ok", "lamps.alert (BOARD13)": "warn"}  # no bridge leads to that lamp
    in_the_end(lambda found: not failed(found) and good.items() <= found.items(), site, capsys)
    housing.wire("tamper", "up")
    pulled = ["lamps.fault (BOARD15) to tamper (BOARD32)", "lamps.fault (BOARD15)", "tamper (BOARD32)"]
    in_the_end(lambda found: failed(found) == pulled, site, capsys)
    housing.wire("tamper", "follow", "lamps.power")
    housing.wire("stop", "follow", "lamps.fault")
    swapped = {"stop (BOARD29)": "fail", "tamper (BOARD32)": "fail", "sign_sense (BOARD33)": "ok"}
    in_the_end(lambda found: swapped.items() <= found.items(), site, capsys)
    assert {housing.value(role) for role in ("sign", "lamps.power")} == {0}, "everything is dark afterwards"


def test_an_engineer_who_places_each_bridge_finds_every_line_good(housing: Housing, site: Path) -> None:
    def engineer(question: str) -> str:
        for name in BRIDGES:
            housing.wire(name, "off")
            housing.pull(name, name != "sign_sense")
        if question.startswith("Bridge "):
            words = question.split()
            housing.wire(words[4], "follow", words[1])
        return ""

    wrong: list[object] = []
    for _ in range(PATIENCE):
        wrong = [one for one in gpio_command.loop_back(site, [], ask=engineer) if one.level != "ok"]
        if not wrong:
            return
    raise AssertionError(wrong)


def test_each_press_of_the_blue_list_button_calls_once_and_its_release_does_not(
    housing: Housing, until: Callable[..., float]
) -> None:
    """Bounces are tested on fake chips: an emulated processor that stands still stretches them beyond any debounce."""
    lines = housing.open()
    presses: list[float] = []
    lines.on_blue_list_button(lambda: presses.append(time.monotonic()))
    for count in (1, 2):
        housing.pull("blue_list_button", up=False)
        until(lambda wanted=count: len(presses) == wanted)
        time.sleep(10 * DEBOUNCE_S)
        housing.pull("blue_list_button", up=True)
        time.sleep(10 * DEBOUNCE_S)
        assert len(presses) == count
