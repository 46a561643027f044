"""The Home Office's columns: from a signed audit chain that verifies, else from the hub's counts, by name."""

from __future__ import annotations

import csv
import html
import io
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.audit.key import device_key
from device.audit.log import FILE, Log
from device.audit.rows import Head, Links
from device.cli.main import main
from device.domain.audit_record import record
from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import BadData
from tests.unit.hub.report.chains import Device
from tools.hub.report.audit_counts import KILLED_UNCOUNTED_S, ChainCounts, count_chain, count_chains
from tools.hub.report.audit_heads import FOLDER, SUFFIX
from tools.hub.report.deployment_report import report_of
from tools.hub.report.home_office import CHAIN, COLUMNS, HUB, PLAN, Details, as_csv, as_html, chain_row, row_of
from tools.hub.report.tallies import BootCounts, Deployment, Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder

START = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
DAY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("loaded", {"deployment": "d-0", "mode": "demo"}),
    ("counts", {"faces_seen": 100, "discarded": 100, "lost": 0, "alerted": 0, "open": 0}),
    ("ended", {"deployment": "d-0"}),
    ("loaded", {"deployment": "d-1", "mode": "demo"}),
    ("watchlist", {"watchlist": "wl-1", "subjects": 3, "images": 4, "threshold": 0.5}),
    ("state", {"was": "armed", "now": "recognising"}),
    ("alert", {"alert": "a-1", "camera": "front"}),
    ("alert", {"alert": "a-2", "camera": "rear"}),
    ("alert", {"alert": "a-3", "camera": "rear"}),
    ("judged", {"alert": "a-1", "outcome": "true_alert"}),
    ("judged", {"alert": "a-1", "outcome": "true_alert"}),
    ("judged", {"alert": "a-2", "outcome": "true_alert"}),
    ("judged", {"alert": "a-2", "outcome": "false_alert"}),
    ("engagement", {"alert": "a-1", "engagement": "confirmed_true"}),
    ("engagement", {"alert": "a-2", "engagement": "confirmed_true"}),
    ("engagement", {"alert": "a-2", "engagement": "confirmed_false"}),
    ("disposition", {"alert": "a-1", "disposition": "safeguarding"}),
    ("disposition", {"alert": "a-1", "disposition": "arrest"}),
    ("disposition", {"alert": "a-2", "disposition": "arrest"}),
    ("erased", {"what_gone": "alert", "count": 1, "reason": "false_alert", "alert": "a-2"}),
    ("refused", {"reason": "ended"}),
    ("counts", {"faces_seen": 1134, "discarded": 1129, "lost": 2, "alerted": 3, "open": 0, "sign_dark_ms": 1500}),
    ("ended", {"deployment": "d-1"}),
    ("erased", {"what_gone": "alert", "count": 1, "reason": "retention", "alert": "a-3"}),
)


def write_log(state: Path, hub: Path, device: str = "cam-1") -> Path:
    """A log of DAY, a row a minute, and its signed head as the hub kept it."""
    key, log, links, now = device_key(state), Log(state / "audit"), Links("boot-1"), wall(START)
    for what, fields in DAY:
        log.append(links.add(record(what, **fields), now))
        now = wall(now + timedelta(minutes=1))
    line, head = links.head(now, key)
    log.append(line)
    log.keep_head(head)
    log.close()
    keep_head(hub, device, head)
    return state / "audit"


def keep_head(hub: Path, device: str, head: Head) -> None:
    (hub / FOLDER).mkdir(parents=True, exist_ok=True)
    (hub / FOLDER / f"{device}{SUFFIX}").write_bytes(msgspec.json.encode(head) + b"\n")


def counted(tmp_path: Path) -> ChainCounts:
    counts = ChainCounts()
    count_chain(tmp_path / "hub", "cam-1", write_log(tmp_path / "state", tmp_path / "hub"), "d-1", counts)
    return counts


def a_report(**changes: object) -> Deployment:
    fields: dict[str, Any] = {
        "deployment_id": "d-1",
        "mode": Mode.DEMO,
        "devices": ["cam-1"],
        "boots": {"cam-1/b": BootCounts(faces_seen=7, discarded=5, alerts=2)},
        "alerts_received": 2,
        "outcomes": {"true_alert": 1, "false_alert": 1},
        "engagements": {"confirmed_true": 1, "confirmed_false": 1},
        "dispositions": {"arrest": 1, "arrest_unrelated": 1, "safeguarding": 1, "no_action": 1},
    }
    return Deployment(**{**fields, **changes})


