"""A device gets its renewed certificate from a real repository server, with its old one, and accepts no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.edges.broker.paho import BrokerAddress, PahoBroker
from device.errors import BadData, Unavailable
from device.hub_api.command_check import CommandCheck
from device.sync.refusal import SIGNED, Refused
from device.sync.renewal import Asked, RenewedCertificates, looked
from device.sync.source_https import Certificates, HttpsSource
from tests.broker_vans import Watched
from tests.commands import SITE_AUTHORITY, a_command, authority, issued, pem
from tools.hub.broker.mosquitto import start_broker
from tools.hub.pki import certificate_authority
from tools.hub.pki.renewal import renew
from tools.hub.publishing.repository_server import RepositoryServer
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder, SiteDevices


def now(**delta: float) -> WallTime:
    return wall(datetime.now(timezone.utc) + timedelta(**delta))


@pytest.fixture
def hub(tmp_path: Path) -> HubFolder:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1", "cam-2"), mode=Mode.TEST)
    return HubFolder(tmp_path / "hub")


@pytest.fixture
def configured(hub: HubFolder, tmp_path: Path) -> Certificates:
    """The device's own copies, in a folder that it does not write."""
    folder, address = tmp_path / "etc", hub.address("cam-1", 0)
    folder.mkdir()
    for name, file in {"ca.pem": address.ca, "own.pem": address.cert, "own.key": address.key}.items():
        (folder / name).write_bytes(file.read_bytes())
    return Certificates(ca=folder / "ca.pem", cert=folder / "own.pem", key=folder / "own.key")


@pytest.fixture
def renewed(hub: HubFolder, configured: Certificates, tmp_path: Path) -> Iterator[RenewedCertificates]:
    server = RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", 0)
    source = HttpsSource(f"https://localhost:{server.port}", configured)
    yield RenewedCertificates(tmp_path / "state", configured, source.read)
    source.close()
    server.stop()


def test_nothing_happens_until_the_hub_has_renewed_and_then_the_device_uses_the_new_ones(
    hub: HubFolder, configured: Certificates, renewed: RenewedCertificates
) -> None:
    assert not renewed.look(now())
    assert renewed.files() == configured
    renew(hub, now(), every=True)
    assert renewed.look(now())
    files = renewed.files()
    assert files.cert.read_bytes() == (hub.root / "devices" / "cam-1.pem").read_bytes()
    assert files.ca.read_bytes() == (hub.root / "ca.pem").read_bytes()
    assert files.key == configured.key, "no secret was sent"
    assert not renewed.look(now())


def test_the_broker_takes_the_device_with_what_it_fetched(
    hub: HubFolder, configured: Certificates, renewed: RenewedCertificates
) -> None:
    renew(hub, now(), every=True)
    renewed.look(now())
    configured.cert.write_text("the old one is of no use any more")
    (configured.cert.parent / "own.pem").write_bytes(x509_of(hub, "cam-1"))
    running = start_broker(hub)
    address = BrokerAddress(
        host="localhost",
        port=running.port,
        ca=configured.ca,
        cert=configured.cert,
        key=configured.key,
        newest=lambda: (renewed.files().ca, renewed.files().cert),
    )
    device = Watched(PahoBroker(address, "cam-1"))
    try:
        device.connect().online()
    finally:
        device.broker.close()
        running.stop()


def x509_of(hub: HubFolder, name: str) -> bytes:
    return (hub.root / "devices" / f"{name}.pem").read_bytes()


def of(files: dict[str, bytes]) -> Callable[[str], Iterator[bytes]]:
    return lambda path: iter([files[path.rsplit("/", 1)[-1]]])


@pytest.mark.parametrize(
    "forged",
    [
        "another device",
        "another authority",
        "another site",
        "a foreign authority behind the renewed one",
        "a foreign certificate behind the renewed one",
        "rubbish",
        "huge",
    ],
)
def test_what_is_not_this_devices_successor_is_refused_and_changes_nothing(
    hub: HubFolder, configured: Certificates, tmp_path: Path, forged: str
) -> None:
    renew(hub, now(), every=True)
    init_hub(tmp_path / "other", site="demo", devices=("cam-1",), mode=Mode.TEST)
    other = HubFolder(tmp_path / "other")
    good = {"ca.pem": (hub.root / "ca.pem").read_bytes(), "own.pem": x509_of(hub, "cam-1")}
    answers = {
        "another device": {**good, "own.pem": x509_of(hub, "cam-2")},
        "another authority": {**good, "ca.pem": (other.root / "ca.pem").read_bytes()},
        "another site": {"ca.pem": (other.root / "ca.pem").read_bytes(), "own.pem": x509_of(other, "cam-1")},
        "a foreign authority behind the renewed one": {
            **good,
            "ca.pem": good["ca.pem"] + (other.root / "ca.pem").read_bytes(),
        },
        "a foreign certificate behind the renewed one": {**good, "own.pem": good["own.pem"] + x509_of(other, "cam-1")},
        "rubbish": {**good, "own.pem": b"-----BEGIN CERTIFICATE-----"},
        "huge": {**good, "own.pem": b"x" * 100_000},
    }
    renewed = RenewedCertificates(tmp_path / "state", configured, of(answers[forged]))
    with pytest.raises(BadData):
        renewed.look(now())
    asked = looked(renewed, now())
    assert (asked.renewed, asked.refused) == (False, True)
    assert asked.problem
    assert renewed.files() == configured


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        (Refused(SIGNED, "compressed", "the hub sent ca.pem compressed"), True),
        (Unavailable("the hub does not answer"), False),
        (PermissionError("read-only"), True),
    ],
)
def test_a_request_that_fails_is_a_result_and_ends_nothing(
    configured: Certificates, tmp_path: Path, fault: Exception, refused: bool
) -> None:
    def read(_: str) -> Iterator[bytes]:
        raise fault

    asked = looked(RenewedCertificates(tmp_path / "state", configured, read), now())
    assert asked == Asked(problem=str(fault), refused=refused)


