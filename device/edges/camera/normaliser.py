"""Decoded pictures into frames: views where the planes will do, otherwise through one libavfilter graph.

1. A picture whose planes are already a Frame's is passed on as views of the decoder's memory, without a copy.
2. Every other picture goes through a graph (bwdif, scale, format, transpose), rebuilt only when its look changes;
   one picture in is one frame out, in order.
3. Once a picture was flagged interlaced the deinterlacer stays; it passes progressive pictures as they are.

PyAV is handed in by `pyav`, the module that imports it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from device.domain.sight import U8, ColourMatrix, Damage, Frame, Planes
from device.domain.time import MediaNs, MonotonicNs
from device.edges.camera.timeline import Look, is_full_range, matrix_of, plausible, quarter_turns

_TURN = {-90: (("transpose", "clock"),), 90: (("transpose", "cclock"),), 180: (("hflip", None), ("vflip", None))}
_SWS_MATRIX = {ColourMatrix.BT601: "bt601", ColourMatrix.BT709: "bt709", ColourMatrix.BT2020: "bt2020"}


class Normaliser:
    """Turns decoded pictures into frames and numbers them; one owner thread. `notes` lists the corrections."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._graph: _Graph | None = None
        self._deinterlacing = False
        self._pending: deque[tuple[MediaNs, Damage]] = deque()
        self._index = 0
        self.notes: list[str] = []

    def push(self, picture: Any, at: MediaNs, aspect: Fraction | None, damage: Damage = Damage.NONE) -> Iterator[Frame]:
        """Frames that are ready after this picture; a deinterlacer holds one back."""
        look = self._look(picture, aspect)
        if self._graph is not None and self._graph.look != look:
            yield from self.drain()
        if look.direct:
            yield self._frame(picture, (at, damage), look)
            return
        if self._graph is None:
            self._graph = _Graph(self._av, look)
            self.notes.extend(n for n in look.notes() if n not in self.notes)
        self._pending.append((at, damage))
        for ready in self._graph.push(picture):
            yield self._frame(ready, self._pending.popleft(), look)

    def drain(self) -> Iterator[Frame]:
        """The graph's remaining frames; call at the end of the stream."""
        graph, self._graph = self._graph, None
        if graph is not None:
            for ready in graph.flush():
                if self._pending:
                    yield self._frame(ready, self._pending.popleft(), graph.look)
            self._pending.clear()

    def _look(self, picture: Any, aspect: Fraction | None) -> Look:
        layout = picture.format.name
        width, height = picture.width, picture.height
        self._deinterlacing = self._deinterlacing or picture.interlaced_frame
        return Look(
            width=width,
            height=height,
            layout=layout,
            rotation=quarter_turns(picture.rotation),
            interlaced=self._deinterlacing,
            aspect=plausible(aspect),
            matrix=matrix_of(int(picture.colorspace), width, height),
            full_range=is_full_range(int(picture.color_range), layout),
        )

    def _frame(self, picture: Any, when: tuple[MediaNs, Damage], look: Look) -> Frame:
        index, self._index = self._index, self._index + 1
        y, u, v = (_plane(plane) for plane in picture.planes[:3])
        picture = Planes(y, u, v, look.matrix, look.full_range)
        return Frame(index, when[0], MonotonicNs(time.monotonic_ns()), picture, when[1])


class _Graph:
    """Brings pictures of one look upright, progressive, square and planar 8-bit 4:2:0."""

    def __init__(self, av: Any, look: Look) -> None:
        self.look = look
        self._drained = (av.error.BlockingIOError, av.error.EOFError)
        self._graph = av.filter.Graph()
        nodes = [self._graph.add(name, **settings) for name, settings in _steps(look)]
        self._graph.link_nodes(*nodes)
        self._graph.configure()

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
            except self._drained:
                return


def _steps(look: Look) -> Iterator[tuple[str, dict[str, str]]]:
    """Filters and their settings (ffmpeg-filters(1)); matrix and range are stated on both sides, never guessed."""
    yield (
        "buffer",
        {
            "video_size": f"{look.width}x{look.height}",
            "pix_fmt": look.layout,
            "time_base": "1/1000",
            "pixel_aspect": "1/1",
        },
    )
    if look.interlaced:
        yield "bwdif", {"mode": "send_frame", "deint": "interlaced"}
    width, height = look.square_size()
    matrix, span = _SWS_MATRIX[look.matrix], "pc" if look.full_range else "tv"
    size = {"w": str(width), "h": str(height), "flags": "bicubic+accurate_rnd"}
    out = {"out_color_matrix": matrix, "out_range": span}
    yield "scale", {**size, **out, **({} if look.is_rgb else {"in_color_matrix": matrix, "in_range": span})}
    yield "format", {"pix_fmts": "yuv420p"}
    for name, direction in _TURN.get(look.rotation, ()):
        yield name, {"dir": direction} if direction else {}
    yield "buffersink", {}


def _plane(plane: Any) -> U8:
    """(H, W) view of one plane; rows are strided by the decoder's line size."""
    line = plane.line_size
    view: U8 = np.frombuffer(plane, np.uint8)[: line * plane.height].reshape(plane.height, line)[:, : plane.width]
    return view
