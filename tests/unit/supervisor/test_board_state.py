"""Over-current counts while it is recent; latency drifts only when a stage stays slower."""

from __future__ import annotations

from device.domain.time import NS_PER_S
from device.edges.host.emulated_board import EmulatedBoard
from device.supervisor.runtime.board_state import MEMORY_LOW_BYTES, BoardState
from device.supervisor.runtime.latency_drift import LatencyDrift, slowest
from device.supervisor.timing import DRIFT_S, DRIFT_START_S, DRIFT_WARM_UP_S, OVER_CURRENT_RECENT_S


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def limits(state: BoardState) -> list[str] | None:
    return None if state.view.limited_by is None else list(state.view.limited_by)


def test_events_from_before_the_start_are_not_now_and_new_ones_are_for_half_a_minute() -> None:
    board = EmulatedBoard()
    board.events = {"under-voltage": 0, "instantaneous over-current": 37}
    state = BoardState(board)
    state.read(at(0))
    assert limits(state) == []
    board.events["instantaneous over-current"] += 1
    state.read(at(1))
    assert limits(state) == ["instantaneous over-current"]
    state.read(at(1 + OVER_CURRENT_RECENT_S))
    assert limits(state) == []
    board.events = None
    state.read(at(100))
    assert limits(state) is None


def test_an_event_that_happens_while_the_counter_cannot_be_read_is_seen_afterwards() -> None:
    board = EmulatedBoard()
    board.events = {"under-voltage": 3}
    state = BoardState(board)
    state.read(at(0))
    board.events = None
    state.read(at(1))
    board.events = {"under-voltage": 4}
    state.read(at(2))
    assert limits(state) == ["under-voltage"]


def test_memory_is_low_below_what_a_worker_needs_and_never_while_it_is_unknown() -> None:
    board = EmulatedBoard()
    state = BoardState(board)
    for available, low in ((MEMORY_LOW_BYTES, False), (MEMORY_LOW_BYTES - 1, True), (None, False)):
        board.available_bytes = available
        state.read(0)
        assert state.view.memory_low is low


def watch(drift: LatencyDrift, ms: float, begin_s: float, seconds: float) -> float:
    """Beats of one stage for a while; when it ended."""
    steps = round(seconds / 0.5)
    for step in range(steps + 1):
        drift.observe({"embed": ms}, at(begin_s + step * 0.5))
    return begin_s + seconds


def started() -> tuple[LatencyDrift, float]:
    """A drift that knows its start: 100 ms while it compiles, then 8 ms."""
    drift = LatencyDrift()
    now = watch(drift, 100.0, 0.0, DRIFT_WARM_UP_S - 0.5)
    assert drift.at_start_ms == {}
    return drift, watch(drift, 8.0, now + 0.5, DRIFT_START_S + 1.0)


def test_the_value_at_the_start_is_unknown_first_and_leaves_the_compilation_out() -> None:
    drift, _ = started()
    assert drift.at_start_ms == {"embed": 8.0}
    assert list(drift.slower) == []


def test_a_stage_is_slower_after_half_a_minute_and_no_more_when_it_is_fast_again() -> None:
    drift, now = started()
    now = watch(drift, 12.5, now, DRIFT_S - 1.0)
    assert list(drift.slower) == []
    now = watch(drift, 12.5, now, 2.0)
    assert list(drift.slower) == ["embed"]
    now = watch(drift, 11.5, now, 0.5)
    assert list(drift.slower) == []
    watch(drift, 12.5, now, DRIFT_S - 1.0)
    assert list(drift.slower) == [], "the half minute begins anew"


def test_a_fast_stage_needs_two_milliseconds_more_and_a_worker_that_is_gone_is_not_slower() -> None:
    drift = LatencyDrift()
    now = watch(drift, 0.5, 0.0, DRIFT_WARM_UP_S + DRIFT_START_S + 1.0)
    now = watch(drift, 1.5, now, DRIFT_S + 5.0)
    assert list(drift.slower) == []
    now = watch(drift, 2.6, now, DRIFT_S + 5.0)
    assert list(drift.slower) == ["embed"]
    drift.observe({}, at(now + 1.0))
    assert list(drift.slower) == []
    assert drift.at_start_ms == {"embed": 0.5}, "a worker that starts again is compared with the first one"


def test_of_several_cameras_the_slowest_counts() -> None:
    assert slowest({"front": {"detect": 3.0, "embed": 8.0}, "rear": {"detect": 5.0}}) == {"detect": 5.0, "embed": 8.0}
    assert slowest({}) == {}
