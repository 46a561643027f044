"""What the hub says when it refuses, on the Welsh page: whole texts, and texts with values in them."""

from __future__ import annotations

import pytest

from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, alert

pytestmark = pytest.mark.browser
SAID = {
    "no such decision": "nid oes penderfyniad o'r fath",
    "it is under a hold of kind complaint: release that first": (
        "mae eisoes dan gadw o'r math cwyn: rhyddhewch hwnnw yn gyntaf"
    ),
    "a-1 is not held": "nid yw a-1 yn cael ei gadw",
    "a-1 is not held, or cannot be opened: gone": "nid yw a-1 yn cael ei gadw, neu ni ellir ei agor: gone",
    "presence: this fails at the hub": "presenoldeb: mae hyn yn methu yn yr hwb",
    "of the system": "of the system",
}


def test_refusals_with_their_values_and_faults_of_a_device_are_in_the_language_of_the_page(
    chrome: Chrome, device: Device
) -> None:
    assert [chrome.ask(f"fromHub({english!r})") for english in SAID] == list(SAID)
    device.say(device.topics.alert("another"), alert())
    chrome.until("document.querySelector('.faults').innerText.includes('an alert on the topic of another')")
    chrome.click("#language")
    chrome.until("document.documentElement?.lang === 'cy' && document.readyState === 'complete'")
    assert [chrome.ask(f"fromHub({english!r})") for english in SAID] == list(SAID.values())
    chrome.until("document.querySelector('.faults').innerText.includes('rhybudd ar destun un arall')")
