"""`lfr flash`: a bare root becomes a device, can be stopped at any point, done again, checked and taken back."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.config.release import parse_manifest
from device.errors import Unavailable
from tools.flash.apply import apply, undo
from tools.flash.journal import Journal
from tools.flash.plan import ENABLED
from tools.flash.root import Root
from tools.flash.verify import rows

pytestmark = pytest.mark.long

Snapshot = Callable[[Path], dict[str, str]]


def quiet(word: str, line: str) -> None:
    """Nobody reads along."""


class Stopped(Exception):
    """The person pulls the card."""


class StopAfter:
    """Reports, and stops at the n-th line."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self, word: str, line: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped(line)


def device_files(found: dict[str, str]) -> dict[str, str]:
    """What a device consists of, without the journal and pip's own marks."""
    return {n: h for n, h in found.items() if "lfr-flash/" not in n and "dist-info" not in n}


def test_a_plan_writes_nothing(bench: Any, snapshot: Snapshot) -> None:
    root = bench.root()
    before = snapshot(root)
    plan, _ = bench.plan(root)
    assert len(plan.steps) > 30
    assert snapshot(root) == before


def test_a_bare_root_becomes_a_device_that_verify_accepts(bench: Any) -> None:
    plan, root = bench.plan(bench.root())
    assert apply(plan, root, quiet) > 30
    found = {row.what: row for row in rows(plan, root)}
    wrong = [row for row in found.values() if row.level == "fail" and row.what != "imports"]
    assert wrong == []
    assert {found["key"].level, found["certificate"].level} == {"pending"}
    wants = root.path / "etc/systemd/system/lfr.target.wants/lfr.service"
    assert str(wants.readlink()) == "/etc/systemd/system/lfr.service"
    drop_in = root.path / "etc/systemd/system/lfr-selftest.service.d/10-identity.conf"
    assert str(drop_in.readlink()) == "/opt/lfr/current/systemd/lfr-identity.conf"
    assert b"\n[Manager]\nRuntimeWatchdogSec=30\n" in root.read("/etc/systemd/system.conf.d/50-lfr-watchdog.conf")
    assert (root.path / "etc/hosts").read_text().startswith("127.0.0.1 localhost\n")
    assert "10.0.0.1 hub.van" in (root.path / "etc/hosts").read_text()
    slot = root.path / "opt/lfr/slots/0.2.0"
    assert {str((root.path / "opt/lfr" / link).readlink()) for link in ("current", "committed")} == {"slots/0.2.0"}
    assert (slot / "lib/python3.11/site-packages/tiny.py").is_file()
    assert "include-system-site-packages = true" in (slot / "pyvenv.cfg").read_text()
    assert (slot / "bin/lfr").read_text().startswith("#!/opt/lfr/slots/0.2.0/bin/python -I\n")
    assert parse_manifest((slot / "release.json").read_bytes()).version == "0.2.0"
    unit = root.path / "etc/systemd/system/lfr.service"
    assert str(unit.readlink()) == "/opt/lfr/current/systemd/lfr.service"
    assert root.read("/etc/systemd/system/lfr.service").startswith(b"# The device")
    updater = root.path / "etc/systemd/system/lfr-update.service"
    assert str(updater.readlink()) == "/opt/lfr/committed/systemd/lfr-update.service"
    assert "server hub.van" in (root.path / "etc/chrony/conf.d/lfr.conf").read_text()


def test_no_private_key_is_made_on_the_workstation(bench: Any) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, quiet)
    holders = [p for p in root.path.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]
    assert holders == []


def test_applied_again_nothing_changes(bench: Any, snapshot: Snapshot) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, quiet)
    before = snapshot(root.path)
    again, _ = bench.plan(root.path)
    assert apply(again, root, quiet) == 0
    assert snapshot(root.path) == before


def test_stopped_after_any_step_it_goes_on_and_gives_the_same_device(bench: Any, snapshot: Snapshot) -> None:
    whole, root = bench.plan(bench.root("whole"))
    apply(whole, root, quiet)
    wanted = device_files(snapshot(root.path))
    place = bench.root("cut")
    done_so_far = -1
    for at in range(len(whole.steps)):
        plan, cut = bench.plan(place)
        with pytest.raises(Stopped):
            apply(plan, cut, StopAfter(at))
        assert len(Journal(cut).done()) >= done_so_far
        done_so_far = len(Journal(cut).done())
    plan, cut = bench.plan(place)
    apply(plan, cut, quiet)
    assert device_files(snapshot(place)) == wanted


