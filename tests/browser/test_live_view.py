"""The live view through a real broker to a real page: off, asked for, drawn, over, and nothing of it kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyrage
import pytest

from device.edges.broker.paho import PahoBroker
from device.hub_api import messages
from device.hub_api.events import PROBE_CONTENT_TYPE
from device.hub_api.identifiers import uuid7
from device.hub_api.topics import HubTopics
from device.ports.broker import Outgoing
from device.wire.view_content import FaceMark, ViewContent, pack_view
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words

pytestmark = pytest.mark.browser
PANEL = "document.querySelector('.view')"


def cells(shade: int) -> bytes:
    """A coarse picture with a patch that no other file has."""
    picture = np.full((7, 12, 3), shade, np.uint8)
    picture[4, 3:6] = (20, 200, 90)
    return bytes(cv2.imencode(".jpg", picture)[1])


def content(jpeg: bytes, **changes: Any) -> bytes:
    return pack_view(ViewContent(jpeg=jpeg, columns=12, rows=7, width=1280, height=720, **changes))


def state(speak: Words, reading: messages.LiveViewReading) -> messages.DeviceState:
    import msgspec

    return msgspec.structs.replace(speak.recognising(), live_view=reading)


@pytest.fixture
def page(chromium: str, van: Van, device: Device, tmp_path: Path) -> Iterator[Chrome]:
    with Chrome(chromium, tmp_path / "profile", van.url) as chrome:
        chrome.until("document.readyState === 'complete' && document.title.includes('Van hub')")
        yield chrome


def show(device: Device, sealed: bytes, *, retain: bool = False) -> None:
    topic = device.topics.view("front")
    device._send(Outgoing(uuid7(Words.now()), topic, sealed, 0, retain, 5, PROBE_CONTENT_TYPE))


class Showing:
    """Sends a picture every second, as a device does: the hub drops one that is older than ten."""

    def __init__(self, device: Device, sealed: bytes) -> None:
        self.sealed = sealed
        self._device = device
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Showing:
        show(self._device, self.sealed)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _show(self) -> None:
        while not self._over.wait(1.0):
            show(self._device, self.sealed)


def test_a_device_whose_configuration_has_it_off_offers_none(page: Chrome, device: Device, speak: Words) -> None:
    device.say(device.topics.state, state(speak, messages.LiveViewReading(allowed=False)), retain=True)
    page.until("view.devices[0].live_view?.allowed === false")
    assert page.ask(f"{PANEL}.hidden")


def test_it_is_asked_for_by_hand_drawn_in_cells_and_ended_and_nothing_of_it_is_kept(
    page: Chrome, van: Van, device: Device, speak: Words
) -> None:
    device.say(device.topics.state, state(speak, messages.LiveViewReading(allowed=True)), retain=True)
    page.until(f"!{PANEL}.hidden")
    before = len(device.commands)
    page.click("[data-view]")
    speak.until(lambda: len(device.commands) > before, "the command")
    asked = device.commands[-1]
    assert (asked.name, asked.boot_id) == ("view", "b-1")
    assert asked.recipient is not None
    assert 290 < (messages.moment(asked.expires_at) - messages.moment(asked.at)).total_seconds() <= 300
    shown = messages.LiveViewReading(allowed=True, until=asked.expires_at, given_by=asked.given_by)
    device.say(device.topics.state, state(speak, shown), retain=True)
    recipient = pyrage.x25519.Recipient.from_str(asked.recipient)
    sealed = [pyrage.encrypt(content(cells(shade)), [recipient]) for shade in (90, 120)]
    page.until("document.querySelector('.view-none').checkVisibility()")
    show(device, sealed[0])
    with Showing(device, sealed[1]):
        page.until(f"Number({PANEL}.querySelector('img')?.src.split('v=')[1]) >= 2")
        page.until(f"{PANEL}.querySelector('img')?.naturalWidth === 12")
        assert not page.ask("document.querySelector('.view-none').checkVisibility()")
        assert page.ask(f"getComputedStyle({PANEL}.querySelector('img')).imageRendering") == "pixelated"
        assert "asked for by operator-1" in page.ask(f"{PANEL}.innerText")
        answer, jpeg = van.ask("GET", "/devices/cam-1/cameras/front/view")
        assert (answer.status, jpeg) == (200, cells(120))
        assert answer.getheader("Cache-Control") == "no-store"
        late = retained(van)
    page.click("[data-view]")
    speak.until(lambda: device.commands[-1].name == "end-view", "the end")
    assert van.ask("GET", "/devices/cam-1/cameras/front/view")[0].status == 404
    device.say(device.topics.state, state(speak, messages.LiveViewReading(allowed=True)), retain=True)
    page.until(f"{PANEL}.querySelector('img') === null")
    assert late == [], "what a broker keeps for later subscribers"
    assert found_in(van.hub.root, [cells(90), cells(120), *sealed, asked.recipient.encode()]) == []
    assert list(van.hub.root.rglob("mosquitto.db")) == [], "the broker persists nothing"


def found_in(folder: Path, parts: list[bytes]) -> list[str]:
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(part in file.read_bytes() for part in parts)
    ]


def retained(van: Van) -> list[str]:
    """Topics of views that somebody gets who subscribes now."""
    from threading import Event

    topics: list[str] = []
    up, got = Event(), Event()
    broker = PahoBroker(van.hub.address("listener", van.broker_port), "listener")

    def hear(topic: str, _: bytes) -> None:
        topics.append(topic)
        if topic.endswith("/state"):
            got.set()

    broker.subscribe(HubTopics("demo").everything, hear)
    broker.connect(lambda online, _: up.set() if online else None, lambda _: None)
    assert up.wait(60)
    assert got.wait(60)
    broker.close()
    return [topic for topic in topics if topic.endswith("/view")]


def test_what_is_no_picture_is_a_fault_on_the_page(page: Chrome, van: Van, device: Device, speak: Words) -> None:
    device.say(device.topics.state, state(speak, messages.LiveViewReading(allowed=True)), retain=True)
    page.until(f"!{PANEL}.hidden")
    before = len(device.commands)
    page.click("[data-view]")
    speak.until(lambda: len(device.commands) > before, "the command")
    assert device.commands[-1].recipient is not None
    recipient = pyrage.x25519.Recipient.from_str(device.commands[-1].recipient)
    show(device, pyrage.encrypt(content(b"GIF89a"), [recipient]))
    speak.until(lambda: any("no JPEG" in str(f) for f in van.snapshot()["devices"][0]["faults"]), "the fault")
    assert van.snapshot()["devices"][0]["view"]["cameras"] == {}


ZONE = ((100, 100), (900, 100), (900, 900), (100, 900))


@contextlib.contextmanager
def commissioned(page: Chrome, device: Device, speak: Words) -> Iterator[Callable[[tuple[tuple[int, int], ...]], None]]:
    """A commissioning view on the page: two faces, one too small, and a zone, which is changed by a call."""
    device.say(device.topics.state, state(speak, messages.LiveViewReading(allowed=True)), retain=True)
    page.until(f"!{PANEL}.hidden && view.devices[0].live_view.until === null")
    before = len(device.commands)
    page.click("[data-view]")
    speak.until(lambda: len(device.commands) > before, "the command")
    asked = device.commands[-1]
    shown = messages.LiveViewReading(allowed=True, until=asked.expires_at, given_by=asked.given_by)
    device.say(device.topics.state, state(speak, shown), retain=True)
    assert asked.recipient is not None
    recipient = pyrage.x25519.Recipient.from_str(asked.recipient)

    def seen(zone: tuple[tuple[int, int], ...]) -> bytes:
        faces = (FaceMark(column=3, row=2, height_px=84), FaceMark(column=9, row=1, height_px=21))
        picture = content(cells(70), commissioning=True, min_face_px=32.0, faces=faces, zone=zone)
        return bytes(pyrage.encrypt(picture, [recipient]))

    with Showing(device, seen(ZONE)) as showing:
        page.until("document.querySelectorAll('.corner').length === 4")
        yield lambda zone: setattr(showing, "sealed", seen(zone))


def test_a_commissioning_view_shows_face_heights_and_the_zone_is_drawn_by_keys_and_set(
    page: Chrome, device: Device, speak: Words, shots: Path | None
) -> None:
    with commissioned(page, device, speak) as set_zone:
        assert "Face heights: 84 px, 21 px" in page.ask(f"{PANEL}.innerText")
        assert page.ask("document.querySelectorAll('.face.small').length") == 1
        page.ask("document.querySelector('.corner').focus()")
        page.press("ArrowRight")
        page.press("ArrowDown")
        assert "Corner 1 of the zone: 11 % from the left, 11 % from the top" in page.ask(
            "document.activeElement.ariaLabel"
        )
        page.ask("document.querySelector('[data-zone=add]').focus()")
        page.press("Enter")
        page.until("document.querySelectorAll('.corner').length === 5")
        if shots is not None:
            page.click("[data-large]")
            page.picture(shots / "commissioning.png")
            page.click("[data-large]")
        page.ask("document.querySelector('[data-zone=publish]').focus()")
        page.press("Enter")
        speak.until(lambda: device.commands[-1].name == "zone", "the zone")
        sent = device.commands[-1].zone
        assert sent is not None
        assert (sent.camera_id, sent.polygon[:2]) == ("front", [(110, 110), (505, 105)])
        set_zone(tuple(sent.polygon))
        page.until("view.devices[0].view.cameras.front.zone.length === 5")


def test_the_zone_is_drawn_with_the_pointer(page: Chrome, device: Device, speak: Words) -> None:
    with commissioned(page, device, speak):
        page.ask("document.querySelector('.view-picture').scrollIntoView({block: 'center'})")
        box = page.ask(
            "(b => [b.x, b.y, b.width, b.height])(document.querySelector('.view-picture').getBoundingClientRect())"
        )

        def mouse(kind: str, x: float, y: float) -> None:
            at = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
            page.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, buttons=1, **at)

        mouse("mousePressed", 0.1, 0.1)
        mouse("mouseMoved", 0.2, 0.25)
        mouse("mouseMoved", 0.3, 0.4)
        mouse("mouseReleased", 0.3, 0.4)
        corner = page.ask("drafts.get('cam-1/front')[0]")
        assert abs(corner[0] - 300) < 15
        assert abs(corner[1] - 400) < 15
        page.click("[data-zone=reset]")
        assert page.ask("drafts.size") == 0


def test_what_is_no_zone_is_refused_by_the_hub(van: Van) -> None:
    headers = {"Origin": f"http://{van.host}", "X-CSRF-Token": van.token(), "Content-Type": "application/json"}
    for wrong in (
        '{"camera_id": "front", "polygon": [[0, 0], [1, 1]]}',
        '{"camera_id": "front", "polygon": [[0, 0], [1, 1], [2000, 1]]}',
        "[]",
    ):
        assert van.ask("POST", "/devices/cam-1/zone", wrong, headers=headers)[0].status == 400
