"""The operator's tasks in a real browser, by keyboard alone and by touch alone, and axe-core on what they see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.axe import load_axe, violations
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words
from tools.hub.report.tallies import read_book
from tools.hub.storage.folder import Entry

pytestmark = pytest.mark.browser
CARD = "document.querySelector('.case')"
ALIKE = "brother, no beard"


@pytest.fixture
def chrome(chromium: str, van: Van, device: Device, tmp_path: Path) -> Iterator[Chrome]:
    van.hub.add_entry("e-077", Entry("Person B", "missing", "R3", ALIKE), Words.portrait(110, 12))
    with Chrome(chromium, tmp_path / "profile", van.url) as page:
        page.until("document.readyState === 'complete' && document.title.includes('Van hub')")
        yield page
    for held in van.snapshot()["holds"]:
        van.ask("POST", f"/holds/{held['alert_id']}/release", "{}", headers=own(van))
    for case in van.snapshot()["cases"]:
        van.decide(case["id"], "adjudication", "false_alert")


def own(van: Van) -> dict[str, str]:
    return {"Origin": f"http://{van.host}", "X-CSRF-Token": van.token(), "Content-Type": "application/json"}


def a_case(chrome: Chrome, van: Van, device: Device, speak: Words) -> str:
    """An alert with both pictures on the page, and its buttons at rest no more."""
    alert = device.alert("e-077")
    speak.until(lambda: any(c["id"] == alert.alert_id and c["probe"] for c in van.snapshot()["cases"]), "its picture")
    chrome.until(
        f"{CARD}?.dataset.id === '{alert.alert_id}' && document.querySelectorAll('.case .photo img').length === 2"
    )
    chrome.until(f"!{CARD}.classList.contains('resting')")
    return alert.alert_id


def counted(van: Van) -> dict[str, int]:
    """Reasons of judgements in the report's counts."""
    book = read_book(van.hub.report_file)
    return dict(book.deployments["demo-2026-11-23"].reasons) if "demo-2026-11-23" in book.deployments else {}


def tabbed(chrome: Chrome, selector: str) -> None:
    """Press Tab until an element has the focus, as somebody without a mouse does."""
    for _ in range(80):
        if chrome.ask(f"document.activeElement?.matches({json.dumps(selector)})"):
            return
        chrome.press("Tab")
    raise AssertionError(f"no Tab leads to {selector}")


def test_by_keyboard_alone_a_case_is_enlarged_judged_with_reasons_held_and_released(
    chrome: Chrome, van: Van, device: Device, speak: Words, shots: Path | None
) -> None:
    case = a_case(chrome, van, device, speak)
    assert ALIKE in chrome.ask(f"{CARD}.innerText")
    before = counted(van)
    chrome.key("e")
    chrome.until("document.querySelector('#enlarged').open")
    sizes = chrome.ask(
        "[...document.querySelectorAll('#enlarged img')].map(i => [i.hidden, i.clientWidth, i.clientHeight])"
    )
    assert sizes[0] == sizes[1], "both at one scale"
    assert sizes[0][0] is False
    words = chrome.ask("document.querySelector('#enlarged').innerText")
    assert all(part in words for part in ("custody photo", "year", ALIKE)), words
    if shots is not None:
        chrome.picture(shots / "enlarged.png")
    chrome.hold_clock()
    chrome.key("t")
    assert chrome.asked() == [], "while both are large no key judges"
    chrome.let_clock_run()
    chrome.press("Escape")
    chrome.until("!document.querySelector('#enlarged').open")
    chrome.until("[...document.querySelectorAll('#enlarged img')].every(i => !i.hasAttribute('src'))")
    chrome.key("1")
    chrome.key("3")
    chrome.key("2")
    chrome.key("2")
    pressed = "[...document.querySelectorAll('[data-factor][aria-pressed=true]')].map(b => b.dataset.factor)"
    assert chrome.ask(pressed) == ["subject", "environment"]
    if shots is not None:
        chrome.picture(shots / "case.png")
    chrome.key("t")
    speak.until(lambda: van.snapshot()["cases"][0]["outcome"] == "true_alert", "the judgement")
    speak.until(lambda: device.judgements and device.judgements[-1].alert_id == case, "the judgement at the device")
    assert [reason.factor for reason in device.judgements[-1].reasons] == ["environment", "subject"]
    speak.until(lambda: counted(van).get("subject", 0) == before.get("subject", 0) + 1, "the report's counts")
    assert counted(van).get("system", 0) == before.get("system", 0)
    chrome.until(f"!{CARD}.classList.contains('resting')")
    tabbed(chrome, ".hold summary")
    chrome.press("Enter")
    tabbed(chrome, "[name=owner]")
    for letter in "CID-4":
        chrome.key(letter)
    tabbed(chrome, ".hold-form [type=submit]")
    chrome.press("Enter")
    speak.until(lambda: [h["alert_id"] for h in van.snapshot()["holds"]] == [case], "the hold")
    (held,) = van.snapshot()["holds"]
    assert (held["kind"], held["reason"], held["owner"]) == ("evidence", "investigation", "CID-4")
    chrome.until("document.querySelectorAll('#holds button').length === 1")
    tabbed(chrome, "#holds button")
    chrome.press("Enter")
    speak.until(lambda: van.snapshot()["holds"] == [], "the release")


