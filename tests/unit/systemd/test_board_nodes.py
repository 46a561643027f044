"""The unit's DeviceAllow lines are the table's, and each admits what the sources say the nodes are called."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from device.edges.host.board_nodes import ALLOWED, NODES, OF_THE_WORKER

UNIT = Path(__file__).resolve().parents[3] / "systemd" / "lfr.service"


def test_the_unit_states_exactly_the_table() -> None:
    assert tuple(re.findall(r"^DeviceAllow=(\S+) rw$", UNIT.read_text(), re.MULTILINE)) == ALLOWED


@pytest.mark.parametrize(
    ("region", "pattern"),
    [
        ("17000000.gpu", "nvgpu/*/*"),
        ("17000000.ga10b", "nvgpu/*/*"),
        ("0000:01:00.0", "nvgpu/*/*"),
        ("nvidia-frontend", "nvidia*"),
        ("nvidia-uvm", "nvidia*"),
        ("drm", "dri/renderD*"),
        ("host1x-fence", "host1x-fence"),
    ],
)
def test_a_region_of_proc_devices_is_admitted_by_its_nodes_line(region: str, pattern: str) -> None:
    node = next(node for node in NODES if node.pattern == pattern)
    assert any(fnmatch(region, value.removeprefix("char-")) for value in node.allow)


def test_no_line_admits_the_misc_region_whose_nodes_are_of_every_kind() -> None:
    assert not any(fnmatch("misc", value.removeprefix("char-")) for value in ALLOWED)
    assert not any(fnmatch(name, v.removeprefix("char-")) for name in ("mem", "tty", "input") for v in ALLOWED)


def test_the_worker_opens_no_gpio_chip() -> None:
    assert "gpiochip*" not in OF_THE_WORKER
    assert {"nvmap", "host1x-fence", "dri/renderD*"} <= set(OF_THE_WORKER)
