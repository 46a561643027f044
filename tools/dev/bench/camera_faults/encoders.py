"""The encoders of cameras, by name: what they are called in FFmpeg, and a camera's settings for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from device.domain.sight import U8


@dataclass(frozen=True)
class Encoder:
    """codec, options: FFmpeg's. A camera sends no picture out of order, and looks ahead at none."""

    codec: str
    layout: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)


def _h264(gop: int) -> Encoder:
    return Encoder("libx264", options={"g": str(gop), "bf": "0", "preset": "veryfast", "tune": "zerolatency"})


def _h265(gop: int) -> Encoder:
    parameters = f"keyint={gop}:min-keyint={gop}:bframes=0:log-level=none"
    return Encoder("libx265", options={"x265-params": parameters, "preset": "ultrafast", "tune": "zerolatency"})


ENCODERS: dict[str, Encoder] = {
    "H.264 GOP 10": _h264(10),
    "H.264 GOP 50": _h264(50),
    "H.264 GOP 250": _h264(250),
    "H.265 GOP 10": _h265(10),
    "H.265 GOP 50": _h265(50),
    "H.265 GOP 250": _h265(250),
    "MJPEG": Encoder("mjpeg", "yuvj420p", {"qmin": "4", "qmax": "4"}),
}


def encode(pictures: Iterable[U8], rate: float, encoder: Encoder, out: Path) -> None:
    """Write a Matroska file."""
    import av

    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with av.open(str(out), "w", format="matroska") as container:
        stream = None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            if stream is None:
                step = Fraction(rate).limit_denominator(1001)
                stream = container.add_stream(encoder.codec, rate=step, options=dict(encoder.options))
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, encoder.layout
            container.mux(stream.encode(frame.reformat(format=encoder.layout)))
        if stream is not None:
            container.mux(stream.encode(None))
