"""Programs of a slot: processes of their own, as the service's user, and what their end says about the release."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from device.errors import RefusedByCondition
from device.update.slot_programs import InstalledPrograms
from device.update.verdict import Verdict


@pytest.fixture
def programs(tmp_path: Path) -> InstalledPrograms:
    """The service's user is the one that runs the tests."""
    return InstalledPrograms(tmp_path / "device.yaml", pwd.getpwuid(os.getuid()).pw_name)


def slot(place: Path, script: str) -> Path:
    (place / "bin").mkdir()
    (place / "bin/python").write_text(f"#!/bin/sh\n{script}\n")
    (place / "bin/python").chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("exit 0", Verdict()),
        ("echo 'lfr: the detector disagrees' >&2; exit 65", Verdict("lfr: the detector disagrees")),
        ("echo Traceback >&2; echo 'ImportError: one' >&2; exit 70", Verdict("ImportError: one")),
        ("exit 3", Verdict("exit status 3")),
        ("echo 'No space left on device' >&2; exit 69", Verdict("No space left on device", passing=True)),
        ("kill -KILL $$", Verdict("it was ended by signal 9", passing=True)),
    ],
)
def test_the_end_of_a_self_test_says_whether_it_may_pass(
    programs: InstalledPrograms, tmp_path: Path, script: str, found: Verdict
) -> None:
    assert programs.self_test(slot(tmp_path, script)) == found


def test_it_is_the_slots_own_program_with_the_devices_configuration(
    programs: InstalledPrograms, tmp_path: Path
) -> None:
    place = slot(tmp_path, f'echo "$@" >> {tmp_path}/asked')
    assert not programs.build_plans(place, lambda: None)
    assert not programs.self_test(place)
    programs.prune_plans(place, ["0.2.0", "0.3.0"])
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"-I -m device.cli.main engines build --config {tmp_path}/device.yaml",
        f"-I -m device.cli.main update self-test --config {tmp_path}/device.yaml",
        "-I -m device.cli.main engines prune --keep 0.2.0 --keep 0.3.0",
    ]


def test_a_slot_whose_python_does_not_start_fails_its_self_test(programs: InstalledPrograms, tmp_path: Path) -> None:
    assert "No such file" in programs.self_test(tmp_path).reason


def test_nothing_of_a_slot_is_run_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    place = slot(tmp_path, f"touch {tmp_path}/ran")
    found = InstalledPrograms(tmp_path / "device.yaml", "nobody-of-this-name").self_test(place)
    assert "no user nobody-of-this-name" in found.reason
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_build_is_killed_when_it_must_not_go_on(programs: InstalledPrograms, tmp_path: Path) -> None:
    asked = []

    def go_on() -> None:
        written = tmp_path / "pid"
        if written.exists() and written.read_text().endswith("\n"):
            asked.append(int(written.read_text()))
            raise RefusedByCondition("no deployment loaded", "d-1 is loaded")

    with pytest.raises(RefusedByCondition, match="d-1"):
        programs.build_plans(slot(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600"), go_on)
    assert asked
    assert not Path(f"/proc/{asked[0]}").exists()
