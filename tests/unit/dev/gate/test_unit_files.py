"""Unit files: what systemd only grumbles about fails the gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.dev.gate.unit_files import main

SOUND = "[Unit]\nDescription=A\n\n[Service]\nExecStart=/opt/no/such/program run\n"


def test_a_sound_unit_passes_although_its_program_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "lfr-a.service").write_text(SOUND)
    assert main(tmp_path) == 0


def test_an_unknown_key_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lfr-a.service").write_text(SOUND + "WatchdogSecc=2\n")
    assert main(tmp_path) == 1
    assert "WatchdogSecc" in capsys.readouterr().out


def test_a_folder_without_units_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 0
    assert "no unit files" in capsys.readouterr().out
