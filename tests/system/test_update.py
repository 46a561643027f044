"""Updates on booted systemd: a good release is kept, a broken one taken back, whatever a power cut interrupts.

The releases are the flashed slot itself, with another version in it (and a supervisor that fails in the broken one):
how they are delivered, swapped, watched and taken back is what is tested.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.system import guest
from tests.system.flashed import Booted, bare_root, packages_for
from tests.system.test_flash import Van, lfr, make_van
from tools.flash.release import pack
from tools.flash.root import Root
from tools.flash.targets import Target, target_of

pytestmark = pytest.mark.system
FIRST, GOOD, BROKEN, CUT = "0.2.0", "0.3.0", "0.4.0", "0.5.0"
HEALTHY_S = 10
STICK = "/media/lfr"
FAILS = "\n\ndef supervise(*_: object, **__: object) -> None:\n    raise RuntimeError('a broken release')\n"
SOON = f"""[Service]
ExecStart=
ExecStart=/opt/lfr/committed/bin/lfr update run --healthy-s {HEALTHY_S}
"""
"""A drop-in: ten seconds of health instead of five minutes."""
OFTEN = "[Timer]\nOnUnitInactiveSec=20\n"


@dataclass
class Software:
    """The hub's side: who signs releases, and the stick."""

    van: Van
    target: Target
    slot: Path
    key: Path

    def publish(self, version: str, *, broken: bool = False) -> None:
        """A release on the stick, which the machine sees at /media/kit/repository."""
        copy = self.van.scratch / f"slot-{version}"
        subprocess.run(["cp", "-a", str(self.slot), str(copy)], check=True)
        site = next(copy.glob("lib/python3*/site-packages"))
        info = site / f"lfr_edge-{version}.dist-info"
        next(site.glob("lfr_edge-*.dist-info")).rename(info)
        text = (info / "METADATA").read_text().replace(f"Version: {FIRST}\n", f"Version: {version}\n", 1)
        (info / "METADATA").write_text(text)
        script = copy / "bin/lfr"
        script.write_text(script.read_text().replace(f"/slots/{FIRST}/", f"/slots/{version}/"))
        if broken:
            with (site / "device/supervisor/main.py").open("a") as file:
                file.write(FAILS)
        bundle = self.van.scratch / f"{version}.tar.gz"
        pack(copy, self.target, version, bundle, datetime.now(timezone.utc))
        shutil.rmtree(copy)
        usb = ("--usb", self.van.kit / "repository")
        lfr("hub", "software", "publish", self.van.hub, bundle, "--key", self.key, *usb)


@pytest.fixture(scope="module")
def software(
    tmp_path_factory: pytest.TempPathFactory, models_ready: Path, clip: Path
) -> Iterator[tuple[Software, Path]]:
    """A hub that may publish releases, and a flashed root file system."""
    if reason := guest.cannot():
        pytest.skip(reason)
    scratch, bare = tmp_path_factory.mktemp("update"), bare_root()
    van = make_van(scratch, clip, bare, machine="x86_64", packages=packages_for(bare, scratch / "packages"))
    root = scratch / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(bare), str(root)], check=True)
    lfr("flash", "apply", *van.options(root))
    slot = scratch / "slot"
    shutil.copytree(root / "opt/lfr/slots" / FIRST, slot, symlinks=True)
    keys = scratch / "software"
    lfr("authority", "key", "R-1", "--out", keys)
    safe = next(path.parent for path in scratch.rglob("targets.key"))
    lfr("authority", "releases", "--hub", van.hub, "--ceremony", safe, "--key", keys / "R-1.pub")
    yield Software(van, target_of(Root(bare)), slot, keys / "R-1.key"), root
    shutil.rmtree(root)


def status(board: Booted) -> dict[str, object]:
    found: dict[str, object] = json.loads(board.run("lfr", "update", "status", "--json", check=True))
    return found


def running(board: Booted) -> tuple[object, str]:
    """Version of the supervisor that answers, and the service's state."""
    said = board.run("lfr", "status", "--json")
    return (json.loads(said)["version"] if said.startswith("{") else None), board.show("lfr.service", "ActiveState")


