"""What `lfr evaluate`, `calibrate`, `engines`, `replay` say to values that are none; pictures without a curve."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pytest

from calibration.cli import commands as calibrate
from calibration.cli import engines_command, evaluate_command
from calibration.report.plots import draw
from device.cli import replay_command
from device.cli.main import main
from engines.errors import BadModel, ModelMissing
from engines.graph.onnx_graph import read_model


@pytest.mark.parametrize(
    "line",
    [
        "evaluate data --seed -1",
        "calibrate operating-point data --key k --out o --seed -1",
        "engines compare fp32 int8 --seed -1",
        "evaluate data --seed 1.5",
        "evaluate data --lists abc",
        "evaluate data --lists 100,",
        "evaluate data --lists 1,100",
        "evaluate data --min-cell many",
        "replay clip --watchlist list --threshold high",
    ],
)
def test_a_value_that_is_none_is_refused_with_the_rule(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for part in (calibrate, engines_command, evaluate_command, replay_command):
        part.register(commands)
    with pytest.raises(SystemExit) as refused:
        parser.parse_args(line.split())
    output = capsys.readouterr().err
    assert refused.value.code == 2
    assert "invalid _" not in output
    assert any(rule in output for rule in ("0 or more", "from 2 to 20000", "at least 2 people", "is no number"))


def test_evidence_does_not_overwrite_the_key_that_signs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", "key", "my.key"]) == 0
    before = (tmp_path / "my.key").read_bytes()
    (tmp_path / "other-name").symlink_to("my.key")
    for out in ("my.key", "other-name"):
        assert main(["calibrate", "operating-point", "data", "--key", "my.key", "--out", out]) == 64
        assert f"{out} is the key that signs and would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "my.key").read_bytes() == before


def test_another_key_s_public_half_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = tmp_path / "my.key.pub.pem"
    half.write_text("of a key kept elsewhere")
    assert main(["calibrate", "key", str(tmp_path / "my.key")]) == 64
    assert f"{half} exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [half.name]
    assert half.read_text() == "of a key kept elsewhere"


def test_an_evaluation_without_a_curve_is_drawn_without_a_warning(tmp_path: Path) -> None:
    document = {"curves": [], "identification": [], "verification": {"curve": [], "rows": []}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(draw(document, tmp_path)) == {"identification", "trade_off", "verification"}


def test_a_file_that_is_no_network_is_not_blamed_on_the_packages_alone(tmp_path: Path) -> None:
    bad = tmp_path / "mine.onnx"
    for content in (b"", b"hello\n"):
        bad.write_bytes(content)
        with pytest.raises(BadModel, match="a model of your own again"):
            read_model(bad)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("m.bf16-emulated.onnx", "`lfr engines prepare --precision bf16-emulated`"),
        ("m.int8.onnx", "`lfr engines prepare`"),
    ],
)
def test_the_remedy_for_a_missing_precision_is_the_command_that_makes_it(file: str, command: str) -> None:
    assert command in str(ModelMissing(Path(file)))
