"""Builders of odd and broken recordings, made with PyAV while a test runs.

Every builder takes the path to write and returns it. The pictures of a good recording say what they are, so that a
test can see that none was lost, turned or squeezed:

1. The top row of blocks carries the picture's number, 10 bits, most significant at the left (`index_in`).
2. The upright top left corner below that row is bright, the other three corners are dark (`upright`).
3. A disc in the middle is round where pixels are square.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Paint = Callable[[int, int, int], Picture]

INDEX_BITS = 10
BLOCK_ROWS = 8
"""The index row is one eighth of the height, so it survives small pictures, chroma subsampling and compression."""

BRIGHT, DARK = 215, 40


def picture(index: int, width: int, height: int) -> Picture:
    """(height, width, 3) uint8 RGB of picture `index`, as the module's rules 1 to 3 say."""
    canvas = np.full((height, width, 3), 110, np.uint8)
    canvas[:, :, 2] = np.linspace(60, 180, width, dtype=np.uint8)[None, :]
    row = height // BLOCK_ROWS
    edges = np.linspace(0, width, INDEX_BITS + 1).astype(int)
    for bit in range(INDEX_BITS):
        on = index >> (INDEX_BITS - 1 - bit) & 1
        canvas[:row, edges[bit] : edges[bit + 1]] = BRIGHT if on else DARK
    corner_h, corner_w = height // 5, width // 5
    canvas[row : row + corner_h, :corner_w] = BRIGHT
    canvas[row : row + corner_h, -corner_w:] = DARK
    canvas[-corner_h:, :corner_w] = DARK
    canvas[-corner_h:, -corner_w:] = DARK
    cv2.circle(canvas, (width // 2, height // 2), min(width, height) // 6, (200, 60, 60), -1)
    return canvas


def index_in(luma: NDArray[np.uint8]) -> int:
    """The number that an upright picture's (H, W) luma carries (rule 1)."""
    height, width = luma.shape
    row = luma[: height // BLOCK_ROWS]
    edges = np.linspace(0, width, INDEX_BITS + 1).astype(int)
    number = 0
    for bit in range(INDEX_BITS):
        block = row[row.shape[0] // 4 : -row.shape[0] // 4 or None, edges[bit] + 1 : edges[bit + 1] - 1]
        number = number << 1 | int(block.mean() > (BRIGHT + DARK) / 2)
    return number


def upright(luma: NDArray[np.uint8]) -> bool:
    """Whether the bright corner is at the top left and only there (rule 2)."""
    height, width = luma.shape
    row, corner_h, corner_w = height // BLOCK_ROWS, height // 5, width // 5
    corners = (
        luma[row : row + corner_h, :corner_w],
        luma[row : row + corner_h, -corner_w:],
        luma[-corner_h:, :corner_w],
        luma[-corner_h:, -corner_w:],
    )
    bright = [bool(c.mean() > 130) for c in corners]
    return bright == [True, False, False, False]


def recording(path: Path, *, frames: int = 25, size: tuple[int, int] = (320, 240), **how: Any) -> Path:
    """A good recording; `how` goes to `_write` (codec, pix_fmt, rate, options, paint, times_ms, sar, container)."""
    return _write(path, frames=frames, size=size, **how)


def portrait(path: Path) -> Path:
    """Taller than wide, no rotation flag: 25 pictures of 240x320."""
    return _write(path, size=(240, 320))


def rotated_by_flag(path: Path, degrees_clockwise: int = 90) -> Path:
    """Stored lying, flagged to be turned for display: upright it is 240x320 (90, 270) or 320x240 (180).

    The flag is the display matrix of the mp4 track header (ISO/IEC 14496-12, 8.3.2), patched into the file.
    """
    turns = degrees_clockwise // 90

    def lying(index: int, width: int, height: int) -> Picture:
        shown = (height, width) if turns % 2 else (width, height)
        return np.ascontiguousarray(np.rot90(picture(index, *shown), turns))

    _write(path, size=(320, 240), paint=lying)
    one = 1 << 16
    matrix = {
        90: (0, one, 0, -one, 0, 0, 240 * one, 0, 1 << 30),
        180: (-one, 0, 0, 0, -one, 0, 320 * one, 240 * one, 1 << 30),
        270: (0, -one, 0, one, 0, 0, 0, 320 * one, 1 << 30),
    }[degrees_clockwise]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(bytes(data))
    return path


def variable_rate(path: Path) -> Path:
    """25 pictures at `variable_times_ms`: bursts at 50 a second, gaps of up to 700 ms."""
    return _write(path, times_ms=variable_times_ms())


def variable_times_ms() -> list[int]:
    """Presentation times of `variable_rate`, from 0."""
    steps = [20, 20, 20, 40, 300, 40, 20, 700, 33, 33, 34, 40, 40, 100, 20, 20, 20, 20, 250, 40, 40, 40, 40, 40]
    return [0, *np.cumsum(steps).tolist()]


def late_start(path: Path) -> Path:
    """First presentation time is 5 s after the container's zero."""
    return _write(path, times_ms=[5000 + 40 * n for n in range(25)])


def ten_bit(path: Path) -> Path:
    """H.264 High 10, yuv420p10le."""
    return _write(path, pix_fmt="yuv420p10le")


def full_chroma(path: Path) -> Path:
    """H.264 High 4:4:4 Predictive, yuv444p."""
    return _write(path, pix_fmt="yuv444p")


def half_chroma(path: Path) -> Path:
    """H.264 High 4:2:2, yuv422p."""
    return _write(path, pix_fmt="yuv422p")


def grey(path: Path) -> Path:
    """Monochrome: FFV1 in Matroska, gray."""
    return _write(path.with_suffix(".mkv"), codec="ffv1", pix_fmt="gray")


def rgb(path: Path) -> Path:
    """RGB pictures, no YUV at all: H.264 High 4:4:4 in Matroska, gbrp."""
    return _write(path.with_suffix(".mkv"), codec="libx264rgb", pix_fmt="rgb24")


def interlaced(path: Path) -> Path:
    """Flagged top field first: the two fields of a frame are 1/50 s apart and show different positions of a bar."""

    def woven(index: int, width: int, height: int) -> Picture:
        fields = []
        for half in (0, 1):
            field = picture(index, width, height)
            at = (2 * index + half) * 5 % (width - 20)
            field[height // 2 - 20 : height // 2 + 20, at : at + 20] = 250
            fields.append(field)
        fields[0][1::2] = fields[1][1::2]
        return fields[0]

    return _write(path, paint=woven, options={"x264-params": "tff=1", "flags": "+ilme+ildct"})


def wide_pixels(path: Path) -> Path:
    """Sample aspect ratio 4:3: stored 240x240, meant to be seen as 320x240."""

    def squeezed(index: int, width: int, height: int) -> Picture:
        return np.asarray(cv2.resize(picture(index, width * 4 // 3, height), (width, height)), np.uint8)

    return _write(path, size=(240, 240), paint=squeezed, sar=Fraction(4, 3))


def odd_size(path: Path) -> Path:
    """Width and height odd: 321x241, MPEG-4 part 2, yuv420p."""
    return _write(path, size=(321, 241), codec="mpeg4", options={"qscale": "3"})


def tiny(path: Path) -> Path:
    """16x16, smaller than any face; too small to read a number from."""
    return _write(path, size=(16, 16), codec="mpeg4")


def one_frame(path: Path) -> Path:
    """A recording of a single picture."""
    return _write(path, frames=1)


def motion_jpeg(path: Path) -> Path:
    """MJPEG in AVI, full range yuvj420p."""
    return _write(path.with_suffix(".avi"), codec="mjpeg", pix_fmt="yuvj420p", options={"qscale": "3"})


def hevc(path: Path) -> Path:
    """H.265, 8 bit."""
    return _write(path, codec="libx265", options={"x265-params": "log-level=none"})


def size_change(path: Path, *, after: int = 10) -> Path:
    """MPEG-TS whose H.264 stream goes from 320x240 (15 pictures) to 480x360 (`after` pictures), index running on."""
    path = path.with_suffix(".ts")
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        out.start_encoding()
        for size, numbers in (((320, 240), range(15)), ((480, 360), range(15, 15 + after))):
            for packet in _annex_b(size, numbers):
                packet.stream = stream
                out.mux(packet)
    return path


def size_change_raw(path: Path) -> Path:
    """The same change in a bare annex-B file (.h264): no container, no timestamps."""
    path = path.with_suffix(".h264")
    parts = ((320, 240), range(15)), ((480, 360), range(15, 25))
    path.write_bytes(b"".join(bytes(p) for size, numbers in parts for p in _annex_b(size, numbers)))
    return path


def numbered_images(folder: Path, *, frames: int = 12, suffix: str = ".jpg", first: int = 1) -> Path:
    """A folder `frame_8.jpg, frame_9.jpg, frame_10.jpg …`: text order differs from the order of the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(frames):
        cv2.imwrite(str(folder / f"frame_{first + n}{suffix}"), picture(n, 320, 240)[:, :, ::-1])
    return folder


def images_of_two_sizes(folder: Path) -> Path:
    """A folder of numbered images whose last four are larger than the others."""
    numbered_images(folder)
    for n in range(8, 12):
        cv2.imwrite(str(folder / f"frame_{n + 1}.jpg"), picture(n, 480, 360)[:, :, ::-1])
    return folder


def image_among_images_broken(folder: Path) -> Path:
    """A folder of numbered images, of which the sixth holds text."""
    numbered_images(folder)
    (folder / "frame_6.jpg").write_text("not a picture")
    return folder


def truncated_without_index(path: Path) -> Path:
    """An mp4 cut in half whose index (moov) was at the end: nothing can be decoded."""
    _write(path, frames=50)
    return _cut(path, 0.5)


def truncated_in_pictures(path: Path) -> Path:
    """An mp4 with its index in front (faststart), cut at 60 %: the first pictures decode, the rest are missing."""
    _write(path, frames=50, options={"g": "5", "bf": "0"}, container_options={"movflags": "+faststart"})
    return _cut(path, 0.6)


def damaged_in_the_middle(path: Path) -> Path:
    """An MPEG-TS with 20 packets overwritten by noise in the middle; pictures before and after are whole."""
    path = _write(path.with_suffix(".ts"), frames=50, options={"g": "10"})
    data = bytearray(path.read_bytes())
    at = len(data) // 2 // 188 * 188
    data[at : at + 20 * 188] = np.random.default_rng(5).integers(0, 256, 20 * 188, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path


def empty(path: Path) -> Path:
    """Zero bytes."""
    path.write_bytes(b"")
    return path


def zero_frames(path: Path) -> Path:
    """A valid container with a video track that holds no picture."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "empty_moov"}) as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        out.start_encoding()
    return path


def audio_only(path: Path) -> Path:
    """One second of AAC and no video track, in an mp4."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        tone = (np.sin(np.arange(16000) / 16000 * 440 * 2 * np.pi) * 0.2).astype(np.float32)
        for at in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, at : at + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def text(path: Path) -> Path:
    """A text file with a video's name."""
    path.write_text("This is not a video.\n" * 50)
    return path


def noise(path: Path) -> Path:
    """64 KiB of seeded random bytes."""
    path.write_bytes(np.random.default_rng(11).integers(0, 256, 65536, dtype=np.uint8).tobytes())
    return path


def _write(
    path: Path,
    *,
    frames: int = 25,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    paint: Paint = picture,
    times_ms: list[int] | None = None,
    sar: Fraction | None = None,
) -> Path:
    """Encode painted pictures; `times_ms` replaces the constant rate and sets how many there are."""
    times = times_ms if times_ms is not None else [n * 1000 // rate for n in range(frames)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        for n, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(paint(n, *size), format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = (at, Fraction(1, 1000)) if times_ms is not None else (n, Fraction(1, rate))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _annex_b(size: tuple[int, int], numbers: range) -> Iterator[av.Packet]:
    """H.264 packets with start codes and in-band parameter sets; presentation time is number/25 s."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25, 1)
    encoder.options = {"bf": "0", "tune": "zerolatency"}
    for n in numbers:
        frame = av.VideoFrame.from_ndarray(picture(n, *size), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = n, Fraction(1, 25)
        yield from _stamped(encoder.encode(frame))
    yield from _stamped(encoder.encode(None))


def _stamped(packets: list[av.Packet]) -> Iterator[av.Packet]:
    for packet in packets:
        packet.time_base = Fraction(1, 25)
        yield packet


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