def journal(board: Booted) -> str:
    return board.run("journalctl", "--no-pager", "-o", "cat", "-n", "60", "-u", "lfr-update", "-u", "lfr")


def certified(software: Software, root: Path) -> Booted:
    """The flashed board at its first boot, as the field engineer's page says."""
    (root / "etc/systemd/system/lfr-update.service.d").mkdir()
    (root / "etc/systemd/system/lfr-update.service.d/soon.conf").write_text(SOON)
    (root / "etc/systemd/system/lfr-update.timer.d").mkdir()
    (root / "etc/systemd/system/lfr-update.timer.d/often.conf").write_text(OFTEN)
    board = Booted(root, software.van.kit, software.van.scratch)
    board.until_active("lfr-first-boot.service", 600.0)
    board.run("lfr", "flash", "request", "/media/kit", check=True)
    lfr("hub", "sign", software.van.hub, software.van.kit)
    board.run("lfr", "flash", "certify", "/media/kit", check=True)
    board.until_active("lfr.service", 300.0)
    return board


def test_good_releases_are_kept_and_a_broken_one_is_taken_back(software: tuple[Software, Path]) -> None:
    hub, root = software
    board = certified(hub, root)
    try:
        assert status(board)["current"] == FIRST
        # From the hub's repository, by the supervisor and the timer, with nobody at the board.
        hub.publish(GOOD)
        board.run("sh", "-ec", f"mkdir -p {STICK}; cp -r /media/kit/repository/. {STICK}/", check=True)
        board.until(lambda: status(board)["committed"] == GOOD, 1500.0, lambda: journal(board))
        board.until(lambda: running(board) == (GOOD, "active"), 180.0, lambda: journal(board))
        assert board.run("readlink", "/opt/lfr/current") == f"slots/{GOOD}"
        board.until(lambda: f"release {GOOD}" in board.show("lfr.service", "StatusText"), 60.0, lambda: journal(board))
        inbox = ("sh", "-c", "ls /var/lib/lfr/update")
        board.until(lambda: board.run(*inbox) == "", 60.0, lambda: f"the inbox holds {board.run(*inbox)}")
        # By hand from a stick, and broken: it imports, so it passes the self-test, and then does not start.
        hub.publish(BROKEN, broken=True)
        by_hand = f"lfr update apply /media/kit/repository --healthy-s {HEALTHY_S} 2>&1; echo status $?"
        said = board.run("sh", "-c", by_hand, within_s=1500.0)
        assert f"{BROKEN} was rolled back to {GOOD}" in said
        assert said.endswith("status 69")
        board.until(lambda: running(board) == (GOOD, "active"), 180.0, lambda: journal(board))
        found = status(board)
        assert (found["current"], found["committed"], found["trial"]) == (GOOD, GOOD, None)
        assert BROKEN in str(found["refused"])
        board.until(lambda: "rolled back" in board.show("lfr.service", "StatusText"), 120.0, lambda: journal(board))
        again = board.run("sh", "-c", by_hand, within_s=900.0)
        assert "failed on this device before" in again
        assert again.endswith("status 77")
        # The power fails while a release is on trial.
        hub.publish(CUT)
        board.run(
            "systemd-run", "--unit=by-hand", "--quiet", "lfr", "update", "apply", "/media/kit/repository", check=True
        )
        board.until(lambda: status(board)["trial"] == CUT, 1500.0, lambda: journal(board))
        board.until(lambda: running(board) == (CUT, "active"), 180.0, lambda: journal(board))
    finally:
        board.pull_the_plug()
    board = Booted(root, hub.van.kit, hub.van.scratch)
    try:
        board.until(lambda: running(board) == (CUT, "active"), 180.0, lambda: journal(board))
        board.until(lambda: status(board)["committed"] == CUT, 900.0, lambda: journal(board))
        assert status(board)["trial"] is None
        assert board.run("lfr", "update", "rollback", check=True) == f"{GOOD} runs again"
        board.until(lambda: running(board) == (GOOD, "active"), 180.0, lambda: journal(board))
    finally:
        board.close()
