"""Which TensorRT plans a configuration's workers open."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device.config.model import Vision
from device.recognition import plans_needed
from device.recognition.plans_needed import needed_plans


def config(*sources: str, **vision: Any) -> Any:
    """The parts of a configuration that are read."""
    return SimpleNamespace(vision=Vision(**vision), cameras=[SimpleNamespace(source=source) for source in sources])


def sizes(found: Any) -> set[tuple[str, int, int, tuple[int, int] | None]]:
    return {(card.role, profile.height, profile.width, profile.frame) for card, profile in found.plans}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "auto"])
def test_a_cpu_backend_needs_no_plans(backend: str) -> None:
    found = needed_plans(config("rtsp://10.0.0.20/1", backend=backend))
    assert found.plans == ()
    assert found.backend.partition(":")[0] in ("openvino", "onnxruntime")


def test_a_network_camera_needs_second_look_recogniser_and_detectors_of_the_usual_sizes() -> None:
    found = needed_plans(config("rtsp://10.0.0.20/1", "rtsp://10.0.0.21/1", backend="tensorrt:fp16"))
    assert found.backend == "tensorrt:fp16"
    assert sizes(found) == {
        ("detector", 128, 128, None),
        ("recogniser", 112, 112, None),
        ("detector", 352, 640, None),
        ("detector", 544, 960, None),
        ("detector", 704, 1280, None),
    }
    assert len(found.plans) == 5, "two cameras share their plans"


def test_a_camera_of_the_board_needs_plans_for_whole_frames_and_those_that_are_verified_first() -> None:
    found = needed_plans(config("csi://0", backend="tensorrt:fp16", models_dir=Path("/models")))
    frame = plans_needed.BOARD_FRAME
    assert sizes(found) == {
        ("detector", 128, 128, None),
        ("recogniser", 112, 112, None),
        ("detector", 128, 128, frame),
        ("recogniser", 112, 112, frame),
        ("detector", 352, 640, frame),
    }
    assert found.models == Path("/models")


def test_a_pair_needs_both_recognisers_and_a_greater_least_face_a_smaller_detector() -> None:
    pair = config("rtsp://10.0.0.20/1", backend="tensorrt:fp16", screen="face-reidentification-retail-0095")
    assert {card.name for card, _ in needed_plans(pair).plans if card.role == "recogniser"} == {
        "sface-2021dec",
        "face-reidentification-retail-0095",
    }
    far = needed_plans(config("rtsp://10.0.0.20/1", backend="tensorrt:fp16", min_face_px=64))
    assert ("detector", 256, 480, None) in sizes(far)
