"""The device's own client against the hub's own server and stick: what one writes the other takes, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device.config.publication import Withdrawn, withdrawn_text
from device.edges.clock.system import SystemClock
from device.errors import Unavailable
from device.sync.client import Client
from device.sync.identity import SessionIdentity
from device.sync.refusal import Refused
from device.sync.source import Source
from device.sync.source_https import Certificates, HttpsSource
from device.sync.source_usb import UsbSource
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.publishing.change import Proposal, propose
from tools.hub.publishing.operations import copy_to_usb
from tools.hub.publishing.repository_server import RepositoryServer
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder, SiteDevices


class ThisClock(SystemClock):
    """The machine's clock, taken as synchronised."""

    def synchronised(self) -> bool:
        return True


@pytest.fixture
def served(site: Site) -> Iterator[RepositoryServer]:
    init_hub(site.hub, site="north", devices=site.devices, mode=site.mode)
    hub = HubFolder(site.hub)
    server = RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", 0)
    yield server
    server.stop()


def over_https(site: Site, port: int, device: str = "cam-1") -> HttpsSource:
    address = HubFolder(site.hub).address(device, port)
    return HttpsSource(f"https://localhost:{port}", Certificates(address.ca, address.cert, address.key))


def device_of(site: Site, tmp_path: Path, *sources: Source, device: str = "cam-1") -> Client:
    roots = tmp_path / f"roots-{device}" / site.mode.value
    roots.mkdir(parents=True, exist_ok=True)
    (roots / "root.json").write_bytes(site.publisher.places.trust(site.mode).read_bytes())
    return Client(
        tmp_path / f"state-{device}", roots.parent, device, sources, ThisClock(), memory=tmp_path / f"run-{device}"
    )


def withdraw(site: Site, stem: str, *refs: str) -> None:
    change = propose(
        site.publisher.places.pending / "withdrawal",
        site.publisher.store,
        site.publisher.records.running(),
        Proposal(
            kind="withdrawal",
            says="withdraw",
            deployment_id="d-1",
            stem=stem,
            add={f"deployments/{stem}.withdrawn.json": withdrawn_text(Withdrawn(deployment_id="d-1", refs=refs))},
        ),
        site.clock(),
    )
    site.publish(change, "AO-1")


@pytest.mark.slow
def test_a_deployment_lives_from_publication_to_end_over_https(
    site: Site, served: RepositoryServer, tmp_path: Path
) -> None:
    client = device_of(site, tmp_path, over_https(site, served.port))
    assert client.sync().offer is None
    record = site.deployed()
    offer = client.sync().offer
    assert offer is not None
    assert offer.deployment.id == "d-1"
    assert offer.envelope is None
    mine = SessionIdentity("d-1")
    site.publisher.issue("cam-1", "d-1", mine.recipient)
    offer = client.sync().offer
    assert offer is not None
    assert offer.recipient == mine.recipient
    assert mine.open(offer.envelope or b"") == str(site.content)
    client.take(offer)
    withdraw(site, record.stem, "e-7")
    offer = client.sync().offer
    assert offer is not None
    assert offer.withdrawn == frozenset({"e-7"})
    site.publisher.end("d-1")
    assert client.sync().offer is None


def test_the_same_from_a_stick(site: Site, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    client = device_of(site, tmp_path, UsbSource(stick))
    with pytest.raises(Unavailable):
        client.sync()
    site.deployed()
    mine = SessionIdentity("d-1")
    site.publisher.issue("cam-1", "d-1", mine.recipient)
    copy_to_usb(site.publisher, stick)
    offer = client.sync().offer
    assert offer is not None
    assert mine.open(offer.envelope or b"") == str(site.content)
    site.publisher.end("d-1")
    copy_to_usb(site.publisher, stick)
    assert client.sync().offer is None
    assert list(stick.rglob("*.envelope")) == list(stick.rglob("*.payload")) == []


def test_a_stick_that_is_older_than_what_the_hub_said_is_a_rollback(
    site: Site, served: RepositoryServer, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    copy_to_usb(site.publisher, stick)
    site.deployed()
    assert device_of(site, tmp_path, over_https(site, served.port)).sync().offer is not None
    with pytest.raises(Refused):
        device_of(site, tmp_path, UsbSource(stick)).sync()


@pytest.mark.slow
def test_a_revoked_device_is_turned_away_and_its_neighbour_is_not(
    site: Site, served: RepositoryServer, tmp_path: Path
) -> None:
    site.deployed()
    lost = device_of(site, tmp_path, over_https(site, served.port, "cam-2"), device="cam-2")
    assert lost.sync().offer is not None
    site.publisher.revoke("cam-2")
    with pytest.raises(Unavailable, match="403"):
        lost.sync()
    assert device_of(site, tmp_path, over_https(site, served.port)).sync().offer is not None
