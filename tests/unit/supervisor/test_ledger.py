"""The three counts balance, or are said not to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from device.domain.finding import Counters
from device.supervisor.workers.passage_counts import Ledger
from device.supervisor.workers.supervisor import Life
from device.wire.link import Finished


def finished(number: int, counters: Counters) -> Life:
    return Life(number, finished=Finished(reason="end", counters=counters))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=6))
def test_honest_workers_always_balance(lives: list[tuple[int, int, int, bool]]) -> None:
    ledger = Ledger()
    for number, (discarded, alerted, open_passages, told) in enumerate(lives):
        for _ in range(alerted):
            ledger.alert("front", number)
        if told:
            last = Counters(faces_seen=discarded + alerted, discarded=discarded, alerted=alerted)
            ledger.end("front", finished(number, last))
        else:
            seen = discarded + alerted + open_passages
            ledger.tell("front", number, Counters(faces_seen=seen, discarded=discarded, alerted=alerted))
            ledger.end("front", Life(number))
    balance = ledger.balance()
    assert balance.holds
    assert balance.alerted == sum(alerted for _, alerted, _, _ in lives)
    assert balance.lost == sum(left for _, _, left, told in lives if not told)


def test_a_passage_that_vanished_breaks_the_balance() -> None:
    ledger = Ledger()
    ledger.end("front", finished(1, Counters(faces_seen=10, discarded=9)))
    assert not ledger.balance().holds


def test_an_alert_the_supervisor_never_saw_breaks_the_balance() -> None:
    ledger = Ledger()
    ledger.end("front", finished(1, Counters(faces_seen=10, discarded=9, alerted=1)))
    assert not ledger.balance().holds


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=30
    )
)
def test_totals_never_go_back_whatever_workers_do(steps: list[tuple[bool, int, int, int, bool]]) -> None:
    ledger, life, own = Ledger(), 1, Counters()
    before = ledger.totals()
    for discarded_more, seen, left, alerts, dies in steps:
        own = Counters(faces_seen=own.faces_seen + seen + alerts, discarded=own.discarded, alerted=own.alerted + alerts)
        own.discarded += min(left, own.faces_seen - own.alerted - own.discarded) if discarded_more else 0
        for _ in range(alerts):
            ledger.alert("front", life)
        ledger.tell("front", life, own)
        if dies:
            ledger.end("front", Life(life))
            life, own = life + 1, Counters()
        now = ledger.totals()
        assert (now.faces_seen, now.discarded) >= (before.faces_seen, before.discarded)
        assert now.discarded >= before.discarded
        before = now
    ledger.end("front", Life(life))
    balance = ledger.balance()
    assert balance.holds
    assert balance.faces_seen == ledger.totals().faces_seen == balance.discarded + ledger.lost + balance.alerted


def test_an_alert_raised_after_the_last_beat_of_a_dead_worker_is_not_forgotten() -> None:
    ledger = Ledger()
    ledger.tell("front", 1, Counters(faces_seen=3, discarded=3))
    ledger.alert("front", 1)
    ledger.end("front", Life(1))
    assert ledger.totals().faces_seen == 4
    assert (ledger.lost, ledger.balance().holds) == (0, True)


def test_totals_add_up_lives_and_cameras() -> None:
    ledger = Ledger()
    ledger.tell("front", 1, Counters(frames=10, open_passages=2, faces_seen=2))
    ledger.end("front", Life(1))
    ledger.tell("rear", 1, Counters(frames=5, open_passages=1, faces_seen=1))
    totals = ledger.totals()
    assert (totals.frames, totals.open_passages, totals.faces_seen) == (15, 1, 3)
