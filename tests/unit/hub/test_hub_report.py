"""The deployment report: two different rates, honest about small samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.cli.main import main
from device.domain.finding import Mode
from tools.hub.folder import HubFolder, init_hub
from tools.hub.report import as_text, rate, report_of
from tools.hub.tallies import BootCounts, Deployment, Tallies


def tally(**changes: object) -> Deployment:
    counts = BootCounts(faces_seen=62, discarded=60, alerts=2, templates=80, frames=750)
    fields: dict[str, object] = {
        "deployment_id": "d-1",
        "mode": Mode.DEMO,
        "devices": ["cam-1"],
        "boots": {"cam-1/b": counts},
        "alerts_received": 2,
        "outcomes": {"true_alert": 2},
        "watchlist_subjects": 1,
        "watchlist_images": 1,
    }
    return Deployment(**{**fields, **changes})


def test_published_figures_are_reproduced() -> None:
    met = rate(10, 3_147_436)
    assert met.value == pytest.approx(1 / 314_744, rel=1e-5)
    holyhead = rate(0, 6_259)
    assert holyhead.high == pytest.approx(1 / 2_086, rel=1e-3)
    assert holyhead.method == "rule_of_three"
    blue = rate(89, 100)
    assert (round(blue.low or 0, 2), round(blue.high or 0, 2)) == (0.81, 0.94)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_an_interval_holds_its_share_and_stays_a_share(events: int, more: int) -> None:
    found = rate(events, events + more)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_nothing_seen_gives_no_rate_instead_of_zero() -> None:
    report = report_of(Deployment(deployment_id="d-1"))
    assert report.false_alert_rate.value is None
    assert "no faces seen yet" in as_text(report)


def test_the_report_says_how_overt_it_was() -> None:
    assert "dark 0.0 s in use, stopped recognition 0 times, never pulsed" in as_text(report_of(tally()))
    boots = {
        "cam-1/b": BootCounts(sign_dark_ms=300, sign_stops=1, sign_pulses=120, sign_pulses_failed=2),
        "cam-2/b": BootCounts(sign_dark_ms=150, sign_pulses=1_000),
    }
    found = report_of(tally(boots=boots))
    assert found.sign == {"dark_ms": 450, "stops": 1, "pulses": 1120, "pulses_failed": 2}
    assert "dark 0.5 s in use, stopped recognition 1 times, followed 1,118 of 1,120 pulses" in as_text(found)


def test_the_two_rates_have_different_denominators() -> None:
    report = report_of(tally(outcomes={"true_alert": 1, "false_alert": 1}))
    assert (report.false_alert_rate.of, report.false_share_of_adjudicated.of) == (62, 2)


def test_counts_that_do_not_balance_are_said_loudly() -> None:
    counts = BootCounts(faces_seen=62, discarded=50, alerts=2)
    report = report_of(tally(boots={"cam-1/b": counts}))
    assert not report.balanced
    assert "DOES NOT BALANCE" in as_text(report)


def test_people_lost_with_a_worker_are_in_the_balance_and_said() -> None:
    counts = BootCounts(faces_seen=62, discarded=57, lost=3, alerts=2)
    report = report_of(tally(boots={"cam-1/b": counts}))
    assert report.balanced
    assert "  lost with a worker  3" in as_text(report)
    assert any("3 lost: their worker died" in remark for remark in report.remarks)


def test_alerts_that_did_not_reach_the_hub_are_said() -> None:
    assert any("hub received 1" in remark for remark in report_of(tally(alerts_received=1)).remarks)


def test_unjudged_alerts_are_said() -> None:
    report = report_of(tally(outcomes={"true_alert": 1}))
    assert report.outcomes == {"true_alert": 1, "awaiting_judgement": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    tallies = Tallies(HubFolder(tmp_path / "hub").report_file)
    tallies.book.deployments["d-1"] = tally()
    tallies.of("d-1")
    tallies.save()
    return tmp_path / "hub"


def test_the_command_prints_text_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    assert "faces seen" in capsys.readouterr().out
    assert main(["report", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"][0]["faces_seen"] == 62


def test_an_unknown_deployment_and_a_foreign_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    assert main(["report", str(folder), "--deployment", "d-9"]) == 65
    assert main(["report", str(tmp_path)]) == 69
