"""Alignment in the network against the CPU's warp: the same templates, on real faces, near and far, several at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from device.domain.sight import Face
from device.vision.align import TEMPLATE, align_rgb, to_template
from engines.alignment import crop_to_frame, write_aligned
from engines.cards import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, card
from engines.compare import difference
from engines.errors import BadInput, BadModel
from engines.manifest import verified
from engines.select import open_runner

SFACE = card(RECOGNISER_DEFAULT)
FRAME = (360, 480)


def session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def aligned(models_ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    target = tmp_path_factory.mktemp("aligned") / "aligned.onnx"
    write_aligned(SFACE, verified(SFACE, models_ready)[0], target, FRAME)
    return session(target)


@pytest.fixture(scope="module")
def frame(samples: Callable[[str], list[Path]]) -> np.ndarray:
    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    picture = cv2.imread(str(photo))
    return np.ascontiguousarray(cv2.resize(picture, FRAME[::-1], interpolation=cv2.INTER_AREA)[:, :, ::-1])


def face(scale: float, turn: float, at: tuple[float, float]) -> Face:
    """Landmarks as the template's, turned (degrees), `scale` frame pixels a crop pixel, centred at `at`."""
    angle = np.deg2rad(turn)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE - TEMPLATE.mean(0)) @ rotation.T + at
    return Face(np.zeros(4, np.float32), points.astype(np.float32), 1.0)


FACES = [face(0.5, 0, (240, 150)), face(0.9, 20, (230, 160)), face(1.4, -15, (250, 170)), face(1.9, 5, (240, 180))]
OVER_THE_EDGE = face(1.0, 10, (20, 30))


def cpu(models: Path, frame: np.ndarray, faces: list[Face]) -> np.ndarray:
    runner = open_runner(SFACE, backend="onnxruntime", threads=1, models=models)
    try:
        return np.concatenate([runner.run(align_rgb(frame, one)[None])["template"].copy() for one in faces])
    finally:
        runner.close()


def matrices(faces: list[Face]) -> np.ndarray:
    return crop_to_frame(np.stack([to_template(one.landmarks) for one in faces]))


def test_templates_are_those_of_the_cpus_warp_for_all_faces_of_a_frame_at_once(
    aligned: Any, models_ready: Path, frame: np.ndarray
) -> None:
    faces = [*FACES, OVER_THE_EDGE]
    (found,) = aligned.run(["template"], {"frame": frame[None], "matrices": matrices(faces)})
    expected = cpu(models_ready, frame, faces)
    assert found.shape == (5, 128)
    cosines = [float(np.round(difference(a, b).min_cosine, 5)) for a, b in zip(expected, found, strict=True)]
    assert min(*cosines[:3], cosines[4]) > 0.999, cosines  # not shrunk: the CPU's arithmetic
    assert cosines[3] > 0.97, cosines  # shrunk: four samples a pixel stand for area averaging


def test_a_face_alone_gets_the_template_that_it_gets_among_others(aligned: Any, frame: np.ndarray) -> None:
    (together,) = aligned.run(["template"], {"frame": frame[None], "matrices": matrices(FACES)})
    for number, one in enumerate(FACES):
        (alone,) = aligned.run(["template"], {"frame": frame[None], "matrices": matrices([one])})
        np.testing.assert_allclose(alone[0], together[number], atol=1e-3)


def test_a_shift_of_one_pixel_is_one_pixel(models_ready: Path, tmp_path: Path, frame: np.ndarray) -> None:
    """No half pixel is lost between the two conventions: moved frame and moved matrix give the same template."""
    target = tmp_path / "one_tap.onnx"
    write_aligned(SFACE, verified(SFACE, models_ready)[0], target, FRAME, taps=1)
    one = session(target)
    moved = np.roll(frame, (3, 7), axis=(0, 1))
    there = matrices(FACES[:2])
    here = there + np.array([[0, 0, 7, 0, 0], [0, 0, 3, 0, 0]], np.float32)
    first = one.run(["template"], {"frame": frame[None], "matrices": there})[0]
    second = one.run(["template"], {"frame": moved[None], "matrices": here})[0]
    np.testing.assert_allclose(first, second, atol=2e-3)


def test_the_fp16_recogniser_is_taken_as_it_is(models_ready: Path, tmp_path: Path, frame: np.ndarray) -> None:
    target = tmp_path / "half.onnx"
    write_aligned(SFACE, verified(SFACE, models_ready, "fp16")[0], target, FRAME)
    found = session(target).run(["template"], {"frame": frame[None], "matrices": matrices(FACES[:1])})[0]
    assert difference(cpu(models_ready, frame, FACES[:1]), found).min_cosine > 0.99


def test_only_operators_that_tensorrt_has_are_used_and_the_frame_is_the_first_input(
    models_ready: Path, tmp_path: Path
) -> None:
    import onnx

    target = tmp_path / "aligned.onnx"
    write_aligned(SFACE, verified(SFACE, models_ready)[0], target, FRAME)
    graph = onnx.load(str(target)).graph
    assert [one.name for one in graph.input] == ["frame", "matrices"]
    known = {"Cast", "Transpose", "MatMul", "Mul", "Sub", "Add", "Reshape", "GridSample", "AveragePool"}
    known |= {"Conv", "Relu", "Gemm", "Flatten"}
    assert {node.op_type for node in graph.node} <= known


def test_matrices_are_turned_round_exactly() -> None:
    to_crop = np.stack([to_template(one.landmarks) for one in FACES])
    back = crop_to_frame(to_crop)
    for forth, inverse in zip(to_crop, back, strict=True):
        there = np.array([*(inverse[:, :3] @ [10.0, 20.0, 1.0]), 1.0])
        np.testing.assert_allclose(forth @ there, [10, 20], atol=1e-3)
    assert not back[0, :, 3:].any()
    np.testing.assert_array_equal(back[3, :, 3:], back[3, :, :2])


def test_what_cannot_be_aligned_is_refused(models_ready: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="invertible"):
        crop_to_frame(np.zeros((1, 2, 3), np.float32))
    with pytest.raises(BadModel, match="no aligned crops"):
        write_aligned(card(DETECTOR_DEFAULT), tmp_path / "x", tmp_path / "y", FRAME)
    target = tmp_path / "twice.onnx"
    write_aligned(SFACE, verified(SFACE, models_ready)[0], target, FRAME)
    with pytest.raises(BadModel, match="a Cast and a Transpose expected"):
        write_aligned(SFACE, target, tmp_path / "again.onnx", FRAME)
