"""The blue list from a device over the real broker to the page: a card unlike any other, a tap, a rate, no alert."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device.domain.finding import Mode
from device.domain.time import rfc3339, wall
from device.enrolment.photo_reader import PhotoFace
from device.hub_api import messages
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words, now, portrait
from tests.browser.test_operator import TOO_FAINT
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.watchlist.volunteers import Consent, VolunteerRegister

pytestmark = pytest.mark.browser
DEPLOYMENT = "demo-2026-11-23"
CARD = "document.querySelector('#blue-cards .blue-card')"


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Van]:
    """A hub with a running deployment that has two volunteers."""
    folder = tmp_path_factory.mktemp("van") / "hub"
    init_hub(folder, site="demo", devices=("cam-1",), mode=Mode.DEMO)
    HubFolder(folder).add_entry("e-042", Entry("Person A", "missing", "R3"), portrait(150, 22))
    record = Record(
        id=DEPLOYMENT,
        stem="0" * 32,
        mode="demo",
        watchlist_id="wl-1",
        devices=("cam-1",),
        ends=now() + timedelta(hours=4),
        published_at=now(),
        volunteers={ref: now() + timedelta(hours=4) for ref in ("V-1", "V-2")},
    )
    Records(folder).save(record)
    register, photo = VolunteerRegister(folder), folder / "photo.jpg"
    photo.write_bytes(portrait(150, 22))
    face = PhotoFace(np.array([20, 20, 80, 80], np.float32), np.zeros((5, 2), np.float32), 0.9, 1.0, 0.0)
    for ref, until in record.volunteers.items():  # who is not in the register is taken off
        consent = Consent(ref=ref, given_on=now().date(), reference=f"form {ref}", until=until)
        register.add(consent, [photo], now(), lambda _: [face])
    photo.unlink()
    running = Van(folder)
    yield running
    running.stop()


def seen(ref: str = "V-1", **changes: Any) -> messages.VolunteerSeen:
    fields: dict[str, Any] = {
        "mode": Mode.DEMO,
        "deployment_id": DEPLOYMENT,
        "camera_id": "front",
        "entry_ref": ref,
        "score": 0.7,
        "threshold": 0.5,
        "at": rfc3339(now()),
    }
    return messages.VolunteerSeen(**{**fields, **changes})


@pytest.fixture
def chrome(chromium: str, van: Van, device: Device, tmp_path: Path) -> Iterator[Chrome]:
    with Chrome(chromium, tmp_path / "profile", van.url) as page:
        page.until("document.readyState === 'complete' && document.title.includes('Van hub')")
        yield page


SHAPE = """(e => [e.tagName, getComputedStyle(e).borderTopStyle,
  parseInt(getComputedStyle(e).borderTopLeftRadius) > 100,
  e.querySelectorAll('button, img').length > 0])"""


def test_a_volunteer_is_a_card_unlike_a_possible_match_and_is_counted_as_no_alert(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    chrome.until("!document.querySelector('#blue').hidden")
    chrome.click("#blue-pass")
    speak.until(lambda: van.snapshot()["blue_list"]["waiting"] == 1, "the logged pass")
    device.say(device.topics.volunteer_seen, seen())
    text, shape = chrome.until(f"{CARD} && [{CARD}.textContent, {SHAPE}({CARD})]")
    assert "VOLUNTEER: nothing to do" in text
    assert "V-1 · cam-1, front" in text
    assert shape == ["LI", "dashed", True, False]
    assert chrome.ask(TOO_FAINT) == []
    alert = device.alert()
    speak.until(lambda: [c["id"] for c in van.snapshot()["cases"]] == [alert.alert_id], "the case")
    case = chrome.until(f"document.querySelector('.case') && {SHAPE}(document.querySelector('.case'))")
    assert all(one != other for one, other in zip(shape, case, strict=True)), "text, edge and outline, not colour alone"
    assert van.snapshot()["devices"][0]["faults"] == []
    assert len(van.snapshot()["cases"]) == 1
    van.decide(alert.alert_id, "adjudication", "false_alert")


def test_a_recognition_of_somebody_else_is_a_fault_and_no_card(van: Van, device: Device, speak: Words) -> None:
    device.say(device.topics.volunteer_seen, seen("V-9"))
    faults = "the blue list: a recognition of somebody who is not on it"
    speak.until(lambda: any(f["problem"] == faults for f in van.snapshot()["devices"][0]["faults"]), "the fault")
    assert all(card["ref"] != "V-9" for card in van.snapshot()["blue_list"]["cards"])


def test_a_pass_and_its_recognition_become_a_rate_and_a_volunteer_who_is_taken_off_leaves_the_page(
    van: Van, device: Device, speak: Words
) -> None:
    earlier = rfc3339(wall(now() - timedelta(seconds=90)))
    before = van.snapshot()["blue_list"]["figures"]["rate"]
    device.say(
        device.topics.volunteer_pass, messages.VolunteerPass(mode=Mode.DEMO, deployment_id=DEPLOYMENT, at=earlier)
    )
    speak.until(lambda: van.snapshot()["blue_list"]["figures"]["rate"]["of"] > before["of"], "the counted pass")
    device.say(device.topics.volunteer_seen, seen("V-2"))
    speak.until(lambda: any(c["ref"] == "V-2" for c in van.snapshot()["blue_list"]["cards"]), "the card")
    records = Records(van.hub.root)
    (record,) = records.all()
    records.save(msgspec.structs.replace(record, volunteers_withdrawn=("V-2",)))
    speak.until(lambda: all(c["ref"] != "V-2" for c in van.snapshot()["blue_list"]["cards"]), "its end")
    assert van.snapshot()["blue_list"]["volunteers"] == ["V-1"]
