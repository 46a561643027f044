"""The one module that imports PyAV: opens a container, decodes it, hands out frames in our shape.

1. A picture whose planes are already a Frame's is passed on as views of the decoder's memory, without a copy.
2. Every other picture goes through one libavfilter graph (bwdif, scale, transpose, format), rebuilt only when its look
   changes; one picture in is one frame out, in order.
3. A packet that does not decode is counted and skipped; decoding goes on.
4. Nothing but the named file or address is opened: protocols are on an allow list, so that a playlist that calls
   itself a video cannot reach further.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from device.domain.sight import U8, ColourMatrix, Frame
from device.domain.time import MediaNs, MonotonicNs
from device.edges.frames import (
    Look,
    Timeline,
    is_full_range,
    matrix_of,
    plausible,
    quarter_turns,
)

MAX_FAILED_READS = 200
"""Consecutive demuxer errors after which the rest of a file is given up."""
_TRANSPOSE = {-90: ("transpose", "clock"), 90: ("transpose", "cclock"), 180: ("hflip", "")}
_SWS_MATRIX = {ColourMatrix.BT601: "bt601", ColourMatrix.BT709: "bt709", ColourMatrix.BT2020: "bt2020"}
_BUFFER_MATRIX = {ColourMatrix.BT601: "smpte170m", ColourMatrix.BT709: "bt709", ColourMatrix.BT2020: "bt2020nc"}


class VideoFault(Exception):
    """What PyAV could not do. `what` is one of: missing, denied, not-video, no-video-stream, lost, refused."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what
        self.text = text


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open. `low_latency`: no frame threading, no demuxer buffering; deadlines in seconds, None for none."""

    decode_threads: int
    low_latency: bool = False
    container: Mapping[str, str] | None = None
    demuxer: str | None = None
    open_s: float | None = None
    read_s: float | None = None


class Video:
    """One open container and its best video stream; one owner thread.

    `skipped_packets` counts what did not decode, `notes` grows as corrections are met.
    """

    def __init__(self, target: str | BinaryIO, options: OpenOptions) -> None:
        import av

        self._av: Any = av
        self._container = _open(av, target, options)
        try:
            self._stream = _best_stream(self._container)
        except VideoFault:
            self._container.close()
            raise
        context = self._stream.codec_context
        context.thread_count = options.decode_threads
        context.thread_type = "SLICE" if options.low_latency else "AUTO"
        if options.low_latency:
            context.options = {**context.options, "flags": "low_delay"}
        self._rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        self._timeline = Timeline(self._rate)
        self._graph: _Graph | None = None
        self._deinterlacing = False
        self._pending: deque[MediaNs] = deque()
        self._index = 0
        self.skipped_packets = 0
        self.notes: list[str] = []

    @property
    def rate_hz(self) -> float | None:
        return float(self._rate) if self._rate else None

    @property
    def frame_count(self) -> int | None:
        return int(self._stream.frames) or None

    @property
    def repaired_times(self) -> int:
        return self._timeline.repaired

    def frames(self) -> Iterator[Frame]:
        """Decode to the end. Raises VideoFault("lost") when reading fails for good; a bad packet is only counted."""
        for picture in self._pictures():
            look = self._look(picture)
            at = self._timeline.at(None if picture.pts is None else picture.pts * picture.time_base)
            if self._graph is not None and self._graph.look != look:
                yield from self._drain()
            if look.direct:
                yield self._frame(picture, at, look)
                continue
            if self._graph is None:
                self._graph = _Graph(self._av, look)
                self.notes.extend(n for n in look.notes() if n not in self.notes)
            self._pending.append(at)
            for ready in self._graph.push(picture):
                yield self._frame(ready, self._pending.popleft(), look)
        yield from self._drain()

    def close(self) -> None:
        """Free the decoder and its pictures."""
        self._graph = None
        self._container.close()

    def _drain(self) -> Iterator[Frame]:
        graph, self._graph = self._graph, None
        if graph is not None:
            for ready in graph.flush():
                if self._pending:
                    yield self._frame(ready, self._pending.popleft(), graph.look)
            self._pending.clear()

    def _pictures(self) -> Iterator[Any]:
        """Decoded pictures in presentation order; rule 3."""
        packets = self._container.demux(self._stream)
        failed_reads = 0
        while True:
            try:
                packet = next(packets)
                failed_reads = 0
            except StopIteration:
                return
            except self._av.error.EOFError:
                return
            except (self._av.error.ExitError, self._av.error.TimeoutError, OSError) as fault:
                raise VideoFault("lost", _reason(fault)) from fault
            except self._av.error.FFmpegError as fault:
                failed_reads += 1
                self.skipped_packets += 1
                if failed_reads > MAX_FAILED_READS:
                    raise VideoFault("lost", _reason(fault)) from fault
                packets = self._container.demux(self._stream)
                continue
            try:
                pictures = packet.decode()
            except self._av.error.EOFError:
                return
            except self._av.error.FFmpegError:
                self.skipped_packets += 1
                continue
            yield from pictures

    def _look(self, picture: Any) -> Look:
        layout = picture.format.name
        width, height = picture.width, picture.height
        self._deinterlacing = self._deinterlacing or picture.interlaced_frame
        return Look(
            width=width,
            height=height,
            layout=layout,
            rotation=quarter_turns(picture.rotation),
            interlaced=self._deinterlacing,
            aspect=plausible(self._stream.sample_aspect_ratio),
            matrix=matrix_of(int(picture.colorspace), width, height),
            full_range=is_full_range(int(picture.color_range), layout),
        )

    def _frame(self, picture: Any, at: MediaNs, look: Look) -> Frame:
        index, self._index = self._index, self._index + 1
        y, u, v = (_plane(p) for p in picture.planes[:3])
        full = look.full_range or look.is_rgb
        return Frame(index, at, MonotonicNs(time.monotonic_ns()), y, u, v, look.matrix, full)


class _Graph:
    """Brings pictures of one look upright, progressive, square and planar 8-bit 4:2:0."""

    def __init__(self, av: Any, look: Look) -> None:
        self.look = look
        self._again = (av.error.BlockingIOError, av.error.EOFError)
        graph = av.filter.Graph()
        matrix, full = _SWS_MATRIX[look.matrix], look.full_range or look.is_rgb
        source = {
            "video_size": f"{look.width}x{look.height}",
            "pix_fmt": look.layout,
            "time_base": "1/1000",
            "pixel_aspect": "1/1",
        }
        nodes = [graph.add("buffer", **source)]
        if look.interlaced:
            nodes.append(graph.add("bwdif", mode="send_frame", deint="interlaced"))
        width, height = _square_size(look)
        conversion = {"w": str(width), "h": str(height), "flags": "bicubic+accurate_rnd"}
        conversion |= {"out_color_matrix": matrix, "out_range": "pc" if full else "tv"}
        if not look.is_rgb:
            conversion |= {"in_color_matrix": matrix, "in_range": "pc" if full else "tv"}
        nodes.append(graph.add("scale", **conversion))
        nodes.append(graph.add("format", "yuv420p"))
        if look.rotation:
            name, how = _TRANSPOSE[look.rotation]
            nodes.append(graph.add(name, how) if how else graph.add(name))
            if look.rotation == 180:
                nodes.append(graph.add("vflip"))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes)
        graph.configure()
        self._graph = graph

    def push(self, picture: Any) -> Iterator[Any]:
        self._graph.vpush(picture)
        yield from self._ready()

    def flush(self) -> Iterator[Any]:
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                yield self._graph.vpull()
            except self._again:
                return


def _square_size(look: Look) -> tuple[int, int]:
    """Size in square pixels: the short side is stretched, so that no detail is lost."""
    if look.square:
        return look.width, look.height
    if look.aspect > 1:
        return round(look.width * look.aspect), look.height
    return look.width, round(look.height / look.aspect)


def _plane(plane: Any) -> U8:
    """(H, W) view of one plane; rows are strided by the decoder's line size."""
    line = plane.line_size
    view: U8 = np.frombuffer(plane, np.uint8)[: line * plane.height].reshape(plane.height, line)[:, : plane.width]
    return view


