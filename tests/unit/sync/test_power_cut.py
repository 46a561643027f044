"""A power cut at any file operation of a sync leaves the old set or the new one, whole, and the next sync recovers.

The cut (tests/power_cut.py) covers every opening, renaming, linking and deleting of a file, ours or python-tuf's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.offers import offer_of
from tests.power_cut import Power, PowerCut

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk


@pytest.fixture(scope="module")
def power() -> Power:
    """One hook for the module: a hook cannot be removed again, only pointed elsewhere."""
    return Power()


def contents(folder: Path) -> tuple[str, ...]:
    """The names of a set's files."""
    return tuple(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))


def look_at(state: Path) -> dict[str, bytes] | None:
    """What a starting device would find in use: the set that `current` names; None when there is none."""
    current = state / "trust" / "demo" / "current"
    if not current.is_symlink():
        return None
    assert current.is_dir(), "the link points to nothing"
    return {name: (current / name).read_bytes() for name in contents(current) if name != "facts.json"}


@pytest.fixture
def ram() -> Iterator[Path]:
    """A folder in memory where there is one: these tests flush hundreds of files."""
    base = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=base if os.access(base, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_wherever_the_power_fails_a_set_is_the_old_or_the_new_one(desk: Desk, power: Power, ram: Path) -> None:
    desk.state = ram / "first"
    desk.client().sync()
    old = look_at(desk.state)
    desk.hub.payload = b"another" * 2000
    desk.hub.withdrawn = {"deployment_id": "d-1", "refs": ["e-1"]}
    desk.hub.publish()

    def begin(name: str) -> Path:
        """A device with the first publication in use."""
        desk.state = ram / name
        shutil.copytree(ram / "first", desk.state, symlinks=True)
        return ram / name

    state = begin("whole")
    with power.over(state, None):
        desk.client().sync()
    new, steps = look_at(state), power.done
    assert old != new
    assert steps > 20
    seen = set()
    for cut in range(1, steps + 1):
        state = begin(f"cut-{cut}")
        with power.over(state, cut), suppress(PowerCut):
            desk.client().sync()
        found = look_at(state)
        assert found in (old, new), f"cut {cut} of {steps}: neither"
        seen.add(found == new)
        offer = offer_of(desk.client().sync())
        assert offer.payload.read_bytes() == desk.hub.payload
        assert offer.withdrawn == {"e-1"}
        assert look_at(state) == new
        assert sorted(p.name for p in (state / "trust" / "demo").iterdir()) == ["current", "payloads", "sets"]
        assert len(list((state / "trust" / "demo" / "sets").iterdir())) == 1
        assert len(list((state / "trust" / "demo" / "payloads").iterdir())) == 1
    assert seen == {True, False}


@pytest.mark.slow
def test_at_the_first_sync_there_is_no_set_or_a_whole_one(desk: Desk, power: Power, ram: Path) -> None:
    desk.state = ram / "whole"
    with power.over(desk.state, None):
        desk.client().sync()
    whole, steps = look_at(desk.state), power.done
    for cut in range(1, steps + 1):
        desk.state = ram / f"cut-{cut}"
        with power.over(desk.state, cut), suppress(PowerCut):
            desk.client().sync()
        assert look_at(desk.state) in (None, whole)
        assert desk.client().sync().offer is not None


def test_every_byte_is_on_the_disk_before_its_name_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: set[int] = set()
    in_time: list[bool] = []
    fsync, replace = os.fsync, Path.replace

    def flush(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def renamed(self: Path, target: Any) -> Path:
        if Path(target).name == "current":
            made = [*desk.state.rglob("sets/*/**/*"), *desk.state.rglob("payloads/*")]
            in_time.extend(p.stat().st_ino in flushed for p in made if not p.is_symlink())
        elif Path(target).parent.name == "payloads":
            in_time.append(self.stat().st_ino in flushed)
        fresh: Path = replace(self, target)
        return fresh

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", renamed)
    desk.client().sync()
    assert len(in_time) > 10
    assert all(in_time)


def test_the_record_of_used_lists_survives_a_cut_at_any_step(desk: Desk, power: Power) -> None:
    client = desk.client()
    offer = offer_of(client.sync())
    with power.over(desk.state, None):
        client.take(offer)
    steps, record = power.done, desk.state / "trust" / "used.json"
    for cut in range(1, steps + 1):
        record.unlink(missing_ok=True)
        again = desk.client()
        with power.over(desk.state, cut), suppress(PowerCut):
            again.take(offer)
        desk.client().take(offer)
        assert b'"wl-1"' in record.read_bytes()
