"""The repository over HTTPS: read-only for devices, with a certificate of this site on both sides.

1. TLS of the version that the site requires; a client without a certificate of the site's authority, or with a revoked
   one, fails the handshake.
2. Each request is checked anew: only devices of this site, none that was revoked since, no certificate that was taken
   back since, and of `devices/` only their own.
3. Files are sent as they are: no compression, no listing, no link, nothing outside `metadata/` and `targets/`.
4. A slow or silent client costs one thread, for a bounded time, and keeps nobody else out (open_connections.py).
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from device.errors import Unavailable
from device.logs import event
from tools.hub.publishing.open_connections import OpenConnections
from tools.hub.storage.folder import NEW_TLS, HubFolder

WAIT_S = 20.0  # for a request, and each piece that a client takes
HANDSHAKE_S = 5.0
BACKLOG = 128
RENEWED_OWN, RENEWED_CA = "/certificates/own.pem", "/certificates/ca.pem"
_PATH = re.compile(
    r"/(metadata|targets(?:/deployments|/releases|/devices/([A-Za-z0-9_-]{1,63})))/([A-Za-z0-9][A-Za-z0-9._-]{0,200})"
)
_log = logging.getLogger(__name__)


class RepositoryServer:
    """One running server. Threads of its own; `stop` ends them."""

    def __init__(self, hub: HubFolder, devices: Callable[[], frozenset[str]], bind: str, port: int) -> None:
        """`devices` returns who may read now. Raises Unavailable when the port is taken."""
        self._hub = hub
        try:
            self._server = _Server(hub.root / "repository", devices, _context(hub), bind, port)
        except OSError as fault:
            raise Unavailable(
                f"port {port}: {fault.strerror}, so the repository cannot be served on {bind}; choose another with"
                " --repository-port (0 takes any free one)"
            ) from fault
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="repository", daemon=True)
        self._thread.start()

    def read_certificates_again(self) -> None:
        """New connections are shown the certificates that are in the folder now; a revoked one is out at once."""
        self._server.context = _context(self._hub)
        self._server.taken_back = _taken_back(self._hub)

    def stop(self) -> None:
        """Stop listening; requests that run end by themselves or with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


def _context(hub: HubFolder) -> ssl.SSLContext:
    """The TLS context (rule 1). Open connections are checked by rule 2 and `taken_back`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if hub.settings().tls == NEW_TLS else ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(hub.root / "server.pem", hub.root / "server.key")
    context.load_verify_locations(hub.root / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    if (hub.root / "crl.pem").exists():
        context.load_verify_locations(hub.root / "crl.pem")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _taken_back(hub: HubFolder) -> frozenset[int]:
    """Serial numbers on the revocation list, for connections that were open before it was written."""
    from cryptography import x509

    file = hub.root / "crl.pem"
    rows = x509.load_pem_x509_crl(file.read_bytes()) if file.exists() else ()
    return frozenset(row.serial_number for row in rows)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = BACKLOG
    block_on_close = False

    def __init__(
        self, root: Path, devices: Callable[[], frozenset[str]], context: ssl.SSLContext, bind: str, port: int
    ) -> None:
        self.root = root
        self.devices = devices
        self.context = context
        self.taken_back: frozenset[int] = frozenset()
        self.connections = OpenConnections()
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        super().__init__((bind, port), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that went away or failed its handshake: a line, not a traceback."""
        event(_log, "repository.client_gone", level=logging.DEBUG)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lfr", ""
    timeout = WAIT_S

    def setup(self) -> None:
        """The handshake happens in the client's own thread, with a deadline."""
        assert isinstance(self.server, _Server)
        self.request.settimeout(HANDSHAKE_S)
        self.request = self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.server.connections.arrived(self.request)
        try:
            self.request.do_handshake()
            self.server.connections.is_of(self.request, self._device() or "")
            self.request.settimeout(WAIT_S)
            super().setup()
        except BaseException:
            self.server.connections.gone(self.request)
            self.request.close()
            raise

    def finish(self) -> None:
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError):
            super().finish()
        self.server.connections.gone(self.request)
        with contextlib.suppress(OSError):
            self.request.close()

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        assert isinstance(self.server, _Server)
        device = self._device()
        if device is None or device not in self.server.devices():
            self.close_connection = True
            self._send_status(HTTPStatus.FORBIDDEN)
            return
        if self.path in (RENEWED_OWN, RENEWED_CA):
            self._answer_certificate(device, body=body)
            return
        match = _PATH.fullmatch(self.path)
        # Another device's folder is not found for this one (rule 2).
        if match is None or (match[2] is not None and match[2] != device):
            self._send_status(HTTPStatus.NOT_FOUND)
            return
        file = self.server.root / match[1] / match[3]
        if file.is_symlink() or not file.is_file():
            self._send_status(HTTPStatus.NOT_FOUND)
            return
        try:
            with file.open("rb") as opened:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(file.stat().st_size))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if body:
                    shutil.copyfileobj(opened, self.wfile, 256 * 1024)
        except FileNotFoundError:
            self._send_status(HTTPStatus.NOT_FOUND)

    def _answer_certificate(self, device: str, *, body: bool) -> None:
        """The authority's newest certificate, or the asking device's own: public both."""
        assert isinstance(self.server, _Server)
        hub = self.server.root.parent
        file = hub / "ca.pem" if self.path == RENEWED_CA else hub / "devices" / f"{device}.pem"
        try:
            content = file.read_bytes()
        except OSError:
            self._send_status(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-pem-file")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _device(self) -> str | None:
        """The common name of the client's certificate; None for one that was revoked since the handshake."""
        assert isinstance(self.server, _Server)
        certificate = self.request.getpeercert() or {}
        if int(certificate.get("serialNumber", "0"), 16) in self.server.taken_back:
            return None
        names = [value for row in certificate.get("subject", ()) for key, value in row if key == "commonName"]
        return names[0] if len(names) == 1 else None

    def _send_status(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Requests are not logged: when a device reads is not recorded."""
