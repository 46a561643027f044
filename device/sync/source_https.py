"""A hub's repository over HTTPS: TLS 1.2 or later, both sides with a certificate of the site's authority.

1. Nothing is decompressed: an encoded answer is refused (decompression bombs).
2. No redirection is followed and no proxy of the environment is used: only the configured hub is contacted.
3. Every wait is bounded, and so is a file as a whole: SLOWEST bytes a second, after a fixed start.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from device.errors import Unavailable
from device.sync.refusal import SIGNED, Refused
from device.sync.source import Missing

WAIT_S = 5.0  # for a connection, and for each piece
START_S = 20.0
SLOWEST = 50_000  # bytes a second: 20,000 people arrive in under four minutes even then
PIECE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the site's authority, this device's certificate and its key."""

    ca: Path
    cert: Path
    key: Path


class HttpsSource:
    """Source at `url`, with one connection that is kept between files; used by one thread, closed by any."""

    def __init__(
        self,
        url: str,
        certificates: Certificates | Callable[[], Certificates],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """certificates: the files, or what chooses them for each connection."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._base = parts.path.rstrip("/")
        self._certificates = certificates
        self._monotonic = monotonic
        self._connection: http.client.HTTPSConnection | None = None
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        return "https"

    def read(self, path: str) -> Iterator[bytes]:
        begin, received = self._monotonic(), 0
        try:
            answer = self._ask(f"{self._base}/{quote(path)}")
            self._check_answer(answer, path)
            while piece := answer.read1(PIECE_BYTES):
                received += len(piece)
                if self._monotonic() - begin > START_S + received / SLOWEST:
                    raise Unavailable(
                        f"{path} is received too slowly: {received} bytes in {self._monotonic() - begin:.0f} s"
                    )
                yield piece
            if answer.length:
                raise Unavailable(f"{path} is cut off: {answer.length} bytes are missing")
            answer.close()  # else the connection waits for more of it
        except (OSError, http.client.HTTPException) as fault:
            self._drop()
            raise Unavailable(f"the hub at {self._host}:{self._port} does not answer ({_error_text(fault)})") from fault
        except GeneratorExit:
            self._drop()  # the reader has stopped early: the rest of the answer must not be taken for the next one
            raise
        except Missing:
            raise
        except (Unavailable, Refused):
            self._drop()
            raise

    def close(self) -> None:
        self._closed.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _ask(self, target: str) -> http.client.HTTPResponse:
        """The answer's head. A kept connection that the hub has closed meanwhile is reopened once."""
        for kept in (True, False):
            if self._closed.is_set():
                raise Unavailable("the device stops")
            fresh = self._connection is None
            connection = self._connection = self._connection or self._open()
            try:
                connection.request("GET", target, headers={"Accept-Encoding": "identity", "User-Agent": "lfr-edge"})
                return connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                self._drop()
                if fresh or not kept:
                    raise
        raise Unavailable("the hub closes every connection")

    def _open(self) -> http.client.HTTPSConnection:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the certificate and the host's name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        files = self._certificates if isinstance(self._certificates, Certificates) else self._certificates()
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.cert, files.key)
        return http.client.HTTPSConnection(self._host, self._port, timeout=WAIT_S, context=context)

    def _check_answer(self, answer: http.client.HTTPResponse, path: str) -> None:
        if answer.status == http.client.NOT_FOUND:
            answer.read(PIECE_BYTES)
            answer.close()
            raise Missing(f"the hub has no {path}")
        if answer.status != http.client.OK:
            raise Unavailable(f"the hub answers {answer.status} for {path}")
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            text = f"the hub sent {path} compressed ({encoding[:16]}); nothing is decompressed here: repair the hub"
            raise Refused(SIGNED, "compressed", text)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _error_text(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {fault.verify_message}"
    if isinstance(fault, TimeoutError):
        return f"nothing within {WAIT_S:.0f} s"
    return (fault.strerror if isinstance(fault, OSError) else "") or str(fault) or type(fault).__name__
