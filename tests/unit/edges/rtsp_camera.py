"""A camera on the loopback: an RTSP server (RFC 2326) that plays an MPEG-TS file over interleaved RTP (RFC 2250)."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

TS_BYTES = 188 * 7
_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\nc=IN IP4 127.0.0.1\r\n"


class RtspCamera:
    """Serves one client. When the file is played it holds the line open (`stall`) until `hang_up` is called."""

    def __init__(self, transport_stream: Path) -> None:
        self._content = transport_stream.read_bytes()
        self._hung_up = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(120)  # a worker on a busy machine takes long to start
        self.played = threading.Event()
        self.address = f"rtsp://user:secret@127.0.0.1:{self._listener.getsockname()[1]}/front"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        self._hung_up.set()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        with client:
            client.settimeout(60)
            try:
                while self._answer(client) != "PLAY":
                    pass
                self._play(client)
            except OSError:
                return
            self.played.set()
            self._hung_up.wait(60)

    def _answer(self, client: socket.socket) -> str:
        request = b""
        while b"\r\n\r\n" not in request:
            got = client.recv(4096)
            if not got:
                raise OSError("the client left")
            request += got
        lines = request.decode().split("\r\n")
        method = lines[0].split(" ")[0]
        sequence = next(line for line in lines if line.lower().startswith("cseq"))
        body, extra = "", ["Public: DESCRIBE, SETUP, PLAY"]
        if method == "DESCRIBE":
            body, extra = _SDP, ["Content-Type: application/sdp", f"Content-Length: {len(_SDP)}"]
        elif method in ("SETUP", "PLAY"):
            extra = ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
        client.sendall("\r\n".join(["RTSP/1.0 200 OK", sequence, *extra, "", body]).encode())
        return method

    def _play(self, client: socket.socket) -> None:
        for number, at in enumerate(range(0, len(self._content), TS_BYTES)):
            payload = self._content[at : at + TS_BYTES]
            rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 900, 7) + payload
            client.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
