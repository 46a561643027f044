"""The public report: nothing that discloses a person or tactics, in English and Welsh, and only what is final."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.cli.main import main
from device.domain.finding import Mode
from device.domain.time import wall
from tests.unit.hub.report.chains import Device
from tools.hub.language import words
from tools.hub.language.words import Words, welsh
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.report import public_report
from tools.hub.site import init_hub

ANY = wall(datetime(2025, 1, 1, tzinfo=timezone.utc))


def a_year(root: Path, *deployments: tuple[int, list[str], int]) -> tuple[Path, list[object]]:
    """A hub and one device with deployments in 2025: (month, outcomes, faces)."""
    hub = root / "hub"
    init_hub(hub, site="north", devices=("cam-1",), mode=Mode.OPERATIONAL)
    device = Device(root / "cam-1", hub, "cam-1", ANY)
    for month, outcomes, faces in deployments:
        at = datetime(2025, month, 3, 9, 0, tzinfo=timezone.utc)
        device.deployment(f"d-{month}", at, outcomes=outcomes, faces=faces)
    return hub, ["report", str(hub), "--audit", f"cam-1={device.log}", "--public"]


def printed(capsys: pytest.CaptureFixture[str], command: list[object], *more: str) -> str:
    assert main([*map(str, command), *more]) == 0
    return capsys.readouterr().out


TRUE, FALSE = "true_alert", "false_alert"


def test_small_counts_are_withheld_and_cannot_be_calculated_from_the_year(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, command = a_year(tmp_path, (2, [TRUE] * 11 + [FALSE], 9_000), (3, [TRUE, FALSE], 7_000), (4, [TRUE] * 8, 6_000))
    shown = json.loads(printed(capsys, command, "--foi", "2025", "--json"))
    assert [row["alerts"] for row in shown["deployments"]] == [12, None, 8]
    totals = shown["years"]["2025"]
    assert totals["faces_seen"] == 22_000
    assert totals["alerts"] is None, "22 less 12 and 8 would be the 2 of March"
    assert totals["alerts_incorrect"] is None
    assert totals["incorrect_alert_rate"] is None, "a rate of known faces shows its numerator"
    assert totals["alerts_positive"] is None, "20 of an unknown total, with what is below 5, would bound it"
    assert "alerts_incorrect" not in shown["deployments"][0]


def test_positive_alerts_do_not_show_the_small_deployment_that_the_total_withholds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, command = a_year(tmp_path, (2, [TRUE] * 12, 9_000), (3, [TRUE] * 4, 7_000), (4, [TRUE] * 8, 6_000))
    shown = json.loads(printed(capsys, command, "--foi", "2025", "--json"))
    assert [row["alerts"] for row in shown["deployments"]] == [12, None, 8]
    totals = shown["years"]["2025"]
    assert totals["alerts"] is None
    assert totals["alerts_positive"] is None, "24 positive alerts less 12 and 8 would be the 4 of March"


def test_a_year_with_enough_of_each_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, command = a_year(tmp_path, (2, [TRUE] * 9 + [FALSE] * 3 + [""] * 5, 9_000), (4, [TRUE] * 8 + [FALSE] * 4, 6_000))
    totals = json.loads(printed(capsys, command, "--foi", "2025", "--json"))["years"]["2025"]
    assert (totals["alerts"], totals["alerts_positive"], totals["alerts_incorrect"]) == (29, 17, 7)
    assert totals["alerts_not_adjudicated"] == 5
    assert totals["incorrect_alert_rate"] == pytest.approx(7 / 15_000)


def test_the_page_is_english_and_welsh_and_names_no_device_camera_hash_or_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, command = a_year(tmp_path, (2, [TRUE] * 9, 9_000))
    page = printed(capsys, command, "--html")
    english, welsh_half = page.split('<article lang="cy">')
    assert "Faces seen" in english
    assert "Wynebau a welwyd" in welsh_half
    assert "DRAFFT" in welsh_half
    for banned in ("cam-1", "front", "SHA-256", "Refusals", "Cameras", "http", "<script", "d-2"):
        assert banned not in page, banned
    assert main(["hub", "welsh", str(hub), "--approved-by", "T. Anslator"]) == 0
    assert "DRAFFT" not in printed(capsys, command, "--html")


def test_a_changed_welsh_text_is_a_draft_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words.approve(tmp_path, "T. Anslator", "2026-11-30")
    assert words.draft_mark(tmp_path) == ""
    changed = tmp_path / "cy.json"
    changed.write_bytes(words.CATALOGUE.read_bytes().replace(b"Dyddiad", b"Diwrnod"))
    monkeypatch.setattr(words, "CATALOGUE", changed)
    assert words.draft_mark(tmp_path) == words.DRAFT


def test_what_may_still_change_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = tmp_path / "hub"
    init_hub(hub, site="north", devices=("cam-1",), mode=Mode.OPERATIONAL)
    now = wall(datetime.now(timezone.utc))
    device = Device(tmp_path / "cam-1", hub, "cam-1", now)
    device.boot()
    device.note("loaded", deployment="d-1", mode="operational")
    device.head()
    command = ["report", str(hub), "--audit", f"cam-1={device.log}", "--public"]
    assert main(command) == 77
    assert "has not ended" in capsys.readouterr().err
    assert main([*command, "--foi", str(now.year)]) == 77
    assert "are final from" in capsys.readouterr().err


def published(hub: Path, name: str, *devices: str, day: datetime) -> None:
    """This hub's record of a deployment of that day."""
    end = day + timedelta(hours=6)
    Records(hub).save(
        Record(
            id=name,
            stem=name,
            mode="operational",
            watchlist_id=f"wl-{name}",
            devices=devices,
            ends=end,
            published_at=day,
            ended_at=end,
        )
    )


