"""Erasure that outlives its supervisor: orders, the timer's receipts, tampering, clocks that are set back."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from device import eraser
from device.audit.log import lines_of
from device.audit.rows import read
from device.errors import Unavailable
from device.outbox.store import Outbox
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig

STATE = "state"


def erasure_orders(r: Rig) -> list[str]:
    return sorted(file.name for file in (r.folder / STATE / "erase").glob("*.json") if file.name != "clock.stamp.json")


def listed(r: Rig) -> bool:
    """Whether the sealed list is on the disk; its key never is."""
    return bool((r.place / "watchlist.age").exists())


def wall_ms(r: Rig, **later: float) -> int:
    return round((r.clock.wall() + timedelta(**later)).timestamp() * 1000)


def chained(r: Rig) -> list[tuple[Any, ...]]:
    records = [read(line[:-1]).record for line in lines_of(r.folder / STATE / "audit" / "audit.jsonl")]
    return [(row.what_gone, row.reason, row.count) for row in records if row.what == "erased"]


def killed_while_recognising(rig: MakeRig, **changes: Any) -> Any:
    """A device whose supervisor is gone from one moment to the next, with an alert in its outbox."""

    async def scene(r: Rig) -> None:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: bool(r.outbox.alerts_held()))
        r.device.supervisor.leave(0)

    r = rig(live=True, **changes)
    r.play(scene)  # a live device that stops erases nothing, like one that is killed
    return r


def test_no_deployment_counts_as_loaded_before_its_erasure_is_ordered(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert erasure_orders(r) == ["d-1.json"]

    r = rig(live=True)
    (r.folder / STATE).mkdir(exist_ok=True)
    (r.folder / STATE / "erase").write_text("in the way")

    async def refused(r: Rig) -> None:
        await asyncio.sleep(5)
        assert r.device.supervisor.active is None
        assert "no erasure order" in r.reasons
        (r.folder / STATE / "erase").unlink()
        await scene(r)

    r.play(refused)


def test_an_ordinary_end_leaves_no_order_behind(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.finish()
        return await r.outcome()

    r = rig()
    assert r.play(scene).exit_status == 0
    assert erasure_orders(r) == []


def test_after_a_kill_the_timer_erases_and_the_next_start_reports_it(rig: MakeRig) -> None:
    r = killed_while_recognising(rig, alert_hours=1)
    assert listed(r)
    eraser.erase(r.folder / STATE, wall_ms(r, hours=1))
    assert not listed(r)
    eraser.erase(r.folder / STATE, wall_ms(r, hours=3))

    async def later(again: Any) -> None:
        await again.until(lambda: len(again.hub.receipts()) >= 2)
        await asyncio.sleep(1)

    again = rig(live=True, again=True, alert_hours=1)
    again.repository.offers = False  # by now the hub has published its end
    again.play(later)
    reported = {(e.what, e.reason, e.count) for e in again.hub.receipts()}
    assert {("watchlist", "expiry", 3), ("alert", "retention", 1)} <= reported
    assert {("watchlist", "expiry", 3), ("alert", "retention", 1)} <= set(chained(again))
    assert erasure_orders(again) == []


def test_a_start_erases_by_itself_what_became_due_while_nobody_ran(rig: MakeRig) -> None:
    r = killed_while_recognising(rig, alert_hours=0)
    again = rig(live=True, again=True, alert_hours=0)
    again.clock.set_wall(r.clock.wall() + timedelta(hours=2))

    async def later(again: Any) -> None:
        await again.until(lambda: len(again.hub.receipts()) >= 2)

    again.play(later)
    assert not listed(again)
    assert again.outbox is not None
    assert {e.what for e in again.hub.receipts()} >= {"watchlist", "alert"}


def test_a_supervisor_killed_during_its_ending_leaves_the_rest_to_the_timer(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Outbox, reason: str) -> Any:
        raise Unavailable("killed here")

    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: bool(r.outbox.alerts_held()))
        r.device.supervisor.requests.end = True
        return await r.outcome()

    monkeypatch.setattr(Outbox, "erase_all", refuse)
    r = rig(live=True, alert_hours=0)
    assert r.play(scene).exit_status == 69
    assert erasure_orders(r) == ["d-1.json"]
    monkeypatch.undo()
    assert eraser.erase(r.folder / STATE, None) == 1
    assert erasure_orders(r) == ["d-1.receipt.json"]
    held = Outbox(r.folder / STATE / "outbox.sqlite", r.clock.wall())
    assert held.alerts_held() == []
    held.close()


@pytest.mark.slow
def test_a_restart_with_the_clock_set_back_does_not_bring_an_ended_deployment_back(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        await asyncio.sleep(125)

    first = rig(live=True, window_s=180)
    first.play(scene)
    stamp = first.folder / STATE / "erase" / "clock.stamp.json"
    reported = json.loads(stamp.read_text())
    stamp.write_text(json.dumps(reported | {"boottime_ms": reported["boottime_ms"] - 120_000}))
    again = rig(live=True, again=True, window_s=180)
    again.clock.set_wall(first.clock.wall() - timedelta(minutes=2))

    async def later(r: Rig) -> None:
        await asyncio.sleep(10)
        assert r.launcher.workers == []

    again.play(later)
    assert not listed(again)


def test_tampering_erases_everything_at_once_whatever_the_retention_allows(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: bool(r.outbox.alerts_held()))
        r.exchange.go_down()
        begin = r.loop.time()
        r.lines.tamper()
        outcome = await r.outcome()
        assert r.loop.time() - begin < 5.0
        return outcome

    r = rig(live=True, alert_hours=24)
    outcome = r.play(scene)
    assert not listed(r)
    assert outcome.summary["alerts_held"] == 0
    assert outcome.summary["reason"] == "tamper"
    assert ("watchlist", "tamper", 3) in chained(r)
    assert ("alert", "tamper", 1) in chained(r)


def test_tampering_while_alerts_are_only_kept_erases_those(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: r.state is State.SAFE, 200.0)
        assert r.outbox.alerts_held() != []
        r.lines.tamper()
        return await r.outcome()

    outcome = rig(live=True, window_s=30, alert_hours=24).play(scene)
    assert outcome.summary["alerts_held"] == 0
