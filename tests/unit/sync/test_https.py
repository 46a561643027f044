"""The hub's repository over real HTTPS on the loopback, with client certificates both ways."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from device.errors import Unavailable
from device.sync import source_https
from device.sync.refusal import Refused
from device.sync.source import Missing
from device.sync.source_https import Certificates, HttpsSource
from tests.offers import offer_of
from tools.hub.pki.certificate_authority import open_authority

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk


class Server(ThreadingHTTPServer):
    """Serves a folder read-only; a test may let it answer otherwise."""

    daemon_threads = True
    folder: Path
    answer: Callable[[BaseHTTPRequestHandler], bool] | None = None
    connections = 0

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was refused, or went away, is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.server.answer is not None and self.server.answer(self):
            return
        file = self.server.folder / self.path.lstrip("/")
        if not file.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A site's authority, its server's certificate and those of two devices."""
    folder = tmp_path / "pki"
    authority = open_authority(folder, "demo")
    authority.issue_server(folder, "server", ("localhost",))
    authority.issue_client(folder, "cam-1")
    stranger = open_authority(tmp_path / "strange", "elsewhere")
    stranger.issue_client(tmp_path / "strange", "cam-1")
    return folder


@contextmanager
def serving(folder: Path, pki: Path) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.folder = folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    context.load_verify_locations(pki / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def server(desk: Desk, pki: Path) -> Iterator[Server]:
    with serving(desk.hub.folder, pki) as running:
        yield running


def source(server: Server, pki: Path, *, host: str = "localhost", by: str = "cam-1") -> HttpsSource:
    files = Certificates(pki / "ca.pem", pki / f"{by}.pem", pki / f"{by}.key")
    return HttpsSource(f"https://{host}:{server.server_address[1]}/", files)


def test_a_whole_sync_goes_over_one_connection(desk: Desk, server: Server, pki: Path) -> None:
    client = desk.client(source(server, pki))
    found = client.sync()
    assert found.source == "https"
    assert offer_of(found).payload.read_bytes() == desk.hub.payload
    desk.hub.withdrawn = {"deployment_id": "d-1", "refs": ["e-1"]}
    desk.hub.publish()
    assert offer_of(client.sync()).withdrawn == {"e-1"}
    assert server.connections == 1


def test_a_connection_that_the_hub_closed_is_opened_again(desk: Desk, server: Server, pki: Path) -> None:
    client = desk.client(source(server, pki))
    client.sync()

    def hang_up(handler: BaseHTTPRequestHandler) -> bool:
        handler.close_connection = True
        return False

    server.answer = hang_up
    client.sync()
    assert client.sync().offer is not None
    assert server.connections > 1


def test_a_device_of_another_authority_is_not_served(desk: Desk, server: Server, pki: Path) -> None:
    strange = pki.parent / "strange"
    files = Certificates(pki / "ca.pem", strange / "cam-1.pem", strange / "cam-1.key")
    client = desk.client(HttpsSource(f"https://localhost:{server.server_address[1]}", files))
    with pytest.raises(Unavailable, match="does not answer"):
        client.sync()


def test_a_hub_of_another_authority_is_refused(desk: Desk, server: Server, pki: Path) -> None:
    strange = pki.parent / "strange"
    files = Certificates(strange / "ca.pem", pki / "cam-1.pem", pki / "cam-1.key")
    with pytest.raises(Unavailable, match="its certificate is not accepted"):
        desk.client(HttpsSource(f"https://localhost:{server.server_address[1]}", files)).sync()


def test_a_hub_of_another_name_is_refused(desk: Desk, server: Server, pki: Path) -> None:
    with pytest.raises(Unavailable, match="its certificate is not accepted"):
        desk.client(source(server, pki, host="127.0.0.1")).sync()


def test_compressed_answers_are_refused_and_nothing_is_asked_compressed(desk: Desk, server: Server, pki: Path) -> None:
    asked = []

    def compress(handler: BaseHTTPRequestHandler) -> bool:
        asked.append(handler.headers["Accept-Encoding"])
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"\x1f\x8b\x08")
        return True

    server.answer = compress
    with pytest.raises(Refused, match="nothing is decompressed here") as caught:
        desk.client(source(server, pki)).sync()
    assert caught.value.reason == "compressed"
    assert set(asked) == {"identity"}


@pytest.mark.parametrize("status", [301, 302, 403, 500])
def test_no_redirection_is_followed_and_an_error_is_no_content(
    desk: Desk, server: Server, pki: Path, status: int
) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(status)
        handler.send_header("Location", "https://elsewhere.example/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    server.answer = elsewhere
    with pytest.raises(Unavailable, match=f"answers {status}"):
        desk.client(source(server, pki)).sync()


def test_an_endless_answer_is_cut_at_its_bound(desk: Desk, server: Server, pki: Path) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65_536)

    server.answer = pour
    with pytest.raises(Refused) as caught:
        desk.client(source(server, pki)).sync()
    assert caught.value.reason == "oversized"


def test_an_answer_that_is_cut_off_is_no_refusal(desk: Desk, server: Server, pki: Path) -> None:
    def half(handler: BaseHTTPRequestHandler) -> bool:
        if "timestamp" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{" * 500)
        handler.close_connection = True
        return True

    server.answer = half
    with pytest.raises(Unavailable, match="500 bytes are missing"):
        desk.client(source(server, pki)).sync()


def test_a_file_that_drips_is_given_up(server: Server, pki: Path) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 2 * source_https.START_S  # every look at it is late
        return now[0]

    files = Certificates(pki / "ca.pem", pki / "cam-1.pem", pki / "cam-1.key")
    slow = HttpsSource(f"https://localhost:{server.server_address[1]}", files, clock)
    with pytest.raises(Unavailable, match="is received too slowly"):
        list(slow.read("metadata/1.root.json"))


def test_a_missing_file_is_missing_and_the_connection_goes_on(server: Server, pki: Path) -> None:
    reader = source(server, pki)
    with pytest.raises(Missing):
        list(reader.read("metadata/9.root.json"))
    assert b"".join(reader.read("metadata/1.root.json")).startswith(b"{")


def test_closing_ends_a_read_that_waits(server: Server, pki: Path) -> None:
    reached, answered = threading.Event(), threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> bool:
        reached.set()
        answered.wait(60)
        return True

    server.answer = wait
    reader = source(server, pki)

    def close() -> None:
        reached.wait(60)
        reader.close()

    threading.Thread(target=close, daemon=True).start()
    with pytest.raises(Unavailable):
        list(reader.read("metadata/1.root.json"))
    assert not answered.is_set()
    answered.set()
    with pytest.raises(Unavailable, match="the device stops"):
        list(reader.read("metadata/1.root.json"))