def test_a_part_of_a_year_is_not_published_as_the_year(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub, command = a_year(tmp_path, (2, [TRUE] * 9, 9_000), (4, [TRUE] * 8, 6_000))
    assert main([*map(str, command), "--foi", "2025", "--deployment", "d-2"]) == 64
    published(hub, "d-2", "cam-1", day=datetime(2025, 2, 3, 8, tzinfo=timezone.utc))
    published(hub, "d-other-year", "cam-2", day=datetime(2024, 5, 3, 8, tzinfo=timezone.utc))
    assert json.loads(printed(capsys, command, "--foi", "2025", "--json"))["years"]["2025"]["deployments"] == 2
    published(hub, "d-5", "cam-2", day=datetime(2025, 5, 3, 8, tzinfo=timezone.utc))
    assert main([*map(str, command), "--foi", "2025"]) == 77
    assert "d-5 (cam-2)" in capsys.readouterr().err
    assert main([*map(str, command), "--deployment", "d-2"]) == 0


@pytest.mark.parametrize(("month", "status"), [(1, 77), (5, 0)])
def test_a_deployment_that_was_never_loaded_does_not_hold_up_its_year_where_the_logs_show_that(
    tmp_path: Path, month: int, status: int
) -> None:
    hub, command = a_year(tmp_path, (2, [TRUE] * 9, 9_000))
    published(hub, "d-never", "cam-1", day=datetime(2025, month, 3, 8, tzinfo=timezone.utc))
    assert main([*map(str, command), "--foi", "2025"]) == status


def test_a_signed_public_report_has_no_heads_but_their_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, command = a_year(tmp_path, (2, [TRUE] * 9, 9_000))
    printed(capsys, command, "--out", str(tmp_path / "out"))
    file = tmp_path / "out" / "public-report.html"
    assert main(["report", "verify", str(file), "--ca", str(hub / "ca.pem")]) == 0
    assert "SHA-256" in capsys.readouterr().err
    assert "cam-1" not in file.with_name("public-report.html.sig").read_text()


def test_every_text_of_the_public_report_has_its_welsh() -> None:
    texts = (
        public_report.TITLE,
        public_report.WITHHELD,
        public_report.UNKNOWN,
        *public_report.NOTES,
        *public_report.COLUMNS.values(),
        *public_report.TOTALS.values(),
        *(mode.value for mode in Mode),
        "yes",
        "no",
        "place not recorded",
    )
    assert [text for text in texts if text not in welsh()] == []
    assert Words("en")("Date") == "Date"
    assert Words("cy")("Date") == "Dyddiad"
