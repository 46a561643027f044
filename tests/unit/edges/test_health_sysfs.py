"""Temperatures as sysfs gives them: limits from the kernel's own trips, sensors that sleep, values that cannot be."""

from __future__ import annotations

from pathlib import Path

from device.edges.host.process_memory import resident_bytes
from device.edges.host.sysfs import MOST_C, disk_free_bytes, temperatures


def zone(root: Path, number: int, name: str, celsius: str, **trips: float) -> Path:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{name}\n")
    (folder / "temp").write_text(f"{celsius}\n")
    for index, (kind, at) in enumerate(trips.items()):
        (folder / f"trip_point_{index}_type").write_text(f"{kind.rstrip('_')}\n")
        (folder / f"trip_point_{index}_temp").write_text(f"{round(at * 1000)}\n")
    return folder


def alert(root: Path, name: str, state: str) -> None:
    folder = root / "sys/class/thermal/cooling_device0"
    folder.mkdir(parents=True)
    (folder / "type").write_text(name)
    (folder / "cur_state").write_text(state)


def test_a_zones_limit_is_below_the_coolest_trip_that_ends_the_machine(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "51250", passive=99, hot=101, critical=104.5)
    zone(tmp_path, 1, "Tboard", "40000")
    found = temperatures(tmp_path)
    assert [(z.name, z.temperature_c, z.most_c, z.slows_c) for z in found.zones] == [
        ("cpu-thermal", 51.25, 96.0, 99.0),
        ("Tboard", 40.0, MOST_C, None),
    ]
    assert (found.unreadable, found.slowed) == ((), False)


def test_trips_that_are_not_used_set_no_limit(tmp_path: Path) -> None:
    zone(tmp_path, 0, "x86_pkg_temp", "60000", critical=-274, passive=0)
    (only,) = temperatures(tmp_path).zones
    assert (only.most_c, only.slows_c) == (MOST_C, None)


def test_sensors_that_give_nothing_or_impossible_values_are_named_and_left_out(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "50000")
    zone(tmp_path, 1, "gpu-thermal", "")
    zone(tmp_path, 2, "cv0-thermal", "-256000")
    (zone(tmp_path, 3, "soc0-thermal", "1") / "temp").unlink()
    found = temperatures(tmp_path)
    assert [z.name for z in found.zones] == ["cpu-thermal"]
    assert found.unreadable == ("gpu-thermal", "cv0-thermal", "soc0-thermal")


def test_a_passive_trip_or_a_raised_alert_means_slowed(tmp_path: Path) -> None:
    zone(tmp_path / "trip", 0, "cpu-thermal", "99500", passive=99, critical=105)
    assert temperatures(tmp_path / "trip").slowed
    for state, slowed in (("0", False), ("1", True)):
        root = tmp_path / state
        zone(root, 0, "cpu-thermal", "70000")
        alert(root, "gpu-throttle-alert", state)
        assert temperatures(root).slowed is slowed
    zone(tmp_path / "fan", 0, "cpu-thermal", "70000")
    alert(tmp_path / "fan", "pwm-fan", "3")
    assert not temperatures(tmp_path / "fan").slowed


def test_a_machine_without_sensors_has_none(tmp_path: Path) -> None:
    assert temperatures(tmp_path).zones == ()


def test_disk_and_memory_are_real_numbers(tmp_path: Path) -> None:
    assert disk_free_bytes(tmp_path / "not" / "there") == disk_free_bytes(tmp_path) > 0
    assert (resident_bytes() or 0) > 1_000_000
    assert resident_bytes(tmp_path) is None
