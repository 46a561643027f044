"""Holds at the hub: one case with a key of its own, under an owner and a review date, released into deletion."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from device.domain.finding import Mode
from device.domain.time import rfc3339, wall
from device.edges.broker.fake import FakeBroker, FakeExchange
from device.errors import BadData, RefusedByCondition, Unavailable
from device.hub_api import messages
from device.hub_api.events import decode
from device.hub_api.topics import HubTopics
from tests.sample_alerts import NOON, an_alert
from tests.unit.hub.test_own_cases import say
from tools.hub.console.console import Console
from tools.hub.console.desk import Desk
from tools.hub.console.holding import Holding, HoldRequest
from tools.hub.console.hub_state import offline_message
from tools.hub.console.login import Session
from tools.hub.console.session import HubSession
from tools.hub.report.tallies import Tallies
from tools.hub.site import init_hub
from tools.hub.storage import holds
from tools.hub.storage.files import write_file
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.holds import Holds
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.users import Role

JPEG = b"\xff\xd8\xff\xe0 a picture that must not be found"


def asked(**changes: Any) -> HoldRequest:
    fields = {
        "kind": "evidence",
        "reason": "prosecution",
        "owner": "CID-4",
        "review_by": rfc3339(wall(NOON + timedelta(days=60))),
    }
    return HoldRequest(**{**fields, **changes})


class Bench:
    """Holds over a folder, a desk with one case with its picture, and what was sent to the device."""

    def __init__(self, folder: Path, desk: Desk, tallies: Tallies, opener: ProbeOpener) -> None:
        self.now = NOON
        self.exchange = FakeExchange()
        broker = FakeBroker(self.exchange, "hub", offline_message("demo", Mode.DEMO, NOON))
        self.session = HubSession(broker, "demo", Mode.DEMO, desk, opener, lambda: self.now, lambda: None)
        broker.connect(lambda *_: None, lambda _: None)
        self.folder, self.desk, self.tallies = folder, desk, tallies
        self.holds = Holds(folder)
        self.holding = Holding(self.holds, desk, self.session, tallies, lambda: self.now)
        say(desk, "cam-1", an_alert("a-1"))
        desk.take_probe("cam-1", "a-1", JPEG, NOON)

    def sent(self) -> list[messages.Hold]:
        topic = HubTopics("demo").hold("cam-1", "a-1")
        found = [decode(m.payload).data for m in self.exchange.log if m.topic == topic]
        return [data for data in found if isinstance(data, messages.Hold)]

    def everything(self) -> bytes:
        return b"".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file())


@pytest.fixture
def bench(tmp_path: Path, desk: Desk, tallies: Tallies, opener: ProbeOpener) -> Bench:
    return Bench(tmp_path, desk, tallies, opener)


def test_a_held_case_is_sealed_to_a_key_of_its_own_and_reported_to_its_device(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    held = bench.holds.open("a-1")
    assert (held.alert, held.probe) == (an_alert("a-1"), JPEG)
    assert b"must not be found" not in bench.everything()
    deployment_secret = next((bench.folder / "keys").glob("deployment-*.txt")).read_text().splitlines()[-1]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(
            (bench.folder / "holds" / "a-1.age").read_bytes(),
            [pyrage.x25519.Identity.from_str(deployment_secret)],
        )
    (reported,) = bench.sent()
    assert (reported.state, reported.kind, reported.owner, reported.officer_ref, reported.mode) == (
        "held",
        "evidence",
        "CID-4",
        "op-1",
        Mode.DEMO,
    )
    assert bench.tallies.of("d-1").holds == {"evidence": 1}
    assert oct((bench.folder / "keys" / "hold-a-1.txt").stat().st_mode & 0o777) == "0o600"


def test_a_hold_outlives_the_desk_and_opens_without_the_deployments_key(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    bench.desk.judge("a-1", "true_alert")
    bench.desk.tick(wall(NOON + timedelta(days=3)))
    for key in (bench.folder / "keys").glob("deployment-*.txt"):
        key.unlink()
    assert bench.desk.cases == {}
    assert Holds(bench.folder).open("a-1").probe == JPEG


def test_a_release_destroys_the_key_and_the_case_and_notifies_the_device(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    sealed = (bench.folder / "holds" / "a-1.age").read_bytes()
    bench.holding.release("a-1", "op-2")
    assert not (bench.folder / "keys" / "hold-a-1.txt").exists()
    assert not list((bench.folder / "holds").glob("a-1*"))
    assert sealed not in bench.everything()
    assert [(reported.state, reported.officer_ref) for reported in bench.sent()] == [
        ("held", "op-1"),
        ("released", "op-2"),
    ]
    assert bench.tallies.of("d-1").holds == {"evidence": 1, "released": 1}
    with pytest.raises(RefusedByCondition):
        bench.holding.release("a-1", "op-2")


def test_an_incorrect_alert_cannot_be_held_and_what_was_held_as_evidence_goes_with_it(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    bench.desk.judge("a-1", "false_alert")
    bench.holding.judged_false("a-1", "op-1")
    assert bench.holds.all() == []
    with pytest.raises(RefusedByCondition, match="incorrect alert is erased at once"):
        bench.holding.hold("a-1", asked(), "op-1")


def test_a_complaint_must_be_recorded_before_a_case_is_held_for_it_and_then_a_false_alert_stays(bench: Bench) -> None:
    complaint = asked(kind="complaint", reason="complaint", complaint="C-17")
    with pytest.raises(RefusedByCondition, match="not recorded"):
        bench.holding.hold("a-1", complaint, "op-1")
    bench.holding.complaint("C-17", "op-1")
    bench.holding.hold("a-1", complaint, "op-1")
    bench.desk.judge("a-1", "false_alert")
    bench.holding.judged_false("a-1", "op-1")
    assert [terms.complaint for terms in bench.holds.all()] == ["C-17"]
    assert bench.holds.open("a-1").probe == JPEG


@pytest.mark.parametrize("content", [b"{", b'{"alert_id": "\xff"}', b""])
def test_a_hold_that_cannot_be_read_is_reported_and_hides_no_other(bench: Bench, content: bytes) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    (bench.folder / "holds" / "a-0.json").write_bytes(content)
    terms = json.loads((bench.folder / "holds" / "a-1.json").read_bytes())
    impossible = json.dumps({**terms, "review_by": "2026-99-99T00:00:00.000Z"})
    (bench.folder / "holds" / "a-2.json").write_text(impossible)
    assert [each["alert_id"] for each in bench.holding.shown()] == ["a-1"]
    first, second = bench.holds.unreadable
    assert "a-0.json" in first
    assert "2026-99-99" in second
    with pytest.raises(Unavailable, match=r"a-0\.json"):
        bench.holding.judged_false("a-0", "op-1")


def test_a_review_that_is_due_is_shown_and_a_hold_can_be_renewed_when_its_case_has_left_the_desk(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    bench.desk.erase("a-1")
    bench.now = wall(NOON + timedelta(days=61))
    assert [(each["alert_id"], each["overdue"]) for each in bench.holding.shown()] == [("a-1", True)]
    bench.holding.hold("a-1", asked(review_by=rfc3339(wall(NOON + timedelta(days=120)))), "op-2")
    assert bench.holding.shown()[0]["overdue"] is False
    assert bench.holds.open("a-1").probe == JPEG


def test_a_renewal_without_the_picture_on_the_desk_keeps_the_one_that_is_held(bench: Bench) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    bench.desk.pictures.clear()  # the hub started again after the deployment's key was gone
    bench.holding.hold("a-1", asked(owner="CID-5"), "op-2")
    assert bench.holds.open("a-1").probe == JPEG
    assert [terms.owner for terms in bench.holds.all()] == ["CID-5"]


def test_a_picture_that_came_after_the_hold_is_in_its_renewal(bench: Bench) -> None:
    say(bench.desk, "cam-1", an_alert("a-2"))
    bench.holding.hold("a-2", asked(), "op-1")
    assert bench.holds.open("a-2").probe is None
    bench.desk.take_probe("cam-1", "a-2", JPEG, NOON)
    bench.holding.hold("a-2", asked(), "op-1")
    assert bench.holds.open("a-2").probe == JPEG


@pytest.mark.parametrize("writes", range(4))
def test_a_renewal_that_is_cut_short_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    left = [writes]

    def write(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write_file(path, content)

    monkeypatch.setattr(holds, "write_file", write)
    with contextlib.suppress(KeyboardInterrupt):
        bench.holding.hold("a-1", asked(), "op-1")
    assert bench.holds.open("a-1").probe == JPEG


@pytest.mark.parametrize("gone", ["holds/a-1.age", "keys/hold-a-1.txt"])
def test_a_hold_that_was_cut_short_is_placed_again_without_a_picture_too(bench: Bench, gone: str) -> None:
    bench.holding.hold("a-1", asked(), "op-1")
    (bench.folder / gone).unlink()
    bench.desk.pictures.clear()
    bench.holding.hold("a-1", asked(), "op-1")
    assert bench.holds.open("a-1").alert == an_alert("a-1")


@pytest.mark.parametrize(
    ("role", "warned"), [("operator", True), ("supervisor", True), ("auditor", True), ("engineer", False)]
)
def test_an_overdue_hold_is_shown_to_those_who_may_read_holds(
    bench: Bench, tmp_path: Path, role: Role, warned: bool
) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    hub = HubFolder(tmp_path / "hub")
    console = Console(hub, hub.settings(), bench.desk, bench.tallies, bench.session, "op-1", False, frozenset())
    console.holding = bench.holding
    bench.holding.hold("a-1", asked(), "op-1")
    bench.now = wall(NOON + timedelta(days=61))
    shown = console.view(Session("x-1", role, 0.0, 0.0))["warnings"]
    assert any("CID-4" in line for line in shown) is warned


@pytest.mark.parametrize(
    "changes",
    [
        {"review_by": rfc3339(NOON)},
        {"review_by": rfc3339(wall(NOON + timedelta(days=400)))},
        {"complaint": "C-1"},
        {"kind": "complaint"},
    ],
)
def test_terms_that_make_no_sense_are_refused(bench: Bench, changes: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        bench.holding.hold("a-1", asked(**changes), "op-1")
    assert bench.holds.all() == []


@pytest.mark.slow
def test_the_commands_use_a_running_hub(tmp_path: Path) -> None:
    root = tmp_path / "van"
    lfr = [sys.executable, "-m", "device.cli.main"]
    subprocess.run([*lfr, "hub", "init", root, "--site", "demo", "--device", "cam-1"], check=True, capture_output=True)
    serve = subprocess.Popen(
        [*lfr, "hub", "serve", root, "--port", "0", "--broker-port", "0", "--repository-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert serve.stdout is not None
        port = json.loads(serve.stdout.readline())["url"].rsplit(":", 1)[1].split("/")[0]

        def run(*args: str) -> tuple[int, str]:
            done = subprocess.run(
                [*lfr, "hub", args[0], root, *args[1:], "--port", port], capture_output=True, text=True
            )
            return done.returncode, done.stdout + done.stderr

        assert run("complaint", "C-17")[0] == 0
        assert run("holds") == (0, "[]\n")
        review = (date.today() + timedelta(days=30)).isoformat()
        code, text = run("hold", "a-9", "--kind", "evidence", "--reason", "claim", "--owner", "X", "--review", review)
        assert (code, "no longer here" in text) == (77, True)
        assert run("release", "a-9")[0] == 77
    finally:
        serve.terminate()
        serve.wait(60)
