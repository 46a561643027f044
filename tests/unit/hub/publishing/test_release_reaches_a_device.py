"""A release from the hub's repository to the updater's inbox: whole, verified, never in the way of a deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.config.installed import OFFERED
from device.domain.time import wall
from device.edges.clock.fake import FakeClock
from device.errors import LfrError, RefusedByCondition, Unavailable
from device.supervisor.deployment import release_watch
from device.supervisor.deployment.release_watch import ReleaseWatch
from device.supervisor.runtime.executor import DiskThread
from device.sync import release_client
from device.sync.client import Client
from device.sync.release_chain import signed_release
from device.sync.release_client import Installed, ReleaseClient
from device.sync.source_usb import UsbSource
from tests.failing_disks import failing_disk
from tests.unit.hub.publishing.test_releases import TARGET, bundle
from tools.hub.publishing.ceremony import delegations
from tools.hub.publishing.releases import publish_releases, read_bundle
from tools.hub.publishing.roles import Holders
from tools.hub.publishing.signing_keys import make_key, open_key


class Slow(UsbSource):
    """A hub whose files arrive in small pieces; `at_piece` is called with each piece of a release."""

    def __init__(self, folder: Path, at_piece: Callable[[], None]) -> None:
        super().__init__(folder)
        self._at_piece = at_piece

    def read(self, path: str) -> Iterator[bytes]:
        for piece in super().read(path):
            if not path.endswith(".tar.gz"):
                yield piece
                continue
            for at in range(0, len(piece), 16):
                self._at_piece()
                yield piece[at : at + 16]


class Van:
    """A hub that may publish releases, and a device beside it."""

    def __init__(self, site: Any, folder: Path) -> None:
        self.site, self.folder = site, folder
        public = make_key(folder / "software", "R-1")
        signed = delegations(site.publisher, site.ceremony, site.clock(), releases=Holders((public,), 1))
        site.publisher.change_delegations(signed)
        self.state, self.memory, self.roots = folder / "state", folder / "run", folder / "roots"
        place = self.roots / site.mode.value
        place.mkdir(parents=True)
        (place / "root.json").write_bytes(site.publisher.places.trust(site.mode).read_bytes())
        self.refused: frozenset[str] = frozenset()

    @property
    def repository(self) -> Path:
        return Path(self.site.publisher.store.root)

    @property
    def ready(self) -> Path:
        return self.state / OFFERED

    def publish(self, version: str) -> None:
        signer = open_key(self.folder / "software" / "R-1.key")
        publish_releases(self.site.publisher, [read_bundle(bundle(self.folder, version))], [signer])

    def poll(self) -> Any:
        """The deployments' client, as at every poll."""
        sources = [UsbSource(self.repository)]
        clock = FakeClock(self.site.clock())
        return Client(self.state, self.roots, "cam-1", sources, clock, memory=self.memory).sync()

    def client(self, source: Any = None, version: str = "0.2.0") -> ReleaseClient:
        installed = Installed(version, TARGET, refused=lambda: self.refused)
        return ReleaseClient(
            self.state, self.roots, [source or UsbSource(self.repository)], installed, memory=self.memory
        )

    def verified(self) -> str:
        """What the updater, which trusts only the root, finds in the inbox."""
        root = (self.roots / self.site.mode.value / "root.json").read_bytes()
        found = signed_release(self.ready, root, TARGET, wall(self.site.clock()), {})
        found.copy(self.folder / "copy")
        return found.index.version


