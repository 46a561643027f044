"""The worker's camera: what the lock-down must leave for it, its opening, its pace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device.edges.camera.capture_buffer import Pace
from device.edges.camera.live import device_of, is_live, on_board, open_live, port_of
from device.edges.camera.pyav import preload
from device.edges.camera.recording import RecordedSource, recording_path
from device.enrolment.model_sessions import resolved
from device.ports.source import FrameSource
from device.vision.picture import encode_jpeg
from device.wire.link import VisionAssignment
from device.worker.lockdown import Camera, close_network
from device.worker.sealed_probe import JPEG_QUALITY
from engines.places import plans_dir
from engines.select import CPU_BACKENDS


def load_lazy_libraries() -> None:
    """Decoder and JPEG encoder open files when they are first used: here, before the lock-down, on a blank."""
    preload()
    encode_jpeg(np.zeros((8, 8, 3), np.uint8), JPEG_QUALITY)


def needs_of(source: str, vision: VisionAssignment) -> Camera:
    """What the lock-down must leave for this source and this backend.

    Engines for a frame's size are opened at the first frame: of models, or of plans on a GPU. Neither is personal.
    """
    on_gpu = resolved(vision.backend).partition(":")[0] not in CPU_BACKENDS
    engines = (Path(vision.models_dir).absolute(), *((plans_dir(),) if on_gpu else ()))
    if is_live(source):
        port, device, board = port_of(source), device_of(source), on_board(source)
        return Camera(
            reads=engines if device is None else (*engines, device),
            ports=() if port is None else (port,),
            devices=on_gpu or board or device is not None,
            local_service=board and device is None,
        )
    return Camera(reads=(*engines, recording_path(source).absolute()), devices=on_gpu)


def open_source(source: str) -> FrameSource:
    """The source, opened; no other line is opened after it."""
    if is_live(source):
        live = open_live(source)
        close_network()
        return live
    return RecordedSource(recording_path(source), decode_threads=1)


def pace_of(source: FrameSource, asked: str) -> Pace:
    """A live camera's own pace, or the one that was asked for of a recording."""
    if source.info.live:
        return "live"
    return "full" if asked == "full" else "realtime"
