"""The board's health in `lfr doctor`: unknown is unknown, a warning has its remedy from the table of symptoms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from device.cli.doctor import health
from device.config.loader import load_config
from device.domain.symptoms.names import Health
from device.domain.symptoms.table import remedy
from device.edges.host.emulated_board import EmulatedBoard

EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "examples" / "orin-nano-csi.yaml"


def lines(board: EmulatedBoard, *, on_board: bool = True) -> dict[str, tuple[str, str]]:
    """Level and text by name; every remedy is the table's."""
    found = list(health.of_board(board, on_board=on_board))
    assert [one.remedy for one in found] == [remedy(Health(one.name)) for one in found]
    return {one.name: (one.level, one.text) for one in found}


def test_a_board_in_good_health() -> None:
    assert lines(EmulatedBoard()) == {
        "gpu load": ("ok", "25% busy"),
        "power mode": ("ok", "MAXN_SUPER; this board also has 15W, 25W, 7W"),
        "supply": (
            "ok",
            "events since the machine started: 0 under-voltage, 0 average over-current, 0 instantaneous over-current",
        ),
        "memory": ("ok", "5368 of 8589 MB available"),
    }


@pytest.mark.parametrize(("on_board", "level"), [(True, "warn"), (False, "ok")])
def test_what_cannot_be_read_is_unknown_and_no_number(on_board: bool, level: str) -> None:
    board = EmulatedBoard()
    board.load = board.mode = board.events = board.available_bytes = None
    found = lines(board, on_board=on_board)
    assert {text for _, text in found.values()} == {"unknown: this machine has no such reading"}
    assert {found[name][0] for name in ("gpu load", "power mode", "supply")} == {level}


def test_a_busy_gpu_a_weak_supply_and_little_memory_are_warnings() -> None:
    board = EmulatedBoard()
    board.load, board.available_bytes = 0.99, 100 * 2**20
    board.events = {"instantaneous over-current": 1}
    found = lines(board)
    assert [found[name][0] for name in ("gpu load", "supply", "memory")] == ["warn"] * 3


def test_a_watchdog_that_nobody_feeds_is_a_warning_on_a_board(tmp_path: Path) -> None:
    (none,) = health.hardware_watchdog(tmp_path, on_board=False)
    assert (none.level, none.text) == ("ok", "none")
    place = tmp_path / "sys/class/watchdog/watchdog0"
    place.mkdir(parents=True)
    for name, text in {"identity": "Tegra WDT", "state": "inactive", "timeout": "120"}.items():
        (place / name).write_text(f"{text}\n")
    (idle,) = health.hardware_watchdog(tmp_path, on_board=True)
    assert (idle.level, idle.text) == ("warn", "Tegra WDT: not in use")
    assert "RuntimeWatchdogSec" in (idle.remedy or "")
    (place / "state").write_text("active\n")
    (fed,) = health.hardware_watchdog(tmp_path, on_board=True)
    assert (fed.level, fed.text) == ("ok", "Tegra WDT: resets after 120 s")


@pytest.mark.parametrize(
    ("files", "level", "text"),
    [
        ({}, "ok", "unknown: this machine has no such reading"),
        ({"class/watchdog/watchdog0/bootstatus": "0"}, "ok", "no watchdog states that it reset this machine"),
        (
            {"class/watchdog/watchdog0/bootstatus": "32", "class/watchdog/watchdog0/identity": "i6300ESB timer"},
            "warn",
            "reset by i6300ESB timer",
        ),
        ({"devices/platform/bus@0/c360000.pmc/reset_reason": "MAINSWRST"}, "ok", "reset reason MAINSWRST"),
        (
            {
                "devices/platform/c360000.pmc/reset_reason": "BCCPLEXWDT",
                "class/watchdog/watchdog0/bootstatus": "0",
            },
            "warn",
            "reset reason BCCPLEXWDT",
        ),
    ],
    ids=["nothing", "idle", "watchdog", "restarted", "tegra"],
)
def test_a_start_that_a_watchdog_began_is_told_from_others(
    files: dict[str, str], level: str, text: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    (found,) = health.last_start(tmp_path)
    assert (found.name, found.level, found.text) == ("last start", level, text)
    assert "journalctl -b -1" in (found.remedy or "")


def test_the_engines_latency_comes_from_the_running_device_and_is_unknown_without(tmp_path: Path) -> None:
    text = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    (tmp_path / "device.yaml").write_text(yaml.safe_dump({**text, "run_dir": str(tmp_path)}))
    config = load_config(tmp_path / "device.yaml")
    (found,) = health.of_engine(config)
    assert found.text.startswith("unknown")
    for now, slower, level in ((8.2, False, "ok"), (14.0, True, "warn")):
        stages = {
            "embed": {"p95_ms": now, "p95_start_ms": 8.0, "slower": slower},
            "detect": {"p95_ms": 3.0, "p95_start_ms": None, "slower": False},
        }
        (tmp_path / "status.json").write_text(json.dumps({"stages": stages}))
        (found,) = health.of_engine(config)
        assert (found.level, found.text) == (level, f"p95 in ms at the start -> now: embed 8.0 -> {now}")