def test_the_ends_are_those_of_the_files_in_use(
    hub: HubFolder,
    configured: Certificates,
    renewed: RenewedCertificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = renewed.ends()
    monkeypatch.setattr(certificate_authority, "LEAF_DAYS", 40)
    renew(hub, now(), every=True)
    assert renewed.look(now())
    after = renewed.ends()
    assert before.own is not None
    assert after.own is not None
    assert timedelta(days=9) < after.own - before.own < timedelta(days=11)
    gone = Certificates(ca=configured.ca, cert=tmp_path / "none.pem", key=configured.key)
    ends = RenewedCertificates(tmp_path / "empty", gone, None).ends()
    assert (ends.own, ends.authority) == (None, before.authority)


def test_only_the_certificate_that_was_checked_is_kept(
    hub: HubFolder, configured: Certificates, tmp_path: Path
) -> None:
    renew(hub, now(), every=True)
    ca, own = (hub.root / "ca.pem").read_bytes(), x509_of(hub, "cam-1")
    other = b"-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n"
    renewed = RenewedCertificates(tmp_path / "state", configured, of({"ca.pem": ca + other, "own.pem": other + own}))
    assert renewed.look(now())
    assert renewed.files().ca.read_bytes() == ca
    assert renewed.files().cert.read_bytes() == own


def test_an_authority_kept_together_with_a_foreign_one_does_not_count(
    hub: HubFolder, configured: Certificates, renewed: RenewedCertificates, tmp_path: Path
) -> None:
    renew(hub, now(), every=True)
    assert renewed.look(now())
    kept = renewed.files().ca
    kept.write_bytes(kept.read_bytes() + pem(authority("evil")))
    assert renewed.files().ca == configured.ca


def test_a_command_is_refused_while_the_authority_holds_a_foreign_one_too(tmp_path: Path) -> None:
    ours, evil = pem(authority(SITE_AUTHORITY)), pem(authority("evil"))
    resume = a_command(tmp_path, "resume", now(), issued(by="evil"))
    with pytest.raises(BadData, match="2 certificates"):
        CommandCheck("demo", resume.device_id, lambda: ours + evil).require_signed(resume, now())
    good = a_command(tmp_path, "resume", now())
    CommandCheck("demo", good.device_id, lambda: ours).require_signed(good, now())


def test_an_older_certificate_is_not_taken_and_a_wrong_clock_takes_none(
    hub: HubFolder, configured: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_authority, "LEAF_DAYS", 40)
    old = {"ca.pem": configured.ca.read_bytes(), "own.pem": configured.cert.read_bytes()}
    renew(hub, now(), every=True)
    new = {"ca.pem": (hub.root / "ca.pem").read_bytes(), "own.pem": x509_of(hub, "cam-1")}
    with pytest.raises(BadData, match="clock"):
        RenewedCertificates(tmp_path / "state", configured, of(new)).look(now(days=-400))
    current = RenewedCertificates(tmp_path / "state", configured, of(new))
    assert current.look(now())
    back = RenewedCertificates(tmp_path / "state", configured, of(old))
    with pytest.raises(BadData, match="ends earlier"):
        back.look(now())


def test_another_key_in_the_configurations_place_counts_at_once(
    hub: HubFolder, configured: Certificates, renewed: RenewedCertificates, tmp_path: Path
) -> None:
    renew(hub, now(), every=True)
    renewed.look(now())
    init_hub(tmp_path / "other", site="demo", devices=("cam-1",), mode=Mode.TEST)
    configured.cert.write_bytes(x509_of(HubFolder(tmp_path / "other"), "cam-1"))
    assert renewed.files().cert == configured.cert


def test_a_hub_that_is_away_is_asked_again_later(configured: Certificates, tmp_path: Path) -> None:
    def away(_: str) -> Iterator[bytes]:
        raise Unavailable("nothing listens")

    asked = looked(RenewedCertificates(tmp_path / "state", configured, away), now())
    assert asked == Asked(problem="nothing listens")
