"""Every source of the board's health passes the same suite: the emulated board, and the files that it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from device.edges.host.emulated_board import GPU, MODES, OC, EmulatedBoard
from device.edges.host.sysfs_board import SysfsBoard
from device.ports.health import BoardHealth, Memory, PowerMode

Reader = Callable[[EmulatedBoard], BoardHealth]


@pytest.fixture(params=["emulated", "files"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    def from_files(board: EmulatedBoard) -> BoardHealth:
        board.write(tmp_path)
        return SysfsBoard(tmp_path)

    return from_files if request.param == "files" else lambda board: board


def test_a_board_shows_load_mode_supply_and_memory(reader: Reader) -> None:
    board = EmulatedBoard()
    board.load, board.mode, board.available_bytes = 0.873, 1, 3 * 2**30
    board.events = {"under-voltage": 0, "average over-current": 15, "instantaneous over-current": 37}
    found = reader(board)
    assert found.gpu_load() == 0.873
    assert found.power_mode() == PowerMode(1, "25W", MODES)
    assert found.over_current() == board.events
    assert found.memory() == Memory(3 * 2**30, 8 * 2**30)


def test_a_gpu_that_rests_is_0_and_not_unknown(reader: Reader) -> None:
    board = EmulatedBoard()
    board.load = 0.0
    assert reader(board).gpu_load() == 0.0


def test_what_the_machine_does_not_have_is_unknown_and_not_0(reader: Reader) -> None:
    board = EmulatedBoard()
    board.load = board.mode = board.events = board.available_bytes = None
    found = reader(board)
    assert (found.gpu_load(), found.power_mode(), found.over_current(), found.memory()) == (None, None, None, None)


@pytest.mark.parametrize("load", ["", "-1", "1001", "nan", "255\n3"])
def test_a_load_that_is_none_is_unknown(tmp_path: Path, load: str) -> None:
    EmulatedBoard().write(tmp_path)
    (tmp_path / GPU / "device/load").write_text(load)
    assert SysfsBoard(tmp_path).gpu_load() is None


def test_a_gpu_is_told_by_its_node_and_not_by_its_folders_name(tmp_path: Path) -> None:
    EmulatedBoard().write(tmp_path)
    other = tmp_path / "sys/class/devfreq/00000000.vic/device"
    (other / "of_node").mkdir(parents=True)
    (other / "of_node/name").write_text("vic\0")
    (other / "load").write_text("990\n")
    assert SysfsBoard(tmp_path).gpu_load() == 0.25


def test_a_mode_without_a_name_keeps_its_number_and_a_status_that_is_none_is_unknown(tmp_path: Path) -> None:
    EmulatedBoard().write(tmp_path)
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0009\n")
    assert SysfsBoard(tmp_path).power_mode() == PowerMode(9, "", MODES)
    (tmp_path / "var/lib/nvpmodel/status").write_text("\n")
    assert SysfsBoard(tmp_path).power_mode() is None


def test_a_counter_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    EmulatedBoard().write(tmp_path)
    (tmp_path / OC / "oc2_event_cnt").unlink()
    assert SysfsBoard(tmp_path).over_current() == {"under-voltage": 0, "instantaneous over-current": 0}
