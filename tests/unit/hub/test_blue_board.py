"""The blue list at the hub: what counts, what is a fault, and that none of it is a case or an alert."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device.domain.finding import Mode
from device.domain.time import WallTime, rfc3339, wall
from device.errors import BadData, RefusedByCondition
from device.hub_api.messages import VolunteerPass, VolunteerSeen
from tools.hub.console.blue_board import SHOWN_S, BlueBoard
from tools.hub.console.login import Session
from tools.hub.console.pages import STATIC
from tools.hub.language.words import welsh
from tools.hub.report.tallies import Tallies
from tools.hub.storage.published import PublishedDeployment
from tools.hub.storage.users import ROLES

NOW = wall(datetime(2026, 11, 30, 10, 0, tzinfo=timezone.utc))


def at(seconds: float) -> WallTime:
    return wall(NOW + timedelta(seconds=seconds))


class Desk:
    """A board, and what the hub has published."""

    def __init__(self, folder: Path) -> None:
        self.published = {
            "d-1": PublishedDeployment(
                id="d-1",
                mode="test",
                devices=frozenset({"cam-1"}),
                planned_end=at(9000),
                alerts_until=None,
                ended_at=None,
                refs=None,
                watchlist_id="wl-1",
                subjects=100,
                volunteers={"V-1": at(5000), "V-2": at(5)},
            )
        }
        self.tallies = Tallies(folder / "report.json")
        self.board = BlueBoard(Mode.TEST, lambda: self.published, self.tallies, lambda _: "glasses")

    def seen(self, ref: str = "V-1", seconds: float = 0, device: str = "cam-1", **changes: Any) -> None:
        fields: dict[str, Any] = {
            "mode": Mode.TEST,
            "deployment_id": "d-1",
            "camera_id": "front",
            "entry_ref": ref,
            "score": 0.7,
            "threshold": 0.5,
            "at": rfc3339(at(seconds)),
        }
        data = VolunteerSeen(**{**fields, **changes})
        self.board.take(device, f"{ref} {seconds}", data, at(seconds))

    def shown(self, seconds: float) -> dict[str, Any]:
        found = self.board.shown(at(seconds), cards=True)
        assert found is not None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_recognition_is_a_card_for_a_while_and_counts_with_its_pass_as_no_alert(desk: Desk) -> None:
    desk.board.log_pass(NOW, "V-1")
    desk.seen(seconds=1)
    desk.seen(seconds=1)
    (card,) = desk.shown(1)["cards"]
    assert (card["ref"], card["device"], card["camera"]) == ("V-1", "cam-1", "front")
    desk.board.tick(at(SHOWN_S + 2))
    assert desk.shown(SHOWN_S + 2)["cards"] == []
    desk.board.tick(at(60))
    assert desk.shown(60)["figures"]["rate"]["value"] == 1.0
    tally = desk.tallies.of("d-1")
    assert (tally.blue_list.passes, tally.blue_list.recognised) == (1, 1)
    assert (tally.alerts_received, tally.outcomes, tally.probes_received) == (0, {}, 0)


def test_a_press_of_the_device_s_button_counts_like_a_tap(desk: Desk) -> None:
    data = VolunteerPass(mode=Mode.TEST, deployment_id="d-1", at=rfc3339(NOW))
    desk.board.take("cam-1", "p-1", data, at(1))
    desk.board.take("cam-1", "p-1", data, at(2))
    desk.seen(seconds=3)
    desk.board.tick(at(100))
    assert desk.shown(100)["figures"]["rate"]["events"] == desk.shown(100)["figures"]["rate"]["of"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": Mode.DEMO},
        {"deployment_id": "d-2"},
        {"device": "cam-2"},
        {"ref": "V-9"},
        {"ref": "V-2", "seconds": 6},
        {"at": rfc3339(at(-90000))},
        {"at": rfc3339(at(900))},
    ],
    ids=["mode", "deployment", "device", "stranger", "consent over", "old", "future"],
)
def test_what_does_not_fit_is_a_fault_and_counts_nothing(desk: Desk, changes: dict[str, Any]) -> None:
    with pytest.raises(BadData, match="blue list"):
        desk.seen(**changes)
    assert desk.tallies.of("d-1").blue_list.waiting_seen == []


def test_who_is_taken_off_is_gone_from_cards_and_counts_within_a_second(desk: Desk) -> None:
    desk.seen(seconds=1)
    desk.board.log_pass(at(1), "V-1")
    desk.published["d-1"] = replace(desk.published["d-1"], volunteers={"V-2": at(5000)})
    desk.board.tick(at(2))
    assert desk.shown(2)["cards"] == []
    tally = desk.tallies.of("d-1").blue_list
    assert (tally.waiting_passes, tally.waiting_seen) == ([], [])
    with pytest.raises(RefusedByCondition, match="not on the blue list"):
        desk.board.log_pass(at(3), "V-1")


def test_without_a_running_blue_list_nothing_is_shown_and_no_pass_is_logged(desk: Desk) -> None:
    desk.published["d-1"] = replace(desk.published["d-1"], ended_at=NOW)
    assert desk.board.shown(NOW, cards=True) is None
    with pytest.raises(RefusedByCondition, match="no deployment with a blue list"):
        desk.board.log_pass(NOW)


def test_only_who_judges_logs_passes_and_sees_volunteers(desk: Desk) -> None:
    may = {role: Session("x-1", role, 0.0, 0.0).may("POST", "/bluelist/pass") for role in ROLES}
    assert may == {"operator": True, "supervisor": True, "auditor": False, "engineer": False}
    desk.seen(seconds=1)
    others = desk.board.shown(at(1), cards=False)
    assert others is not None
    assert (others["cards"], others["volunteers"]) == ([], [])


def test_every_text_of_the_page_s_script_has_its_welsh() -> None:
    script = (STATIC / "bluelist.js").read_text(encoding="utf-8")
    texts = re.findall(r'\bt\("([^"]+)"', script) + re.findall(r'shareText\([^"]*"([^"]+)"', script)
    assert len(texts) >= 8
    assert [text for text in texts if text not in welsh()] == []


def test_below_the_evidence_s_band_there_is_a_warning(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.hub.console.blue_board.evidence_band", lambda *_: (0.8, 0.9))
    desk.tallies.of("d-1").blue_list.passes = 20
    desk.tallies.of("d-1").blue_list.recognised = 12
    assert desk.shown(0)["figures"]["below"] is True
    desk.tallies.of("d-1").blue_list.recognised = 17
    assert desk.shown(0)["figures"]["below"] is False
