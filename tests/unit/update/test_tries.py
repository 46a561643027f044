"""A release that failed for a reason that may pass is tried again after the next start, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.errors import RefusedByCondition, Unavailable
from device.update import record
from device.update.updater import RolledBack, TriedAgain, attempt
from device.update.verdict import TRIES_MOST

Release = Callable[..., bytes]


class Off(BaseException):
    """The power goes."""


def next_day(board: Any) -> None:
    board.service.boot()
    board.clock.sleep(10)


def test_after_a_self_test_that_failed_for_a_passing_reason_it_is_installed_at_the_next_start(
    board: Any, release: Release
) -> None:
    inbox = board.hub.offer(release())
    board.problem, board.passing = "the GPU is out of memory", True
    with pytest.raises(TriedAgain, match=r"out of memory; it is tried again after the next start.*try 2 of 3"):
        attempt(board.updater(), inbox)
    found = record.read(board.updates)
    assert "out of memory; it is tried again" in found.failed, "the status line shows it"
    assert "0.3.0" not in found.refused
    board.problem = ""
    assert attempt(board.updater(), inbox) == "", "not before the next start"
    assert board.tested == [".0.3.0.new"]
    next_day(board)
    assert attempt(board.updater(), inbox) == "0.3.0", "from the inbox, without another download"
    assert record.read(board.updates).tries == {}


def test_the_last_try_is_the_last(board: Any, release: Release) -> None:
    inbox = board.hub.offer(release())
    board.problem, board.passing = "the GPU is out of memory", True
    for _ in range(TRIES_MOST - 1):
        with pytest.raises(TriedAgain):
            attempt(board.updater(), inbox)
        next_day(board)
    with pytest.raises(RefusedByCondition, match="out of memory"):
        attempt(board.updater(), inbox)
    assert not inbox.exists()
    found = record.read(board.updates)
    assert "out of memory" in found.refused["0.3.0"]
    assert found.failed.endswith("it is not tried again")
    next_day(board)
    board.problem = ""
    assert attempt(board.updater(), inbox) == ""
    assert len(board.tested) == TRIES_MOST


def test_a_reason_of_the_release_itself_is_not_tried_again(board: Any, release: Release) -> None:
    board.problem, board.passing = "detector disagrees", False
    stick = board.hub.offer(release())
    with pytest.raises(RefusedByCondition, match="detector disagrees"):
        board.updater().apply(stick)
    next_day(board)
    board.problem = ""
    with pytest.raises(RefusedByCondition, match="failed on this device before"):
        board.updater().apply(stick)


def test_a_self_test_that_stops_the_machine_each_time_is_refused_in_the_end(
    board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(slot: Path) -> Any:
        board.tested.append(slot.name)
        raise Off

    inbox = board.hub.offer(release())
    with monkeypatch.context() as patched:
        patched.setattr(board, "self_test", stops)
        for _ in range(TRIES_MOST):
            with pytest.raises(Off):
                attempt(board.updater(), inbox)
            next_day(board)
    with pytest.raises(RefusedByCondition, match="the power failed, or the release stopped the machine"):
        attempt(board.updater(), inbox)
    assert len(board.tested) == TRIES_MOST
    assert not inbox.exists()
    assert board.named() == ("0.2.0", "0.2.0")


def test_a_release_whose_sign_was_missing_goes_back_and_is_tried_again(board: Any, release: Release) -> None:
    """The sign's plug is out in the trial; the next day it is in again."""
    stick = board.hub.offer(release("no-sign"))
    with pytest.raises(TriedAgain, match=r"rolled back to 0\.2\.0: not healthy.*sign: .*tried again"):
        board.updater().apply(stick)
    assert board.named() == ("0.2.0", "0.2.0")
    assert board.service.starts == ["0.2.0", "0.3.0", "0.2.0"]
    board.clock.sleep(10)
    with pytest.raises(RefusedByCondition, match="next start of the machine"):
        board.updater().apply(stick)
    next_day(board)
    slot = board.slots
    board.service._behaviour = lambda: "good"
    assert board.updater().apply(stick) == "0.3.0"
    assert slot.named("current") == "0.3.0"


@pytest.mark.parametrize("behaviour", ["crashes", "fails", "mute", "dies-later"])
def test_a_release_that_does_not_run_is_no_passing_matter(board: Any, release: Release, behaviour: str) -> None:
    with pytest.raises(RolledBack):
        board.updater().apply(board.hub.offer(release(behaviour)))
    assert "0.3.0" in record.read(board.updates).refused


def test_a_release_that_failed_beside_a_full_disk_is_tried_again(
    board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    real = os.statvfs

    def full(place: Any) -> Any:
        found = real(place)
        if board.service.running == "0.3.0":
            return os.statvfs_result([*found[:4], 0, *found[5:]])
        return found

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(TriedAgain, match="the disk was full"):
        board.updater().apply(board.hub.offer(release("crashes")))


def test_a_person_can_have_it_tried_at_once(board: Any, release: Release) -> None:
    board.problem, board.passing = "out of memory", True
    stick = board.hub.offer(release())
    with pytest.raises(TriedAgain):
        board.updater().apply(stick)
    board.problem = ""
    assert board.updater().forget("0.3.0")
    assert board.updater().apply(stick) == "0.3.0"


class TestPlans:
    """Plans of a GPU."""

    def test_both_releases_have_theirs_until_the_slot_of_one_goes(self, board: Any, release: Release) -> None:
        board.updater().apply(board.hub.offer(release()))
        assert board.has_plans("0.3.0")
        assert board.has_plans("0.2.0"), "for `lfr update rollback`"
        board.updater().apply(board.hub.offer(release(version="0.4.0"), version="0.4.0"))
        assert board.has_plans("0.4.0")
        assert board.has_plans("0.3.0")
        assert not board.has_plans("0.2.0")

    def test_a_release_that_is_taken_back_leaves_the_plans_of_the_one_before(
        self, board: Any, release: Release
    ) -> None:
        with pytest.raises(RolledBack):
            board.updater().apply(board.hub.offer(release("crashes")))
        assert board.has_plans("0.2.0")

    def test_a_deployment_that_is_loaded_during_the_build_ends_it_and_it_goes_on_afterwards(
        self, board: Any, release: Release
    ) -> None:
        def deployed() -> None:
            board.service.deployment = "d-1"

        inbox = board.hub.offer(release())
        board.during_build = deployed
        assert attempt(board.updater(), inbox) == ""
        assert inbox.exists()
        assert board.service.starts == ["0.2.0"]
        assert record.read(board.updates).tries == {}, "that was no try"
        board.service.deployment, board.during_build = None, lambda: None
        assert attempt(board.updater(), inbox) == "0.3.0"

    def test_plans_that_cannot_be_built_leave_the_release_that_runs(
        self, board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from device.update.verdict import Verdict

        monkeypatch.setattr(board, "build_plans", lambda slot, go_on: Verdict("TensorRT refuses", passing=False))
        with pytest.raises(RefusedByCondition, match=r"plans of the new slot: 0\.3\.0 plans: TensorRT refuses"):
            board.updater().apply(board.hub.offer(release()))
        assert board.named() == ("0.2.0", "0.2.0")
        assert board.tested == [], "nothing was tested without plans"

    def test_a_service_that_does_not_answer_ends_the_build(
        self, board: Any, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent() -> Any:
            raise Unavailable("systemctl show: no answer")

        board.during_build = lambda: monkeypatch.setattr(board.service, "reading", silent)
        with pytest.raises(Unavailable, match="no answer"):
            board.updater().apply(board.hub.offer(release()))
