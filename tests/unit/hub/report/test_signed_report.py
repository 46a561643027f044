"""The signed report: a scripted day's truth, from signed logs alone; what was changed does not verify."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device.audit.log import FILE
from device.audit.verify import verify
from device.cli.main import main
from device.domain.finding import Mode
from device.domain.time import wall
from tests.unit.hub.report.chains import Device
from tools.hub.report.audit_heads import FOLDER, Heads, kept_heads
from tools.hub.report.blue_log import EVERY_S, BlueLog, signed_totals
from tools.hub.report.blue_tally import BlueTally
from tools.hub.report.home_office import COLUMNS, HUB_CHAIN
from tools.hub.report.tallies import Deployment
from tools.hub.site import init_hub
from tools.hub.storage.hub_log import HubLog, folder_of

START = wall(datetime(2026, 5, 21, 10, 0, tzinfo=timezone.utc))
TRUTH = {
    "faces_seen": 34_900,
    "alerts": 11,
    "alerts_positive": 6,
    "alerts_incorrect": 3,
    "alerts_not_adjudicated": 2,
    "interventions_positive": 4,
    "interventions_incorrect": 1,
    "arrests": 2,
    "arrests_unrelated": 1,
    "other_disposals": 1,
    "sign_dark_s": 7.5,
    "refusals": 1,
    "holds": 1,
    "cameras": 3,
    "balanced": "yes",
    "type": "operational",
    "date": "2026-05-21",
}


def a_day(root: Path) -> tuple[Path, Device, Device]:
    """Two devices, one of which starts again in the middle; the figures of TRUTH."""
    hub = root / "hub"
    init_hub(hub, site="north", devices=("cam-1", "cam-2"), mode=Mode.OPERATIONAL)
    one, two = (Device(root / name, hub, name, START) for name in ("cam-1", "cam-2"))
    for device in (one, two):
        device.boot()
        device.note("loaded", deployment="d-1", mode="operational")
        device.note("watchlist", watchlist="wl-1", subjects=1822, images=1900, threshold=0.52)
        device.note("state", was="armed", now="recognising")
    for number in range(7):
        one.note("alert", alert=f"a-{number}", camera="front" if number % 2 else "rear")
    for number in range(7, 11):
        two.note("alert", alert=f"a-{number}", camera="side")
    one.counts(faces=15_000, alerted=7, lost=46, dark_ms=2_500)
    one.boot()
    one.note("loaded", deployment="d-1", mode="operational")
    one.note("refused", reason="ended", deployment="d-0")
    one.counts(faces=4_900, alerted=0, dark_ms=1_000)
    two.counts(faces=15_000, alerted=4, dark_ms=4_000)
    for number in range(6):
        one.note("judged", alert=f"a-{number}", outcome="true_alert", officer="op-1")
    one.note("judged", alert="a-6", outcome="true_alert")
    one.note("judged", alert="a-6", outcome="false_alert")
    for number in (7, 8):
        two.note("judged", alert=f"a-{number}", outcome="false_alert")
    for number in (9, 10):
        two.note("erased", what_gone="alert", count=1, reason="expiry", alert=f"a-{number}")
    for number in range(4):
        one.note("engagement", alert=f"a-{number}", engagement="confirmed_true")
    one.note("engagement", alert="a-6", engagement="confirmed_false")
    for number, outcome in ((0, "arrest"), (1, "arrest"), (2, "safeguarding"), (3, "no_action"), (6, "arrest")):
        one.note("disposition", alert=f"a-{number}", disposition=outcome)
    for hold in ("evidence", "evidence"):
        one.note("hold", alert="a-0", hold=hold, owner="SIO-1", reason="exhibit", officer="op-1")
    for device in (one, two):
        device.note("ended", deployment="d-1")
        device.head()
    return hub, one, two


def lfr(*words: object, expect: int = 0) -> None:
    assert main([str(word) for word in words]) == expect


def logs(*devices: Device) -> list[object]:
    return [word for device in devices for word in ("--audit", f"{device.name}={device.log}")]


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Device, Device, Path]:
    hub, one, two = a_day(tmp_path)
    lfr("report", hub, *logs(one, two), "--out", tmp_path / "out")
    return hub, one, two, tmp_path / "out"


def values_of(out: Path) -> dict[str, Any]:
    row = json.loads((out / "report.json").read_text())["reports"][0]["home_office"]
    return {name: row[name]["value"] for name in TRUTH}


def test_a_scripted_day_is_reported_as_it_was(written: tuple[Path, Device, Device, Path]) -> None:
    *_, out = written
    assert values_of(out) == TRUTH
    head, line = list(csv.reader((out / "report.csv").read_text().splitlines()))
    cells = dict(zip(COLUMNS, line, strict=True))
    assert head == list(COLUMNS.values())
    assert (cells["faces_seen"], cells["alerts_incorrect"], cells["arrests_unrelated"]) == ("34900", "3", "1")
    page = (out / "report.html").read_text()
    assert "<td>34900</td><td>audit chain</td>" in page
    assert "a-6" not in page
    assert "op-1" not in page


def test_every_form_verifies_with_the_site_s_authority_the_hub_and_the_logs(
    written: tuple[Path, Device, Device, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    hub, one, two, out = written
    for form in ("html", "csv", "json"):
        lfr("report", "verify", out / f"report.{form}", "--ca", hub / "ca.pem", "--hub", hub, *logs(one, two))
        printed = capsys.readouterr()
        assert "LFR hub north" in printed.out
        assert "audit log of cam-2: counted up to row" in printed.out
        assert printed.err == ""
    lfr("report", "verify", out / "report.csv")
    assert "compare the authority's SHA-256" in capsys.readouterr().err


def blue_day(root: Path, *, passes: int = 20) -> tuple[Path, Device, Device]:
    """The same day with a blue list, as the hub counts it and notes it in its own log."""
    hub, one, two = a_day(root)
    book = {"d-1": Deployment(deployment_id="d-1", blue_list=BlueTally(passes=12, recognised=11))}
    log = BlueLog(HubLog(hub, START))
    log.note(book, START)
    book["d-1"].blue_list = BlueTally(passes=passes, recognised=17, without_pass=1)
    log.note(book, START)  # too soon after the last row
    log.note(book, wall(START + timedelta(seconds=EVERY_S)))
    return hub, one, two


def test_figures_of_the_blue_list_come_from_the_hubs_signed_log_and_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, one, two = blue_day(tmp_path)
    out = tmp_path / "out"
    lfr("report", hub, *logs(one, two), "--out", out)
    row = json.loads((out / "report.json").read_text())["reports"][0]["home_office"]
    assert row["blue_list_passes"] == {"value": 20, "source": HUB_CHAIN}
    assert (row["blue_list_recognised"]["value"], row["true_recognition_rate"]["value"]) == (17, 0.85)
    capsys.readouterr()
    lfr("report", "verify", out / "report.json", "--ca", hub / "ca.pem", "--hub", hub, *logs(one, two))
    assert "audit log of hub: counted up to row" in capsys.readouterr().out


def test_a_changed_log_of_the_hub_makes_no_report_and_verifies_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, one, two = blue_day(tmp_path)
    lfr("report", hub, *logs(one, two), "--out", tmp_path / "out")
    rows = folder_of(hub) / "audit.jsonl"
    whole = rows.read_text()
    rows.write_text(whole.replace('"passes":20', '"passes":99'))
    assert rows.read_text() != whole
    lfr("report", hub, *logs(one, two), "--out", tmp_path / "again", expect=65)
    assert "the hub's own log is not whole" in capsys.readouterr().err
    verify = ["report", "verify", tmp_path / "out" / "report.json", "--hub", hub]
    lfr(*verify, *logs(one, two), expect=65)
    assert "the hub's own log is not whole" in capsys.readouterr().err
    rows.write_text(whole)
    lfr(*verify, *logs(one, two))


def test_a_start_of_the_hub_notes_only_what_its_log_does_not_hold(tmp_path: Path) -> None:
    hub, *_ = blue_day(tmp_path)
    rows = folder_of(hub) / "audit.jsonl"
    before = rows.read_bytes()
    book = {"d-1": Deployment(deployment_id="d-1", blue_list=BlueTally(passes=20, recognised=17, without_pass=1))}
    again = BlueLog(HubLog(hub, START))
    again.note(book, START)
    assert rows.read_bytes() == before
    book["d-2"] = Deployment(deployment_id="d-2", blue_list=BlueTally(passes=1))
    again.note(book, START, at_once=True)
    assert signed_totals(hub)[0]["d-2"].passes == 1
    assert signed_totals(hub)[0]["d-1"].passes == 20


def swap(file: Path, before: str, after: str) -> None:
    content = file.read_text()
    assert before in content
    file.write_text(content.replace(before, after))


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        ("report.csv", "34900", "94900", "changed after it was signed"),
        ("report.csv.sig", '"at": "20', '"at": "21', "signature does not fit"),
        ("report.csv.sig", '"seq": ', '"seq": 1', "signature does not fit"),
    ],
)
def test_an_altered_report_fails_with_the_reason(
    written: tuple[Path, Device, Device, Path],
    capsys: pytest.CaptureFixture[str],
    name: str,
    before: str,
    after: str,
    reason: str,
) -> None:
    *_, out = written
    swap(out / name, before, after)
    lfr("report", "verify", out / "report.csv", expect=65)
    assert reason in capsys.readouterr().err


def test_a_report_of_another_site_or_without_its_signature_fails(
    written: tuple[Path, Device, Device, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, out = written
    init_hub(tmp_path / "other", site="south", devices=(), mode=Mode.OPERATIONAL)
    lfr("report", "verify", out / "report.csv", "--ca", tmp_path / "other" / "ca.pem", expect=65)
    assert "another authority" in capsys.readouterr().err
    (out / "report.csv.sig").unlink()
    lfr("report", "verify", out / "report.csv", expect=65)
    assert "is missing" in capsys.readouterr().err


def test_a_report_whose_heads_the_hub_never_kept_fails(
    written: tuple[Path, Device, Device, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, *_, out = written
    (hub / "audit" / "cam-1.heads.jsonl").unlink()
    Device(tmp_path / "forged", hub, "cam-1", START).head()
    lfr("report", "verify", out / "report.csv", "--hub", hub, expect=65)
    assert "another key than the one that this hub knows" in capsys.readouterr().err


def test_a_log_that_was_cut_after_the_report_fails(
    written: tuple[Path, Device, Device, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, one, two, out = written
    lines = (one.log / FILE).read_bytes().splitlines(keepends=True)
    (one.log / FILE).write_bytes(b"".join(lines[:-3]))
    lfr("report", "verify", out / "report.csv", *logs(one, two), expect=65)
    assert "audit log of cam-1" in capsys.readouterr().err


def test_a_signed_report_needs_the_log_of_every_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tools.hub.report.tallies import Tallies
    from tools.hub.storage.folder import HubFolder

    hub, one, _ = a_day(tmp_path)
    tallies = Tallies(HubFolder(hub).report_file)
    tallies.is_on("cam-1", "d-1", Mode.OPERATIONAL, "2026-05-21T10:00:00.000Z")
    tallies.is_on("cam-2", "d-1", Mode.OPERATIONAL, "2026-05-21T10:00:00.000Z")
    tallies.save()
    lfr("report", hub, "--out", tmp_path / "out", expect=64)
    lfr("report", hub, *logs(one), "--out", tmp_path / "out", expect=65)
    assert "give the audit log of cam-2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_years_are_counted_by_the_first_day_and_totalled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub, one, two = a_day(tmp_path)
    turn = datetime(2026, 12, 31, 23, 0, tzinfo=timezone.utc)
    one.deployment("d-2", turn, outcomes=["true_alert", "false_alert"], faces=100)
    one.deployment("d-3", datetime(2027, 1, 1, 0, 30, tzinfo=timezone.utc), outcomes=["true_alert"], faces=50)
    lfr("report", hub, *logs(one, two), "--foi", 2026, 2027, "--json")
    years = json.loads(capsys.readouterr().out)["years"]
    totals = [{name: year["totals"][name]["value"] for name in ("faces_seen", "alerts", "arrests")} for year in years]
    assert totals == [
        {"faces_seen": 35_000, "alerts": 13, "arrests": 2},
        {"faces_seen": 50, "alerts": 1, "arrests": 0},
    ]
    assert years[0]["totals"]["incorrect_alert_rate"]["value"] == pytest.approx(4 / 35_000)
    assert "begins at 2026-05-21" in " ".join(years[0]["remarks"])
    assert years[1]["remarks"] == []


def test_the_kept_heads_of_a_device_are_those_of_its_present_log(tmp_path: Path) -> None:
    """Of a device whose state folder was replaced: heads of the old key would make its new log look broken."""
    hub = tmp_path / "hub"
    Device(tmp_path / "old", hub, "cam-1", wall(START)).deployment("d-1", START, outcomes=[], faces=5)
    assert len(kept_heads(hub, "cam-1")) == 1
    assert Heads(hub / FOLDER).replaced("cam-1", wall(START), "insp-7")
    assert kept_heads(hub, "cam-1") == []
    new = Device(tmp_path / "new", hub, "cam-1", wall(START))
    new.deployment("d-2", START, outcomes=[], faces=5)
    (head,) = kept_heads(hub, "cam-1")
    assert verify(new.log, head.key, [head]).ok


def test_a_device_whose_state_folder_was_replaced_is_counted_from_its_new_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, *_ = a_day(tmp_path)
    assert Heads(hub / FOLDER).replaced("cam-1", START, "insp-7")
    new = Device(tmp_path / "again", hub, "cam-1", START)
    new.deployment("d-9", START, outcomes=["true_alert"], faces=70)
    lfr("report", hub, *logs(new), "--out", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())["reports"]
    assert [row["home_office"]["faces_seen"]["value"] for row in report] == [70]
    lfr("report", "verify", tmp_path / "out" / "report.csv", "--hub", hub, *logs(new))