def _open(av: Any, target: str | BinaryIO, options: OpenOptions) -> Any:
    timeout = None if options.open_s is None else (options.open_s, options.read_s)
    try:
        return av.open(
            target,
            format=options.demuxer,
            options=dict(options.container or {}),
            timeout=timeout,
            metadata_errors="ignore",
        )
    except (av.error.FileNotFoundError, FileNotFoundError) as fault:
        raise VideoFault("missing", _reason(fault)) from fault
    except (av.error.PermissionError, PermissionError) as fault:
        raise VideoFault("denied", _reason(fault)) from fault
    except (av.error.FFmpegError, OSError, ValueError) as fault:
        raise VideoFault("not-video", _reason(fault)) from fault


def _best_stream(container: Any) -> Any:
    """The video stream to watch; cover pictures of sound files do not count."""
    watched = [s for s in container.streams.video if not _is_cover(s)]
    if not watched:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise VideoFault("no-video-stream", f"streams found: {kinds}")
    if any(s.codec_context is None for s in watched):
        raise VideoFault("not-video", "no decoder for its video codec")
    return max(watched, key=lambda s: s.codec_context.width * s.codec_context.height)


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in str(stream.disposition).lower()


def _reason(fault: BaseException) -> str:
    return str(getattr(fault, "strerror", None) or fault)
