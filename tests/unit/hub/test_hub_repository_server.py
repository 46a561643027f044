"""The repository over HTTPS: to this site's devices, each its own, and to nobody else."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.domain.finding import Mode
from device.errors import Unavailable
from tests.machine_time import MachineTime
from tools.hub.pki.certificate_authority import revoke_certificate
from tools.hub.publishing.repository_server import RepositoryServer
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder, SiteDevices

pytestmark = pytest.mark.slow

PAYLOAD = b"\x00ciphertext" * 50_000


@pytest.fixture
def hub(tmp_path: Path) -> HubFolder:
    hub = HubFolder(tmp_path / "hub")
    init_hub(hub.root, site="north", devices=("cam-1", "cam-2"), mode=Mode.TEST)
    for path, content in {
        "metadata/timestamp.json": b"{}",
        "targets/deployments/ab.cd.payload": PAYLOAD,
        "targets/releases/ab.debian-12-x86_64-0.3.0.tar.gz": PAYLOAD,
        "targets/devices/cam-1/ab.index.json": b"one",
        "targets/devices/cam-2/ab.index.json": b"two",
    }.items():
        file = hub.root / "repository" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (hub.root / "repository" / "metadata" / "out").symlink_to(hub.root / "ca.key")
    return hub


@pytest.fixture
def server(hub: HubFolder) -> Iterator[RepositoryServer]:
    server = RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", 0)
    yield server
    server.stop()


def connection(hub: HubFolder, port: int, who: str | None) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(hub.root / "ca.pem"))
    if who is not None:
        address = hub.address(who, 0)
        context.load_cert_chain(str(address.cert), str(address.key))
    return http.client.HTTPSConnection("localhost", port, timeout=30, context=context)


def ask(hub: HubFolder, port: int, who: str | None, path: str, method: str = "GET") -> tuple[int, bytes]:
    made = connection(hub, port, who)
    try:
        made.request(method, path)
        answer = made.getresponse()
        return answer.status, answer.read()
    finally:
        made.close()


def test_a_device_reads_metadata_deployments_and_its_own_folder(hub: HubFolder, server: RepositoryServer) -> None:
    assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json") == (200, b"{}")
    assert ask(hub, server.port, "cam-1", "/targets/deployments/ab.cd.payload") == (200, PAYLOAD)
    assert ask(hub, server.port, "cam-1", "/targets/releases/ab.debian-12-x86_64-0.3.0.tar.gz") == (200, PAYLOAD)
    assert ask(hub, server.port, "cam-1", "/targets/devices/cam-1/ab.index.json") == (200, b"one")
    assert ask(hub, server.port, "cam-1", "/targets/devices/cam-2/ab.index.json")[0] == 404


def test_one_connection_serves_many_files(hub: HubFolder, server: RepositoryServer) -> None:
    made = connection(hub, server.port, "cam-1")
    for _ in range(3):
        made.request("GET", "/metadata/timestamp.json")
        assert made.getresponse().read() == b"{}"
    made.request("GET", "/metadata/9.root.json")
    missing = made.getresponse()
    assert (missing.status, missing.read()) == (404, b"")
    made.request("HEAD", "/targets/deployments/ab.cd.payload")
    head = made.getresponse()
    assert head.headers["Content-Length"] == str(len(PAYLOAD))
    assert head.headers["Content-Encoding"] is None
    assert head.read() == b""
    made.close()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metadata/",
        "/metadata",
        "/ca.key",
        "/metadata/../../ca.key",
        "/metadata/..%2f..%2fca.key",
        "/targets/deployments/../devices/cam-2/ab.index.json",
        "/targets/devices/cam-1/../cam-2/ab.index.json",
        "/metadata/.hidden",
        "/metadata/timestamp.json?x",
        "/targets/deployments",
    ],
)
def test_nothing_else_can_be_reached(hub: HubFolder, server: RepositoryServer, path: str) -> None:
    assert ask(hub, server.port, "cam-1", path) == (404, b"")


def test_a_link_in_the_folder_leads_nowhere(hub: HubFolder, server: RepositoryServer) -> None:
    assert ask(hub, server.port, "cam-1", "/metadata/out")[0] == 404


def test_only_reading_is_possible(hub: HubFolder, server: RepositoryServer) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json", method)[0] == 501
    assert (hub.root / "repository" / "metadata" / "timestamp.json").read_bytes() == b"{}"


def test_the_site_s_other_certificates_and_strangers_get_nothing(
    hub: HubFolder, server: RepositoryServer, tmp_path: Path
) -> None:
    assert ask(hub, server.port, "auditor", "/metadata/timestamp.json")[0] == 403
    with pytest.raises((ssl.SSLError, OSError)):
        ask(hub, server.port, None, "/metadata/timestamp.json")
    other = HubFolder(tmp_path / "other")
    init_hub(other.root, site="south", devices=("cam-1",), mode=Mode.TEST)
    context = ssl.create_default_context(cafile=str(hub.root / "ca.pem"))
    address = other.address("cam-1", 0)
    context.load_cert_chain(str(address.cert), str(address.key))
    stranger = http.client.HTTPSConnection("localhost", server.port, timeout=30, context=context)
    refused = (ssl.SSLError, OSError, http.client.HTTPException)
    with contextlib.suppress(*refused):
        stranger.request("GET", "/metadata/timestamp.json")
    with pytest.raises(refused):
        stranger.getresponse()


def test_old_tls_is_not_spoken(hub: HubFolder, server: RepositoryServer) -> None:
    context = ssl.create_default_context(cafile=str(hub.root / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    made = http.client.HTTPSConnection("localhost", server.port, timeout=30, context=context)
    with pytest.raises((ssl.SSLError, OSError)):
        made.connect()


def test_a_revoked_device_is_out_on_the_connection_it_has(hub: HubFolder, server: RepositoryServer) -> None:
    kept = connection(hub, server.port, "cam-2")
    kept.request("GET", "/metadata/timestamp.json")
    assert kept.getresponse().read() == b"{}"
    (hub.root / "authority").mkdir()
    (hub.root / "authority" / "revoked.json").write_text('{"cam-2": "2026-11-24"}')
    kept.request("GET", "/metadata/timestamp.json")
    assert kept.getresponse().status == 403
    kept.close()
    assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json")[0] == 200


def test_a_certificate_that_is_taken_back_is_out_on_the_connection_it_has(
    hub: HubFolder, server: RepositoryServer
) -> None:
    kept = connection(hub, server.port, "cam-2")
    kept.request("GET", "/metadata/timestamp.json")
    assert kept.getresponse().read() == b"{}"
    revoke_certificate(hub.root, "north", hub.root / "devices" / "cam-2.pem")
    server.read_certificates_again()
    kept.request("GET", "/metadata/timestamp.json")
    assert kept.getresponse().status == 403
    kept.close()
    assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json")[0] == 200


def test_a_revoked_certificate_does_not_pass_the_handshake_of_the_next_start(hub: HubFolder) -> None:
    revoke_certificate(hub.root, "north", hub.root / "devices" / "cam-2.pem")
    server = RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", 0)
    try:
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            ask(hub, server.port, "cam-2", "/metadata/timestamp.json")
        assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json")[0] == 200
    finally:
        server.stop()


def test_a_port_in_use_is_reported_with_its_remedy(hub: HubFolder, server: RepositoryServer) -> None:
    with pytest.raises(Unavailable, match="--repository-port"):
        RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", server.port)


def idle(hub: HubFolder, port: int, who: str | None) -> socket.socket:
    """A connection that sends nothing: before its handshake, or after it with a certificate."""
    raw = socket.create_connection(("localhost", port), 30)
    if who is None:
        return raw
    context = ssl.create_default_context(cafile=str(hub.root / "ca.pem"))
    address = hub.address(who, 0)
    context.load_cert_chain(str(address.cert), str(address.key))
    return context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize("who", [None, "cam-2"])
def test_a_hundred_connections_that_do_nothing_keep_no_device_out(
    hub: HubFolder, server: RepositoryServer, who: str | None
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(idle(hub, server.port, who))
        with MachineTime() as machine:
            assert ask(hub, server.port, "cam-1", "/metadata/timestamp.json") == (200, b"{}")
        assert machine.seconds < 4.0, "real clients have shorter deadlines"


def test_an_existing_site_may_use_an_older_tls_and_a_new_one_may_not(hub: HubFolder) -> None:
    assert hub.settings().tls == "1.3"
    file = hub.root / "console.yaml"
    for version, works in (("1.3", False), ("1.2", True)):
        file.write_text(file.read_text().replace("tls: '1.3'", f"tls: '{version}'"))
        old = RepositoryServer(hub, SiteDevices(hub), "127.0.0.1", 0)
        made = connection(hub, old.port, "cam-1")
        context: ssl.SSLContext = getattr(made, "_context")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.request("GET", "/metadata/timestamp.json")
            assert works
            assert made.getresponse().status == 200
        except ssl.SSLError:
            assert not works
        finally:
            made.close()
            old.stop()
