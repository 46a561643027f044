"""Pictures made inside the network against those that the CPU makes: the same templates, faces and landmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from device.domain.sight import F32, U8, Face
from device.vision.align import TEMPLATE, align_rgb, to_template
from device.vision.picture import warp_rgb
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.decoding import decoded, overlap
from engines.errors import BadInput, BadModel, UnknownName
from engines.graph.onnx_graph import Node, Value, load, save
from engines.graph.sampling import Pasted, sampled, taps_of, to_frame, whole_frame
from engines.manifest import verified
from engines.prepare.custom_models import add
from engines.prepare.prepare import prepare, recipe_of
from engines.runner import DevicePicture, SampledRunner
from engines.select import open_runner, open_sampled
from engines.verify.compare import difference
from engines.verify.golden import disagreement
from engines.verify.synthetic_faces import crop, crowd

SFACE, YUNET = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
FRAME = (360, 480)


@pytest.fixture(scope="module")
def aligned(models_ready: Path) -> Iterator[SampledRunner]:
    runner = open_sampled(SFACE, backend="onnxruntime", threads=1, frame_size=FRAME, models=models_ready)
    yield runner
    runner.close()


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


def maps(faces: list[Face]) -> np.ndarray:
    return np.stack([to_template(one.landmarks) for one in faces])


def test_templates_are_those_of_the_cpus_warp_for_all_faces_of_a_frame_at_once(
    aligned: SampledRunner, models_ready: Path, frame: np.ndarray
) -> None:
    faces = [*FACES, OVER_THE_EDGE]
    found = aligned.run(frame, maps(faces))["template"]
    expected = cpu(models_ready, frame, faces)
    assert found.shape == (5, 128)
    cosines = [float(np.round(difference(a, b).min_cosine, 5)) for a, b in zip(expected, found, strict=True)]
    assert min(*cosines[:3], cosines[4]) > 0.999, cosines  # not shrunk: the CPU's arithmetic
    assert cosines[3] > 0.97, cosines  # shrunk: nine samples a pixel stand for area averaging


def test_a_face_alone_gets_the_template_that_it_gets_among_others(aligned: SampledRunner, frame: np.ndarray) -> None:
    together = aligned.run(frame, maps(FACES))["template"].copy()
    for number, one in enumerate(FACES):
        np.testing.assert_allclose(aligned.run(frame, maps([one]))["template"][0], together[number], atol=1e-3)


def test_a_shift_of_one_pixel_is_one_pixel(aligned: SampledRunner, frame: np.ndarray) -> None:
    """No half pixel is lost between the conventions: moved frame and moved map give the same template."""
    moved = np.ascontiguousarray(np.roll(frame, (3, 7), axis=(0, 1)))
    there = maps(FACES[:2])
    here = there.copy()
    here[:, :, 2] -= there[:, :, :2] @ np.array([7, 3], np.float32)
    first = aligned.run(frame, there)["template"].copy()
    np.testing.assert_allclose(aligned.run(moved, here)["template"], first, atol=2e-3)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_narrower_recogniser_is_taken_as_it_is(models_ready: Path, frame: np.ndarray, precision: str) -> None:
    narrow = open_sampled(
        SFACE, backend="onnxruntime", threads=1, frame_size=FRAME, precision=precision, models=models_ready
    )
    plain = open_runner(SFACE, backend="onnxruntime", threads=1, precision=precision, models=models_ready)
    expected = plain.run(align_rgb(frame, FACES[1])[None])["template"].copy()
    found = narrow.run(frame, maps(FACES[1:2]))["template"]
    assert difference(expected, found).min_cosine > 0.99
    plain.close()
    narrow.close()


@pytest.mark.parametrize("frame_size", [(352, 640), (720, 1280), (1080, 1920)])
def test_a_whole_frame_shows_the_detector_the_faces_that_a_scaled_picture_shows(
    models_ready: Path, frame: np.ndarray, frame_size: tuple[int, int]
) -> None:
    size = (352, 640)
    large = np.full((*frame_size, 3), 90, np.uint8)
    tall = frame_size[0] * 2 // 3
    small = cv2.resize(frame, (tall * 4 // 3, tall), interpolation=cv2.INTER_AREA)
    large[20 : 20 + tall, 30 : 30 + small.shape[1]] = small
    options: dict[str, Any] = {"backend": "onnxruntime", "threads": 1, "shape": size, "models": models_ready}
    plain, inside = open_runner(YUNET, **options), open_sampled(YUNET, frame_size=frame_size, **options)
    picture = cv2.resize(large, size[::-1], interpolation=cv2.INTER_AREA)
    scores, rows = decoded(plain.run(picture[None]), size[1], 0.5)
    found_scores, found = decoded(inside.run(large, whole_frame(frame_size, size)), size[1], 0.5)
    plain.close()
    inside.close()
    assert len(scores) == len(found_scores) == 1
    assert abs(scores[0] - found_scores[0]) < 0.02
    assert overlap(rows[0, :4], found[:, :4])[0] > 0.97
    np.testing.assert_allclose(found[0, 4:], rows[0, 4:], atol=0.35)  # pixels of 640x352


def test_the_second_look_sees_several_patches_of_one_frame_at_once(models_ready: Path, frame: np.ndarray) -> None:
    options: dict[str, Any] = {"backend": "onnxruntime", "threads": 1, "shape": (128, 128), "models": models_ready}
    plain, inside = open_runner(YUNET, **options), open_sampled(YUNET, frame_size=FRAME, **options)
    cuts = np.array([[[0.6, 0, -80], [0, 0.6, -40]], [[0.5, 0, -60], [0, 0.5, -20]]], np.float32)
    outputs = {name: values.copy() for name, values in inside.run(frame, cuts).items()}
    for number, cut in enumerate(cuts):
        patch = warp_rgb(frame, cut, (128, 128))
        _, rows = decoded(plain.run(patch[None]), 128, 0.5)
        _, found = decoded({name: values[number : number + 1] for name, values in outputs.items()}, 128, 0.5)
        assert len(rows) == len(found) == 1
        np.testing.assert_allclose(found[0], rows[0], atol=0.6)
    plain.close()
    inside.close()


@pytest.mark.parametrize(("one", "size"), [(SFACE, (112, 112)), (YUNET, (128, 128))])
def test_a_pasted_picture_is_answered_as_the_golden_tensors_say(
    models_ready: Path, one: ModelCard, size: tuple[int, int]
) -> None:
    inside = open_sampled(one, backend="onnxruntime", threads=1, frame_size=FRAME, shape=size, models=models_ready)
    pasted = Pasted(inside)
    assert disagreement(one, pasted, "fp32", recipe_of(one), models_ready) == ""
    two = np.concatenate([crop(size[0], 0), crop(size[0], 3)])
    for name, values in pasted.run(two).items():
        assert len(values) == 2
        assert difference(values[0], values[1]).max_abs > 0, name
    with pytest.raises(BadInput, match="a picture of 400x112 does not fit"):
        pasted.run(np.zeros((1, 400, 112, 3), np.uint8))
    inside.close()


def test_of_a_pasted_picture_nothing_is_left_beside_the_next() -> None:
    class Seeing:
        backend, frame_size = "none", FRAME

        def run(self, frame: U8 | DevicePicture, to_crop: F32) -> Mapping[str, F32]:
            assert isinstance(frame, np.ndarray)
            return {"sum": frame.sum(dtype=np.float32).reshape(1)}

        def close(self) -> None:
            raise AssertionError("its owner closes it")

    pasted = Pasted(Seeing())
    large, small = np.full((1, 128, 128, 3), 255, np.uint8), np.ones((1, 32, 32, 3), np.uint8)
    assert pasted.run(large)["sum"] == 255 * 128 * 128 * 3
    assert pasted.run(small)["sum"] == 32 * 32 * 3
    pasted.close()


def test_an_added_recogniser_of_either_layout_is_sampled_as_well(
    own_models: ModuleType, tmp_path: Path, frame: np.ndarray
) -> None:
    written, file = own_models.recogniser(tmp_path)
    planes = add(written, file, tmp_path / "models")
    graph = load(file)
    graph.rename("data", "planes")
    graph.nodes.insert(0, Node("Transpose", ["data"], ["planes"], {"perm": [0, 3, 1, 2]}))
    turned = tmp_path / "rows.onnx"
    save(graph, turned, [Value("data", np.float32, ("N", 112, 112, 3))], [Value("fc1", np.float32, ("N", 64))])
    changes = {"name": "rows", "input": {"layout": "NHWC"}}
    rows = add(own_models.write_card(tmp_path, turned, **changes), turned, tmp_path / "models")
    prepare(rows, turned, tmp_path / "models")
    prepare(planes, file, tmp_path / "models")
    crops = np.stack([align_rgb(frame, one) for one in FACES[:2]])
    for one in (planes, rows):
        options: dict[str, Any] = {"backend": "onnxruntime", "threads": 1, "models": tmp_path / "models"}
        plain, inside = open_runner(one, **options), open_sampled(one, frame_size=FRAME, **options)
        for number in range(2):  # the one of planes takes one picture at a time
            wanted = plain.run(crops[number : number + 1])["template"].copy()
            found = inside.run(frame, maps(FACES[number : number + 1]))["template"]
            assert difference(wanted, found).min_cosine > 0.999, one.name
        plain.close()
        inside.close()


def test_an_added_detector_that_decodes_itself_is_sampled_as_well(
    own_models: ModuleType, models_ready: Path, tmp_path: Path
) -> None:
    written, file = own_models.detector(tmp_path, models_ready / "yunet-2023mar.onnx")
    one = add(written, file, tmp_path / "models")
    prepare(one, file, tmp_path / "models")
    options: dict[str, Any] = {
        "backend": "onnxruntime",
        "threads": 1,
        "shape": (128, 128),
        "models": tmp_path / "models",
    }
    plain, inside = open_runner(one, **options), open_sampled(one, frame_size=FRAME, **options)
    wanted = plain.run(crowd((128, 128), (0, 1)))
    for name, values in Pasted(inside).run(crowd((128, 128), (0, 1))).items():
        np.testing.assert_allclose(values, wanted[name], atol=0.02, err_msg=name)
    plain.close()
    inside.close()


def test_a_graph_holds_few_numbers_of_its_own_however_large_the_picture(models_ready: Path) -> None:
    prepared = verified(YUNET, models_ready)[0]
    large = sampled(YUNET, prepared, (2160, 3840), (704, 1280))
    assert len(large) - len(prepared.read_bytes()) < 150_000


def test_only_operators_that_tensorrt_has_are_used_and_the_frame_is_the_first_input(models_ready: Path) -> None:
    graph = onnx.load_from_string(sampled(SFACE, verified(SFACE, models_ready)[0], FRAME)).graph
    assert [one.name for one in graph.input] == ["frame", "maps"]
    known = {"Cast", "Transpose", "MatMul", "Mul", "Sub", "Add", "Reshape", "GridSample", "AveragePool"}
    known |= {"Conv", "Relu", "Gemm", "Flatten"}
    assert {node.op_type for node in graph.node} <= known


@pytest.mark.parametrize(
    ("frame_size", "size", "taps"),
    [
        ((352, 640), (352, 640), 1),
        ((720, 1280), (352, 640), 2),
        ((1080, 1920), (352, 640), 3),
        ((2160, 3840), (352, 640), 3),
        ((1080, 1920), (112, 112), 3),
    ],
)
def test_a_pixel_takes_as_many_samples_as_its_picture_is_reduced(
    frame_size: tuple[int, int], size: tuple[int, int], taps: int
) -> None:
    assert taps_of(frame_size, size) == taps


def test_maps_are_turned_round_exactly() -> None:
    to_crop = maps(FACES)
    back = to_frame(to_crop)
    for forth, inverse in zip(to_crop, back, strict=True):
        there = np.array([*(inverse[:, :3] @ [10.0, 20.0, 1.0]), 1.0])
        np.testing.assert_allclose(forth @ there, [10, 20], atol=1e-3)
    assert not back[0, :, 3:].any()
    np.testing.assert_array_equal(back[3, :, 3:], back[3, :, :2])


def test_a_whole_frame_s_corners_are_its_picture_s_corners() -> None:
    (forth,) = whole_frame((720, 1280), (352, 640))
    np.testing.assert_allclose(forth @ [-0.5, -0.5, 1], [-0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(forth @ [1279.5, 719.5, 1], [639.5, 351.5], atol=1e-4)


BAD_MAPS = {
    "flat": np.zeros((1, 2, 3), np.float32),
    "no number": np.array([[[1, 0, np.nan], [0, 1, 0]]], np.float32),
    "infinite": np.array([[[np.inf, 0, 0], [0, 1, 0]]], np.float32),
    "one map without a row": np.eye(2, 3, dtype=np.float32),
    "none": np.zeros((0, 2, 3), np.float32),
}


@pytest.mark.parametrize("wrong", BAD_MAPS.values(), ids=BAD_MAPS)
def test_maps_that_cut_nothing_out_are_refused(aligned: SampledRunner, frame: np.ndarray, wrong: np.ndarray) -> None:
    with pytest.raises(BadInput, match="drop such a face"):
        aligned.run(frame, wrong)


def test_a_frame_that_is_not_the_opened_one_is_refused(aligned: SampledRunner, frame: np.ndarray) -> None:
    one = maps(FACES[:1])
    with pytest.raises(BadInput, match=r"must be \(360, 480, 3\) uint8"):
        aligned.run(frame[:-1], one)
    with pytest.raises(BadInput, match="C-contiguous"):
        aligned.run(np.asfortranarray(frame), one)
    with pytest.raises(BadInput, match="360x480"):
        aligned.run(DevicePicture(4096, 480, 360), one)
    with pytest.raises(BadInput, match="no frame on a GPU"):
        aligned.run(DevicePicture(4096, 360, 480), one)


def test_what_cannot_be_sampled_is_refused(models_ready: Path, tmp_path: Path) -> None:
    prepared = verified(SFACE, models_ready)[0]
    with pytest.raises(BadInput, match="nothing to sample"):
        sampled(SFACE, prepared, (1, 480))
    with pytest.raises(BadInput, match="give shape="):
        sampled(YUNET, prepared, FRAME)
    twice = tmp_path / "twice.onnx"
    twice.write_bytes(sampled(SFACE, prepared, FRAME))
    with pytest.raises(BadModel, match="a Cast expected"):
        sampled(SFACE, twice, FRAME)
    with pytest.raises(UnknownName, match="for whole frames"):
        open_sampled(SFACE, backend="openvino", threads=1, frame_size=FRAME)
