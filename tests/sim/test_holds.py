"""A hold on a whole device: in the audit log, past the deployment's end, and what a false alert means for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from device.domain.time import rfc3339, wall
from device.hub_api import messages
from tests.sim.rig import MakeRig, Rig
from tests.sim.test_commands import rows


def a_hold(r: Rig, alert_id: str, **changes: Any) -> messages.Hold:
    fields: dict[str, Any] = {
        "mode": None,
        "alert_id": alert_id,
        "state": "held",
        "kind": "evidence",
        "reason": "prosecution",
        "owner": "CID-4",
        "review_by": rfc3339(wall(r.clock.wall() + timedelta(days=90))),
        "officer_ref": "op-1",
        "at": rfc3339(r.clock.wall()),
    }
    return messages.Hold(**{**fields, **changes})


async def alerted(r: Rig) -> str:
    await r.recognising()
    r.worker.raise_candidate(7)
    await r.until(lambda: bool(r.hub.alerts()))
    return r.hub.alerts()[0].alert_id


def test_what_is_held_outlives_the_end_of_the_deployment_and_the_log_says_who_holds_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        alert = await alerted(r)
        r.hub.follow(alert, a_hold(r, alert))
        await asyncio.sleep(1)
        r.worker.finish()
        return alert, await r.outcome(), r.outbox.alerts_held()

    r = rig()
    alert, outcome, left = r.play(scene)
    assert left == [alert]
    assert (outcome.exit_status, outcome.summary["alerts_under_hold"], outcome.summary["faults"]) == (0, 1, {})
    assert not outcome.leave_nothing
    (row,) = [row for row in rows(r) if row.what == "hold"]
    assert (row.alert, row.hold, row.owner, row.officer, row.reason) == (
        alert,
        "evidence",
        "CID-4",
        "op-1",
        "prosecution",
    )


@pytest.mark.parametrize(("kind", "count"), [("evidence", 1), ("complaint", 0)])
def test_a_false_alert_that_is_held_goes_unless_it_is_for_a_complaint(rig: MakeRig, kind: Any, count: int) -> None:
    async def scene(r: Rig) -> Any:
        alert = await alerted(r)
        r.hub.follow(alert, a_hold(r, alert, kind=kind))
        await asyncio.sleep(1)
        r.hub.judge(alert, "false_alert")
        await r.until(lambda: bool(r.hub.receipts()))
        return [receipt.count for receipt in r.hub.receipts()], r.outbox.alerts_held()

    counts, left = rig(live=True, alert_hours=24).play(scene)
    assert counts == [count]
    assert len(left) == 1 - count


def test_a_release_gives_the_alert_its_ordinary_time_back_and_a_far_review_is_cut(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        alert = await alerted(r)
        r.hub.follow(alert, a_hold(r, alert, review_by="2040-01-01T00:00:00.000Z"))
        await asyncio.sleep(1)
        r.hub.follow(alert, a_hold(r, alert, state="released"))
        await asyncio.sleep(1)
        return r.outbox.under_hold(), r.outbox.alerts_held()

    r = rig(live=True, alert_hours=24)
    under, left = r.play(scene)
    assert (under, len(left)) == ([], 1)
    said = [row for row in rows(r) if row.what in ("hold", "released")]
    assert [row.what for row in said] == ["hold", "released"]
    assert said[0].until is not None
    assert said[0].until < "2028"


def test_a_release_after_an_early_end_erases_at_once_what_the_policy_does_not_keep(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        alert = await alerted(r)
        r.hub.follow(alert, a_hold(r, alert))
        await asyncio.sleep(1)
        r.worker.finish()
        await r.outcome()
        return alert, r.outbox.release(alert, r.clock.wall(), clock_trusted=True)

    alert, released = rig().play(scene)
    assert [(gone.alert_id, gone.existed) for gone in released] == [(alert, True)]
