"""The zone: whose face may be processed at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.sight import Face
from device.vision.zone import Zone

MakeFace = Callable[..., Face]
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
HOOK = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9), (0.6, 0.4), (0.1, 0.4))


def test_the_whole_frame_takes_everybody_even_beyond_its_border(face_at: MakeFace) -> None:
    faces = [face_at(-10, 5), face_at(500, 900), face_at(100, 100)]
    assert Zone(WHOLE).inside(faces, 640, 480) == faces


@pytest.mark.parametrize(
    ("x", "y", "belongs"),
    [
        (0.2, 0.2, True),
        (0.8, 0.8, True),
        (0.3, 0.8, False),  # in the hook's gap
        (0.05, 0.2, False),
        (0.95, 0.5, False),
        (0.7, 0.95, False),
        (-0.2, 0.2, False),
        (0.5, 0.39, True),
        (0.5, 0.41, False),
    ],
)
def test_a_face_belongs_when_the_centre_of_its_box_does(x: float, y: float, belongs: bool, face_at: MakeFace) -> None:
    face = face_at(640 * x, 480 * y)
    assert Zone(HOOK).inside([face], 640, 480) == ([face] if belongs else [])


def test_order_is_kept(face_at: MakeFace) -> None:
    faces = [face_at(600, 40), face_at(100, 100), face_at(550, 300), face_at(120, 90)]
    assert Zone(HOOK).inside(faces, 640, 480) == [faces[1], faces[2], faces[3]]


@given(
    x=st.floats(0.001, 0.999),
    y=st.floats(0.001, 0.999),
    left=st.floats(0.0, 0.4),
    top=st.floats(0.0, 0.4),
    turned=st.booleans(),
    start=st.integers(0, 3),
)
def test_a_rectangle_holds_what_lies_between_its_sides(
    x: float, y: float, left: float, top: float, turned: bool, start: int, face_at: MakeFace
) -> None:
    """Whichever way round its corners are listed, and from whichever corner."""
    corners = [(left, top), (0.8, top), (0.8, 0.7), (left, 0.7)]
    corners = (corners[::-1] if turned else corners)[start:] + (corners[::-1] if turned else corners)[:start]
    if min(abs(x - left), abs(x - 0.8), abs(y - top), abs(y - 0.7)) < 1e-4:
        return  # below the resolution of float32 pixels
    expected = left < x < 0.8 and top < y < 0.7
    assert bool(Zone(corners).inside([face_at(x * 1000, y * 1000)], 1000, 1000)) is expected
