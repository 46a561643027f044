"""YuNet's tensors to faces: strides, suppression, mapping to frame pixels; the size of the detector's picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import F32, U8
from device.vision.detector import DetectionSize, Detector
from engines.cards.model_card import STRIDES

WIDTH, HEIGHT = 160, 96


class TensorRunner:
    """Gives hand-made tensors for pictures of WIDTH x HEIGHT; `put` places one face in one cell of one stride."""

    def __init__(self) -> None:
        self.outputs: dict[str, F32] = {}
        self.batches: list[U8] = []
        for stride in STRIDES:
            cells = (WIDTH // stride) * (HEIGHT // stride)
            for name, depth in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                self.outputs[f"{name}_{stride}"] = np.zeros((1, cells, depth), np.float32)

    def put(
        self,
        stride: int,
        column: int,
        row: int,
        *,
        cls: float = 0.81,
        obj: float = 1.0,
        move: tuple[float, float] = (0.0, 0.0),
        size: tuple[float, float] = (2.0, 3.0),
        points: tuple[float, ...] = (0.0,) * 10,
    ) -> None:
        """`move`, `size` and `points` in strides, as the network counts."""
        cell = row * (WIDTH // stride) + column
        self.outputs[f"cls_{stride}"][0, cell] = cls
        self.outputs[f"obj_{stride}"][0, cell] = obj
        self.outputs[f"bbox_{stride}"][0, cell] = (*move, *np.log(size))
        self.outputs[f"kps_{stride}"][0, cell] = points

    def run(self, batch: U8) -> Mapping[str, F32]:
        assert batch.shape == (1, HEIGHT, WIDTH, 3)
        self.batches.append(batch)
        return self.outputs


@pytest.fixture
def runner() -> TensorRunner:
    return TensorRunner()


@pytest.fixture
def picture() -> U8:
    return np.zeros((HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize("stride", STRIDES)
def test_a_face_is_decoded_at_every_stride(stride: int, runner: TensorRunner, picture: U8) -> None:
    """Score sqrt(cls*obj); centre (cell + d) * stride; size exp(d) * stride; points (cell + d) * stride."""
    points = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    runner.put(stride, 2, 1, cls=0.64, obj=0.81, move=(0.25, 0.5), size=(2.0, 1.5), points=points)
    (face,) = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert face.score == pytest.approx(0.72)
    assert (face.box / stride).tolist() == pytest.approx([2.25 - 1.0, 1.5 - 0.75, 2.25 + 1.0, 1.5 + 0.75])
    expected = np.array(points).reshape(5, 2) + np.array([2, 1])
    assert np.abs(face.landmarks / stride - expected).max() < 1e-5


def test_faces_map_to_frame_pixels_by_each_sides_own_scale_and_the_origin(runner: TensorRunner, picture: U8) -> None:
    runner.put(8, 5, 5, size=(2.0, 2.0), points=(1.0,) * 10)
    (face,) = Detector(runner, score_min=0.5).detect(picture, frame_size=(1600, 480), origin=(100.0, -20.0))
    assert face.box.tolist() == pytest.approx([100 + 32 * 10, -20 + 32 * 5, 100 + 48 * 10, -20 + 48 * 5])
    assert face.landmarks[0].tolist() == pytest.approx([100 + 48 * 10, -20 + 48 * 5])


def test_a_score_below_the_limit_is_no_face(runner: TensorRunner, picture: U8) -> None:
    runner.put(16, 3, 3, cls=0.48, obj=0.5)
    assert Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT)) == []
    assert len(Detector(runner, score_min=0.48).detect(picture, frame_size=(WIDTH, HEIGHT))) == 1


def test_probabilities_outside_0_to_1_are_clipped(runner: TensorRunner, picture: U8) -> None:
    runner.put(16, 3, 3, cls=1.3, obj=1.1)
    runner.put(16, 8, 4, cls=-0.5, obj=-2.0)
    (face,) = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert face.score == 1.0


def test_an_absurd_size_is_not_infinite(runner: TensorRunner, picture: U8) -> None:
    runner.put(32, 1, 1)
    runner.outputs["bbox_32"][0, :, 2:] = 500.0
    (face,) = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert np.isfinite(face.box).all()


def test_one_face_seen_at_two_strides_counts_once_with_the_better_score(runner: TensorRunner, picture: U8) -> None:
    runner.put(8, 8, 6, cls=0.5, size=(4.0, 4.0))
    runner.put(16, 4, 3, cls=0.9, size=(2.0, 2.0))
    (face,) = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert face.score == pytest.approx(np.sqrt(0.9))


def test_neighbours_who_overlap_a_little_are_two_and_the_better_comes_first(runner: TensorRunner, picture: U8) -> None:
    runner.put(8, 6, 6, cls=0.6, size=(4.0, 4.0))
    runner.put(8, 8, 6, cls=0.9, size=(4.0, 4.0))  # half of the width shared: a third of the union
    faces = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert [round(f.score**2, 3) for f in faces] == [0.9, 0.6]


def test_suppression_is_by_the_best_only_and_not_by_a_suppressed_face(runner: TensorRunner, picture: U8) -> None:
    """A beats B, B would beat C, C is far enough from A: A and C stay."""
    runner.put(8, 6, 6, cls=0.9, size=(4.0, 4.0))
    runner.put(8, 7, 6, cls=0.8, size=(4.0, 4.0))
    runner.put(8, 8, 6, cls=0.7, size=(4.0, 4.0))
    faces = Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert [round(f.score**2, 3) for f in faces] == [0.9, 0.7]


def test_the_picture_itself_goes_to_the_runtime_and_no_copy_stays(runner: TensorRunner, picture: U8) -> None:
    Detector(runner, score_min=0.5).detect(picture, frame_size=(WIDTH, HEIGHT))
    assert np.shares_memory(runner.batches[0], picture)


@given(
    width=st.integers(16, 8000),
    height=st.integers(16, 8000),
    min_face=st.floats(16, 200),
    in_detector=st.floats(10, 32),
)
def test_the_picture_is_a_multiple_of_32_within_16_pixels_of_the_wanted_scale(
    width: int, height: int, min_face: float, in_detector: float
) -> None:
    size = DetectionSize.for_frame(width, height, min_face_px=min_face, face_in_detector_px=in_detector, longest=1280)
    scale = min(1.0, in_detector / min_face, 1280 / max(width, height))
    for given_side, side in ((size.width, width), (size.height, height)):
        assert given_side % 32 == 0
        assert 32 <= given_side <= 1280 + 16
        assert abs(given_side - side * scale) <= 16 or given_side == 32


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((1280, 720), (640, 352)), ((1920, 1080), (960, 544)), ((3840, 2160), (1280, 704)), ((16, 16), (32, 32))],
)
def test_known_frames_get_known_pictures(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    size = DetectionSize.for_frame(*frame, min_face_px=32, face_in_detector_px=16, longest=1280)
    assert (size.width, size.height) == expected


def test_it_reports_which_faces_a_bounded_picture_no_longer_shows() -> None:
    size = DetectionSize.for_frame(3840, 2160, min_face_px=32, face_in_detector_px=16, longest=1280)
    assert size.smallest_face_px(2160, 16) == pytest.approx(49.1, abs=0.1)