def test_by_touch_alone_a_case_is_enlarged_and_judged_false_with_a_reason(
    chrome: Chrome, van: Van, device: Device, speak: Words, shots: Path | None
) -> None:
    chrome.size(390, 844)
    chrome.touch_only()
    case = a_case(chrome, van, device, speak)
    before = counted(van)
    chrome.tap(".case .seen")
    chrome.until("document.querySelector('#enlarged').open")
    chrome.tap("#enlarged button")
    chrome.until("!document.querySelector('#enlarged').open")
    chrome.tap("[data-factor=system]")
    if shots is not None:
        chrome.ask("window.scrollTo(0, 0)")
        chrome.picture(shots / "phone.png")
    chrome.hold_clock()
    chrome.tap(".judge .false")
    chrome.until(f"{CARD}.innerText.includes('Press again to erase')")
    chrome.advance(0.31)
    chrome.tap(".judge .false")
    speak.until(lambda: van.snapshot()["cases"] == [], "the erasure")
    speak.until(lambda: device.judgements and device.judgements[-1].alert_id == case, "the judgement at the device")
    assert [reason.factor for reason in device.judgements[-1].reasons] == ["system"]
    speak.until(lambda: counted(van).get("system", 0) == before.get("system", 0) + 1, "the report's counts")


def test_a_case_held_for_a_complaint_records_the_complaint_by_touch(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    case = a_case(chrome, van, device, speak)
    assert van.decide(case, "adjudication", "true_alert") == 200
    chrome.touch_only()
    chrome.until("!document.querySelector('.hold').hidden")
    chrome.tap(".hold summary")
    chrome.ask("document.querySelector('[name=kind]').value = 'complaint'")
    chrome.ask("document.querySelector('[name=kind]').dispatchEvent(new Event('change'))")
    for field, value in (("complaint", "C-17"), ("owner", "PSD-2")):
        chrome.tap(f"[name={field}]")
        chrome.call("Input.insertText", text=value)
    chrome.ask("document.querySelector('[name=reason]').value = 'complaint'")
    chrome.tap(".hold-form [type=submit]")
    speak.until(lambda: [h["complaint"] for h in van.snapshot()["holds"]] == ["C-17"], "the hold")
    chrome.until("!document.querySelector('.hold-release').hidden")
    chrome.ask("document.querySelector('.hold').open = true")
    chrome.tap(".hold-release")
    speak.until(lambda: van.snapshot()["holds"] == [], "the release")


@pytest.mark.parametrize("reasons", ['["weather"]', '"subject"', "[1]", "[[]]"])
def test_unknown_reasons_are_no_decision(van: Van, device: Device, speak: Words, reasons: str) -> None:
    alert = device.alert()
    speak.until(lambda: any(c["id"] == alert.alert_id for c in van.snapshot()["cases"]), "the case")
    body = f'{{"outcome": "true_alert", "reasons": {reasons}}}'
    assert van.ask("POST", f"/cases/{alert.alert_id}/adjudication", body, headers=own(van))[0].status == 400
    van.decide(alert.alert_id, "adjudication", "false_alert")


@pytest.mark.parametrize("language", ["en", "cy"])
def test_axe_finds_nothing_in_either_language(
    chrome: Chrome, van: Van, device: Device, speak: Words, language: str
) -> None:
    if language == "cy":
        chrome.click("#language")
        chrome.until("document.documentElement?.lang === 'cy' && document.readyState === 'complete'")
    case = a_case(chrome, van, device, speak)
    load_axe(chrome)
    for scheme in ("light", "dark"):
        chrome.scheme(scheme)
        assert violations(chrome) == [], (scheme, "a case")
        for dialog, key in (("#enlarged", "e"), ("#keys", "?")):
            chrome.key(key)
            chrome.until(f"document.querySelector('{dialog}').open")
            assert violations(chrome) == [], (scheme, dialog)
            chrome.press("Escape")
            chrome.until(f"!document.querySelector('{dialog}').open")
    assert van.decide(case, "adjudication", "true_alert") == 200
    chrome.until("!document.querySelector('.hold').hidden")
    chrome.ask("document.querySelector('.hold').open = true")
    chrome.until(f"!{CARD}.classList.contains('resting')")
    chrome.settled()
    assert violations(chrome) == [], "a judged case with the form of a hold"
    chrome.ask("document.querySelector('.case h3').innerHTML = '<img src=x>'")
    assert "image-alt" in [name for name, _ in violations(chrome)], "the measure itself"