def test_a_card_that_fills_up_at_any_write_is_named_and_the_next_run_goes_on(bench: Any, snapshot: Snapshot) -> None:
    from tests.unit.flash.conftest import Owners

    count = Owners()
    whole, root = bench.plan(bench.root("whole"), count)
    apply(whole, root, quiet)
    wanted, place = device_files(snapshot(root.path)), bench.root("full")
    said: list[str] = []
    for at in range(1, len(count.calls)):
        full = Owners(fail_at=at, fault=OSError(errno.ENOSPC, "No space left on device"))
        plan, card = bench.plan(place, full)
        try:
            apply(plan, card, quiet)
        except Unavailable as fault:
            said.append(str(fault))
    assert len(said) > 10
    assert all("the card is full" in text and "goes on where it stopped" in text for text in said)
    plan, card = bench.plan(place)
    apply(plan, card, quiet)
    assert device_files(snapshot(place)) == wanted


def test_units_are_enabled_last(bench: Any) -> None:
    plan, _ = bench.plan(bench.root())
    names = [step.name for step in plan.steps]
    assert all(".wants/" in name for name in names[-len(ENABLED) :])
    assert not any(".wants/" in name for name in names[: -len(ENABLED)])


def test_undo_gives_back_the_root_that_was_there(bench: Any, snapshot: Snapshot) -> None:
    place = bench.root()
    before = snapshot(place)
    plan, root = bench.plan(place)
    apply(plan, root, quiet)
    assert undo(plan, root, quiet) > 30
    left = {n for n in set(snapshot(place)) ^ set(before) if snapshot(place).get(n) not in ("folder", None)}
    assert {n for n in left if not n.startswith("var/lib/lfr-flash/before/")} == set()
    for name in ("etc/hostname", "etc/passwd", "etc/group"):
        assert snapshot(place)[name] == before[name]
    assert (place / "etc/hosts").read_text() == "127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("etc/lfr/device.yaml", "files"),
        ("var/cache/lfr/models/one.onnx", "files"),
        ("opt/lfr/slots/0.2.0/lib/python3.11/site-packages/tiny.py", "packages"),
        ("usr/local/bin/lfr", "links"),
    ],
)
def test_verify_names_what_was_altered(bench: Any, name: str, what: str) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, quiet)
    place = root.path / name
    if place.is_symlink():
        place.unlink()
    else:
        place.write_text("altered")
    found = {row.what: row for row in rows(plan, root)}
    assert found[what].level == "fail"


def test_verify_names_a_file_that_others_may_read_now(bench: Any) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, quiet)
    (root.path / "etc/lfr/front.credential").chmod(0o644)
    row = next(row for row in rows(plan, root) if row.what == "files")
    assert row.level == "fail"
    assert "front.credential" in row.text


def test_a_link_in_the_root_never_leads_to_this_machine(bench: Any, tmp_path: Path) -> None:
    place = bench.root()
    outside = tmp_path / "outside"
    outside.mkdir()
    (place / "etc" / "lfr").symlink_to(outside)
    (place / "opt").symlink_to("../../../../..")
    plan, root = bench.plan(place)
    apply(plan, root, quiet)
    assert list(outside.iterdir()) == []
    assert (place / str(outside).lstrip("/") / "device.yaml").is_file()
    assert Root(place).resolve("/opt/lfr") == place / "lfr"


def test_the_unit_may_reach_the_hub_and_the_cameras_alone(bench: Any) -> None:
    plan, root = bench.plan(bench.root())
    drop_in = next(step for step in plan.steps if step.name.endswith("20-addresses.conf"))
    drop_in.do(root)
    text = (root.path / "etc/systemd/system/lfr.service.d/20-addresses.conf").read_text()
    assert text.splitlines()[1:] == ["[Service]", "IPAddressAllow=", "IPAddressAllow=localhost 10.0.0.1 10.0.0.20"]


@pytest.mark.parametrize("given", ["rtsp://camera.van/stream1", "rtsp://10.0.0.20:554/stream1"])
def test_a_camera_or_a_hub_that_goes_by_its_name_leaves_the_units_own_networks(bench: Any, given: str) -> None:
    for config in bench.kit.glob("devices/*/device.yaml"):
        text = config.read_text().replace("rtsp://10.0.0.20:554/stream1", given)
        config.write_text(text if "camera.van" in given else text.replace("host: hub.van", "host: other.van"))
    bench.sign()
    plan, _ = bench.plan(bench.root())
    assert not any(step.name.endswith("20-addresses.conf") for step in plan.steps)
