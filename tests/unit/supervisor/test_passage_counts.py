"""The three counts balance, or the difference is reported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from device.domain.finding import Counters
from device.supervisor.workers.passage_counts import PassageCounts
from device.supervisor.workers.supervisor import WorkerRun
from device.wire.link import Finished


def finished(number: int, counters: Counters) -> WorkerRun:
    return WorkerRun(number, finished=Finished(reason="end", counters=counters))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=6))
def test_honest_workers_always_balance(runs: list[tuple[int, int, int, bool]]) -> None:
    counts = PassageCounts()
    for number, (discarded, alerted, open_passages, reported) in enumerate(runs):
        for _ in range(alerted):
            counts.alert_raised("front", number)
        if reported:
            last = Counters(faces_seen=discarded + alerted, discarded=discarded, alerted=alerted)
            counts.run_ended("front", finished(number, last))
        else:
            seen = discarded + alerted + open_passages
            counts.update("front", number, Counters(faces_seen=seen, discarded=discarded, alerted=alerted))
            counts.run_ended("front", WorkerRun(number))
    balance = counts.balance()
    assert balance.holds
    assert balance.alerted == sum(alerted for _, alerted, _, _ in runs)
    assert balance.lost == sum(left for _, _, left, reported in runs if not reported)


def test_a_passage_that_vanished_breaks_the_balance() -> None:
    counts = PassageCounts()
    counts.run_ended("front", finished(1, Counters(faces_seen=10, discarded=9)))
    assert not counts.balance().holds


def test_an_alert_the_supervisor_never_saw_breaks_the_balance() -> None:
    counts = PassageCounts()
    counts.run_ended("front", finished(1, Counters(faces_seen=10, discarded=9, alerted=1)))
    assert not counts.balance().holds


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=30
    )
)
def test_totals_never_go_back_whatever_workers_do(steps: list[tuple[bool, int, int, int, bool]]) -> None:
    counts, run, own = PassageCounts(), 1, Counters()
    before = counts.totals()
    for discarded_more, seen, left, alerts, dies in steps:
        own = Counters(faces_seen=own.faces_seen + seen + alerts, discarded=own.discarded, alerted=own.alerted + alerts)
        own.discarded += min(left, own.faces_seen - own.alerted - own.discarded) if discarded_more else 0
        for _ in range(alerts):
            counts.alert_raised("front", run)
        counts.update("front", run, own)
        if dies:
            counts.run_ended("front", WorkerRun(run))
            run, own = run + 1, Counters()
        now = counts.totals()
        assert (now.faces_seen, now.discarded) >= (before.faces_seen, before.discarded)
        assert now.discarded >= before.discarded
        before = now
    counts.run_ended("front", WorkerRun(run))
    balance = counts.balance()
    assert balance.holds
    assert balance.faces_seen == counts.totals().faces_seen == balance.discarded + counts.lost + balance.alerted


def test_an_alert_raised_after_the_last_beat_of_a_dead_worker_is_not_forgotten() -> None:
    counts = PassageCounts()
    counts.update("front", 1, Counters(faces_seen=3, discarded=3))
    counts.alert_raised("front", 1)
    counts.run_ended("front", WorkerRun(1))
    assert counts.totals().faces_seen == 4
    assert (counts.lost, counts.balance().holds) == (0, True)


def test_totals_add_up_lives_and_cameras() -> None:
    counts = PassageCounts()
    counts.update("front", 1, Counters(frames=10, open_passages=2, faces_seen=2))
    counts.run_ended("front", WorkerRun(1))
    counts.update("rear", 1, Counters(frames=5, open_passages=1, faces_seen=1))
    totals = counts.totals()
    assert (totals.frames, totals.open_passages, totals.faces_seen) == (15, 1, 3)
