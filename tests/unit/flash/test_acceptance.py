"""The acceptance sheet: what each row measures, and that nobody can change a signed one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from device.audit.key import DeviceKey, device_key
from device.config.model import DeviceConfig
from device.edges.camera.fake import Fail, FakeSource, Show
from device.edges.clock.fake import START
from device.edges.clock.system import SystemClock
from device.edges.gpio.simulated import SimulatedGpio
from device.errors import BadData, GpioUnavailable, SourceLost
from tests.unit.flash.conftest import CONFIG
from tools.flash.acceptance import FRAMES, Level, Parts, Row, check_sheet, printed, rows, sheet

pytestmark = pytest.mark.long

FACTS = {name: f"the {name}" for name in ("serial", "device", "board", "site", "version", "kit", "made")}


@pytest.fixture
def config(tmp_path: Path) -> DeviceConfig:
    from device.config.loader import load_config

    (tmp_path / "device.yaml").write_text(CONFIG.format(name="nano-1"))
    return load_config(tmp_path / "device.yaml")


def parts(
    lines: SimulatedGpio | None = None,
    *,
    script: tuple[Show | Fail, ...] = (Show(),) * FRAMES,
    self_test: Callable[[], str] = str,
    doctor: Callable[[], list[str]] = list,
    loop_back: Level = "ok",
    plans: Level = "ok",
) -> Parts:
    """A board on which everything works, but for what is given."""
    opened = lines or SimulatedGpio()
    return Parts(
        lines=lambda: opened,
        source=lambda camera: FakeSource(script),
        clock=SystemClock(),
        self_test=self_test,
        doctor=doctor,
        loop_back=lambda: Row("gpio loop-back", loop_back, "as wired"),
        compared=lambda: Row("engine plans", plans, "compared"),
    )


def measured(config: DeviceConfig, given: Parts) -> dict[str, Row]:
    return {row.what: row for row in rows(config, given)}


def test_a_board_on_which_everything_works_passes(config: DeviceConfig) -> None:
    found = measured(config, parts())
    assert {row.level for row in found.values()} == {"ok"}
    assert list(found) == [
        "doctor",
        "gpio loop-back",
        "sign dark",
        "sign lit",
        "sign pulse",
        "camera front",
        "engine",
        "engine plans",
    ]


@pytest.mark.parametrize(
    ("fault", "row"),
    [("lamp_works", "sign lit"), ("lamp_stuck", "sign dark"), ("stray_light", "sign pulse"), ("wire_cut", "sign lit")],
)
def test_a_sign_that_does_not_follow_fails(config: DeviceConfig, fault: str, row: str) -> None:
    lines = SimulatedGpio()
    setattr(lines, fault, fault != "lamp_works")
    assert measured(config, parts(lines))[row].level == "fail"


def test_the_sign_is_dark_afterwards(config: DeviceConfig) -> None:
    lines = SimulatedGpio()
    measured(config, parts(lines))
    assert not lines.sign_driven
    with pytest.raises(GpioUnavailable):
        lines.sign_sensed()


def test_a_camera_that_is_lost_or_ends_early_fails(config: DeviceConfig) -> None:
    lost = measured(config, parts(script=(Show(), Fail(SourceLost("front: lost")))))
    assert (lost["camera front"].level, lost["camera front"].text) == ("fail", "front: lost")
    assert measured(config, parts(script=(Show(),) * 3))["camera front"].level == "fail"


def test_an_engine_that_disagrees_and_a_failing_doctor_fail(config: DeviceConfig) -> None:
    found = measured(config, parts(self_test=lambda: "sface: differs", doctor=lambda: ["/dev/nvmap: not there"]))
    assert (found["engine"].level, found["engine"].text) == ("fail", "sface: differs")
    assert (found["doctor"].level, found["doctor"].text) == ("fail", "/dev/nvmap: not there")


@pytest.mark.parametrize(
    ("loop_back", "plans", "passed", "says"),
    [
        ("ok", "ok", True, "everything measured passes"),
        ("ok", "not here", True, "everything measured passes"),
        ("not done", "ok", False, "INCOMPLETE"),
        ("not done", "fail", False, "SOMETHING FAILS"),
        ("fail", "ok", False, "SOMETHING FAILS"),
    ],
)
def test_what_was_not_done_makes_a_sheet_incomplete(
    config: DeviceConfig, tmp_path: Path, loop_back: Level, plans: Level, passed: bool, says: str
) -> None:
    found = list(rows(config, parts(loop_back=loop_back, plans=plans)))
    document = sheet(FACTS, found, START, device_key(tmp_path))
    assert document["passed"] is passed
    assert says in printed(document)


def signed(folder: Path, level: Level = "ok") -> tuple[str, DeviceKey]:
    key = device_key(folder)
    row = Row("engine", level, "text")
    return json.dumps(sheet(FACTS, [row], START, key)), key


def test_a_sheet_verifies_with_the_devices_key_and_prints_on_a_page(tmp_path: Path) -> None:
    text, key = signed(tmp_path)
    page = printed(check_sheet(text, key.public))
    assert "everything measured passes" in page
    assert len(page.splitlines()) < 40
    assert "SOMETHING FAILS" in printed(check_sheet(signed(tmp_path, "fail")[0], key.public))


@pytest.mark.parametrize("change", [('"ok"', '"fail"'), ("the serial", "1"), ('"passed": true', '"passed": false')])
def test_a_changed_sheet_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    text, key = signed(tmp_path)
    assert change[0] in text
    with pytest.raises(BadData, match="not signed by that device"):
        check_sheet(text.replace(*change), key.public)


def test_another_devices_sheet_and_a_text_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    text, _ = signed(tmp_path)
    with pytest.raises(BadData):
        check_sheet(text, device_key(tmp_path / "other").public)
    for broken in ("", "[]", "{}", '{"signature": "zz"}', "1"):
        with pytest.raises(BadData):
            check_sheet(broken, "0" * 64)
