"""The desk on disk: what is there again after a kill, what is not, and what an erased case leaves in the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from device.hub_api import alert_builder, messages
from device.hub_api.events import decode, encode
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import DeviceTopics, parse
from tests.sample_alerts import NOON, an_alert
from tools.hub.console.desk import Desk
from tools.hub.report.tallies import Tallies
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.folder import ConsoleSettings
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.published import PublishedDeployment
from tools.hub.storage.sealed_desk import SealedDesk

TOPICS = DeviceTopics("demo", "cam-1")
JPEG = b"\xff\xd8\xff\xe0 a picture"


class Hub:
    """A desk over its file, as a hub has it from one start to the next kill."""

    def __init__(
        self, folder: Path, settings: ConsoleSettings, published: dict[str, PublishedDeployment] | None = None
    ) -> None:
        self.store = SealedDesk(folder / "desk.sqlite")
        self.tallies = Tallies(folder / "report.json", self.store.book())
        self.desk = Desk(settings, self.tallies, self.store, lambda: published or {})
        self.desk.restore_pictures(ProbeOpener(DeploymentKeys(folder)).open, NOON)

    def take(self, data: messages.Message, topic: str = TOPICS.stats, now: WallTime = NOON) -> None:
        place = parse(topic)
        assert place is not None
        payload = encode(data, event_id=uuid7(NOON), source=TOPICS.base, subject="x", at=NOON)
        self.desk.take(place, decode(payload), now)


@pytest.fixture
def sealed_probe(tmp_path: Path) -> bytes:
    recipient = DeploymentKeys(tmp_path).recipient_for("d-1", wall(NOON + timedelta(days=1)))
    return bytes(pyrage.encrypt(JPEG, [pyrage.x25519.Recipient.from_str(recipient)]))


def outcomes(hub: Hub) -> dict[str, int]:
    return {name: n for name, n in hub.tallies.book.deployments["d-1"].outcomes.items() if n}


def test_what_was_committed_is_on_the_desk_again_with_picture_judgement_and_count(
    tmp_path: Path, settings: ConsoleSettings, sealed_probe: bytes
) -> None:
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.take(an_alert("a-2"))
    hub.desk.take_probe("cam-1", "a-1", JPEG, NOON, sealed_probe)
    hub.desk.judge("a-2", "true_alert")
    hub.desk.commit()
    again = Hub(tmp_path, settings)  # nothing was closed: as after kill -9
    assert {a: c.outcome for a, c in again.desk.cases.items()} == {"a-1": None, "a-2": "true_alert"}
    assert again.desk.pictures["a-1"].jpeg == JPEG
    assert again.tallies.book.deployments["d-1"].alerts_received == 2
    again.take(an_alert("a-1"))
    assert again.tallies.book.deployments["d-1"].alerts_received == 2, "sent again, counted once"


def test_what_was_judged_false_does_not_return_when_the_device_sends_it_again(
    tmp_path: Path, settings: ConsoleSettings
) -> None:
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.desk.judge("a-1", "false_alert")
    hub.desk.commit()
    again = Hub(tmp_path, settings)
    again.take(an_alert("a-1"))
    assert again.desk.cases == {}


def test_an_erased_case_leaves_neither_key_nor_ciphertext_in_the_files(
    tmp_path: Path, settings: ConsoleSettings, sealed_probe: bytes
) -> None:
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.desk.take_probe("cam-1", "a-1", JPEG, NOON, sealed_probe)
    hub.desk.commit()
    rows = hub.store._database.execute("SELECT key, probes.body, cases.body FROM keys, probes, cases").fetchone()
    files = [tmp_path / name for name in ("desk.sqlite", "desk.sqlite-wal")]

    def on_disk(part: bytes) -> bool:
        return any(part in file.read_bytes() for file in files if file.exists())

    assert on_disk(rows[0]), "the search finds what is there"
    assert not on_disk(b"e-042"), "sealed: no entry in the clear"
    hub.desk.judge("a-1", "false_alert")
    hub.desk.commit()
    assert not any(on_disk(part[:32]) for part in rows)


def test_a_damaged_file_is_deleted_and_made_anew(tmp_path: Path, settings: ConsoleSettings) -> None:
    (tmp_path / "desk.sqlite").write_bytes(b"no database " * 500)
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.desk.commit()
    assert list(Hub(tmp_path, settings).desk.cases) == ["a-1"]


def test_a_probe_whose_deployment_key_is_gone_stays_closed_and_goes(
    tmp_path: Path, settings: ConsoleSettings, sealed_probe: bytes
) -> None:
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.desk.take_probe("cam-1", "a-1", JPEG, NOON, sealed_probe)
    hub.desk.commit()
    DeploymentKeys(tmp_path).drop("d-1")
    again = Hub(tmp_path, settings)
    again.desk.commit()
    assert (list(again.desk.cases), again.desk.pictures, again.store.probes()) == (["a-1"], {}, [])


def test_confirmed_another_person_is_an_incorrect_alert_and_erases_at_once(
    tmp_path: Path, settings: ConsoleSettings
) -> None:
    hub = Hub(tmp_path, settings)
    hub.take(an_alert("a-1"))
    hub.desk.judge("a-1", "true_alert")
    hub.desk.follow("a-1", "disposition", "arrest")
    hub.desk.follow("a-1", "engagement", "confirmed_false")
    tally = hub.tallies.book.deployments["d-1"]
    assert hub.desk.cases == {}
    assert outcomes(hub) == {"false_alert": 1}
    assert tally.dispositions == {"arrest": 0, "arrest_unrelated": 1}, "the arrest does not count for the match"


@pytest.mark.parametrize("how", ["its time", "the device's receipt", "no room"])
def test_what_nobody_judged_is_counted_as_not_adjudicated(
    tmp_path: Path, settings: ConsoleSettings, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path, settings)
    monkeypatch.setattr("tools.hub.console.desk.MAX_CASES", 1)
    hub.take(an_alert("a-1"))
    if how == "its time":
        hub.desk.tick(wall(NOON + timedelta(hours=24)))
    elif how == "no room":
        hub.take(an_alert("a-2"))
    else:
        receipt = alert_builder.erasure_of("alert", count=1, alert_id="a-1", reason="expiry", mode=Mode.DEMO, at=NOON)
        hub.take(receipt, TOPICS.erasure)
    assert outcomes(hub) == {"not_adjudicated": 1}
    assert "a-1" not in hub.desk.cases


def published(ended_at: WallTime | None = None) -> dict[str, PublishedDeployment]:
    planned = wall(NOON + timedelta(hours=20))
    return {
        "d-1": PublishedDeployment(
            id="d-1",
            mode="demo",
            devices=frozenset({"cam-1"}),
            planned_end=planned,
            alerts_until=None,
            ended_at=ended_at,
            refs=None,
            watchlist_id="wl-1",
        )
    }


def test_after_an_early_end_alerts_are_erased_after_the_policys_time_from_that_end(
    tmp_path: Path, settings: ConsoleSettings
) -> None:
    hub = Hub(tmp_path, settings, published())  # delete_by: 4 h after the planned end
    hub.take(an_alert("a-1"))
    hub.desk.judge("a-1", "true_alert")
    early = alert_builder.erasure_of(
        "watchlist",
        count=1,
        alert_id=None,
        reason="end_of_deployment",
        mode=Mode.DEMO,
        at=wall(NOON + timedelta(hours=1)),
    )
    hub.take(early, TOPICS.erasure)
    assert hub.desk.cases["a-1"].delete_by == wall(NOON + timedelta(hours=5))
    hub.desk.commit()
    again = Hub(tmp_path, settings, published())
    again.desk.tick(wall(NOON + timedelta(hours=5)))
    assert again.desk.cases == {}


def test_a_deployment_that_the_hub_ended_leaves_nothing_to_judge(tmp_path: Path, settings: ConsoleSettings) -> None:
    end = wall(NOON + timedelta(hours=1))
    hub = Hub(tmp_path, settings, published(end))
    hub.take(an_alert("a-1"))
    hub.take(an_alert("a-2"))
    hub.desk.judge("a-2", "true_alert")
    hub.desk.tick(end)
    assert list(hub.desk.cases) == ["a-2"]
    assert outcomes(hub) == {"true_alert": 1, "not_adjudicated": 1}
    hub.desk.tick(wall(end + timedelta(hours=4)))
    assert hub.desk.cases == {}
