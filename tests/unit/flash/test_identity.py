"""A board's identity: key and request made on it, signed at the hub, taken back only when everything fits."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import BadData, ConfigError, RefusedByCondition, Unavailable, UsageError
from tests.unit.flash.conftest import NOW, OTHER, SERIAL, Owners
from tools.flash import first_boot
from tools.flash.apply import apply
from tools.flash.exchange import put_request, take_certificate
from tools.flash.root import Refusal, Root
from tools.hub.enrolment import sign_request
from tools.hub.pki.certificate_authority import LEAF_DAYS
from tools.hub.pki.renewal import renew
from tools.hub.site import init_hub, revoke_device
from tools.hub.storage.folder import HubFolder

pytestmark = pytest.mark.long


@pytest.fixture
def hub(bench: Any) -> HubFolder:
    """The hub whose authority signed the kit."""
    init_hub(bench.folder / "hub", site="north", devices=("cam-9",), mode=Mode.TEST)
    return HubFolder(bench.folder / "hub")


@pytest.fixture
def board(bench: Any) -> Root:
    """A flashed root, seen as the board itself sees it, with its key and request."""
    plan, _ = bench.plan(bench.root())
    root = Root(bench.folder / "root", Owners())
    apply(plan, root, lambda word, line: None)
    first_boot.make_identity(root, "nano-1")
    return root


def public_of(pem: bytes) -> bytes:
    return (
        x509.load_pem_x509_certificate(pem)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def test_the_way_from_first_boot_to_a_certificate(board: Root, hub: HubFolder, bench: Any) -> None:
    request = put_request(board, bench.kit)
    name, pem = sign_request(hub, request)
    (bench.kit / "certificates").mkdir()
    (bench.kit / "certificates" / "nano-1.pem").write_bytes(pem)
    until = take_certificate(board, bench.kit, NOW)
    assert name == "nano-1"
    assert until == f"{datetime.now(timezone.utc) + timedelta(days=LEAF_DAYS):%Y-%m-%d}"
    assert board.read("/etc/lfr/pki/device.pem") == pem
    assert "nano-1" in hub.settings().devices
    assert not (hub.root / "devices" / "nano-1.key").exists()


def test_the_key_stays_on_the_board_readable_by_the_service_alone(board: Root) -> None:
    key = board.resolve("/etc/lfr/pki/device.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert b"PRIVATE" not in board.read("/etc/lfr/pki/device.csr")


def test_first_boot_again_keeps_key_and_request(board: Root) -> None:
    before = board.read("/etc/lfr/pki/device.key"), board.read("/etc/lfr/pki/device.csr")
    first_boot.make_identity(board, "nano-1")
    assert (board.read("/etc/lfr/pki/device.key"), board.read("/etc/lfr/pki/device.csr")) == before


def test_a_power_cut_between_key_and_request_is_made_good(board: Root) -> None:
    key = board.read("/etc/lfr/pki/device.key")
    board.resolve("/etc/lfr/pki/device.csr").unlink()
    first_boot.make_identity(board, "nano-1")
    assert board.read("/etc/lfr/pki/device.key") == key
    assert x509.load_pem_x509_csr(board.read("/etc/lfr/pki/device.csr")).is_signature_valid


def state_serial(root: Root, serial: str) -> None:
    place = root.path / "proc/device-tree"
    place.mkdir(parents=True, exist_ok=True)
    (place / "serial-number").write_bytes(serial.encode() + b"\0")


def test_a_card_in_another_board_makes_no_key(bench: Any) -> None:
    plan, root = bench.plan(bench.root())
    apply(plan, root, lambda word, line: None)
    state_serial(root, OTHER)
    assert first_boot.main(root) == 77
    assert not root.exists("/etc/lfr/pki/device.key")
    state_serial(root, SERIAL)
    first_boot.same_board(root, SERIAL)


def test_a_board_without_the_facts_of_its_flashing_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flash this card again"):
        first_boot.flash_facts(Root(tmp_path))


def certified(board: Root, bench: Any, hub: HubFolder, file: Path | None = None) -> None:
    """Sign a request and put the result on the stick under this board's name."""
    _, pem = sign_request(hub, file or put_request(board, bench.kit))
    (bench.kit / "certificates").mkdir(exist_ok=True)
    (bench.kit / "certificates" / "nano-1.pem").write_bytes(pem)


def test_a_certificate_of_another_key_is_refused(board: Root, bench: Any, hub: HubFolder) -> None:
    certified(board, bench, hub)
    board.resolve("/etc/lfr/pki/device.key").unlink()
    first_boot.make_identity(board, "nano-1")
    with pytest.raises(Refusal, match="another key than this board's"):
        take_certificate(board, bench.kit, NOW)


def test_a_certificate_for_another_name_is_refused(board: Root, bench: Any, hub: HubFolder) -> None:
    board.resolve("/etc/lfr/pki/device.csr").unlink()
    first_boot.make_identity(board, "nano-7")
    certified(board, bench, hub)
    with pytest.raises(Refusal, match="it is for nano-7, this board is nano-1"):
        take_certificate(board, bench.kit, NOW)


def test_a_certificate_of_another_hub_is_refused(board: Root, bench: Any, tmp_path: Path) -> None:
    init_hub(tmp_path / "other", site="north", devices=(), mode=Mode.TEST)
    certified(board, bench, HubFolder(tmp_path / "other"))
    with pytest.raises(Refusal, match="not signed by the hub"):
        take_certificate(board, bench.kit, NOW)


