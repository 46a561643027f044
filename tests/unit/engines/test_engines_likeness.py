"""What a difference means: boxes on one another, templates that point one way, and pictures to see it by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engines.decoding import decoded, overlap
from engines.runner import F32, U8
from engines.verify.agreement import LEAST_COSINE, boxes, drawn_faces, matched, planted, templates, tiled

PICTURE: U8 = np.zeros((1, 64, 64, 3), np.uint8)


class Says:
    """A runner that answers every picture with the same outputs."""

    backend = "says"

    def __init__(self, **outputs: F32) -> None:
        self._outputs = outputs

    def run(self, batch: U8) -> Mapping[str, F32]:
        return self._outputs

    def close(self) -> None: ...


def detector(*found: tuple[float, float, float, float]) -> Says:
    rows = np.array(found, np.float32).reshape(1, -1, 4)
    count = rows.shape[1]
    return Says(scores=np.full((1, count), 0.9, np.float32), boxes=rows, points=np.zeros((1, count, 10), np.float32))


def template(*values: float) -> Says:
    return Says(template=np.array([values], np.float32))


LEFT, RIGHT, SHIFTED = (0, 0, 10, 10), (40, 40, 50, 50), (0, 0, 10, 8)


def test_overlap_is_the_share_of_the_union() -> None:
    shares = overlap(np.array(LEFT, np.float32), np.array([LEFT, SHIFTED, RIGHT, (5, 0, 15, 10)], np.float32))
    assert shares == pytest.approx([1, 0.8, 0, 1 / 3])


def test_weak_boxes_are_left_out_and_the_best_comes_first() -> None:
    outputs = dict(detector(LEFT, RIGHT, SHIFTED).run(PICTURE))
    outputs["scores"] = np.array([[0.5, 0.9, 0.2]], np.float32)
    scores, rows = decoded(outputs, 64, 0.45)
    assert scores == pytest.approx([0.9, 0.5])
    assert rows[:, :4].tolist() == [list(RIGHT), list(LEFT)]


def test_faces_of_one_side_only_are_counted_and_the_others_overlaps_reported() -> None:
    found = boxes(detector(LEFT, RIGHT), detector(SHIFTED), [PICTURE, PICTURE], "drawn")
    assert (found.pictures, found.both, found.only_first, found.only_second) == (2, 2, 2, 0)
    assert [found.least_iou, found.mean_iou] == pytest.approx([0.8, 0.8])


def test_boxes_that_lie_apart_are_two_faces_and_have_no_overlap() -> None:
    found = boxes(detector(LEFT), detector(RIGHT), [PICTURE], "drawn")
    assert (found.both, found.only_first, found.only_second, found.least_iou) == (0, 1, 1, None)


def test_a_box_is_in_one_pair_at_most_and_the_most_alike_pair_first() -> None:
    one = np.array([SHIFTED, LEFT], np.float32)
    assert matched(one, np.array([LEFT], np.float32)) == pytest.approx([1.0])
    assert matched(one, one) == pytest.approx([1.0, 1.0])
    assert matched(one[:0], one) == []


def test_templates_are_compared_by_cosine_whatever_their_length() -> None:
    alike = templates(template(3, 4), template(6, 8), [PICTURE], "drawn")
    assert alike.count == 1
    assert [alike.least, alike.mean] == pytest.approx([1, 1])
    assert templates(template(1, 0), template(1, 1), [PICTURE], "drawn").least == pytest.approx(0.5**0.5)
    assert templates(template(0, 0), template(1, 1), [PICTURE], "drawn").least < LEAST_COSINE


def test_planted_pictures_are_the_same_always_and_of_the_size_asked_for() -> None:
    one, again = planted((128, 256)), planted((128, 256))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert {picture.shape for picture in one} == {(1, 128, 256, 3)}
    assert len({crop.tobytes() for crop in drawn_faces((112, 112))}) == 8


def test_squares_are_tiled_without_overlap_and_left_out_where_none_fits() -> None:
    squares = [np.full((32, 32, 3), value, np.uint8) for value in (1, 2, 3)]
    first, second = tiled(squares, (32, 64))
    assert (first[0, :, :32].min(), first[0, :, 32:].max(), second[0, :, :32].max()) == (1, 2, 3)
    assert second[0, 0, 40, 0] == 128
    assert tiled(squares, (16, 64)) == []
    assert tiled([], (64, 64)) == []
