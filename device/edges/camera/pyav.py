"""The one module that imports PyAV: opens containers and picture files, decodes them, returns frames.

1. A packet that does not decode is counted and skipped; decoding goes on.
2. A picture of which data was lost is delivered and marked, and so are those predicted from it, up to the next key
   frame. The decoder detects lost slices only where it does not decode several of them at once (libavcodec, h264:
   no error resilience with slice threads), so low latency means one thread.
3. Only the named file or address is opened: protocols are on an allow list, so that a playlist in place of a video
   cannot open others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from device.domain.sight import Damage, Frame
from device.domain.time import MediaNs
from device.edges.camera.normaliser import Normaliser
from device.edges.camera.timeline import Timeline

MAX_FAILED_READS = 200
"""Consecutive demuxer errors after which the rest of a file is given up."""
MAX_DAMAGED_PACKETS = 64
"""Marked packets whose picture is still to come: more than any decoder holds back."""
_STILL_CODECS = (
    (b"\xff\xd8\xff", "mjpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"RIFF", "webp"),
    (b"P5", "pgm"),
    (b"P6", "ppm"),
)
"""First bytes of a picture file and the decoder for it."""


class VideoFault(Exception):
    """What PyAV could not do. `what` is one of: missing, denied, not-video, no-video-stream, lost, refused."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what
        self.text = text


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open. `low_latency`: one thread, no demuxer buffering; deadlines in seconds, None for none."""

    decode_threads: int
    low_latency: bool = False
    container: Mapping[str, str] | None = None
    demuxer: str | None = None
    open_s: float | None = None
    read_s: float | None = None


def preload() -> None:
    """Load the library and open a decoder once: afterwards it reads no further file or setting."""
    import av

    av.CodecContext.create("h264", "r").open()


class Video:
    """One open container and its best video stream; one owner thread.

    skipped_packets  packets that did not decode;  notes  grows as corrections are met
    damaged          pictures so far by the damage they had
    """

    def __init__(self, target: str, options: OpenOptions) -> None:
        import av

        self._av: Any = av
        self._container = _open(av, target, options)
        try:
            self._stream = _best_stream(self._container)
        except VideoFault:
            self._container.close()
            raise
        context = self._stream.codec_context
        context.thread_count = 1 if options.low_latency else options.decode_threads  # rule 2
        context.thread_type = "SLICE" if options.low_latency else "AUTO"
        if options.low_latency:
            context.options = {**context.options, "flags": "low_delay"}
        self._rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        self._timeline = Timeline(self._rate)
        self._normaliser = Normaliser(av)
        self.skipped_packets = 0
        self.damaged: Counter[Damage] = Counter()
        self._reference_damaged = False
        self._damaged_packets: set[int] = set()
        self._stated = (int(self._stream.frames) or None, (context.width, context.height))

    @property
    def rate_hz(self) -> float | None:
        return float(self._rate) if self._rate else None

    @property
    def frame_count(self) -> int | None:
        return self._stated[0]

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height that the stream states, before any correction."""
        if self._stream is not None:
            self._stated = (self._stated[0], (self._stream.codec_context.width, self._stream.codec_context.height))
        return self._stated[1]

    @property
    def notes(self) -> list[str]:
        return self._normaliser.notes

    @property
    def repaired_times(self) -> int:
        return self._timeline.repaired

    def frames(self) -> Iterator[Frame]:
        """Decode to the end. Raises VideoFault("lost") when reading fails for good; a bad packet is only counted."""
        for picture in self._pictures():
            at = self._timeline.at(_seconds(picture.pts, picture), _seconds(picture.dts, picture))
            aspect = self._stream.sample_aspect_ratio if self._stream is not None else None
            yield from self._normaliser.push(picture, at, aspect, self._damage_of(picture))
        yield from self._normaliser.drain()

    def close(self) -> None:
        """Free the decoder and its pictures; the stream's properties stay available."""
        self._normaliser = Normaliser(self._av)
        self._container.close()
        self._stream = None  # the decoder is the stream's: nothing else holds it

    def _damage_of(self, picture: Any) -> Damage:
        """Pictures in presentation order; a damaged packet is skipped and counted (rule 2)."""
        if picture.is_corrupt or picture.pts in self._damaged_packets:
            self._damaged_packets.discard(picture.pts)
            damage = Damage.PICTURE
        else:
            self._reference_damaged = self._reference_damaged and not picture.key_frame
            damage = Damage.REFERENCE if self._reference_damaged else Damage.NONE
        self._reference_damaged = damage is not Damage.NONE
        self.damaged[damage] += damage is not Damage.NONE
        return damage

    def _note_damage(self, packet: Any) -> None:
        """A demuxer marks the packet beside which others are missing; the decoder does not look at the mark."""
        if packet.is_corrupt and packet.pts is not None and len(self._damaged_packets) < MAX_DAMAGED_PACKETS:
            self._damaged_packets.add(packet.pts)
        elif packet.is_corrupt:
            self._reference_damaged = True

    def _pictures(self) -> Iterator[Any]:
        """Decoded pictures in presentation order; rule 1."""
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
            self._note_damage(packet)
            try:
                pictures = packet.decode()
            except self._av.error.EOFError:
                return
            except self._av.error.FFmpegError:
                self.skipped_packets += 1
                self._reference_damaged = True
                continue
            yield from pictures


class Stills:
    """Decodes picture files one by one into frames of one stream; one owner thread."""

    def __init__(self) -> None:
        import av

        self._av: Any = av
        self._normaliser = Normaliser(av)

    @property
    def notes(self) -> list[str]:
        return self._normaliser.notes

    def frame(self, encoded: bytes, at: MediaNs) -> Frame:
        """The picture in a file's bytes; VideoFault("not-video") when it is none."""
        codec = next((codec for magic, codec in _STILL_CODECS if encoded.startswith(magic)), None)
        if codec is None:
            raise VideoFault("not-video", "its first bytes are no picture format")
        context = self._av.CodecContext.create(codec, "r")
        context.thread_count = 1
        try:
            pictures = [*context.decode(self._av.Packet(encoded)), *context.decode(None)]
        except self._av.error.FFmpegError as fault:
            raise VideoFault("not-video", _reason(fault)) from fault
        if not pictures:
            raise VideoFault("not-video", "nothing in it decodes")
        frames = list(self._normaliser.push(pictures[0], at, None))
        return frames[0] if frames else next(self._normaliser.drain())

    def close(self) -> None:
        self._normaliser = Normaliser(self._av)


def _open(av: Any, target: str, options: OpenOptions) -> Any:
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


def _seconds(ticks: int | None, picture: Any) -> Fraction | None:
    """A time of the picture, in seconds."""
    return None if ticks is None or picture.time_base is None else Fraction(ticks * picture.time_base)


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in str(stream.disposition).lower()


def _reason(fault: BaseException) -> str:
    return str(getattr(fault, "strerror", None) or fault)
