"""The hub answers a device's identity with an envelope, asks devices to synchronise, and never a revoked one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pyrage
import pytest

from device.domain.finding import Mode
from device.hub_api.messages.identity import Identity
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.publishing import envelope_issuer
from tools.hub.publishing.envelope_issuer import RENEW_EVERY_S, Issuer


class Sent:
    """What the hub's session would have sent."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []

    def command(self, device: str, name: str) -> None:
        self.commands.append((device, name))


class Bench:
    def __init__(self, site: Site) -> None:
        self.site, self.output = site, Sent()
        self.devices = frozenset(site.devices)
        self.dropped = 0
        self.issuer = Issuer(site.publisher, lambda: self.devices, self.output, self)
        self.now_s = 0.0

    def changed(self, added: frozenset[str], removed: frozenset[str]) -> None:
        self.dropped += bool(removed)

    def look(self) -> list[tuple[str, str]]:
        """One round; the commands it sent."""
        self.output.commands.clear()
        self.now_s += 0.25
        asyncio.run(self.issuer.look(self.now_s))
        return list(self.output.commands)

    def tells(self, device: str, deployment: str | None = "d-1") -> str:
        recipient = str(pyrage.x25519.Identity.generate().to_public())
        self.issuer.identified(
            device,
            Identity(
                mode=Mode.TEST,
                boot_id="b",
                deployment_id=deployment,
                recipient=recipient if deployment else None,
                at="2026-11-24T20:00:00.000Z",
            ),
        )
        return recipient


@pytest.fixture
def bench(site: Site) -> Bench:
    return Bench(site)


BOTH = [("cam-1", "sync"), ("cam-2", "sync")]


def test_a_device_that_published_its_identity_has_its_envelope_after_the_next_round(bench: Bench) -> None:
    bench.site.deployed()
    bench.look()
    recipient = bench.tells("cam-1")
    assert bench.look() == BOTH, "and is told to fetch it"
    assert bench.site.reader("cam-1").active().recipient == recipient
    assert bench.look() == [], "nothing changed, nothing is said"
    again = bench.tells("cam-1")
    bench.look()
    assert bench.site.reader("cam-1").active().recipient == again, "a device that lost power gets another"


def test_an_identity_that_comes_before_the_publication_waits_for_it(bench: Bench) -> None:
    recipient = bench.tells("cam-1")
    bench.look()
    assert bench.site.reader("cam-1").index() is None
    bench.site.deployed()
    assert bench.look() == BOTH
    assert bench.site.reader("cam-1").active().recipient == recipient


def test_a_publication_by_a_command_beside_the_hub_is_announced_to_every_device(bench: Bench) -> None:
    assert bench.look() == BOTH
    assert bench.look() == []
    bench.site.deployed()
    assert bench.look() == BOTH
    bench.site.publisher.end("d-1")
    assert bench.look() == BOTH


def test_a_revoked_device_gets_nothing_and_loses_its_connections(bench: Bench) -> None:
    bench.site.deployed()
    bench.look()
    bench.site.publisher.revoke("cam-2")
    bench.devices = frozenset({"cam-1"})
    bench.tells("cam-2")
    assert bench.look() == [("cam-1", "sync")]
    assert bench.dropped == 1
    assert bench.site.reader("cam-2").index() is None
    assert "revoked" in bench.issuer.refused["cam-2"]
    bench.look()
    assert bench.dropped == 1


def test_an_identity_that_ended_is_forgotten_and_an_ended_deployment_gives_no_key(bench: Bench) -> None:
    bench.tells("cam-1")
    bench.tells("cam-1", None)
    bench.site.deployed()
    bench.look()
    assert bench.site.reader("cam-1").active().envelope is None
    bench.site.publisher.end("d-1")
    bench.tells("cam-1")
    bench.look()
    assert bench.site.reader("cam-1").index() is None


def test_signatures_are_renewed_while_the_hub_runs(bench: Bench) -> None:
    bench.look()
    store = bench.site.publisher.store
    before = store.timestamp().signed.version
    bench.site.clock.ahead = timedelta(hours=13)
    bench.look()
    assert store.timestamp().signed.version == before, "it looks for that once a minute"
    bench.now_s += RENEW_EVERY_S
    assert bench.look() == BOTH
    assert store.timestamp().signed.version == before + 1


def test_a_deployment_whose_window_is_over_is_ended_by_the_hub_itself(bench: Bench) -> None:
    bench.site.deployed()
    bench.look()
    assert bench.site.publisher.records.content_key("d-1") is not None
    bench.site.clock.ahead = timedelta(hours=2, minutes=1)
    bench.now_s += RENEW_EVERY_S
    assert bench.look() == BOTH
    assert bench.site.publisher.records.content_key("d-1") is None
    assert bench.site.publisher.records.running() == ()
    assert list(bench.site.publisher.store.targets.rglob("*.payload")) == []


def test_a_hub_without_a_repository_has_nothing_to_do(make_site: Callable[..., Site]) -> None:
    import shutil

    bench = Bench(make_site())
    shutil.rmtree(bench.site.publisher.store.root)
    bench.tells("cam-1")
    assert bench.look() == []


def test_a_poll_that_raises_is_logged_and_the_next_one_follows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    async def look(now_s: float) -> None:
        looks.append(now_s)
        raise ValueError("revoked.json is damaged")

    async def on_loop() -> None:
        task = asyncio.ensure_future(bench.issuer.run())
        while len(looks) < 2:
            await asyncio.sleep(0.005)
        assert not task.done()
        task.cancel()

    monkeypatch.setattr(envelope_issuer, "LOOK_S", 0.001)
    monkeypatch.setattr(bench.issuer, "look", look)
    asyncio.run(asyncio.wait_for(on_loop(), 60.0))
    assert bench.issuer.refused == {"poll": "ValueError: revoked.json is damaged"}
