"""A person's request: from what still lawfully exists, without biometrics, logged; withheld by an officer alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from device.audit.log import lines_of
from device.audit.rows import read
from device.cli.main import main
from device.domain.audit_record import Record
from device.domain.time import WallTime, rfc3339
from tests.sample_alerts import a_candidate, a_context, an_alert
from tests.unit.hub.publishing.conftest import Desk
from tools.hub.cli.options import now
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.holds import Holds, HoldTerms
from tools.hub.storage.hub_log import HubLog
from tools.hub.storage.sealed_desk import SealedDesk, StoredCase


@pytest.fixture
def running(desk: Desk) -> str:
    """A deployment with one entry, e-1, labelled Person A, and one alert of it on the desk."""
    plan = desk.plan()
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    desk.lfr("deployment", "sign", plan, "--watchlist", desk.built(plan), "--hub", desk.hub, *keys)
    name: str = yaml.safe_load(plan.read_text())["id"]
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    HubFolder(desk.hub).add_entries({"e-1": (Entry("Person A", "missing"), b"jpeg")})
    alert(desk, name, "e-1")
    return name


def alert(desk: Desk, deployment: str, entry: str) -> None:
    store, at = SealedDesk(HubFolder(desk.hub).desk_file), now()
    made = an_alert(f"0192-{entry}", a_candidate(entry_ref=entry), a_context(at, deployment_id=deployment), at)
    store.put_case(StoredCase(alert=made, device="cam-1", arrived=rfc3339(at), delete_by=made.retention.delete_by))
    store.close()


def ask(desk: Desk, *more: object, label: str | None = None, case: str = "SR-1", expect: int = 0) -> str:
    """label: what is typed for --label."""
    who = () if label is None else ("--label",)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{label or ''}\n"))
        return str(desk.lfr("subject-request", desk.hub, "--case", case, "--by", "op-7", *who, *more, expect=expect))


def rows(hub: Path) -> list[Record]:
    log = HubLog(hub, now())
    return [read(line[:-1]).record for line in lines_of(log.folder / "audit.jsonl")]


def test_what_exists_is_answered_without_biometrics_and_logged(desk: Desk, running: str) -> None:
    text = ask(desk, label="person  a")
    assert f"{running}, x: yes, category missing." in text
    assert "not judged yet; it is erased by" in text
    for banned in ("0.71", "0.48", "jpeg", "e-1", "score 0"):
        assert banned not in text
    answer = desk.lfr("subject-request", desk.hub, "--case", "SR-2", "--by", "op-7", "--entry", "e-1", "--json")
    assert answer["answer"] == "kept"
    assert set(answer["alerts"][0]) == {"deployment", "seen_at", "outcome", "erased_by", "held"}
    logged = [(row.receipt, row.event, row.officer) for row in rows(desk.hub) if row.what == "request"]
    assert logged == [("SR-1", "kept", "op-7"), ("SR-2", "kept", "op-7")]
    content = (HubLog(desk.hub, now()).folder / "audit.jsonl").read_text()
    assert "erson" not in content
    assert main(["audit", "verify", str(HubLog(desk.hub, now()).folder)]) == 0


def test_a_label_is_no_argument_and_an_empty_one_is_refused(desk: Desk, running: str) -> None:
    with pytest.raises(SystemExit):
        main(["subject-request", str(desk.hub), "--case", "SR-1", "--by", "op-7", "--label", "Person A"])
    ask(desk, label=" ", expect=64)
    assert not (desk.hub / "audit" / "hub").exists()


def test_somebody_who_is_not_on_the_list_learns_nothing_of_others(desk: Desk, running: str) -> None:
    text = ask(desk, label="Somebody Else")
    assert f"{running}, x: no." in text
    assert "No alert about you exists" in text
    assert "missing" not in text


def test_after_the_end_everybody_gets_the_same_answer(desk: Desk, running: str) -> None:
    desk.lfr("deployment", "end", running, "--hub", desk.hub)
    store = SealedDesk(HubFolder(desk.hub).desk_file)
    for kept in store.cases():
        store.erase(kept.alert.alert_id)
    store.close()
    listed, other = ask(desk, "--entry", "e-1", case="SR-1"), ask(desk, case="SR-1", label="Somebody Else")
    assert "erased. It ended at" in listed
    assert listed.splitlines()[1:] == other.splitlines()[1:]
    assert {row.event for row in rows(desk.hub) if row.what == "request"} == {"nothing"}


def hold(desk: Desk, deployment: str, entry: str) -> None:
    at = now()
    made = an_alert(f"0192-{entry}", a_candidate(entry_ref=entry), a_context(at, deployment_id=deployment), at)
    terms = HoldTerms(
        alert_id=made.alert_id,
        device="cam-1",
        deployment_id=deployment,
        kind="evidence",
        reason="prosecution",
        owner="CID-4",
        review_by=rfc3339(at),
        complaint=None,
        held_by="op-1",
        held_at=rfc3339(at),
    )
    Holds(desk.hub).place(terms, made, b"jpeg")


def test_a_case_under_a_hold_is_answered_once_while_on_the_desk_and_after_it_left(desk: Desk, running: str) -> None:
    hold(desk, running, "e-1")
    answer = desk.lfr("subject-request", desk.hub, "--case", "SR-1", "--by", "op-7", "--entry", "e-1", "--json")
    assert [(each["held"], each["erased_by"]) for each in answer["alerts"]] == [(True, None)]
    store = SealedDesk(HubFolder(desk.hub).desk_file)
    store.erase("0192-e-1")
    store.close()
    desk.lfr("deployment", "end", running, "--hub", desk.hub)
    text = ask(desk, "--entry", "e-1")
    assert "kept under a hold until reviewed" in text
    assert "No alert about you" not in text
    assert "No alert about you exists" in ask(desk, "--entry", "e-2")
    assert [row.event for row in rows(desk.hub) if row.what == "request"] == ["kept", "kept", "nothing"]


def test_a_hold_whose_label_is_erased_is_not_denied(desk: Desk, running: str) -> None:
    hold(desk, running, "e-9")
    assert "No alert about you exists" not in ask(desk, label="Somebody Else")
    assert "0192-e-9" in desk.said


def test_a_hold_that_cannot_be_opened_is_an_error_and_one_without_a_key_is_none(desk: Desk, running: str) -> None:
    hold(desk, running, "e-2")
    (desk.hub / "holds" / "0192-e-2.age").write_bytes(b"damaged")
    ask(desk, "--entry", "e-2", expect=65)
    assert not (desk.hub / "audit" / "hub").exists()
    (desk.hub / "keys" / "hold-0192-e-2.txt").unlink()
    assert "No alert about you exists" in ask(desk, "--entry", "e-2")


def test_only_an_officer_withholds_and_the_answer_shows_nothing(desk: Desk, running: str) -> None:
    ask(desk, "--withhold", "crime", expect=64, label="Person A")
    held = ask(desk, "--withhold", "crime", "--key", desk.key("AO-1"), label="Person A")
    none = ask(desk, "--withhold", "crime", "--key", desk.key("AO-1"), label="Nobody")
    assert held.splitlines()[1:] == none.splitlines()[1:]
    assert "neither confirm nor deny" in held
    assert "prejudicing" not in held
    assert "prejudicing" in ask(
        desk, "--withhold", "crime", "--state-ground", "--key", desk.key("AO-1"), label="Person A"
    )
    row = next(row for row in rows(desk.hub) if row.what == "request")
    assert (row.event, row.reason, row.officer) == ("withheld", "crime", "AO-1")


def test_a_key_of_nobody_here_does_not_withhold(desk: Desk, running: str, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other", desk._capsys)
    other.root.mkdir()
    other.lfr("hub", "init", other.hub, "--site", "south", "--mode", "test")
    other.lfr("authority", "init", "--hub", other.hub, "--ceremony", other.safe, "--officer", "AO-9")
    ask(desk, "--withhold", "crime", "--key", other.key("AO-9"), expect=77, label="Person A")
    assert not (desk.hub / "audit" / "hub").exists()


def test_a_running_hub_s_desk_is_read_and_not_changed(desk: Desk, running: str) -> None:
    file = HubFolder(desk.hub).desk_file
    store = SealedDesk(file)
    store.put_seen("x")
    before = file.read_bytes()
    assert "not judged yet" in ask(desk, "--entry", "e-1")
    assert file.read_bytes() == before
    store.close()


def test_rows_of_two_programs_are_one_chain(tmp_path: Path) -> None:
    at: WallTime = now()
    one, two = HubLog(tmp_path, at), HubLog(tmp_path, at)
    for number, log in enumerate((one, two, one)):
        log.note("request", at, receipt=f"SR-{number}", event="nothing", officer="op-1")
    assert main(["audit", "verify", str(one.folder), "--json"]) == 0
    assert json.loads(lines_of(one.folder / "audit.jsonl").__next__())["record"]["what"] == "began"
