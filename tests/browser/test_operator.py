"""The operator's hand: the queue never moves under it, buttons rest after a change, everything is done by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.hub_api import messages
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words
from tools.hub.storage.folder import Entry

pytestmark = pytest.mark.browser
CARD = "document.querySelector('.case')"
TOO_FAINT = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((c) => linear(c / 255))
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const worded = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim());
  const shown = (node) => node.checkVisibility() && !node.closest('script, .visually-hidden, .skip');
  return [...document.querySelectorAll('body *')].filter((node) => shown(node) && worded(node)).map((node) => {
    const style = getComputedStyle(node);
    const [a, b] = [light(parts(style.color)), light(ground(node))];
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    return [node.textContent.trim().slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05), large ? 3 : 4.5];
  }).filter(([, ratio, least]) => ratio < least);
})()"""
"""Texts whose contrast is below WCAG 2.2, 1.4.3: 4.5, of large text 3 (relative luminance as WCAG defines it)."""


def case_on_page(chrome: Chrome) -> str:
    return str(chrome.until(f"{CARD} && {CARD}.dataset.id"))


def rested(chrome: Chrome) -> None:
    """Until both pictures are there and the buttons rest no more; one that came later would begin another rest."""
    shown = f"{CARD}.querySelectorAll('.photo img').length === 2"
    chrome.until(f"{CARD} && {shown} && !{CARD}.classList.contains('resting')")


def pictured(van: Van, speak: Words, alert: Any) -> None:
    speak.until(lambda: any(c["id"] == alert.alert_id and c["probe"] for c in van.snapshot()["cases"]), "its picture")


