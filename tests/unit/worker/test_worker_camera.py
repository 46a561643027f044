"""What the lock-down leaves for each kind of source."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from msgspec import structs

from device.wire.link import VisionAssignment
from device.worker.camera import needs_of
from device.worker.lockdown import Camera
from tests.device_apis.fake_jetson_utils import Library

ON_CPU = VisionAssignment(backend="onnxruntime", min_face_px=32.0, threshold=None, models_dir="/m")
MODELS = Path("/m")
V4L2 = "v4l2:///dev/video0"


def test_a_csi_camera_needs_devices_and_its_daemon(jetson: Library) -> None:
    assert needs_of("csi://0", ON_CPU) == Camera(reads=(MODELS,), devices=True, local_service=True)


def test_a_v4l2_camera_needs_its_device_with_every_reader(jetson: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = Camera(reads=(MODELS, Path("/dev/video0")), devices=True)
    assert needs_of(V4L2, ON_CPU) == needs
    monkeypatch.setitem(sys.modules, "jetson_utils", None)
    assert needs_of(V4L2, ON_CPU) == needs


def test_a_network_camera_needs_its_port_and_a_recording_itself() -> None:
    assert needs_of("rtsp://10.0.0.9/1", ON_CPU) == Camera(reads=(MODELS,), ports=(554,))
    assert needs_of("/clips/a.mp4", ON_CPU) == Camera(reads=(MODELS, Path("/clips/a.mp4")))


@pytest.mark.parametrize("source", ["csi://0", "rtsp://10.0.0.9/1", "/clips/a.mp4"])
def test_on_a_gpu_plans_are_read_after_the_lock_down_too(
    source: str, jetson: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    on_gpu = structs.replace(ON_CPU, backend="tensorrt:fp16")
    needs, on_cpu = needs_of(source, on_gpu), needs_of(source, ON_CPU)
    assert set(needs.reads) - set(on_cpu.reads) == {tmp_path / "plans"}
    assert needs.devices
