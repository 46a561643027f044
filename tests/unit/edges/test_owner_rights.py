"""Reading what the service owns: a link gives nothing, a FIFO does not hold the reader up (as root: tests/system)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device.cli.doctor.health import of_engine
from device.cli.main import main
from device.config.model import DeviceConfig
from device.edges.host.owner_rights import read_regular


def test_a_link_a_fifo_and_a_folder_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("text")
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert read_regular(tmp_path / "plain") == b"text"
    for name in ("link", "fifo", "folder"):
        with pytest.raises(OSError, match=r"link|regular|directory"):
            read_regular(tmp_path / name)


@pytest.mark.parametrize("noun", ["status", "why"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_status_that_is_no_file_is_not_read(
    tmp_path: Path, noun: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "status.json"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        (tmp_path / "other").write_text('{"state": "planted"}')
        place.symlink_to("other")
    assert main([noun, "--run-dir", str(tmp_path)]) == 69
    shown = capsys.readouterr()
    assert "cannot be read" in shown.err
    assert "planted" not in shown.out + shown.err


def config(folder: Path) -> DeviceConfig:
    return DeviceConfig.model_construct(state_dir=folder, run_dir=folder)


def test_doctor_does_not_follow_a_link_for_the_status(tmp_path: Path) -> None:
    stages = '{"stages": {"planted": {"p95_start_ms": 1.0, "p95_ms": 9.0, "slower": true}}}'
    (tmp_path / "other").write_text(stages)
    (tmp_path / "status.json").symlink_to("other")
    assert "planted" not in "".join(one.text for one in of_engine(config(tmp_path)))
