"""`lfr doctor gpio`: the loop-back with an engineer, with bridges in place, and when it must not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from device.cli.doctor import gpio_command
from device.cli.doctor.finding import Finding
from device.cli.main import main
from device.config.loader import load_config
from device.config.model import INPUTS, GpioConfig
from device.edges.gpio.gpiozero_gpio import GpiozeroLevels
from device.edges.gpio.simulated_levels import SimulatedLevels
from device.errors import GpioUnavailable, Unavailable, UsageError
from device.ports.gpio import LineLevels
from device.supervisor.sign.blink_codes import CODES
from device.supervisor.status.file import InstanceLock

EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "examples" / "orin-nano-csi.yaml"
BRIDGES = ["sign=sign_sense", "lamps.power=stop", "lamps.fault=tamper", "lamps.hub=blue_list_button"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    text = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    file = tmp_path / "device.yaml"
    file.write_text(yaml.safe_dump({**text, "run_dir": str(tmp_path / "run")}), encoding="utf-8")
    return file


class Engineer:
    """Places each bridge that is asked for, except what `answers` says by a part of the question."""

    def __init__(self, header: SimulatedLevels, **answers: str) -> None:
        self._header = header
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        given = next((answer for part, answer in self._answers.items() if part in question), "")
        if question.startswith("Bridge ") and not given:
            words = question.split()
            self._header.bridges = {words[4]: words[1]}
        return given


def walk(site: Path, header: SimulatedLevels, *bridges: str, ask: Engineer | None = None) -> list[Finding]:
    """The findings of one walk over a header."""
    return list(gpio_command.loop_back(site, list(bridges), open_lines=lambda _: header, ask=ask, sleep=lambda _: None))


def of(found: list[Finding], name: str) -> list[str]:
    """Levels of the findings whose name begins so, the verdict last."""
    return [one.level for one in found if one.name.startswith(f"{name} (")]


def test_an_engineer_is_asked_for_each_line_once_and_all_are_good(site: Path) -> None:
    header = SimulatedLevels()
    engineer = Engineer(header)
    found = walk(site, header, ask=engineer)
    assert {one.level for one in found} == {"ok"}
    pins = load_config(site).lines.pins
    assert "Unplug the housing" in engineer.asked[0]
    assert len(engineer.asked) == 1 + len(set(pins) - set(INPUTS)), "as many bridges as there are outputs"
    verdicts = [one.name for one in found if one.text == "works"]
    assert sorted(verdicts) == sorted(f"{name} ({pin})" for name, pin in pins.items())
    assert header.closed


def test_skipped_lines_are_named_as_not_checked_and_q_ends(site: Path) -> None:
    header = SimulatedLevels()
    found = walk(site, header, ask=Engineer(header, **{"Bridge lamps.hub": "s"}))
    assert of(found, "lamps.hub")[-1] == "warn"
    assert of(found, "sign")[-1] == "ok"
    found = walk(site, SimulatedLevels(), ask=Engineer(header, **{"No bridge": "q"}))
    assert {one.level for one in found} == {"warn"}


def test_bridges_in_place_are_checked_without_a_question(site: Path) -> None:
    header = SimulatedLevels()
    header.bridges = {bridge.split("=")[1]: bridge.split("=")[0] for bridge in BRIDGES}
    found = walk(site, header, *BRIDGES)
    assert [one.level for one in found if " to " in one.name] == ["ok"] * len(BRIDGES)
    assert of(found, "stop")[-1] == "ok"
    assert of(found, "lamps.alert")[-1] == "warn"


@pytest.mark.parametrize(
    ("fault", "broken", "text"),
    [
        ("output stuck low", "lamps.hub", "driven high, read low"),
        ("input stuck high", "stop", "driven low, read high"),
        ("no bridge", "tamper", "driven low, read high"),
        ("swapped", "stop", "read"),
    ],
)
def test_a_line_that_does_not_follow_is_named_with_its_remedy(site: Path, fault: str, broken: str, text: str) -> None:
    header = SimulatedLevels()
    header.bridges = {bridge.split("=")[1]: bridge.split("=")[0] for bridge in BRIDGES}
    if fault == "output stuck low":
        header.stuck["lamps.hub"] = False
    elif fault == "input stuck high":
        header.stuck["stop"] = True
    elif fault == "no bridge":
        del header.bridges["tamper"]
    else:
        header.bridges |= {"stop": "lamps.fault", "tamper": "lamps.power"}
    found = walk(site, header, *BRIDGES)
    assert of(found, broken)[-1] == "fail"
    wrong = [one for one in found if one.level == "fail" and " to " in one.name]
    assert wrong
    assert all(one.remedy for one in wrong)
    assert any(text in one.text for one in wrong)
    assert of(found, "sign")[-1] == "ok"


def test_a_missing_pull_is_found_because_a_cut_wire_would_read_lit(site: Path) -> None:
    header = SimulatedLevels()
    header.floating.add("sign_sense")
    found = walk(site, header, "lamps.power=stop")
    (wrong, *_) = [one for one in found if one.level == "fail"]
    assert wrong.name.startswith("sign_sense (")
    assert "no pull-down" in wrong.text


def test_a_short_to_a_second_input_is_found(site: Path) -> None:
    header = SimulatedLevels()
    header.bridges = {"stop": "lamps.power", "sign_sense": "lamps.power"}
    found = walk(site, header, "lamps.power=stop")
    assert any("sign_sense (BOARD33) follows as well" in one.text for one in found)


def test_it_never_runs_beside_a_supervisor_and_keeps_one_from_starting(site: Path) -> None:
    run_dir = load_config(site).run_dir
    with InstanceLock(run_dir), pytest.raises(Unavailable, match="a supervisor already runs"):
        walk(site, SimulatedLevels(), *BRIDGES)
    header = SimulatedLevels()
    walking = gpio_command.loop_back(site, BRIDGES, open_lines=lambda _: header)
    next(walking)
    with pytest.raises(Unavailable, match="a supervisor already runs"), InstanceLock(run_dir):
        pass
    walking.close()
    assert header.closed
    with InstanceLock(run_dir):
        pass


@pytest.mark.parametrize("bridge", ["sign", "stop=sign_sense", "sign=lamps.fault", "lamps.tower_single=stop", "=stop"])
def test_a_bridge_that_is_none_is_a_usage_error_with_the_names(site: Path, bridge: str) -> None:
    with pytest.raises(UsageError, match=r"outputs: sign, lamps\.power"):
        walk(site, SimulatedLevels(), bridge)
    with pytest.raises(UsageError, match="each input once"):
        walk(site, SimulatedLevels(), "sign=stop", "lamps.hub=stop")


def test_without_a_terminal_and_without_bridges_it_is_64_and_simulated_lines_have_no_header(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "gpio", "--config", str(site)]) == 64
    assert "--bridge OUTPUT=INPUT" in capsys.readouterr().err
    assert main(["doctor", "--codes"]) == 64
    desk = EXAMPLE.with_name("desk-recording.yaml")
    text = yaml.safe_load(desk.read_text(encoding="utf-8"))
    text["lines"] = {"driver": "simulated", "sign": "BOARD31", "stop": "BOARD29"}
    site.write_text(yaml.safe_dump({**text, "run_dir": str(site.parent / "run")}), encoding="utf-8")
    assert main(["doctor", "gpio", "--config", str(site), "--bridge", "sign=stop"]) == 64
    assert "has no header to bridge" in capsys.readouterr().err


def test_a_header_that_does_not_answer_is_69(site: Path) -> None:
    header = SimulatedLevels()
    header.failing = True
    with pytest.raises(GpioUnavailable):
        walk(site, header, *BRIDGES)


def test_the_codes_are_printed_from_their_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "gpio", "--codes"]) == 0
    said = capsys.readouterr().out
    assert [line[:24].strip() for line in said.splitlines()] == [code.text for code in CODES]


@pytest.mark.slow
def test_gpiozero_shows_levels_and_not_meanings(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gpiozero import Device
    from gpiozero.pins.mock import MockConnectedPin, MockFactory

    before = Device.pin_factory
    factory = Device.pin_factory = MockFactory()
    try:
        text = yaml.safe_load(site.read_text(encoding="utf-8"))
        text["lines"] = {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD33", "stop": "BOARD29"}
        text["lines"]["lamps"] = {"fault": "BOARD15"}
        site.write_text(yaml.safe_dump(text), encoding="utf-8")
        for output, read in (("BOARD31", "BOARD33"), ("BOARD15", "BOARD29")):
            factory.pin(output, pin_class=MockConnectedPin).input_pin = factory.pin(read)
        bridges = ["--bridge", "sign=sign_sense", "--bridge", "lamps.fault=stop"]
        assert main(["doctor", "gpio", "--config", str(site), "--json", *bridges]) == 0
        said = json.loads(capsys.readouterr().out)
        assert [row["level"] for row in said["findings"]] == ["ok"] * 6
        factory.pin("BOARD15").input_pin = None
        factory.pin("BOARD29").drive_high()
        assert main(["doctor", "gpio", "--config", str(site), *bridges]) == 69
        assert "FAIL lamps.fault (BOARD15) to stop (BOARD29)" in capsys.readouterr().out
        levels: LineLevels = GpiozeroLevels(GpioConfig.model_validate(text["lines"]))
        levels.close()
    finally:
        factory.reset()
        Device.pin_factory = before
