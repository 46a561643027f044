"""What `lfr replay` leaves behind: its cache, without a template in the clear; after Ctrl-C no more than that."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.machine_time import of_processes
from tests.replay.conftest import Desk, Ended

WITHIN_S = 300.0
STOPS_WITHIN_S = 15.0
MakeDesk = Callable[[Path], Any]


@pytest.fixture(scope="module")
def second(desk: Desk, first: Ended, walk: Path, odd_list: Path) -> Ended:
    """The same once more, with the cache of the first."""
    assert first.status == 0
    return desk.run(walk, "--watchlist", odd_list, "--json")


def test_nothing_is_written_anywhere_but_the_cache(desk: Desk, second: Ended) -> None:
    assert second.status == 0
    assert set(desk.files()) == {"xdg/lfr/templates.sqlite", "xdg/lfr/templates.sqlite.salt"}


def test_a_second_run_gives_the_same_from_the_cache(first: Ended, second: Ended) -> None:
    for key in ("watchlist", "alerts", "frames", "faces_seen", "templates", "threshold", "backend"):
        assert second.report[key] == first.report[key]


def test_the_cache_holds_no_template_in_the_clear(desk: Desk, first: Ended, short_list: Path, listed_name: str) -> None:
    """The enrolled template, made here once more, is looked for in four-number pieces; so are names and photos."""
    from device.enrolment.engine_photo_reader import EnginePhotoReader
    from device.enrolment.folder import enrol
    from device.enrolment.model_sessions import ModelSessions

    room = ModelSessions(None, threads=1)
    entry = enrol(short_list, [EnginePhotoReader(room)], progress=False).entries[0]
    room.close()
    kept = b"".join(path.read_bytes() for path in desk.cache.rglob("*") if path.is_file())
    assert len(kept) > 5 * 1024
    row = entry.templates.astype("<f4").tobytes()
    assert not any(row[n : n + 16] in kept for n in range(0, len(row), 16))
    photo = (short_list / listed_name / "1.jpg").read_bytes()
    for secret in (photo[:64], photo[-64:], listed_name.encode(), b"a photo.jpg", b"face too"):
        assert secret not in kept


def test_a_cache_that_cannot_be_written_is_gone_without_and_warned_of(
    tmp_path: Path, walk: Path, short_list: Path, desk_at: MakeDesk, listed_name: str
) -> None:
    """A file stands where the cache's folder should be: that stops root as well."""
    desk = desk_at(tmp_path / "desk")
    desk.cache.write_text("in the way")
    ended = desk.run(walk, "--watchlist", short_list, "--json")
    assert [row["entry"] for row in ended.report["alerts"]] == [listed_name]
    assert "template cache" in ended.err
    assert set(desk.files()) == {"xdg"}


def test_no_cache_means_none(tmp_path: Path, walk: Path, short_list: Path, desk_at: MakeDesk) -> None:
    desk = desk_at(tmp_path / "desk")
    assert desk.run(walk, "--watchlist", short_list, "--json", "--no-cache", "--quiet").status == 0
    assert desk.files() == {}


@pytest.mark.parametrize("moment", ["enrolling", "frame "])
def test_ctrl_c_ends_it_quickly_with_130_and_leaves_nothing(
    moment: str, tmp_path: Path, clip: Path, short_list: Path, desk_at: MakeDesk
) -> None:
    desk = desk_at(tmp_path / "desk")
    with desk.start(clip, "--watchlist", short_list, "--json") as process:
        assert process.stderr is not None
        output = ""
        while moment not in output:
            output += process.stderr.read(1)
        with of_processes(lambda: (os.getpid(), process.pid)) as machine:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=WITHIN_S)
            took = machine.seconds
    assert process.returncode == 130, output + err
    assert took < STOPS_WITHIN_S
    assert out == ""
    assert "Traceback" not in output + err
    assert set(desk.files()) <= {"xdg/lfr/templates.sqlite", "xdg/lfr/templates.sqlite.salt"}
