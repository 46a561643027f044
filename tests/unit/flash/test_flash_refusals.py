"""What `lfr flash` refuses before its first write: each bad input by itself, and that nothing was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.flash.conftest import NOW, OTHER, SERIAL, Owners, wheel
from tools.flash.apply import apply
from tools.flash.manifest import read_kit
from tools.flash.plan import make_plan
from tools.flash.root import Refusal, Root

Snapshot = Callable[[Path], dict[str, str]]


def refused(bench: Any, snapshot: Snapshot, root: Path, serial: str = SERIAL, now: datetime = NOW) -> Refusal:
    """Plan, expect a refusal with exit status 77, and that the root is as before."""
    before = snapshot(root)
    with pytest.raises(Refusal) as caught:
        make_plan(bench.manifest(), Root(root, Owners()), serial, now)
    assert snapshot(root) == before
    assert caught.value.exit_status == 77
    return caught.value


@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_a_root_of_another_release(bench: Any, snapshot: Snapshot, python: str) -> None:
    fault = refused(bench, snapshot, bench.root(python=python))
    assert fault.rule == "release"
    assert "this kit is for debian-12" in str(fault)


def test_a_root_of_another_processor(bench: Any, snapshot: Snapshot) -> None:
    fault = refused(bench, snapshot, bench.root(machine="aarch64"))
    assert fault.rule == "architecture"
    assert "is aarch64, this kit is for x86_64" in str(fault)


def test_a_release_that_no_kit_is_made_for_names_those_that_are(bench: Any, snapshot: Snapshot) -> None:
    root = bench.root()
    (root / "etc/os-release").write_text('ID=ubuntu\nVERSION_ID="20.04"\nPRETTY_NAME="Ubuntu 20.04"\n')
    assert "ubuntu-22.04 (JetPack 6)" in str(refused(bench, snapshot, root))


def test_a_folder_that_is_no_root_file_system(bench: Any, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refused(bench, snapshot, tmp_path / "empty").rule == "root"


def test_a_root_without_python(bench: Any, snapshot: Snapshot) -> None:
    root = bench.root()
    (root / "usr/bin/python3.11").unlink()
    assert "apt-get install python3.11" in str(refused(bench, snapshot, root))


def test_a_serial_number_without_a_bundle_names_the_known_ones(bench: Any, snapshot: Snapshot) -> None:
    fault = refused(bench, snapshot, bench.root(), serial="000")
    assert f"{SERIAL} (nano-1)" in str(fault)


def test_a_bundle_that_was_put_under_another_serial_number(bench: Any, snapshot: Snapshot) -> None:
    for name in ("device.yaml", "bundle.json"):
        (bench.kit / "devices" / SERIAL / name).write_bytes((bench.kit / "devices" / OTHER / name).read_bytes())
    bench.sign()
    assert f"holds the bundle of '{OTHER}'" in str(refused(bench, snapshot, bench.root()))


def test_a_root_that_was_flashed_for_another_board(bench: Any, snapshot: Snapshot) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, lambda word, line: None)
    fault = refused(bench, snapshot, root.path, serial=OTHER)
    assert f"was flashed for the serial number {SERIAL} (nano-1)" in str(fault)


def test_a_card_without_room(bench: Any, snapshot: Snapshot) -> None:
    bench.sign(needs_bytes=10**18)
    fault = refused(bench, snapshot, bench.root())
    assert fault.rule == "card"
    assert "MB free" in str(fault)


def test_a_read_only_card(bench: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def read_only(path: Path) -> SimpleNamespace:
        there = real(path)
        return SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=there.f_bavail, f_frsize=there.f_frsize)

    monkeypatch.setattr("tools.flash.plan.os.statvfs", read_only)
    assert "read-only: mount it with rw" in str(refused(bench, snapshot, bench.root()))


def test_a_flashed_card_is_verified_while_it_is_read_only_and_full(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, lambda word, line: None)
    monkeypatch.setattr(
        "tools.flash.plan.os.statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=0, f_frsize=1)
    )
    assert make_plan(bench.manifest(), root, SERIAL, NOW, writes=False).digest == plan.digest
    with pytest.raises(Refusal):
        make_plan(bench.manifest(), root, SERIAL, NOW)


def test_a_workstation_whose_clock_is_in_1970(bench: Any, snapshot: Snapshot) -> None:
    fault = refused(bench, snapshot, bench.root(), now=datetime(1970, 1, 1, 0, 5, tzinfo=timezone.utc))
    assert fault.rule == "clock"
    assert "set the clock first" in str(fault)


def test_neither_the_root_nor_the_kit_has_systemd_python(bench: Any, snapshot: Snapshot) -> None:
    root = bench.root()
    (root / "var/lib/dpkg/status").write_text("Package: chrony\nStatus: install ok installed\n")
    assert refused(bench, snapshot, root).rule == "device-systemd"


@pytest.mark.parametrize("name", ["packages/python3-systemd_235_amd64.deb", "wheels/systemd_python-235-cp311.whl"])
def test_either_kind_of_systemd_python_in_the_kit_is_enough(bench: Any, name: str) -> None:
    root = bench.root()
    (root / "var/lib/dpkg/status").write_text("Package: chrony\nStatus: install ok installed\n")
    (bench.kit / name).write_bytes(b"content")
    bench.sign()
    assert bench.plan(root)[0].device == "nano-1"


def test_a_missing_pycuda_stops_nothing_and_is_reported(bench: Any) -> None:
    assert any("device-cuda" in note and "on its CPU" in note for note in bench.plan(bench.root())[0].notes)


def test_a_root_with_timesyncd_keeps_it_and_gets_no_chrony(bench: Any) -> None:
    (bench.kit / "packages" / "chrony_4.2_amd64.deb").write_bytes(b"content")
    bench.sign()
    root = bench.root()
    with_chrony = [step.line for step in bench.plan(root)[0].steps]
    assert any("chrony_4.2" in line for line in with_chrony)
    rows = "".join(f"Package: {n}\nStatus: install ok installed\n" for n in ("python3-systemd", "systemd-timesyncd"))
    (root / "var/lib/dpkg/status").write_text(rows)
    (root / "lib/systemd/systemd-timesyncd").write_text("")
    lines = [step.line for step in bench.plan(root)[0].steps]
    assert not any("chrony" in line for line in lines)
    assert any("timesyncd.conf.d/lfr.conf" in line for line in lines)


def test_a_root_without_any_time_service(bench: Any, snapshot: Snapshot) -> None:
    root = bench.root()
    (root / "var/lib/dpkg/status").write_text("Package: python3-systemd\nStatus: install ok installed\n")
    assert refused(bench, snapshot, root).rule == "time"
    (root / "lib/systemd/systemd-timesyncd").write_text("")
    assert any("timesyncd.conf.d" in step.line for step in bench.plan(root)[0].steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kit: next(kit.glob("wheels/*.whl")).unlink(), "wheels/tiny-1.0-py3-none-any.whl is missing"),
        (lambda kit: wheel(kit / "wheels", "tiny", "VALUE = 2\n"), "wheels/tiny-1.0-py3-none-any.whl was altered"),
        (lambda kit: wheel(kit / "wheels", "guest"), "wheels/guest-1.0-py3-none-any.whl does not belong to the kit"),
        (lambda kit: (kit / "models/one.onnx").write_bytes(b"other"), "models/one.onnx was altered"),
    ],
)
def test_a_kit_with_a_missing_altered_or_added_file(bench: Any, change: Callable[[Path], None], message: str) -> None:
    change(bench.kit)
    with pytest.raises(Refusal, match=message):
        bench.manifest()


def test_a_manifest_that_was_changed_with_its_files(bench: Any, stranger: Any) -> None:
    text = (bench.kit / "manifest.json").read_text()
    (bench.kit / "manifest.json").write_text(text.replace("nano-1", "nano-9"))
    with pytest.raises(Refusal, match=r"is not signed by ca\.pem"):
        bench.manifest()


def test_a_kit_signed_by_another_hub(bench: Any, tmp_path: Path) -> None:
    from tools.hub.pki.certificate_authority import open_authority

    other = open_authority(tmp_path / "other-hub", "north")
    (bench.kit / "ca.pem").write_bytes((tmp_path / "other-hub" / "ca.pem").read_bytes())
    bench.authority = other
    bench.sign()
    with pytest.raises(Refusal, match="compare the paper"):
        bench.manifest()


def test_an_authority_code_may_be_typed_with_spaces_and_capitals(bench: Any) -> None:
    spaced = " ".join(bench.code[at : at + 4].upper() for at in range(0, 16, 4))
    assert read_kit(bench.kit, spaced).site == "north"


def test_this_machines_own_root_is_refused_off_the_board(bench: Any) -> None:
    with pytest.raises(Refusal, match="not the board with that serial number"):
        make_plan(bench.manifest(), Root(Path("/"), Owners()), SERIAL, NOW)
