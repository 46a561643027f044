"""Lines are claimed wherever the program was started: lgpio wants to write into the working directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLAIM = """
import os, sys, tempfile
from pathlib import Path
from device.config.model import GpioConfig
from device.edges.gpio import gpiozero_gpio, jetson_header
from device.errors import GpioUnavailable
jetson_header.DEVICE_TREE = Path(sys.argv[1])
tempfile.tempdir = sys.argv[2]
try:
    gpiozero_gpio.GpiozeroGpio(GpioConfig(driver="gpiozero", sign="BOARD31", sign_sense="BOARD33", stop="BOARD29"))
except GpioUnavailable as fault:
    print(fault)
print("lgpio" in sys.modules, os.getcwd(), os.listdir(sys.argv[2]))
"""


def claimed_in(cwd: str, tree: bytes, scratch: Path) -> list[str]:
    """What a program says that claims lines on a machine with that device tree and no chip; last what it left."""
    (scratch / "compatible").write_bytes(tree)
    (scratch / "temporary").mkdir()
    command = [sys.executable, "-c", CLAIM, str(scratch / "compatible"), str(scratch / "temporary")]
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_lgpio_is_imported_where_nothing_can_be_written_and_leaves_nothing(tmp_path: Path) -> None:
    output = claimed_in("/proc", b"nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0", tmp_path)
    assert "no GPIO chip labelled tegra234-gpio can be opened" in output[0]
    assert "`gpiodetect` lists the chips" in output[0]
    assert output[1] == "True /proc []"


def test_a_tegra_that_is_in_no_table_is_refused_with_our_message(tmp_path: Path) -> None:
    output = claimed_in("/proc", b"nvidia,p3834-0008\0nvidia,tegra264\0", tmp_path)
    assert output[0].startswith("line sign cannot be claimed at BOARD31")
    assert "jetson_header.py" in output[0]