def test_a_chain_is_counted_for_its_deployment_alone_and_each_alert_by_its_last_judgement(tmp_path: Path) -> None:
    counts = counted(tmp_path)
    assert (counts.faces_seen, counts.discarded, counts.lost, counts.alerted) == (1034, 1029, 2, 3)
    assert counts.outcomes == {"false_alert": 1, "not_adjudicated": 1, "true_alert": 1}
    assert counts.cameras == {"cam-1/front", "cam-1/rear"}
    assert counts.recognising_s == 17 * 60
    assert counts.refusals == 1


def test_a_chain_that_was_changed_is_not_counted(tmp_path: Path) -> None:
    log = write_log(tmp_path / "state", tmp_path / "hub")
    content = (log / FILE).read_bytes().replace(b'"faces_seen":1134', b'"faces_seen":9134')
    (log / FILE).write_bytes(content)
    with pytest.raises(BadData, match="not whole"):
        count_chain(tmp_path / "hub", "cam-1", log, "d-1", ChainCounts())


def test_a_chain_without_a_head_at_the_hub_is_not_accepted(tmp_path: Path) -> None:
    log = write_log(tmp_path / "state", tmp_path / "hub")
    (tmp_path / "hub" / FOLDER / f"cam-1{SUFFIX}").unlink()
    with pytest.raises(BadData, match="no signed head"):
        count_chain(tmp_path / "hub", "cam-1", log, "d-1", ChainCounts())


def test_every_column_is_there_with_its_source(tmp_path: Path) -> None:
    details = Details(
        place="Station Square",
        purpose="wanted",
        controller="A Police",
        owner="B Police",
        seriousness="three years or more",
        authorising_rank="Superintendent",
    )
    row = row_of(report_of(a_report()), details, counted(tmp_path))
    assert set(row) == set(COLUMNS)
    expected = {
        "faces_seen": (1034, CHAIN),
        "alerts": (3, CHAIN),
        "alerts_positive": (1, CHAIN),
        "alerts_incorrect": (1, CHAIN),
        "alerts_not_adjudicated": (1, CHAIN),
        "interventions_positive": (1, CHAIN),
        "interventions_incorrect": (1, CHAIN),
        "arrests": (1, CHAIN),
        "arrests_unrelated": (1, CHAIN),
        "other_disposals": (0, CHAIN),
        "watchlist_subjects": (3, CHAIN),
        "duration_min": (17.0, CHAIN),
        "sign_dark_s": (1.5, CHAIN),
        "date": ("2026-11-24", CHAIN),
        "balanced": ("yes", CHAIN),
    }
    assert {name: (row[name].value, row[name].source) for name in expected} == expected
    assert row["incorrect_alert_rate"].value == pytest.approx(1 / 1034)
    assert (row["seriousness"].value, row["seriousness"].source) == ("three years or more", PLAN)
    assert (row["authorising_rank"].value, row["regulator_reference"].value) == ("Superintendent", None)
    without = row_of(report_of(a_report()), details, None)
    assert (without["faces_seen"].value, without["faces_seen"].source) == (7, HUB)
    assert without["duration_min"].value is None, "not known is empty, never 0"


def test_csv_has_one_line_a_deployment_and_no_formula(tmp_path: Path) -> None:
    row = row_of(report_of(a_report()), Details(place="=HYPERLINK(1)"), None)
    head, line = list(csv.reader(io.StringIO(as_csv([row]))))
    assert head == list(COLUMNS.values())
    cells = dict(zip(COLUMNS, line, strict=True))
    assert (cells["place"], cells["duration_min"], cells["alerts"]) == ("'=HYPERLINK(1)", "", "2")


def test_html_loads_nothing_and_escapes_text() -> None:
    row = row_of(report_of(a_report()), Details(place="<img src=x>"), None)
    page = as_html([row], {"d-1": ["<b>remark</b>"]})
    assert "<img" not in page
    assert "<b>" not in page
    for banned in ("http", "<script", "url(", "@import"):
        assert banned not in page
    assert all(html.escape(label) in page for label in COLUMNS.values())


