"""The machine is judged with patience: too hot stays too hot until it has cooled, a disk that hangs is no disk."""

from __future__ import annotations

import pytest

from device.edges.host.sysfs import Temperatures, Zone
from device.supervisor.runtime.host_health import COOL_C, LEAST_C, assess


def at(*celsius: float, slowed: bool = False, unreadable: tuple[str, ...] = ()) -> Temperatures:
    zones = tuple(Zone(f"z{n}", c, 100.0, None) for n, c in enumerate(celsius))
    return Temperatures(zones, unreadable, slowed)


@pytest.mark.parametrize(
    ("celsius", "before", "now"),
    [
        ((50.0, 99.9), True, True),
        ((50.0, 100.1), True, False),
        ((50.0, 100.1), None, False),
        ((50.0, 100.0 - COOL_C + 0.1), False, False),
        ((50.0, 100.0 - COOL_C - 0.1), False, True),
        ((LEAST_C + 1.0,), True, True),
        ((LEAST_C - 1.0, 20.0), True, False),
        ((LEAST_C + 1.0, 20.0), False, False),
        ((), True, None),
    ],
)
def test_too_hot_or_too_cold_lasts_until_there_is_room(
    celsius: tuple[float, ...], before: bool | None, now: bool | None
) -> None:
    assert assess(at(*celsius), before).in_range is now


def test_the_finding_names_the_sensor_nearest_to_its_limit() -> None:
    assert assess(at(50.0, 60.0), None).finding == "z1 60.0 of 100.0 °C"
    assert assess(at(50.0, 101.0), None).finding == "z1 101.0 °C, limit 100.0"
    assert assess(at(unreadable=("gpu",)), None).finding == "no temperature sensor can be read (gpu: no reading)"


def test_a_machine_that_throttles_is_in_range_and_reported() -> None:
    view = assess(at(97.0, slowed=True), None)
    assert (view.in_range, view.throttled) == (True, True)