def test_a_new_alert_moves_neither_the_case_under_the_hand_nor_the_queue_before_it(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    first = device.alert()
    pictured(van, speak, first)
    assert case_on_page(chrome) == first.alert_id
    rested(chrome)
    place = "JSON.stringify(document.querySelector('.judge .true').getBoundingClientRect())"
    before = chrome.ask(place)
    second, third = device.alert(), device.alert()
    chrome.until("document.querySelectorAll('#queue li').length === 3")
    assert case_on_page(chrome) == first.alert_id
    assert chrome.ask(place) == before
    order = chrome.ask("[...document.querySelectorAll('#queue li')].map(row => row.dataset.id)")
    assert order == [a.alert_id for a in (first, second, third)]


def two_cases(chrome: Chrome, van: Van, device: Device, speak: Words) -> tuple[messages.Alert, messages.Alert]:
    """Two alerts with their pictures, the first one on the page, rested; its clock stands still."""
    first, second = device.alert(), device.alert()
    pictured(van, speak, first)
    pictured(van, speak, second)
    assert case_on_page(chrome) == first.alert_id
    rested(chrome)
    chrome.hold_clock()
    return first, second


def test_false_takes_two_presses_and_the_next_case_rests_before_it_takes_one(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    first, second = two_cases(chrome, van, device, speak)
    chrome.key("f")
    assert "Press again to erase" in chrome.ask(f"{CARD}.innerText")
    chrome.advance(0.29)
    chrome.key("f")
    assert chrome.asked() == [], "two presses within .3 s are a slip"
    chrome.advance(0.02)
    chrome.key("f")
    assert chrome.asked() == [f"/cases/{first.alert_id}/adjudication"]
    chrome.until(f"{CARD}.dataset.id === '{second.alert_id}'")
    chrome.advance(0.49)
    chrome.key("t")
    assert len(chrome.asked()) == 1, "the press was on its way to the first case"
    chrome.advance(0.02)
    chrome.key("t")
    assert chrome.asked()[1:] == [f"/cases/{second.alert_id}/adjudication"]
    speak.until(lambda: van.snapshot()["cases"][0]["outcome"] == "true_alert", "the judgement")


def test_a_click_right_after_the_case_under_it_was_replaced_judges_nothing(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    first, second = two_cases(chrome, van, device, speak)
    device.say(device.topics.erasure, speak.erasure(first.alert_id, "expiry"))
    chrome.until(f"{CARD}.dataset.id === '{second.alert_id}'")
    chrome.advance(0.49)
    chrome.click(".judge .true")
    assert chrome.asked() == []
    chrome.advance(0.02)
    chrome.click(".judge .true")
    assert chrome.asked() == [f"/cases/{second.alert_id}/adjudication"]
    speak.until(lambda: van.snapshot()["cases"][0]["outcome"] == "true_alert", "the judgement")


def test_the_queue_is_walked_and_the_keys_are_listed_by_keyboard_alone(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    first, second = device.alert(), device.alert()
    pictured(van, speak, second)
    chrome.until("document.querySelectorAll('#queue li').length === 2")
    assert case_on_page(chrome) == first.alert_id
    chrome.key("j")
    assert case_on_page(chrome) == second.alert_id
    chrome.key("k")
    assert case_on_page(chrome) == first.alert_id
    chrome.key("?")
    assert chrome.ask("document.querySelector('#keys').open")
    chrome.key("t")
    assert van.snapshot()["cases"][0]["outcome"] is None, "while the keys are listed no key judges"


@pytest.mark.parametrize("language", ["en", "cy"])
@pytest.mark.parametrize(("width", "height"), [(1024, 768), (390, 844)])
def test_pictures_score_and_buttons_are_in_view_without_scrolling(
    chrome: Chrome, van: Van, device: Device, speak: Words, width: int, height: int, language: str
) -> None:
    chrome.size(width, height)
    if language == "cy":
        chrome.click("#language")
        chrome.until("document.documentElement?.lang === 'cy' && document.readyState === 'complete'")
    alert = device.alert()
    pictured(van, speak, alert)
    case_on_page(chrome)
    chrome.until("document.querySelectorAll('.case .photo img').length === 2")
    for part in (".photo.seen", ".photo.listed", ".score", ".judge .true", ".judge .false"):
        box = chrome.ask(
            f"(b => [b.top, b.bottom, b.left, b.right])(document.querySelector('{part}').getBoundingClientRect())"
        )
        assert box[0] >= 0, (part, box)
        assert box[1] <= height, (part, box)
        assert box[2] >= 0, (part, box)
        assert box[3] <= width, (part, box)


def test_thirty_open_cases_stay_usable(chrome: Chrome, van: Van, device: Device, speak: Words) -> None:
    alerts = [device.alert() for _ in range(30)]
    chrome.until("document.querySelectorAll('#queue li').length === 30")
    assert "30 to judge" in chrome.ask("document.querySelector('#cases-count').innerText")
    for width, height in ((1024, 768), (390, 844)):
        chrome.size(width, height)
        assert chrome.ask("document.documentElement.scrollWidth") <= width
        assert chrome.ask("document.documentElement.scrollHeight") < 4000
        bottom = chrome.ask("document.querySelector('.judge .true').getBoundingClientRect().bottom")
        assert bottom <= height, (width, bottom)
    for _ in range(29):
        chrome.key("j")
    assert case_on_page(chrome) == alerts[-1].alert_id
    rested(chrome)
    chrome.key("t")
    speak.until(lambda: van.snapshot()["cases"][-1]["outcome"] == "true_alert", "the judgement of the last")


def test_every_text_has_enough_contrast_in_light_and_dark(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    pictured(van, speak, device.alert())
    case_on_page(chrome)
    rested(chrome)
    for scheme in ("light", "dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        chrome.call("Emulation.setEmulatedMedia", features=media)
        chrome.until(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        assert chrome.ask(TOO_FAINT) == [], scheme
    chrome.ask("document.querySelector('.score').style.color = '#c9c9c9'")
    chrome.ask("document.querySelector('.case').style.background = '#fff'")
    assert [words for words, *_ in chrome.ask(TOO_FAINT)] != [], "the measure itself"


def test_a_page_that_was_open_for_a_day_holds_no_more_than_at_its_start(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    """A day is 17,280 snapshots; what grows with each would show after 2,000."""
    pictured(van, speak, device.alert())
    case_on_page(chrome)
    draw = (
        "for (let n = 0; n < 2000; n++) draw(JSON.parse(JSON.stringify(view))); document.querySelectorAll('*').length"
    )
    before = chrome.ask("document.querySelectorAll('*').length")
    assert chrome.ask(draw) == before
    chrome.call("HeapProfiler.collectGarbage")
    first = chrome.call("Runtime.getHeapUsage")["usedSize"]
    chrome.ask(draw)
    chrome.call("HeapProfiler.collectGarbage")
    assert chrome.call("Runtime.getHeapUsage")["usedSize"] < first + 500_000


def test_a_case_whose_reference_photo_is_deleted_has_no_buttons(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    van.hub.add_entry("e-gone", Entry("Person G"), speak.portrait(90, 5))
    speak.until(lambda: "e-gone" in van.hub.settings().entries, "the entry")
    alert = device.alert("e-gone")
    pictured(van, speak, alert)
    chrome.until("document.querySelector('.judge')?.hidden === false")
    van.hub.erase_refs(["e-gone"])
    chrome.until("document.querySelector('.judge').hidden")
    assert "can no longer be judged" in chrome.ask(f"{CARD}.innerText")
    assert van.decide(alert.alert_id, "adjudication", "true_alert") == 409
    device.say(device.topics.erasure, speak.erasure(alert.alert_id, "expiry"))


def test_long_words_do_not_widen_the_page(chrome: Chrome, van: Van, device: Device, speak: Words) -> None:
    alert = speak.alert(zone_id="z" * 100, camera_id="c" * 100)
    candidate = msgspec.structs.replace(alert.candidate, category="x" * 100, response_code="r" * 100)
    alert = msgspec.structs.replace(alert, candidate=candidate)
    device.say(device.topics.alert(alert.alert_id), alert)
    case_on_page(chrome)
    for width in (1440, 390):
        chrome.size(width, 900)
        assert chrome.ask("document.documentElement.scrollWidth") <= width
        assert chrome.ask("document.documentElement.scrollHeight") < 4000
    longer = msgspec.structs.replace(
        alert, candidate=msgspec.structs.replace(candidate, category="x" * 400), revision=9
    )
    device.say(device.topics.alert(alert.alert_id), longer)
    chrome.until("document.querySelector('.faults').innerText.includes('category has more than 100 letters')")


def test_a_page_whose_hub_is_gone_shows_every_device_as_unknown_and_comes_back_by_itself(
    chromium: str, tmp_path: Path, speak: Words
) -> None:
    from device.domain.finding import Mode
    from tools.hub.broker.mosquitto import free_port
    from tools.hub.site import init_hub

    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    ports = ("--port", str(free_port()), "--broker-port", str(free_port()))
    van = speak.Van(tmp_path / "hub", *ports)
    speak.publish(van.hub)
    device = speak.Device(van.hub, van.broker_port)
    from device.hub_api import messages

    device.say(device.topics.status, messages.Status(mode=None, status="online", boot_id="b", bd_seq=1), retain=True)
    device.say(device.topics.state, speak.recognising(), retain=True)
    device.beat()
    with Chrome(chromium, tmp_path / "profile", van.url) as page:
        page.until("document.querySelector('.state-word')?.innerText === 'Recognising'")
        van.process.kill()
        van.process.communicate()
        page.until("document.querySelector('.state-word').innerText === 'Unknown'")
        assert "Sign unknown" in page.ask("document.querySelector('.sign-text').innerText")
        assert page.ask("document.querySelector('.sign.lit')") is None
        again = speak.Van(tmp_path / "hub", *ports)
        page.until("document.querySelector('#banner').hidden")
        device.close()
        assert again.stop() == 0
