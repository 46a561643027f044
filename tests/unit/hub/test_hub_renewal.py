"""Certificates: names go in, ends are seen coming, renewed ones count while hub and devices run."""

from __future__ import annotations

import ssl
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.edges.broker.paho import PahoBroker
from device.errors import Unavailable, UsageError
from tests.broker_vans import Watched
from tools.hub.broker.own_broker import OwnBroker
from tools.hub.certificate_watch import CertificateWatch
from tools.hub.cli.addresses import hosts
from tools.hub.pki import certificate_authority
from tools.hub.pki.certificate_authority import open_authority, revoke_certificate
from tools.hub.pki.renewal import endings, hosts_of, renew, warnings
from tools.hub.site import init_hub, revoke_device
from tools.hub.storage.files import write_file
from tools.hub.storage.folder import HubFolder


def now(**delta: float) -> WallTime:
    return wall(datetime.now(timezone.utc) + timedelta(**delta))


@pytest.fixture
def hub(tmp_path: Path) -> HubFolder:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.TEST, hosts=("van-7.local", "192.0.2.7"))
    return HubFolder(tmp_path / "hub")


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def short_lived(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    monkeypatch.setattr(certificate_authority, "LEAF_DAYS", days)


def test_names_and_addresses_go_into_the_servers_certificate(hub: HubFolder) -> None:
    assert {"van-7.local", "192.0.2.7", "localhost", "127.0.0.1"} <= set(hosts_of(read(hub.root / "server.pem")))


def test_what_init_cannot_change_it_says_with_what_changes_it(hub: HubFolder) -> None:
    output = init_hub(
        hub.root, site="demo", devices=(), mode=None, bind="192.0.2.9", hosts=("van-7.local", "van-8.local")
    )
    assert any("bind stays 127.0.0.1: edit" in line for line in output)
    assert any("server.pem stays for" in line and "--host van-8.local`" in line for line in output)
    assert "van-8.local" not in hosts_of(read(hub.root / "server.pem"))


def test_a_wildcard_address_is_reported_to_need_a_host_name(tmp_path: Path) -> None:
    output = init_hub(tmp_path / "h", site="demo", devices=(), mode=None, bind="0.0.0.0")
    assert any("another one needs --host NAME" in line for line in output)


@pytest.mark.parametrize("host", ["", "a b", "-x", "x..y", "http://van", "1.2.3.4/24", "x" * 300])
def test_what_is_neither_a_name_nor_an_address_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        hosts([host])
    assert hosts(["van-7.local", "192.0.2.7", "2001:db8::7"]) == ("van-7.local", "192.0.2.7", "2001:db8::7")


def test_nothing_is_renewed_before_it_is_due_and_a_name_can_be_added_all_the_same(hub: HubFolder) -> None:
    assert (renew(hub, now()), warnings(hub, now())) == ([], [])
    (done,) = renew(hub, now(), hosts=("van-8.local",))
    assert "van-8.local" in done
    assert {"van-7.local", "van-8.local"} <= set(hosts_of(read(hub.root / "server.pem")))


def test_fourteen_days_before_the_end_there_are_warnings_and_a_renewal_ends_them(hub: HubFolder) -> None:
    soon = now(days=17)
    assert len(warnings(hub, soon)) == len(endings(hub)) - 1, "all but the authority"
    before = {ending.name: read(ending.file) for ending in endings(hub)}
    renew(hub, soon)
    after = {ending.name: read(ending.file) for ending in endings(hub)}
    for name in before:
        assert after[name].public_key() == before[name].public_key(), "keys stay: devices need no new secret"
        assert after[name].subject == before[name].subject
    assert after["cam-1"].serial_number != before["cam-1"].serial_number


def test_a_renewed_authority_verifies_what_was_issued_before_and_the_old_one_what_is_issued_now(
    hub: HubFolder,
) -> None:
    old_ca, old_leaf = read(hub.root / "ca.pem"), read(hub.root / "devices" / "cam-1.pem")
    revoke_device(hub, "cam-1")
    renew(hub, now(days=60))
    new_ca = read(hub.root / "ca.pem")
    assert new_ca.not_valid_after_utc > old_ca.not_valid_after_utc or new_ca.serial_number != old_ca.serial_number
    old_leaf.verify_directly_issued_by(new_ca)
    read(hub.root / "hub.pem").verify_directly_issued_by(old_ca)
    crl = x509.load_pem_x509_crl((hub.root / "crl.pem").read_bytes())
    assert [row.serial_number for row in crl] == [old_leaf.serial_number], "who was revoked stays revoked"
    assert crl.next_update_utc == new_ca.not_valid_after_utc


def test_a_device_comes_back_over_a_broker_with_renewed_certificates_with_its_old_authority_and_its_old_certificate(
    hub: HubFolder, tmp_path: Path
) -> None:
    address = hub.address("cam-1", 0)
    for name, file in {"ca.pem": address.ca, "d.pem": address.cert, "d.key": address.key}.items():
        (tmp_path / name).write_bytes(file.read_bytes())
    own = OwnBroker(hub, 0)
    from device.edges.broker.paho import BrokerAddress

    device = Watched(
        PahoBroker(
            BrokerAddress(
                host="localhost",
                port=own.port,
                ca=tmp_path / "ca.pem",
                cert=tmp_path / "d.pem",
                key=tmp_path / "d.key",
            ),
            "cam-1",
        )
    )
    try:
        device.connect().online()
        watch = CertificateWatch(hub, lambda: now(), own.start_anew)
        time.sleep(0.01)
        assert not watch.look()
        renew(hub, now(), every=True)
        assert watch.look()
        device.until(lambda: [up for up, _ in device.sessions][-2:] == [False, True])
        (tmp_path / "ca.pem").write_bytes((hub.root / "ca.pem").read_bytes())
        (tmp_path / "d.pem").write_bytes((hub.root / "devices" / "cam-1.pem").read_bytes())
        own.start_anew()
        device.until(lambda: [up for up, _ in device.sessions][-2:] == [False, True] and len(device.sessions) >= 5)
    finally:
        device.broker.close()
        own.stop()


def test_a_revocation_alone_has_the_running_hub_read_its_list_again(hub: HubFolder) -> None:
    asked: list[str] = []
    watch = CertificateWatch(hub, lambda: now(), lambda: asked.append("again"))
    time.sleep(0.01)
    revoke_certificate(hub.root, "demo", hub.root / "devices" / "cam-1.pem")
    assert watch.look()
    assert asked == ["again"]
    assert not watch.look()


def test_a_serial_number_is_on_record_before_its_certificate_is_delivered(
    hub: HubFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hub.root / "devices" / "cam-1.pem"
    before, write = held.read_bytes(), write_file

    def no_certificate(path: Path, content: bytes, **how: Any) -> None:
        if path.suffix == ".pem":
            raise Unavailable("the power failed")
        write(path, content, **how)

    monkeypatch.setattr(certificate_authority, "write_file", no_certificate)
    with pytest.raises(Unavailable):
        open_authority(hub.root, "demo").renew(held, (), server=False)
    assert held.read_bytes() == before
    assert len(held.with_suffix(".serials").read_text().split()) == 2


def test_a_damaged_record_of_serial_numbers_is_an_error_and_revokes_nothing(hub: HubFolder) -> None:
    held = hub.root / "devices" / "cam-1.pem"
    held.with_suffix(".serials").write_text("half a number\n")
    with pytest.raises(Unavailable, match=r"cam-1\.serials"):
        revoke_device(hub, "cam-1")
    assert held.exists()


def test_a_damaged_renewed_certificate_keeps_the_session_on_the_one_before(hub: HubFolder, tmp_path: Path) -> None:
    broker: Any = PahoBroker(hub.address("cam-1", 1), "cam-1")
    before = broker._tls
    (hub.root / "devices" / "cam-1.pem").write_text("half a cert")
    assert broker._tls_now() is before
    assert isinstance(before, ssl.SSLContext)


def test_what_a_clock_that_was_ahead_issued_is_named_and_renewed_once_the_clock_is_right(
    hub: HubFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented way out: `lfr hub renew`. The clock was ahead by 20 days, and renewed everything."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=20)

    with monkeypatch.context() as wrong:
        wrong.setattr(certificate_authority, "datetime", Ahead)
        assert renew(hub, now(days=20), every=True)
    assert len([line for line in warnings(hub, now()) if "not valid before" in line]) == len(endings(hub))
    renew(hub, now())
    assert warnings(hub, now()) == []
    assert all(ending.begins < now() < ending.ends for ending in endings(hub))
