"""`lfr update`: the status anybody may ask for, and the self-test that is a process of the new slot."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from device.cli import update_command
from device.cli.main import main
from device.cli.update_command import slot_self_test
from device.update import record
from device.update.record import Record, Trial
from device.update.slots import COMMITTED, CURRENT, Slots


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
    record.write(tmp_path / "updates", Record(refused={"0.2.9": "self-test: detector"}, last="0.2.9 failed"))
    record.write_trial(tmp_path / "updates", Trial(version="0.3.0", previous="0.2.0"))
    assert main(["update", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["current"], found["committed"], found["trial"]) == ("0.3.0", "0.2.0", "0.3.0")
    assert found["slots"] == ["0.2.0", "0.3.0"]
    assert main(["update", "status"]) == 0
    text = capsys.readouterr().out
    assert "on trial    0.3.0" in text
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


@pytest.fixture
def service_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's user is the one that runs the tests."""
    monkeypatch.setattr(update_command, "SERVICE_USER", pwd.getpwuid(os.getuid()).pw_name)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", ""),
        ("echo 'lfr: the detector disagrees' >&2; exit 69", "lfr: the detector disagrees"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_slots_self_test_is_its_own_process(service_user: None, tmp_path: Path, script: str, said: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "bin/python").chmod(0o755)
    assert slot_self_test(tmp_path, tmp_path / "device.yaml") == said


def test_a_slot_whose_python_does_not_start_fails_its_self_test(service_user: None, tmp_path: Path) -> None:
    assert "No such file" in slot_self_test(tmp_path, tmp_path / "device.yaml")


def test_a_self_test_is_never_run_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(update_command, "SERVICE_USER", "nobody-of-this-name")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bin/python").chmod(0o755)
    assert "no user nobody-of-this-name" in slot_self_test(tmp_path, tmp_path / "device.yaml")