def test_an_ended_certificate_is_refused_and_a_clock_in_1970_refuses_none(
    board: Root, bench: Any, hub: HubFolder
) -> None:
    certified(board, bench, hub)
    with pytest.raises(Refusal, match="ended on"):
        take_certificate(board, bench.kit, datetime.now(timezone.utc) + timedelta(days=LEAF_DAYS + 1))
    take_certificate(board, bench.kit, datetime(1970, 1, 1, tzinfo=timezone.utc))


def test_no_certificate_yet_names_what_to_do(board: Root, bench: Any) -> None:
    with pytest.raises(Unavailable, match="lfr hub sign"):
        take_certificate(board, bench.kit, NOW)
    (bench.kit / "certificates").mkdir()
    (bench.kit / "certificates" / "nano-1.pem").write_text("half a file")
    with pytest.raises(BadData):
        take_certificate(board, bench.kit, NOW)


def test_the_hub_signs_a_name_for_one_key_only(board: Root, bench: Any, hub: HubFolder) -> None:
    first = sign_request(hub, put_request(board, bench.kit))[1]
    assert sign_request(hub, bench.kit / "requests" / "nano-1.csr")[1] == first
    board.resolve("/etc/lfr/pki/device.key").unlink()
    board.resolve("/etc/lfr/pki/device.csr").unlink()
    first_boot.make_identity(board, "nano-1")
    request = put_request(board, bench.kit)
    with pytest.raises(RefusedByCondition, match="--replace"):
        sign_request(hub, request)
    second = sign_request(hub, request, replace=True)[1]
    assert public_of(second) != public_of(first)
    revoked = x509.load_pem_x509_crl((hub.root / "crl.pem").read_bytes())
    assert revoked.get_revoked_certificate_by_serial_number(x509.load_pem_x509_certificate(first).serial_number)


@pytest.mark.parametrize("recorded", [True, False])
def test_replacing_takes_back_what_was_renewed_before_too(
    board: Root, bench: Any, hub: HubFolder, recorded: bool
) -> None:
    init_hub(hub.root, site="north", devices=("nano-1",), mode=None)
    held = hub.root / "devices" / "nano-1.pem"
    if not recorded:  # a hub's folder from before there was a record
        held.with_suffix(".serials").unlink()
    issued = [held.read_bytes()]
    for _ in range(2):
        renew(hub, wall(NOW), every=True)
        issued.append(held.read_bytes())
    new = sign_request(hub, put_request(board, bench.kit), replace=True)[1]
    revoked = {row.serial_number for row in x509.load_pem_x509_crl((hub.root / "crl.pem").read_bytes())}
    assert revoked == {x509.load_pem_x509_certificate(pem).serial_number for pem in issued}
    revoke_device(hub, "nano-1")
    revoked = {row.serial_number for row in x509.load_pem_x509_crl((hub.root / "crl.pem").read_bytes())}
    assert x509.load_pem_x509_certificate(new).serial_number in revoked


def test_a_name_whose_key_the_hub_made_is_replaced_on_demand(board: Root, bench: Any, hub: HubFolder) -> None:
    init_hub(hub.root, site="north", devices=("nano-1",), mode=None)
    request = put_request(board, bench.kit)
    with pytest.raises(RefusedByCondition):
        sign_request(hub, request)
    sign_request(hub, request, replace=True)
    assert not (hub.root / "devices" / "nano-1.key").exists()


def test_a_revoked_name_and_a_broken_request_are_refused(
    board: Root, bench: Any, hub: HubFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = put_request(board, bench.kit)
    broken = bench.folder / "broken.csr"
    broken.write_text("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
    with pytest.raises(BadData):
        sign_request(hub, broken)
    sign_request(hub, request)
    revoke_device(hub, "nano-1")
    monkeypatch.setattr(HubFolder, "revoked", lambda self: frozenset({"nano-1"}))
    with pytest.raises(UsageError, match="was revoked"):
        sign_request(hub, request)


DPKG = """#!/bin/sh
case "$(basename "$0") $1" in
  "dpkg-deb --field") echo "Package: one"; echo "Version: $(cat "$2")"; echo "Architecture: all" ;;
  "dpkg-query --show") printf 'install ok installed|2.0\\n' ;;
  "dpkg --compare-versions") [ "$(printf '%s\\n' "$2" "$4" | sort -V | tail -1)" = "$2" ] ;;
  "dpkg --install") shift 2; echo "$@" >>"$0.log" ;;
esac
"""


@pytest.mark.parametrize(("brought", "installs"), [("1.9", False), ("2.0", False), ("2.1", True)])
def test_first_boot_installs_what_is_newer_and_never_downgrades(
    board: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: str, installs: bool
) -> None:
    for name in ("dpkg", "dpkg-deb", "dpkg-query"):
        (tmp_path / "bin" / name).write_text(DPKG)
        (tmp_path / "bin" / name).chmod(0o755)
    board.write("/var/lib/lfr-flash/packages/one_all.deb", brought.encode(), mode=0o644)
    monkeypatch.setattr(first_boot, "PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    first_boot.install_packages(board)
    assert (tmp_path / "bin" / "dpkg.log").exists() is installs
