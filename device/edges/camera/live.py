"""Live frames: which source opens an address, and the one for RTSP and V4L2 cameras through FFmpeg's demuxers.

    rtsp://, rtsps://   LiveSource
    v4l2://             JetsonSource where jetson_utils is installed, LiveSource elsewhere
    csi://              JetsonSource

Every wait has a deadline, and a source that misses it is lost: its owner decides when to open the next.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from device.domain.sight import Frame
from device.edges.camera.frame_pool import HostSlot
from device.edges.camera.jetson import JetsonSource, is_here
from device.edges.camera.pyav import OpenOptions, Video, VideoFault
from device.errors import SourceLost, UsageError
from device.ports.source import FrameSource, Slot, SourceInfo

OPEN_DEADLINE_S = 5.0
READ_DEADLINE_S = 2.0
"""As long as a passage lasts unseen (vision.passage.GONE_S): a camera that stalls ends its worker, and with it the last
pictures that the decoder keeps. Below the feed's close deadline, so that a capture thread ends before its feed does."""
_RTSP = {"rtsp_transport": "tcp", "fflags": "nobuffer", "protocol_whitelist": "rtsp,rtsps,rtp,tcp,udp,tls,crypto"}
"""TCP: a lost packet is a late frame, not a torn one. No demuxer buffering: the newest frame matters."""
_PORTS = {"rtsp": 554, "rtsps": 322}
"""Where a URL names none (RFC 7826, section 4.2)."""
_V4L2 = {"protocol_whitelist": "file"}


def is_live(source: str) -> bool:
    """Whether an address names a camera rather than a recording."""
    return re.match(r"^(rtsps?|v4l2|csi)://", source, re.IGNORECASE) is not None


def on_board(source: str) -> bool:
    """Whether jetson_utils opens it here. The check loads the library: a worker calls it before its lock-down."""
    scheme = source.partition("://")[0].lower()
    return scheme in ("csi", "v4l2") and (is_here() or scheme == "csi")


def open_live(source: str) -> FrameSource:
    """The camera, opened. Raises SourceLost; Unavailable for csi:// without jetson_utils."""
    if on_board(source):
        return JetsonSource(source, open_s=OPEN_DEADLINE_S, read_s=READ_DEADLINE_S)
    return LiveSource(source)


def port_of(source: str) -> int | None:
    """The TCP port that a network camera is reached at; None for a local one."""
    scheme = source.partition("://")[0].lower()
    return (urlsplit(source).port or _PORTS[scheme]) if scheme in _PORTS else None


def device_of(source: str) -> Path | None:
    """The device file of a local camera."""
    scheme, _, place = source.partition("://")
    return Path(place) if scheme.lower() == "v4l2" else None


def with_address(source: str) -> str:
    """A camera's address as it is opened: a network camera's URL with its host's IP address in place of its name, so
    that opening it asks nobody (unchanged when there is no such host: opening it will say so); /dev/videoN as v4l2://.
    """
    if source.startswith("/dev/video"):
        return f"v4l2://{source}"
    parts = urlsplit(source)
    if parts.scheme.lower() not in _PORTS or parts.hostname is None:
        return source
    try:
        address = str(socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return source
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{user}{f'[{address}]' if ':' in address else address}{port}").geturl()


class LiveSource:
    """FrameSource of a camera; opening is part of construction.

    Raises SourceLost when it cannot be opened, stops, or misses a deadline; its end is a loss too.
    """

    def __init__(
        self,
        source: str,
        *,
        decode_threads: int = 1,
        open_s: float = OPEN_DEADLINE_S,
        read_s: float = READ_DEADLINE_S,
    ) -> None:
        target, demuxer, settings = _resolve(source)
        self._name = without_password(source)
        options = OpenOptions(
            decode_threads,
            low_latency=True,
            container=settings,
            demuxer=demuxer,
            open_s=open_s,
            read_s=read_s,
        )
        try:
            self._video = Video(target, options)
        except VideoFault as fault:
            raise SourceLost(f"{self._name}: cannot be opened ({fault.text})") from fault

    @property
    def info(self) -> SourceInfo:
        width, height = self._video.coded_size
        return SourceInfo(self._name, True, width, height, self._video.rate_hz, None, tuple(self._video.notes))

    def frames(self) -> Iterator[Frame]:
        try:
            yield from self._video.frames()
        except VideoFault as fault:
            raise SourceLost(f"{self._name}: lost ({fault.text})") from fault
        raise SourceLost(f"{self._name}: the camera ended the stream")

    def slot(self) -> Slot:
        return HostSlot()

    def close(self) -> None:
        self._video.close()


def without_password(source: str) -> str:
    """The address as it may be shown: user and password left out."""
    return re.sub(r"//[^/@]*@", "//", source)


def _resolve(source: str) -> tuple[str, str | None, dict[str, str]]:
    scheme = source.partition("://")[0].lower()
    if scheme in ("rtsp", "rtsps"):
        return source, "rtsp", _RTSP
    if scheme == "v4l2":
        return source[len("v4l2://") :], "v4l2", _V4L2
    raise UsageError(
        f"{without_password(source)}: FFmpeg opens rtsp://, rtsps:// and v4l2:// only; csi:// needs jetson_utils"
    )
