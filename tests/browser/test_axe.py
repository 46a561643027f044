"""axe-core over every page that people read: login, the devices' panels, reports, the notice; English and Welsh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pyrage
import pytest
import yaml

from device.cli.main import main
from device.domain.finding import Mode
from device.domain.time import rfc3339, wall
from device.hub_api import messages
from device.wire.view_content import FaceMark
from tests.browser.axe import load_axe, violations
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words, now
from tests.browser.test_live_view import Showing, cells, content
from tests.unit.hub.report.chains import Device as Logging
from tools.hub.site import init_hub
from tools.hub.storage.users import Users

pytestmark = pytest.mark.browser
BOTH = pytest.mark.parametrize("language", ["en", "cy"])
ZONE = ((100, 100), (900, 100), (900, 900), (100, 900))


def in_both_schemes(chrome: Chrome, what: str) -> None:
    """axe-core finds nothing, light or dark; it is loaded."""
    for scheme in ("light", "dark"):
        chrome.scheme(scheme)
        assert violations(chrome) == [], (what, scheme)


def in_language(chrome: Chrome, language: str) -> None:
    """The page in that language, with axe-core."""
    if language == "cy":
        chrome.click("#language")
        chrome.until("document.documentElement?.lang === 'cy' && document.readyState === 'complete'")
    load_axe(chrome)


@BOTH
def test_the_login_page(chromium: str, tmp_path: Path, speak: Words, language: str) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    Users(tmp_path / "hub").put("op-1", "operator", "correct horse battery")
    van = speak.Van(tmp_path / "hub", "--no-broker")
    try:
        with Chrome(chromium, tmp_path / "profile", van.url) as chrome:
            chrome.until("document.querySelector('#login') !== null && document.readyState === 'complete'")
            in_language(chrome, language)
            in_both_schemes(chrome, "login")
            chrome.ask("document.querySelector('#ref').value = document.querySelector('#password').value = 'x'")
            chrome.click("#login button")
            chrome.until("document.querySelector('#refused').innerText")
            in_both_schemes(chrome, "a refused login")
    finally:
        van.stop()


@pytest.fixture
def page(chromium: str, van: Van, device: Device, tmp_path: Path) -> Iterator[Chrome]:
    with Chrome(chromium, tmp_path / "profile", van.url) as chrome:
        chrome.until("document.readyState === 'complete' && document.title.includes('Van hub')")
        yield chrome


@BOTH
def test_panels_with_live_view_commissioning_view_faults_and_a_device_that_is_unknown(
    page: Chrome, device: Device, speak: Words, language: str
) -> None:
    in_language(page, language)
    off = messages.LiveViewReading(allowed=True)
    device.say(device.topics.state, msgspec.structs.replace(speak.recognising("fails"), live_view=off), retain=True)
    page.until("!document.querySelector('.view').hidden && view.devices[0].live_view.until === null")
    page.ask("document.querySelector('.conditions').open = true")
    in_both_schemes(page, "the conditions")
    before = len(device.commands)
    page.click("[data-view]")
    speak.until(lambda: len(device.commands) > before, "the command")
    asked = device.commands[-1]
    assert asked.recipient is not None
    reading = messages.LiveViewReading(allowed=True, until=asked.expires_at, given_by=asked.given_by)
    device.say(device.topics.state, msgspec.structs.replace(speak.recognising(), live_view=reading), retain=True)
    recipient = pyrage.x25519.Recipient.from_str(asked.recipient)
    with Showing(device, pyrage.encrypt(content(cells(90)), [recipient])) as showing:
        page.until("document.querySelector('.view img')?.naturalWidth === 12")
        in_both_schemes(page, "the live view")
        faces = (FaceMark(column=3, row=2, height_px=84), FaceMark(column=9, row=1, height_px=21))
        shown = content(cells(70), commissioning=True, min_face_px=32.0, faces=faces, zone=ZONE)
        showing.sealed = pyrage.encrypt(shown, [recipient])
        page.until("document.querySelectorAll('.corner').length === 4")
        in_both_schemes(page, "the commissioning view")
        page.click("[data-large]")
        page.until("document.querySelector('.view').classList.contains('wide')")
        in_both_schemes(page, "the commissioning view, large")
        page.click("[data-large]")
        page.until("!document.querySelector('.view').classList.contains('wide')")
    page.ask("draw(lost(view)); banner(LOST)")
    in_both_schemes(page, "a page without its hub")


def test_the_reports_and_the_pages_before_an_event(
    chromium: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Chrome(chromium, tmp_path / "profile", "about:blank") as chrome:
        for file in (*reports(tmp_path, capsys), *notices(tmp_path)):
            chrome.call("Page.navigate", url=file.as_uri())
            chrome.until(f"location.href === {json.dumps(file.as_uri())} && document.readyState === 'complete'")
            load_axe(chrome)
            in_both_schemes(chrome, file.name)
            for width in (1024, 390):
                chrome.size(width, 844)
                assert chrome.ask("document.documentElement.scrollWidth") <= width, file.name
        chrome.ask("document.body.innerHTML += '<img src=x>'")
        assert "image-alt" in [name for name, _ in violations(chrome)], "the measure itself"


def reports(root: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """The reports of a year with two deployments, for officers and for the public, and the hub's own counts."""
    hub = root / "year"
    init_hub(hub, site="north", devices=("cam-1",), mode=Mode.OPERATIONAL)
    log = Logging(root / "cam-1", hub, "cam-1", wall(datetime(2025, 1, 1, tzinfo=timezone.utc)))
    for month, outcomes in ((2, ["true_alert"] * 9 + ["false_alert"]), (3, ["true_alert", ""])):
        log.deployment(
            f"d-{month}-" + "x" * 60, datetime(2025, month, 3, 9, tzinfo=timezone.utc), outcomes=outcomes, faces=8000
        )
    for name, more in (("report", ()), ("public-report", ("--public", "--foi", "2025"))):
        assert main(["report", str(hub), "--audit", f"cam-1={log.log}", "--html", *more]) == 0
        file = root / f"{name}.html"
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        yield file


def notices(root: Path) -> Iterator[Path]:
    """The page before an event and its leaflet."""
    init_hub(root / "hub", site="north", devices=("cam-1",), mode=Mode.TEST)
    ceremony = ["--ceremony", str(root / "safe"), "--officer", "AO-1", "--officer", "AO-2", "--threshold", "2"]
    assert main(["authority", "init", "--hub", str(root / "hub"), *ceremony]) == 0
    wanted = {
        "--hub": root / "hub",
        "--authorising-officer": "AO-1",
        "--category": "missing=R3:0.02",
        "--controller": "Controller",
        "--purpose": "to find missing people",
        "--legal-basis": "Data Protection Act 2018, part 3",
        "--place": "Station Square " + "x" * 100,
        "--zone": "north-gate",
        "--seriousness": "three years or more",
        "--start": rfc3339(wall(now() + timedelta(days=1))),
        "--end": rfc3339(wall(now() + timedelta(days=1, hours=6))),
    }
    plan = root / "plan.yaml"
    assert main(["deployment", "new", str(plan), *(str(word) for pair in wanted.items() for word in pair)]) == 0
    assert yaml.safe_load(plan.read_text())["place"].startswith("Station")
    options = ["--url", "https://www.example.police.uk/lfr/station-square", "--alternative-route", "The bridge"]
    assert (
        main(["deployment", "notice", str(plan), "--hub", str(root / "hub"), "--out", str(root / "out"), *options]) == 0
    )
    yield root / "out" / "notice.html"
    yield root / "out" / "leaflet.html"