@pytest.mark.parametrize("form", ["--csv", "--html", "--json"])
def test_the_command_counts_from_the_given_log(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    tallies = Tallies(HubFolder(tmp_path / "hub").report_file)
    tallies.book.deployments["d-1"] = a_report()
    tallies.of("d-1")
    tallies.save()
    log = write_log(tmp_path / "state", tmp_path / "hub")
    assert main(["report", str(tmp_path / "hub"), form, "--audit", f"cam-1={log}"]) == 0
    printed = capsys.readouterr().out
    assert "1034" in printed
    if form == "--json":
        reports = {each["deployment_id"]: each["home_office"] for each in json.loads(printed)["reports"]}
        assert reports["d-1"]["faces_seen"] == {"value": 1034, "source": CHAIN}
        assert reports["d-0"]["faces_seen"] == {"value": 100, "source": CHAIN}


def recognising(tmp_path: Path, name: str, *rows: tuple[int, str, dict[str, Any]]) -> Device:
    """A device of d-1 whose log has these rows, each in its minute after START; `boot` starts the program."""
    device = Device(tmp_path / name, tmp_path / "hub", name, wall(START))
    device.boot()
    for minute, what, fields in (0, "loaded", {"deployment": "d-1", "mode": "demo"}), *rows:
        device.now = wall(START + timedelta(minutes=minute - 1))
        if what == "boot":
            device.boot()
        else:
            device.note(what, **fields)
    device.head()
    return device


ON: tuple[str, dict[str, Any]] = ("state", {"was": "armed", "now": "recognising"})
OFF: tuple[str, dict[str, Any]] = ("state", {"was": "recognising", "now": "inhibited"})


def test_recognition_is_counted_once_for_devices_that_recognise_together_and_each_camera_for_itself(
    tmp_path: Path,
) -> None:
    alert = ("alert", {"alert": "a-1", "camera": "front"})
    one = recognising(tmp_path, "cam-1", (10, *ON), (12, *alert), (30, *OFF), (50, *ON), (60, *OFF))
    two = recognising(tmp_path, "cam-2", (20, *ON), (22, *alert), (40, *OFF))
    counts = count_chains(tmp_path / "hub", {"cam-1": one.log, "cam-2": two.log})["d-1"]
    assert counts.recognising_s == (30 + 10) * 60, "10 to 40, and 50 to 60"
    assert counts.cameras == {"cam-1/front", "cam-2/front"}


def test_a_start_that_was_stopped_or_killed_counts_what_its_log_shows(tmp_path: Path) -> None:
    again = ("loaded", {"deployment": "d-1", "mode": "demo"})
    stopped = recognising(
        tmp_path, "cam-1", (10, *ON), (25, "stopped", {"exit_status": 0}), (30, "boot", {}), (31, *again)
    )
    killed = recognising(
        tmp_path, "cam-2", (50, *ON), (57, "condition", {"condition": "camera"}), (70, "boot", {}), (71, *again)
    )
    counts = count_chains(tmp_path / "hub", {"cam-1": stopped.log, "cam-2": killed.log})["d-1"]
    assert counts.recognising_s == (15 + 7) * 60
    assert counts.killed == 1, "of cam-2; cam-1 stopped in order"
    assert chain_row("d-1", Details(), counts)["uncounted_s"].value == KILLED_UNCOUNTED_S == 12


def test_an_ordinary_end_is_no_refusal_and_a_withdrawal_leaves_the_lists_size(tmp_path: Path) -> None:
    device = recognising(
        tmp_path,
        "cam-1",
        (1, "watchlist", {"watchlist": "wl-1", "subjects": 3, "images": 4, "threshold": 0.5}),
        (2, "watchlist", {"watchlist": "wl-1", "reason": "withdrawn", "count": 1}),
        (3, "refused", {"rule": "command", "reason": "not obeyed"}),
        (4, "refused", {"rule": "deployment loaded", "reason": "ended", "deployment": "d-1"}),
    )
    counts = count_chains(tmp_path / "hub", {"cam-1": device.log})["d-1"]
    assert (counts.refusals, counts.subjects, counts.images, counts.threshold) == (1, 3, 4, 0.5)
