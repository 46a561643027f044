"""The blue list on the device, in virtual time: reported, logged, and gone when the consent is."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.domain.finding import VolunteerFinding
from device.domain.time import wall
from device.hub_api import messages
from device.outbox.retry import MessageClass
from device.ports.gpio import Lamp
from device.wire.link import VolunteerRecognised
from tests.sim.rig import MakeRig, Rig

START = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)
HEX = "0123456789abcdef"
SEEN = "lfr/v1/demo/cam-1/bluelist/seen"


def blue_list(**until_s: float) -> str:
    """Lines of a deployment: volunteers and the seconds until their consents end."""
    volunteers = "".join(
        f"""
          - {{ref: {ref}, consent_until: {(START + timedelta(seconds=seconds)).isoformat()},
             target: deployments/{HEX}.{ref}.volunteer, sha256: {"c" * 64}, bytes: 100}}"""
        for ref, seconds in until_s.items()
    )
    return f"""
        blue_list:
          id: bl-1
          recogniser: {"b" * 64}
          volunteers:{volunteers}
    """


def with_volunteers(rig: MakeRig, tmp_path: Path, **until_s: float) -> Rig:
    made = rig(live=True, more=blue_list(**until_s))
    for ref in until_s:
        made.repository.volunteers[ref] = tmp_path / f"{ref}.sealed"
        made.repository.volunteers[ref].write_bytes(b"sealed")
    return made


def recognised(ref: str) -> VolunteerRecognised:
    return VolunteerRecognised(finding=VolunteerFinding(ref=ref, score=0.7, threshold=0.5, decoded_ns=0))


@pytest.fixture
def made(rig: MakeRig, tmp_path: Path) -> Rig:
    return with_volunteers(rig, tmp_path, V1=9000, V2=9000)


def test_a_volunteer_is_reported_as_of_the_blue_list_and_is_no_alert(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        assert [Path(file).name for file in r.worker.assignment.volunteers] == ["V1.sealed", "V2.sealed"]
        r.worker.say(recognised("V1"))
        await r.until(lambda: bool(r.hub.all(messages.VolunteerSeen)))
        seen = r.hub.last(messages.VolunteerSeen)
        assert (seen.kind, seen.entry_ref, seen.camera_id, seen.deployment_id) == ("blue", "V1", "front", "d-1")
        assert [topic for topic, _ in r.hub.received if "bluelist" in topic] == ["lfr/v1/demo/cam-1/bluelist/seen"]
        assert r.hub.alerts() == []
        assert r.hub.probes() == []
        assert r.device.supervisor.indicators.lit.get(Lamp.ALERT, False) is False
        r.worker.say(recognised("V9"))
        await asyncio.sleep(1)
        assert len(r.hub.all(messages.VolunteerSeen)) == 1, "who is on no list is not reported"

    made.play(scene)


def test_a_pass_that_is_logged_reaches_the_hub(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.device.blue_list.pass_logged(r.clock.wall())
        await r.until(lambda: bool(r.hub.all(messages.VolunteerPass)))
        assert r.hub.last(messages.VolunteerPass).deployment_id == "d-1"

    made.play(scene)


def test_a_press_of_the_button_is_a_pass(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.lines.press_blue_list_button()
        await r.until(lambda: bool(r.hub.all(messages.VolunteerPass)))

    made.play(scene)


def test_without_a_blue_list_a_pass_counts_for_nothing(rig: MakeRig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.device.blue_list.pass_logged(r.clock.wall())
        await asyncio.sleep(1)
        assert r.hub.all(messages.VolunteerPass) == []

    rig(live=True).play(scene)


def test_a_withdrawn_consent_is_gone_from_workers_and_disk_with_a_receipt_and_stays_away(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        file = r.repository.volunteers["V1"]
        r.repository.volunteers_withdrawn = frozenset({"V1"})
        r.hub.command("sync")
        assert await r.until(lambda: all(w.volunteers_gone == {"V1"} for w in r.launcher.workers)) < 0.5
        await r.until(lambda: not file.exists(), within_s=2)
        receipts = [(each.what, each.count, each.reason) for each in r.hub.receipts()]
        await r.until(lambda: ("template", 1, "withdrawn") in receipts_of(r))
        assert receipts.count(("template", 1, "withdrawn")) <= 1
        r.worker.say(recognised("V1"))
        r.launcher.of("front").crash()
        await r.until(lambda: r.launcher.of("front").assignment is not None and r.launcher.of("front").running)
        assert [Path(name).name for name in r.worker.assignment.volunteers] == ["V2.sealed"]
        assert r.hub.all(messages.VolunteerSeen) == []

    made.play(scene)


@pytest.mark.slow
def test_a_consent_that_ends_is_gone_at_that_second_without_the_hub(rig: MakeRig, tmp_path: Path) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        began = r.clock.wall()
        file = r.repository.volunteers["V1"]
        r.repository.offers = True
        await r.until(lambda: all(w.volunteers_gone == {"V1"} for w in r.launcher.workers), within_s=120)
        late = (r.clock.wall() - wall(START + timedelta(seconds=60))).total_seconds()
        assert began < r.clock.wall()
        assert 0 <= late <= 1.5
        await r.until(lambda: not file.exists(), within_s=2)

    with_volunteers(rig, tmp_path, V1=60, V2=9000).play(scene)


def receipts_of(r: Rig) -> list[tuple[str, int, str]]:
    return [(each.what, each.count, each.reason) for each in r.hub.receipts()]


def on_disk(r: Rig) -> bytes:
    return b"".join(file.read_bytes() for file in (r.folder / "state").glob("outbox.sqlite*"))


async def reported_and_not_delivered(r: Rig) -> None:
    """V1 is recognised; the report waits in the outbox."""
    await r.recognising()
    r.exchange.deny("cam-1", SEEN)
    r.worker.say(recognised("V1"))
    await r.until(lambda: r.waiting(MessageClass.COUNT) > 0, within_s=2)
    assert b'"V1"' in on_disk(r)


def test_what_waits_for_the_hub_is_erased_when_the_consent_is_withdrawn(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await reported_and_not_delivered(r)
        r.repository.volunteers_withdrawn = frozenset({"V1"})
        await r.until(lambda: b'"V1"' not in on_disk(r), within_s=5)

    made.play(scene)


def test_what_an_earlier_start_left_is_erased_when_the_consent_was_withdrawn_meanwhile(
    made: Rig, rig: MakeRig, tmp_path: Path
) -> None:
    made.play(reported_and_not_delivered)
    again = rig(live=True, again=True, more=blue_list(V1=9000, V2=9000))
    again.repository.volunteers_withdrawn = frozenset({"V1"})

    async def scene(r: Rig) -> None:
        assert b'"V1"' in on_disk(r)
        r.exchange.deny("cam-1", SEEN)
        await r.until(lambda: b'"V1"' not in on_disk(r), within_s=10)

    again.play(scene)


def test_what_names_a_volunteer_does_not_outlive_the_deployment(made: Rig) -> None:
    async def scene(r: Rig) -> None:
        await reported_and_not_delivered(r)
        r.repository.offers = False
        await r.outcome()
        assert b'"V1"' not in on_disk(r)

    made.play(scene)