@pytest.fixture
def van(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Van:
    monkeypatch.setattr(release_client, "RESERVE_BYTES", 0)
    return Van(site, tmp_path)


def test_a_release_is_placed_once_and_verifies_with_the_root_of_trust_alone(van: Van) -> None:
    van.publish("0.3.0")
    assert van.poll().refused is None
    assert van.client().fetch() == "0.3.0"
    assert van.verified() == "0.3.0"
    assert van.client().fetch() == "", "it waits for the updater"
    van.publish("0.3.1")
    assert van.client().fetch() == "0.3.1"
    assert van.verified() == "0.3.1"


def test_a_hub_without_releases_and_a_device_that_has_never_polled_fetch_nothing(van: Van) -> None:
    assert van.client().fetch() == ""
    van.poll()
    assert van.client().fetch() == ""


@pytest.mark.parametrize("installed", ["0.3.0", "0.4.0"])
def test_what_is_not_later_is_not_fetched(van: Van, installed: str) -> None:
    van.publish("0.3.0")
    van.poll()
    assert van.client(version=installed).fetch() == ""
    assert not van.ready.exists()


def test_a_version_that_failed_here_is_not_fetched_again(van: Van) -> None:
    van.publish("0.3.0")
    van.poll()
    van.refused = frozenset({"0.3.0"})
    assert van.client().fetch() == ""


def test_the_signatures_of_releases_do_not_shorten_those_of_a_deployment(van: Van) -> None:
    before = van.poll().good_until
    van.publish("0.3.0")
    van.client().fetch()
    assert abs((van.poll().good_until - before).total_seconds()) < 60


def test_a_damaged_release_is_not_placed_and_deployments_go_on(van: Van) -> None:
    van.publish("0.3.0")
    file = next((van.repository / "targets/releases").glob("*.tar.gz"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    van.poll()
    with pytest.raises(LfrError, match="not what was signed"):
        van.client().fetch()
    assert not van.ready.exists()
    assert not van.ready.with_name("incoming").exists()
    assert van.poll().refused is None


def test_a_disk_without_room_is_named_before_anything_is_fetched(van: Van, monkeypatch: pytest.MonkeyPatch) -> None:
    van.publish("0.3.0")
    van.poll()
    monkeypatch.setattr(release_client, "RESERVE_BYTES", 10**15)
    with pytest.raises(RefusedByCondition, match="MB are free"):
        van.client().fetch()
    assert not van.ready.exists()


def test_a_disk_that_takes_no_writes_places_nothing(van: Van) -> None:
    van.publish("0.3.0")
    van.poll()
    with failing_disk(van.state / "update") as disk:
        disk.turn_read_only()
        with pytest.raises(Unavailable):
            van.client().fetch()
        disk.mend()
        assert not van.ready.exists()


def test_a_deployment_ends_a_download_at_its_next_piece(van: Van) -> None:
    van.publish("0.3.0")
    van.poll()
    pieces = []

    def at_piece() -> None:
        pieces.append(1)
        if len(pieces) == 3:
            client.interrupt()

    client = van.client(Slow(van.repository, at_piece))
    with pytest.raises(Unavailable, match="a deployment is offered"):
        client.fetch()
    assert len(pieces) < 6
    assert not van.ready.exists()
    assert van.client().fetch() == "0.3.0"


def test_the_watch_fetches_while_idle_only_and_interrupts(van: Van, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_S", 0.0), ("POLL_S", 0.01), ("IDLE_POLL_S", 0.01)):
        monkeypatch.setattr(release_watch, f"RELEASE_{name}", seconds)
    seen: list[str] = []

    class Releases:
        """A download that takes until it is interrupted."""

        def fetch(self) -> str:
            seen.append("fetch")
            assert done.wait(60)
            raise Unavailable("interrupted")

        def news(self) -> str:
            return "0.3.0 was rolled back"

        def interrupt(self) -> None:
            seen.append("interrupt")
            done.set()

    import threading

    done, idle = threading.Event(), True

    async def scenario() -> str:
        nonlocal idle
        thread = DiskThread("release")
        watch = ReleaseWatch(Releases(), thread, idle=lambda: idle)
        task = asyncio.create_task(watch.run())
        while not seen:
            await asyncio.sleep(0.005)
        idle = False  # a deployment is offered
        while "interrupt" not in seen:
            await asyncio.sleep(0.005)
        while not watch.news:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        task.cancel()
        thread.close()
        return watch.news

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == "0.3.0 was rolled back"
    assert seen.count("fetch") == 1, "none is begun while a deployment is there"
