"""`lfr update`: the status anybody may ask for, and the self-test that is a process of the new slot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.cli import update_command
from device.cli.main import main
from device.update import record
from device.update.record import Record, Trial, Tries
from device.update.slots import COMMITTED, CURRENT, Slots

TRIED = {"0.3.1": Tries(count=1, boot="b", reason="plans: out of memory")}


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """This machine with two slots."""
    monkeypatch.setattr(update_command, "TOP", tmp_path / "opt")
    monkeypatch.setattr(update_command, "UPDATES", tmp_path / "updates")
    made = Slots(tmp_path / "opt")
    for version in ("0.2.0", "0.3.0"):
        made.complete(version, made.begin(version))
    made.point(COMMITTED, "0.2.0")
    made.point(CURRENT, "0.3.0")
    return made


def test_the_status_names_slots_trial_and_failures(
    slots: Slots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(
        tmp_path / "updates", Record(refused={"0.2.9": "self-test: detector"}, last="0.2.9 failed", tries=TRIED)
    )
    record.write_trial(tmp_path / "updates", Trial(version="0.3.0", previous="0.2.0"))
    assert main(["update", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["current"], found["committed"], found["trial"]) == ("0.3.0", "0.2.0", "0.3.0")
    assert found["slots"] == ["0.2.0", "0.3.0"]
    assert main(["update", "status"]) == 0
    text = capsys.readouterr().out
    assert "on trial    0.3.0" in text
    assert "tried       0.3.1: 1 of 3: plans: out of memory" in text
    assert "refused     0.2.9: self-test: detector" in text


def test_a_machine_without_slots_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(update_command, "TOP", tmp_path)
    monkeypatch.setattr(update_command, "UPDATES", tmp_path)
    assert main(["update", "status"]) == 0
    assert "not made by lfr flash" in capsys.readouterr().out


def test_a_trial_is_finished_although_the_configuration_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """An updater with a release on trial."""

        resumed = 0

        def resume(self) -> str:
            self.resumed += 1
            return ""

    updater = Interrupted()
    monkeypatch.setattr(update_command, "_updater", lambda args: updater)
    monkeypatch.setattr(update_command, "LOCK", tmp_path / "lock")
    assert main(["update", "run", "--config", str(tmp_path / "none.yaml")]) == 78
    assert updater.resumed == 1
