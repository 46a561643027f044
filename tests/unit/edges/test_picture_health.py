"""What a few samples of a picture say about its camera: on drawn frames, without a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.camera_fault import FAULTS, CameraFault
from device.domain.sight import U8, Frame, Packed, Planes
from device.domain.time import NS_PER_S, MediaNs, MonotonicNs
from device.edges.camera.picture_health import PictureHealth
from device.edges.camera.picture_samples import samples_of
from device.edges.camera.scene import steepness
from device.edges.camera.still_picture import StillPicture

WIDTH, HEIGHT = 320, 180
RATE = 25
Judged = list[tuple[CameraFault | None, CameraFault | None]]


def room(seed: int = 3) -> U8:
    shapes = np.random.default_rng(seed)
    luma = np.full((HEIGHT, WIDTH), 110, np.uint8)
    for _ in range(50):
        left, top = int(shapes.integers(0, WIDTH - 10)), int(shapes.integers(0, HEIGHT - 10))
        high, wide = int(shapes.integers(8, 60)), int(shapes.integers(8, 60))
        luma[top : top + high, left : left + wide] = shapes.integers(30, 220)
    return luma


def frame(luma: U8, at_s: float, *, packed: bool = False) -> Frame:
    at = MediaNs(round(at_s * NS_PER_S))
    if packed:
        luma = np.asarray(np.clip((luma.astype(np.float32) - 16) * 255 / 219, 0, 255), np.uint8)
        return Frame(0, at, MonotonicNs(0), Packed(np.repeat(luma[:, :, None], 3, axis=2)))
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return Frame(0, at, MonotonicNs(0), Planes(luma, chroma, chroma))


def walked(luma: U8, number: int) -> U8:
    """Somebody walks through the room."""
    shown: U8 = luma.copy()
    left = 20 + number * 2 % (WIDTH - 60)
    shown[60:150, left : left + 20] = 235 - luma[60:150, left : left + 20]
    return shown


def noisy(luma: U8, number: int, sigma: float) -> U8:
    noise = np.random.default_rng(number).normal(0, sigma, luma.shape)
    return np.asarray(np.clip(luma + noise, 16, 235), np.uint8)


def judged(pictures: Iterable[U8], health: PictureHealth | None = None, *, packed: bool = False) -> Judged:
    health = health or PictureHealth()
    found: Judged = []
    for number, luma in enumerate(pictures):
        health.see(frame(luma, number / RATE, packed=packed))
        found.append((health.fault, health.warning))
    return found


def after(seconds: float, change: Callable[[U8, int], U8]) -> list[U8]:
    """A room in which somebody walks, and from `seconds` on what `change` makes of it; two seconds of that."""
    pictures = [noisy(walked(room(), number), number, 1.5) for number in range(round((seconds + 2) * RATE))]
    breaks = round(seconds * RATE)
    return [change(one, number) if number >= breaks else one for number, one in enumerate(pictures)]


def _blurred(luma: U8, _: int) -> U8:
    smooth = luma.astype(np.float32)
    for axis in (0, 1):
        smooth = np.mean([np.roll(smooth, step, axis) for step in range(-6, 7)], axis=0)
    return np.asarray(smooth, np.uint8)


BROKEN: dict[CameraFault, Callable[[U8, int], U8]] = {
    CameraFault.FROZEN: lambda luma, number: walked(room(), 6 * RATE),
    CameraFault.DARK: lambda luma, number: np.asarray(16 + (luma - 16) // 40, np.uint8),
    CameraFault.OVEREXPOSED: lambda luma, number: np.asarray(np.minimum(235, luma.astype(int) * 4), np.uint8),
    CameraFault.COVERED: lambda luma, number: noisy(np.full_like(luma, 80), number, 1.0),
    CameraFault.DEFOCUSED: _blurred,
    CameraFault.TURNED: lambda luma, number: walked(room(seed=9), number),
}


@pytest.mark.parametrize("packed", [False, True], ids=["planes", "rgb"])
@pytest.mark.parametrize("fault", list(BROKEN))
def test_each_fault_is_reported_within_two_seconds_and_no_other_one(fault: CameraFault, packed: bool) -> None:
    found = judged(after(6.0, BROKEN[fault]), packed=packed)
    assert set(found[: 6 * RATE]) == {(None, None)}
    expected = (fault, None) if FAULTS[fault].stops else (None, fault)
    reported = next(number for number, one in enumerate(found) if one == expected)
    assert 1.1 <= reported / RATE - 6.0 <= 1.5, "with a beat and a round of the supervisor, 2 s"
    assert set(found) == {(None, None), expected}


def test_a_fault_is_over_with_the_first_look_that_does_not_show_it() -> None:
    health = PictureHealth()
    judged(after(6.0, BROKEN[CameraFault.DARK]), health)
    assert health.fault is CameraFault.DARK
    for number in range(3):
        health.see(frame(walked(room(), number), 8.0 + number / RATE))
    assert health.fault is None


def test_half_a_second_of_a_fault_is_not_reported() -> None:
    blinks = [room() if number % 20 else np.full_like(room(), 16) for number in range(100)]
    assert CameraFault.DARK not in {fault for fault, _ in judged(blinks)}


def test_a_still_room_with_noise_is_a_warning_for_three_seconds_with_somebody_in_view_and_for_ten_without() -> None:
    pictures = [noisy(room(), number, 2.0) for number in range(9 * RATE)]
    assert set(judged(pictures)[2 * RATE :]) == {(None, CameraFault.STILL)}
    seen = judged(pictures, PictureHealth(anybody_in_view=lambda: True))
    assert set(seen[2 * RATE : 3 * RATE]) == {(None, CameraFault.STILL)}
    assert set(seen[round(3.2 * RATE) :]) == {(CameraFault.FROZEN, None)}
    longer = judged(noisy(room(), number, 2.0) for number in range(11 * RATE))
    assert longer[-1] == (CameraFault.FROZEN, None)


def passing(seconds: float, empty_s: float, *, sigma: float = 0.0) -> list[U8]:
    """Somebody walks for `seconds`, then the room is empty for `empty_s`."""
    pictures = [walked(room(), number) for number in range(round(seconds * RATE))]
    pictures += [room()] * round(empty_s * RATE)
    return [noisy(one, number, sigma) if sigma else one for number, one in enumerate(pictures)]


def test_an_empty_room_without_noise_is_a_warning_as_one_with_noise_is() -> None:
    """At night, behind a denoiser: it can be told from a frozen one only by what did not move while somebody walked."""
    found = judged(passing(4.0, 9.0))
    assert set(found) == {(None, None), (None, CameraFault.STILL)}
    waiting = judged(passing(4.0, 4.0), PictureHealth(anybody_in_view=lambda: True))
    assert waiting[-1] == (CameraFault.FROZEN, None), "people move"


def test_a_picture_that_never_moved_is_frozen_until_something_does() -> None:
    health = PictureHealth()
    assert judged([room()] * 3 * RATE, health)[-1] == (CameraFault.FROZEN, None)
    health.see(frame(walked(room(), 40), 3.1))
    assert health.fault is None


def test_a_camera_with_noise_that_repeats_a_picture_for_a_while_does_not_teach_that_this_is_usual() -> None:
    living = passing(4.0, 0.1, sigma=1.5)
    found = judged([*living, *[living[-1]] * 3 * RATE, *living, *[living[-1]] * 2 * RATE])
    assert found[len(living) + 2 * RATE] == (CameraFault.FROZEN, None)
    assert found[-1] == (CameraFault.FROZEN, None)


def test_who_comes_after_a_long_time_proves_that_the_camera_worked_all_along() -> None:
    once = passing(4.0, 12.0)
    found = judged([*once, *passing(2.0, 20.0)])
    assert found[len(once) - 1] == (CameraFault.FROZEN, None), "the first time that nothing moves for 10 s"
    again = found[len(once) + RATE // 5 :]
    assert {fault for fault, _ in again} == {None}
    assert again[-1] == (None, CameraFault.STILL)


@given(sigma=st.floats(0.5, 3.0), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_noise_alone_never_ends_a_still_run(sigma: float, seed: int) -> None:
    still = StillPicture()
    for number in range(20):
        still.see(number * NS_PER_S // 10, samples_of(frame(noisy(room(), seed * 100 + number, sigma), 0.0)))
    assert still.still_ns == 19 * NS_PER_S // 10


@pytest.mark.slow
@given(
    left=st.integers(0, WIDTH - 24),
    top=st.integers(40, HEIGHT - 64),
    step=st.integers(8, 20),
    sigma=st.floats(0.0, 2.0),
)
@settings(max_examples=50, deadline=None)
def test_what_moves_in_the_middle_of_the_picture_is_never_still(left: int, top: int, step: int, sigma: float) -> None:
    still = StillPicture()
    for number in range(20):
        luma = room()
        place = (left + number * step) % (WIDTH - 23)
        luma[top : top + 24, place : place + 24] = 235 - luma[top : top + 24, place : place + 24]
        still.see(number * NS_PER_S // 10, samples_of(frame(noisy(luma, number, sigma), 0.0)))
        assert still.still_ns <= NS_PER_S // 5


@given(offset=st.integers(1, 3))
def test_a_picture_whose_light_changes_as_a_whole_is_not_still(offset: int) -> None:
    still = StillPicture()
    for number in range(20):
        still.see(number * NS_PER_S // 10, samples_of(frame(room() + np.uint8(offset * (number % 2)), 0.0)))
    assert still.still_ns == 0


def test_looks_with_a_gap_between_them_do_not_add_up() -> None:
    still = StillPicture()
    for at_s in (0.0, 0.1, 1.5, 1.6):
        still.see(round(at_s * NS_PER_S), samples_of(frame(room(), 0.0)))
    assert still.still_ns == NS_PER_S // 10


def test_another_size_is_a_fault_at_once_and_the_old_one_ends_it() -> None:
    health = PictureHealth()
    small = room()[::2, ::2].copy()
    for number, luma in enumerate([room(), small, small, room()]):
        health.see(frame(luma, number / RATE))
        assert health.fault is (CameraFault.SIZE_CHANGED if luma is small else None)
    assert health.size == (WIDTH, HEIGHT)


def test_a_bus_that_drives_through_is_not_another_scene() -> None:
    def bus(luma: U8, number: int) -> U8:
        shown: U8 = luma.copy()
        right = (number - 6 * RATE) * 20
        shown[30:170, max(0, right - 260) : max(0, right)] = 200
        return shown

    assert CameraFault.TURNED not in {warning for _, warning in judged(after(6.0, bus))}


def test_blurring_lowers_steepness_and_noise_hardly_raises_it() -> None:
    sharp = steepness(samples_of(frame(room(), 0.0)))
    assert steepness(samples_of(frame(_blurred(room(), 0), 0.0))) < 0.3 * sharp
    assert steepness(samples_of(frame(noisy(room(), 1, 3.0), 0.0))) < 1.1 * sharp


@pytest.mark.parametrize("size", [(2, 2), (16, 12), (33, 17), (180, 320), (1920, 1080)])
def test_pictures_of_every_size_can_be_judged(size: tuple[int, int]) -> None:
    width, height = size
    shapes = np.random.default_rng(1).integers(16, 236, (height, width), dtype=np.uint8)
    judged([shapes] * 45, PictureHealth())


def test_nothing_of_a_picture_is_left_after_wiping() -> None:
    health = PictureHealth()
    judged([walked(room(), number) for number in range(30)], health)
    arrays = [value for part in (health._still, health._view) for value in vars(part).values()]
    kept = [array for array in arrays if isinstance(array, np.ndarray)] + [cells for _, cells in health._still._firsts]
    assert len(kept) >= 3
    health.wipe()
    assert not any(array.any() for array in kept)


def test_blanking_forgets_single_pixels_and_a_frozen_picture_stays_frozen() -> None:
    health = PictureHealth()
    judged([room()] * 50, health)
    before = health._still._before
    assert health.fault is CameraFault.FROZEN
    health.blank()
    assert before is not None
    assert not before.any()
    for number in range(50, 100):
        health.see(frame(room(), number / RATE))
        assert health.fault is CameraFault.FROZEN
        assert health._still._before is None


def test_every_fault_has_a_text_and_a_remedy() -> None:
    assert set(FAULTS) == set(CameraFault)
    assert all(one.text and one.remedy for one in FAULTS.values())
