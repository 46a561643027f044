"""What a running hub does every second goes on when one of its steps fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from device.errors import BadData
from tests.sample_alerts import an_alert
from tests.unit.hub.test_hub_references import Van, watchlist
from tests.unit.hub.test_own_cases import say
from tools.hub.console import console as module
from tools.hub.console.login import NOBODY, Session
from tools.hub.console.pages import application
from tools.hub.storage.folder import Entry

IMPOSSIBLE = "2026-99-99T00:00:00.000Z"


def run(root: Path, prepare: Callable[[Van], None], seconds: float = 0.05) -> Van:
    """A console that is maintained for a moment, after `prepare`."""

    async def on_loop() -> Van:
        van = Van(root / "hub")
        prepare(van)
        task = asyncio.ensure_future(van.console.maintain())
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        return van

    return asyncio.run(on_loop())


def fails() -> None:
    raise RuntimeError("a defect")


def test_a_step_that_fails_is_shown_and_neither_stops_the_others_nor_leaves_the_operator_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[bool] = []
    monkeypatch.setattr(module, "GRACE_S", -1.0)

    def prepare(van: Van) -> None:
        monkeypatch.setattr(van.console, "erase_references", fails)
        monkeypatch.setattr(van.console.session, "repeat", fails)
        monkeypatch.setattr(van.tallies, "save", lambda: saved.append(True))
        van.console.page_opened()
        van.console.page_closed()

    console = run(tmp_path, prepare).console
    assert console.operator == "absent"
    assert saved == [True]
    warnings = console.view(NOBODY)["warnings"]
    assert [text.partition(":")[0] for text in warnings] == ["erasure", "judgements"]
    assert "hub.step_failed" in caplog.text


def test_the_hub_ends_when_its_maintenance_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[str] = []

    async def on_loop() -> None:
        van = Van(tmp_path / "hub")

        async def ends() -> None:
            fails()

        monkeypatch.setattr(van.console, "maintain", ends)
        page = application(van.console, lambda: None, faults.append)
        async with page.router.lifespan_context(page):
            while not faults:
                await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(on_loop(), 60.0))
    assert faults == ["RuntimeError('a defect')"]


def test_a_list_that_ends_on_an_impossible_date_is_refused_and_not_kept(tmp_path: Path) -> None:
    def prepare(van: Van) -> None:
        for times in ({"valid_to": IMPOSSIBLE}, {"erased_at": IMPOSSIBLE}):
            with pytest.raises(BadData, match="2026-99-99"):
                van.receives("cam-1", watchlist("wl-1", **times))
        assert van.desk.devices["cam-1"].watchlist is None

    run(tmp_path, prepare)


def test_a_false_alert_is_sent_when_its_hold_cannot_be_read_and_the_page_warns(tmp_path: Path) -> None:
    """The page is shown, too, and the warning of the judgement goes once the hold is readable."""
    file = tmp_path / "hub" / "holds" / "a-1.json"

    def prepare(van: Van) -> None:
        van.hub.add_entry("e-042", Entry("Person"), b"\xff\xd8\xff")
        van.console.settings = van.hub.settings()
        say(van.desk, "cam-1", an_alert("a-1"))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"{")
        assert van.console.decide("a-1", "adjudication", "false_alert")
        assert van.console.session.waiting() == 1
        warnings = van.console.view(NOBODY)["warnings"]
        assert [text.partition(":")[0] for text in warnings] == ["a hold cannot be read", "holds of false alerts"]
        engineer = van.console.view(Session("en-1", "engineer", 0.0, 0.0))["warnings"]
        assert engineer == ["holds of false alerts: this fails at the hub"]
        file.unlink()

    assert run(tmp_path, prepare).console.view(NOBODY)["warnings"] == []
