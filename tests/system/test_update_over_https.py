"""A release from `lfr hub software publish` to a committed slot, over the hub's real HTTPS repository.

`lfr hub serve` and the device's supervisor are processes; the updater, which is root's and has no network, runs here on
small slots. No machine is booted (test_update.py does that, with a stick).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.config.installed import OFFERED
from device.config.loader import load_config
from device.errors import Unavailable
from device.supervisor.main import _renewed, _sources
from device.sync.root import trusted_root
from device.update.updater import attempt
from tests.system.van import Van, listed_people
from tests.system.van_running import ROOT, Running, wait
from tests.unit.update.conftest import HERE, Board, board_at, bundle, manifest

pytestmark = pytest.mark.system
DEVICE = "cam-1"
WITHIN_S = 120.0


def lfr(*words: object) -> None:
    command = [sys.executable, "-m", "device.cli.main", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Software:
    """The hub's side: who signs releases."""

    def __init__(self, van: Van, safe: Path, scratch: Path) -> None:
        self._van, self._scratch = van, scratch
        lfr("authority", "key", "R-1", "--out", scratch)
        self._key = scratch / "R-1.key"
        hub = ("--hub", van.hub.root, "--ceremony", safe)
        lfr("authority", "releases", *hub, "--key", scratch / "R-1.pub")

    def publish(self, version: str) -> None:
        file = self._scratch / f"{HERE}-{version}.tar.gz"
        file.write_bytes(bundle(manifest(version)))
        lfr("hub", "software", "publish", self._van.hub.root, file, "--key", self._key)


@pytest.fixture
def van(tmp_path: Path) -> Van:
    people = listed_people(("Ann Archer",), (1,), tmp_path / "sources", 1)
    return Van(tmp_path / "van", (DEVICE,), people, tmp_path / "safe")


@pytest.fixture
def running(van: Van) -> Iterator[Running]:
    programs = Running(van)
    yield programs
    programs.stop()


def start_device(running: Running, board: Board) -> None:
    """`lfr run` of a device that has slots."""
    place = running.van.folder / DEVICE
    words = [place / "device.yaml", place / "host", board.folder]
    command = [sys.executable, "-m", "tests.system.device_of_slots", *map(str, words)]
    with running.van.log(DEVICE).open("ab") as log:
        running.devices[DEVICE] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)


def test_a_published_release_comes_by_https_and_is_committed(van: Van, running: Running, tmp_path: Path) -> None:
    board, software = board_at(tmp_path / "board"), Software(van, tmp_path / "safe", tmp_path)
    config = load_config(van.folder / DEVICE / "device.yaml")
    assert config.trust.usb is None, "over the network alone"
    inbox = config.state_dir / OFFERED

    def placed() -> str:
        try:
            return (inbox / "version").read_text()
        except OSError:
            return ""

    def installed() -> str:
        """As lfr-update.service does, with the device's own root of trust; it restarts the service, here it ends it."""
        running.leave(DEVICE)
        return attempt(board.updater(root=lambda: trusted_root(config.trust.roots)[1]), inbox)

    running.start_hub()
    software.publish("0.3.0")
    start_device(running, board)
    wait(lambda: placed() == "0.3.0", f"release 0.3.0 in the inbox; {van.log(DEVICE)}", WITHIN_S)
    assert installed() == "0.3.0"
    assert board.named() == ("0.3.0", "0.3.0")
    # While hub and device run: the next one, and the supervisor of the new slot takes no older one again.
    start_device(running, board)
    software.publish("0.4.0")
    wait(lambda: placed() == "0.4.0", "release 0.4.0 in the inbox", WITHIN_S)
    board.clock.sleep(10)
    assert installed() == "0.4.0"
    assert not inbox.exists()


def test_a_certificate_of_another_site_gets_no_release(van: Van, running: Running, tmp_path: Path) -> None:
    Software(van, tmp_path / "safe", tmp_path).publish("0.3.0")
    running.start_hub()
    people = listed_people(("Dai Ellis",), (1,), tmp_path / "others", 2)
    other = Van(tmp_path / "other", (DEVICE,), people, tmp_path / "other-safe")
    stranger = load_config(other.folder / DEVICE / "device.yaml")
    here = load_config(van.folder / DEVICE / "device.yaml")
    theirs = {"cert": stranger.mqtt.cert, "key": stranger.mqtt.key}
    own = here.model_copy(update={"mqtt": here.mqtt.model_copy(update=theirs)})
    for config, refused in ((own, True), (here, False)):
        source = _sources(config, _renewed(config))[0]
        if refused:
            with pytest.raises(Unavailable):
                list(source.read("metadata/timestamp.json"))
        else:
            assert b"timestamp" in b"".join(source.read("metadata/timestamp.json"))
        source.close()
