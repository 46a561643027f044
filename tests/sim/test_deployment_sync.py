"""The life of a signed deployment on a device: offered, sealed to it, running, corrected, over. In virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from device.audit.log import lines_of
from device.audit.rows import read
from device.domain.audit_record import Record
from device.domain.time import wall
from device.errors import Unavailable
from device.hub_api import messages
from device.supervisor.state_machine import State
from device.sync.refusal import CLOCK, SIGNED, Refused
from tests.sim.rig import MakeRig, Rig

FORGED = Refused(SIGNED, "wrong signer", "2.officers.json is signed by nobody who may sign it")


def rows(r: Rig) -> dict[str, str]:
    """Every condition by name, as it reads now."""
    return {evaluation.condition.name: evaluation.result.value for evaluation in r.device.supervisor.evaluations}


def audited(r: Rig, what: str) -> list[Record]:
    """The audit log's rows of a kind."""
    found = [read(line[:-1]).record for line in lines_of(r.folder / "state" / "audit" / "audit.jsonl")]
    return [row for row in found if row.what == what]


def test_from_the_offer_over_the_envelope_to_recognising(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.issues = False
        await r.until(lambda: "has not issued a key envelope" in r.reasons)
        assert rows(r)["deployment signed"] == rows(r)["deployment loaded"] == "holds"
        assert rows(r)["watchlist sealed to this device"] == "fails"
        assert r.state is State.READY
        output = r.hub.last(messages.Identity)
        assert (output.deployment_id, output.boot_id) == ("d-1", "boot")
        r.repository.issues = True
        await r.recognising()
        assert rows(r)["watchlist sealed to this device"] == rows(r)["watchlist fresh"] == "holds"
        assert r.repository.taken == ["d-1"]
        assert r.worker.assignment.identity == "AGE-SECRET-KEY-1TEST"
        assert r.worker.assignment.categories == {"missing": 0.0}

    r = rig(live=True)
    r.play(scene)
    assert [(row.deployment, row.watchlist) for row in audited(r, "key")] == [("d-1", "wl-1")]


def test_a_stick_without_an_envelope_says_that_the_broker_is_needed_once(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.issues, r.repository.source = False, "usb"
        await r.until(lambda: "Let it reach the hub's broker once" in r.reasons)
        r.repository.issues = True
        await r.recognising()

    rig(live=True).play(scene)


def test_the_hubs_word_to_sync_is_obeyed_at_once(rig: MakeRig) -> None:
    async def scene(r: Rig) -> float:
        r.repository.offers = False
        await asyncio.sleep(10.1)
        r.repository.offers = True
        looks = r.repository.looks
        r.hub.command("sync")
        return await r.until(lambda: r.repository.looks > looks)

    assert rig(live=True).play(scene) < 0.1


def test_a_withdrawn_entry_leaves_every_worker_within_five_seconds_and_stays_away(rig: MakeRig) -> None:
    async def scene(r: Rig) -> tuple[float, float]:
        await r.recognising()
        r.repository.withdrawn = frozenset({"e-1"})
        by_poll = await r.until(lambda: all(w.withdrawn == {"e-1"} for w in r.launcher.workers))
        await asyncio.sleep(1)
        r.repository.withdrawn = frozenset({"e-1", "e-2"})
        r.hub.command("sync")
        by_word = await r.until(lambda: all(w.withdrawn == {"e-1", "e-2"} for w in r.launcher.workers))
        await r.until(lambda: r.hub.last(messages.WatchlistState).withdrawn == 2)
        r.repository.withdrawn = frozenset({"e-2"})  # nobody comes back on a list
        r.launcher.of("front").crash()
        await r.until(lambda: r.launcher.of("front").assignment is not None and r.launcher.of("front").running)
        await asyncio.sleep(3)
        given = r.launcher.of("front").assignment
        assert given is not None
        assert given.withdrawn == ("e-1", "e-2")
        assert r.state is State.RECOGNISING
        return by_poll, by_word

    by_poll, by_word = rig(live=True, cameras=("front", "rear")).play(scene)
    assert by_poll <= 2.5
    assert by_word <= 0.5


def test_the_end_that_the_hub_publishes_ends_the_deployment_identity_first(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        active = r.device.supervisor.active
        assert active is not None
        r.repository.offers = False
        await r.until(lambda: r.state is State.ENDING, 5.0)
        outcome = await r.outcome()
        assert active.identity == ""
        return outcome

    r = rig(live=True)
    assert r.play(scene).exit_status == 0
    assert r.repository.ended_ids == ["d-1"]
    assert not (r.place / "watchlist.age").exists()
    assert r.hub.last(messages.Identity).recipient is None


def test_another_deployment_in_its_place_is_its_end_and_waits_for_the_next_start(rig: MakeRig) -> None:
    async def scene(r: Rig) -> Any:
        await r.recognising()
        r.repository.deployment_id = "d-2"
        return await r.outcome()

    r = rig(live=True)
    assert r.play(scene).exit_status == 0
    assert r.repository.ended_ids == ["d-1"]
    assert r.repository.taken == ["d-1"]


@pytest.mark.slow
def test_a_hub_that_cannot_be_read_stops_nobody_until_the_signatures_expire(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.good_until = wall(r.clock.wall() + timedelta(seconds=60))
        await r.recognising()
        r.repository.fault = Unavailable("https: the hub at van:8444 does not answer (Connection refused)")
        await asyncio.sleep(30)
        assert r.state is State.RECOGNISING
        await r.until(lambda: r.state is State.INHIBITED, 40.0)
        assert "the signatures were valid until" in r.reasons
        assert "Connection refused" in r.reasons
        await r.until(lambda: not r.worker.running, 1.0)
        r.repository.fault, r.repository.good_until = None, wall(r.clock.wall() + timedelta(hours=1))
        await r.recognising()

    rig(live=True).play(scene)


@pytest.mark.slow
def test_a_clock_set_back_prolongs_no_signature(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.repository.good_until = wall(r.clock.wall() + timedelta(seconds=200))
        await asyncio.sleep(3)
        r.repository.fault = Unavailable("https: the hub at van:8444 does not answer (Connection refused)")
        for _ in range(3):
            await asyncio.sleep(50)
            r.clock.set_wall(r.clock.wall() - timedelta(seconds=50))  # it never gets later
            r.clock.is_synchronised = not r.clock.is_synchronised
        assert rows(r)["deployment signed"] == "holds"
        await r.until(lambda: rows(r)["deployment signed"] == "fails", 60.0)

    rig(live=True, window_s=3600).play(scene)


def test_a_clock_set_back_while_recognising_stops_at_once_until_it_is_right(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.repository.fault = Unavailable("https: the hub does not answer")  # only the device itself can notice
        r.clock.set_wall(r.clock.wall() - timedelta(seconds=59))
        await asyncio.sleep(3)
        assert r.state is State.RECOGNISING, "a time service may correct seconds"
        r.clock.set_wall(r.clock.wall() - timedelta(minutes=20))
        await r.until(lambda: r.state is State.INHIBITED, 1.0)
        await r.until(lambda: not r.worker.running, 1.0)
        assert rows(r)["clock trusted"] == "fails"
        assert "it was set back" in r.reasons
        r.clock.set_wall(r.clock.wall() + timedelta(minutes=20))
        await r.recognising()

    r = rig(live=True)
    r.play(scene)
    assert ("R02", "clock trusted") in [(row.rule, row.condition) for row in audited(r, "condition")]


def test_a_look_that_the_clock_forbids_stops_a_running_deployment_too(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.repository.fault = Refused(CLOCK, "clock behind", "the timestamp is good for longer than 24 h")
        await r.until(lambda: r.state is State.INHIBITED, 5.0)
        assert rows(r)["clock synchronised"] == "fails"
        r.repository.fault = Unavailable("https: the hub does not answer")
        await asyncio.sleep(10)
        assert r.state is State.INHIBITED, "no answer is no proof that the clock is right"
        r.repository.fault = None
        await r.recognising()

    rig(live=True).play(scene)


def test_what_does_not_verify_changes_nothing_while_a_deployment_runs(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.repository.fault = FORGED
        await asyncio.sleep(60)
        assert r.state is State.RECOGNISING
        r.repository.fault = None

    r = rig(live=True)
    r.play(scene)
    reported = audited(r, "refused")
    assert [(row.rule, row.reason) for row in reported] == [("deployment signed", "wrong signer")]


def test_what_does_not_verify_is_the_reason_why_nothing_is_loaded_and_is_audited_once(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.fault = FORGED
        await asyncio.sleep(20)
        assert r.state is State.READY
        assert rows(r)["deployment signed"] == "fails"
        assert "signed by nobody who may sign it" in r.reasons
        r.repository.fault = None
        await r.recognising()
        assert rows(r)["deployment signed"] == "holds"

    r = rig(live=True)
    r.play(scene)
    assert len(audited(r, "refused")) == 1


def test_a_publication_that_verifies_and_is_refused_stops_recognition_until_it_is_mended(rig: MakeRig) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        r.repository.refused = Refused("watchlist loaded", "withdrawn malformed", "the withdrawn list is not JSON")
        r.hub.command("sync")
        took = await r.until(lambda: r.state is State.INHIBITED)
        assert "the withdrawn list is not JSON" in r.reasons
        await r.until(lambda: not r.worker.running, 1.0)
        r.repository.refused = None
        await r.recognising()
        return took

    assert rig(live=True).play(scene) < 1.0


def test_an_envelope_for_somebody_else_opens_nothing(rig: MakeRig) -> None:
    from device.sync.identity import SessionIdentity

    other = SessionIdentity("d-1").recipient

    async def scene(r: Rig) -> None:
        r.repository._recipient = lambda: other
        await asyncio.sleep(10)
        assert r.state is State.READY
        assert "has not issued a key envelope to this device's identity" in r.reasons
        r.repository._recipient = r.hub.recipient
        await r.recognising()

    rig(live=True).play(scene)


def test_a_restart_has_a_new_identity_and_gets_a_new_envelope(rig: MakeRig) -> None:
    seen = []

    async def scene(r: Rig) -> None:
        await r.recognising()
        seen.append(r.hub.recipient())

    rig(live=True).play(scene)
    rig(live=True, again=True).play(scene)
    assert len(set(seen)) == 2


def test_a_list_with_an_entry_without_category_is_refused_by_its_own_condition(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.launcher.script.watchlist = {"incomplete": 2}
        await r.until(lambda: "2 of them" in r.reasons)
        assert rows(r)["watchlist entries"] == "fails"
        await r.until(lambda: not r.worker.running, 1.0)

    rig(live=True).play(scene)


def test_nothing_of_the_secret_reaches_the_disk_the_log_or_the_broker(
    rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    received = []

    async def scene(r: Rig) -> Any:
        r.listener(lambda topic, payload: received.append(payload))
        await r.recognising()
        stored = [p.read_bytes() for p in r.folder.rglob("*") if p.is_file() and p.name != "identity.txt"]
        assert not any(b"AGE-SECRET" in content for content in (*stored, *received))
        r.repository.offers = False
        return await r.outcome()

    caplog.set_level("DEBUG")
    r = rig(live=True)
    r.play(scene)
    assert "AGE-SECRET" not in caplog.text
    assert not any(b"AGE-SECRET" in p.read_bytes() for p in r.folder.rglob("*") if p.is_file())


def test_an_operational_key_is_made_only_in_locked_memory(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await asyncio.sleep(10)
        assert "memory is not locked" in r.reasons
        assert r.hub.recipient() is None
        assert r.repository.taken == []

    rig(live=True, mode="operational", memory_locked=False).play(scene)


def test_a_camera_that_watches_a_zone_which_nobody_authorised_is_refused(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        r.repository.zones = ("south-gate", "platform-2")
        await r.until(lambda: "zones of cameras here: gate; authorised: south-gate, platform-2" in r.reasons)
        assert rows(r)["deployment for this device"] == "fails"
        assert r.hub.recipient() is None
        r.repository.zones = ("south-gate", "gate")
        await r.recognising()

    rig(live=True).play(scene)
