"""The deployment report: two different rates, honest about small samples."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audit.key import device_key
from device.audit.rows import Links
from device.cli.main import main
from device.domain.finding import Mode
from device.domain.time import wall
from device.hub_api.messages import AuditHead
from tools.hub.report.deployment_report import as_text, report_of
from tools.hub.report.shares import rate
from tools.hub.report.tallies import BootCounts, Deployment, Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder


def test_reasons_of_judgements_are_counted_and_named() -> None:
    report = report_of(tally(reasons={"environment": 2, "subject": 1}))
    assert report.reasons == {"environment": 2, "subject": 1}
    assert "reasons of judgements" in as_text(report)


def tally(**changes: object) -> Deployment:
    counts = BootCounts(faces_seen=62, discarded=60, alerts=2, templates=80, frames=750)
    fields: dict[str, Any] = {
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


def test_the_report_has_the_sign_counts() -> None:
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


def test_counts_that_do_not_balance_are_marked_clearly() -> None:
    counts = BootCounts(faces_seen=62, discarded=50, alerts=2)
    report = report_of(tally(boots={"cam-1/b": counts}))
    assert not report.balanced
    assert "DOES NOT BALANCE" in as_text(report)


def test_people_lost_with_a_worker_are_in_the_balance_and_remarked_on() -> None:
    counts = BootCounts(faces_seen=62, discarded=57, lost=3, alerts=2)
    report = report_of(tally(boots={"cam-1/b": counts}))
    assert report.balanced
    assert "  lost with a worker  3" in as_text(report)
    assert any("3 lost: their worker died" in remark for remark in report.remarks)


def test_alerts_that_did_not_reach_the_hub_are_remarked_on() -> None:
    assert any("hub received 1" in remark for remark in report_of(tally(alerts_received=1)).remarks)


def test_unjudged_alerts_are_remarked_on() -> None:
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


def test_a_damaged_report_file_is_named_and_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = HubFolder(folder).report_file
    before = sorted(folder.iterdir())
    for content in (b"{broken", b'{"deployments": 3}', b'{"deployments": "\xff"}'):
        file.write_bytes(content)
        assert main(["report", str(folder)]) == 65
        output = capsys.readouterr()
        assert output.out == ""
        assert f"{file} is damaged" in output.err
        assert "put a copy of it back" in output.err
        assert file.read_bytes() == content
    assert sorted(folder.iterdir()) == before


def heads(tmp_path: Path, rows: list[int], place: str = "state") -> list[AuditHead]:
    """Signed heads of one device's log, as they are published."""
    key = device_key(tmp_path / place)
    signed = [
        Links("boot-1", row, "a" * 64).head(wall(datetime(2026, 11, 24, tzinfo=timezone.utc)), key)[1] for row in rows
    ]
    return [AuditHead(mode=None, **msgspec.structs.asdict(head)) for head in signed]


def kept(tmp_path: Path, signed: list[AuditHead]) -> Deployment:
    """The tally after these heads, through a restart of the hub before the last one."""
    first = Tallies(tmp_path / "report.json")
    first.is_on("cam-1", "d-1", Mode.DEMO, "2026-11-24T00:00:00.000Z")
    for head in signed[:-1]:
        first.headed("cam-1", head)
    first.save()
    second = Tallies(tmp_path / "report.json")
    second.is_on("cam-1", "d-1", Mode.DEMO, "2026-11-24T00:00:00.000Z")
    second.headed("cam-1", signed[-1])
    return second.of("d-1")


def test_signed_heads_that_go_on_make_an_ok_chain(tmp_path: Path) -> None:
    signed = heads(tmp_path, [3, 9, 20])
    found = report_of(kept(tmp_path, [*signed[:2], signed[1], signed[2]]))
    assert found.audit == {"heads": 3, "ok": True}
    assert "chain ok: 3 signed heads" in as_text(found)
    lines = (tmp_path / "audit" / "cam-1.heads.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [3, 9, 20]


def test_a_head_signed_before_the_deployment_counts_with_it_and_makes_none_of_its_own(tmp_path: Path) -> None:
    tallies = Tallies(tmp_path / "report.json")
    for head in heads(tmp_path, [0, 4]):
        tallies.headed("cam-1", head)
    assert tallies.book.deployments == {}
    tallies.is_on("cam-1", "d-1", Mode.DEMO, "2026-11-24T00:00:00.000Z")
    assert list(tallies.book.deployments) == ["d-1"]
    assert tallies.of("d-1").audit_heads == {"cam-1": 2}


@pytest.mark.parametrize("case", ["forged", "another key", "went back"])
def test_a_head_that_does_not_go_on_stays_in_the_report(tmp_path: Path, case: str) -> None:
    signed = heads(tmp_path, [3, 9, 20])
    bad = {
        "forged": msgspec.structs.replace(signed[2], seq=21),
        "another key": heads(tmp_path, [20], "other")[0],
        "went back": heads(tmp_path, [5])[0],
    }[case]
    found = report_of(kept(tmp_path, [signed[0], signed[1], bad, signed[2]]))
    assert found.audit == {"heads": 4, "ok": False}
    assert "CHAIN NOT OK" in as_text(found)
    assert any(remark.startswith("audit log of cam-1: ") for remark in found.remarks)


def test_a_hub_without_any_head_does_not_say_ok() -> None:
    assert "no signed head was received" in as_text(report_of(tally()))
