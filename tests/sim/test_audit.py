"""The whole device on fakes and its audit log: what is in it, that it balances, and what a refusing disk changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from device.audit.log import Log, lines_of
from device.audit.rows import Head, genuine, read
from device.audit.verify import Verdict, verify
from device.domain.audit_record import Record
from device.errors import Unavailable
from device.hub_api import messages
from device.supervisor.state_machine import State
from device.supervisor.timing import AUDIT_COUNTS_S, AUDIT_COUNTS_SAME_S, AUDIT_COUNTS_SETTLE_S
from tests.sim.rig import MakeRig, Rig


def rows(r: Rig) -> list[Record]:
    return [read(line[:-1]).record for line in lines_of(r.folder / "state" / "audit" / "audit.jsonl")]


def verdict(r: Rig) -> Verdict:
    return verify(r.folder / "state" / "audit", (r.folder / "state" / "device.pub").read_text().strip())


def test_a_run_from_start_to_erasure_is_a_whole_signed_chain(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(60)
        r.worker.raise_candidate(1)
        await r.until(lambda: len(r.hub.alerts()) >= 1)
        r.hub.judge(r.hub.alerts()[0].alert_id, "false_alert")
        await asyncio.sleep(1)
        r.worker.finish()
        return await r.outcome()

    r = rig()
    r.play(scene)
    found = verdict(r)
    assert found.ok, found
    assert found.unsigned_tail == 0
    output = rows(r)
    states = [(row.was, row.now) for row in output if row.what == "state"]
    assert states == [
        ("safe", "ready"),
        ("ready", "armed"),
        ("armed", "recognising"),
        ("recognising", "ending"),
        ("ending", "safe"),
    ]
    kinds = [row.what for row in output]
    assert kinds[:2] == ["began", "started"]
    assert kinds[-2:] == ["stopped", "head"]
    for kind in ("loaded", "watchlist", "engine", "hub", "alert", "judged", "erased", "counts", "worker", "ended"):
        assert kind in kinds, kind
    assert all(row.sign_dark_ms is not None for row in output if row.what == "counts")
    gone = {(row.what_gone, row.reason, row.count) for row in output if row.what == "erased"}
    assert {("alert", "false_alert", 1), ("template", "no_match", 60), ("watchlist", "end_of_deployment", 3)} <= gone


def test_every_receipt_at_the_hub_names_a_row_of_the_chain(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(2)
        r.worker.raise_candidate(1)
        r.worker.finish()
        return await r.outcome()

    r = rig()
    r.play(scene)
    folder = r.folder / "state" / "audit" / "audit.jsonl"
    by_hash = {row.hash: row.record for row in (read(line[:-1]) for line in lines_of(folder))}
    receipts = r.hub.receipts()
    assert len(receipts) >= 3
    for receipt in receipts:
        assert receipt.chain_hash is not None
        assert by_hash[receipt.chain_hash].what_gone == receipt.what
        assert by_hash[receipt.chain_hash].count == receipt.count


@pytest.mark.slow
def test_the_count_balances_every_minute_while_people_pass(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        for passage in range(1, 13):
            r.worker.passers_by(7)
            r.worker.counters.faces_seen += 1
            r.worker.counters.open_passages = 1
            await asyncio.sleep(10)
            r.worker.counters.discarded += 1
            r.worker.counters.open_passages = 0
            r.worker.raise_candidate(passage)
            await asyncio.sleep(10.05)

    r = rig(live=True)
    r.play(scene)
    counts = [row for row in rows(r) if row.what == "counts"]
    assert len(counts) >= 4
    assert all(row.balanced for row in counts), counts
    assert max(row.alerted or 0 for row in counts) >= 9
    assert verdict(r).ok


@pytest.mark.slow
def test_counts_that_change_are_noted_every_ten_seconds_and_others_every_minute(rig: MakeRig) -> None:
    """A kill loses what was counted since the last row."""

    async def scene(r: Rig) -> list[int]:
        await r.recognising()
        seen = []
        for _ in range(6):
            r.worker.passers_by(1)
            await asyncio.sleep(AUDIT_COUNTS_S + AUDIT_COUNTS_SETTLE_S)
            seen.append([row for row in rows(r) if row.what == "counts"][-1].faces_seen or 0)
        before = len([row for row in rows(r) if row.what == "counts"])
        await asyncio.sleep(AUDIT_COUNTS_SAME_S - AUDIT_COUNTS_S - AUDIT_COUNTS_SETTLE_S)
        assert len([row for row in rows(r) if row.what == "counts"]) == before, "nothing has changed"
        await asyncio.sleep(AUDIT_COUNTS_S + 2 * AUDIT_COUNTS_SETTLE_S)
        assert len([row for row in rows(r) if row.what == "counts"]) == before + 1
        return seen

    r = rig(live=True)
    assert r.play(scene) == [1, 2, 3, 4, 5, 6]


def test_a_worker_that_lies_about_its_alerts_shows_in_the_chain(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        r.worker.counters.alerted += 1
        r.worker.finish()
        return await r.outcome()

    r = rig()
    r.play(scene)
    assert verdict(r).broken is None
    assert len(verdict(r).unbalanced) == 1


@pytest.mark.slow
def test_the_hub_has_the_newest_head_signed_with_the_key_of_the_birth(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        await asyncio.sleep(130)
        assert len(r.hub.all(messages.AuditHead)) == 4, "at the start, after it, and with each minute's counts"
        r.worker.finish()
        return await r.outcome()

    r = rig()
    r.play(scene)
    heads, birth = r.hub.all(messages.AuditHead), r.hub.all(messages.Birth)[0]
    assert birth.audit_key == heads[-1].key
    fields = {name: getattr(heads[-1], name) for name in Head.__struct_fields__}
    assert genuine(Head(**fields), birth.audit_key)
    assert heads[-1].seq == verdict(r).last


def test_a_failing_condition_is_in_the_log_with_its_rule_and_flicker_does_not_flood_it(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        for _ in range(60):
            r.lines.lamp_works = not r.lines.lamp_works
            await asyncio.sleep(0.5)

    r = rig(live=True)
    r.play(scene)
    output = rows(r)
    inhibited = next(row for row in output if row.what == "state" and row.now == "inhibited")
    assert (inhibited.condition, inhibited.rule) == ("sign seen dark, then lit", "R15")
    faults = [row for row in output if row.what == "sign" and row.condition == "sign sensed lit"]
    assert 1 <= len(faults) <= 5


def test_stop_and_its_end_are_in_the_log(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.lines.press_stop()
        await r.until(lambda: r.state is State.INHIBITED)
        r.hub.command("resume")
        await r.recognising()

    r = rig(live=True)
    r.play(scene)
    output = rows(r)
    kinds = [row.what for row in output]
    assert kinds.index("stop") < kinds.index("resume")
    assert next(row for row in output if row.what == "resume").officer == "op-1"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [5, 200])
def test_a_disk_that_refuses_for_a_while_loses_no_row_and_keeps_nothing_from_being_erased(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    append, broken = Log.append, [False]

    def refuse(self: Log, lines: bytes) -> None:
        if broken[0]:
            raise Unavailable("audit log: No space left on device")
        append(self, lines)

    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.raise_candidate(1)
        await r.until(lambda: len(r.hub.alerts()) >= 1)
        broken[0] = True
        r.hub.judge(r.hub.alerts()[0].alert_id, "false_alert")
        await r.until(lambda: any(e.reason == "false_alert" for e in r.hub.receipts()))
        await asyncio.sleep(seconds)
        assert not r.worker.running, "nobody is recognised while nothing is recorded"
        broken[0] = False
        await r.recognising()
        r.worker.finish()
        return await r.outcome()

    monkeypatch.setattr(Log, "append", refuse)
    r = rig()
    outcome = r.play(scene)
    assert outcome.exit_status == 0
    assert not (r.place / "watchlist.age").exists()
    assert verdict(r).ok
    assert rows(r)[0].what == "began"


def test_a_state_folder_that_takes_no_log_at_all_stops_recognition_and_not_erasure(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, **_: Any) -> None:
        raise Unavailable(f"audit log {folder}: Read-only file system")

    async def scene(r: Rig) -> Any:
        await r.until(lambda: "audit log: audit log" in r.reasons and r.device.supervisor.active is not None)
        await asyncio.sleep(30)
        assert r.launcher.workers == []
        r.repository.offers = False
        return await r.outcome()

    r = rig()
    monkeypatch.setattr(Log, "__init__", lambda self, folder, **_: refuse(folder))
    outcome = r.play(scene)
    assert outcome.exit_status == 77, "nobody was ever recognised"
    assert not (r.place / "watchlist.age").exists()
    assert r.hub.all(messages.AuditHead) == []


def test_the_next_start_goes_on_with_the_same_chain(rig: MakeRig, tmp_path: Path) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()

    first = rig(live=True)
    first.play(scene)
    before = verdict(first).last
    second = rig(live=True, again=True)
    second.play(scene)
    found = verdict(second)
    assert found.ok
    assert before is not None
    assert found.last is not None
    assert found.last > before
    assert [row.what for row in rows(second)].count("began") == 1


def test_a_start_that_a_signal_ends_is_counted_with_a_receipt_for_its_templates(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.worker.passers_by(41)
        r.worker.raise_candidate(1)
        await r.until(lambda: len(r.hub.alerts()) >= 1)
        r.device.supervisor.leave(0)
        return await r.outcome()

    r = rig(live=True, alert_hours=24)
    r.play(scene)
    assert verdict(r).ok
    counts = [row for row in rows(r) if row.what == "counts"][-1]
    assert (counts.faces_seen, counts.discarded, counts.alerted, counts.open) == (42, 41, 1, 0)
    gone = [(row.what_gone, row.reason, row.count) for row in rows(r) if row.what == "erased"]
    assert gone == [("template", "no_match", 41)]
    assert r.hub.last(messages.Stats).faces_seen == 42
    assert [receipt.count for receipt in r.hub.receipts()] == [41]
