"""Builders of recordings as bad links and old recorders leave them, painted as in videos.py."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from tests.replay import videos

VOP = b"\0\0\1\xb6"
PACKED_MARK = b"\0\0\1\xb2DivX503b1393p\0"
"""User data by which a decoder knows that a packet may hold two pictures."""
NOT_CODED = VOP + b"\x51\x01\x7f"
"""A P picture that repeats the last one (ISO/IEC 14496-2, 6.2.5, vop_coded 0): fills the place of the one packed."""
SIZE = (320, 240)


def packed_b_frames(path: Path, *, frames: int = 60) -> Path:
    """MPEG-4 part 2 in AVI as DivX packed it: each P picture and the B picture before it share a packet.

    AVI states no presentation times; what a demuxer makes of these runs back at every third picture.
    """
    path = path.with_suffix(".avi")
    pictures = _mpeg4(frames)
    packets: list[bytes] = []
    while pictures:
        behind = next((n for n, one in enumerate(pictures[1:], 1) if _kind(one) != "B"), len(pictures))
        group, pictures = pictures[:behind], pictures[behind:]
        packets += group if len(group) == 1 else [group[0] + group[1], *group[2:], NOT_CODED]
    at = packets[0].index(VOP)
    packets[0] = packets[0][:at] + PACKED_MARK + packets[0][at:]
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        out.start_encoding()
        for n, content in enumerate(packets):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, stream.time_base
            packet.pts = packet.dts = n
            packet.is_keyframe = _kind(content) == "I"
            out.mux(packet)
    return path


def lost_slices(path: Path, *, lost: frozenset[tuple[int, int]], frames: int = 40, key_every: int = 250) -> Path:
    """A bare H.264 stream, four slices a picture, without the slices (picture, slice) that are `lost`."""
    path = path.with_suffix(".h264")
    kept: list[bytes] = []
    for n, content in enumerate(_h264(frames, key_every)):
        slices = -1
        for unit in content.split(b"\0\0\1")[1:]:
            slices += unit[0] & 31 in (1, 5)
            if unit[0] & 31 not in (1, 5) or (n, slices) not in lost:
                kept.append(b"\0\0\1" + unit)
    path.write_bytes(b"".join(kept))
    return path


def _mpeg4(frames: int) -> list[bytes]:
    """Pictures in coding order, two B pictures between others."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"bf": "2", "g": "30", "qscale": "3"}
    encoder.max_b_frames = 2
    return _encoded(encoder, frames)


def _h264(frames: int, key_every: int) -> list[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    how = f"slices=4:sliced-threads=0:keyint={key_every}:scenecut=0:bframes=0:ref=1"
    encoder.options = {"preset": "veryfast", "x264-params": how}
    return _encoded(encoder, frames)


def _encoded(encoder: av.VideoCodecContext, frames: int) -> list[bytes]:
    packets: list[bytes] = []
    for n in range(frames):
        frame = av.VideoFrame.from_ndarray(videos.picture(n, *SIZE), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = n, Fraction(1, 25)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets + [bytes(packet) for packet in encoder.encode(None)]


def _kind(content: bytes) -> str:
    """vop_coding_type of the first picture of a packet (ISO/IEC 14496-2, table 6-20)."""
    return "IPBS"[content[content.index(VOP) + 4] >> 6]
