"""A page that is left open for a day: memory is flat, nothing dead looks alive, sessions end, the hub comes back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import uvicorn

from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words, alert
from tests.unit.hub.test_hub_references import Van as Hub
from tests.unit.hub.test_own_cases import say
from tools.hub.broker.mosquitto import free_port
from tools.hub.console import console, login
from tools.hub.console.login import Sessions
from tools.hub.console.pages import application
from tools.hub.storage import users
from tools.hub.storage.users import Users

pytestmark = pytest.mark.browser
WORD = "correct horse battery"
ALIVE = """[document.querySelector('.state-word').innerText,
  document.querySelectorAll('.view:not([hidden]) img').length,
  document.querySelectorAll('.blue-card').length, document.querySelectorAll('.sign.lit').length,
  byId('banner').hidden]"""
CLOCKS = Path(__file__).with_name("clocks.js").read_text(encoding="utf-8")
DAY = Path(__file__).with_name("day.js").read_text(encoding="utf-8")


def held(chrome: Chrome) -> tuple[int, int, int]:
    """Nodes, listeners and bytes that the page keeps, after what is dropped was collected."""
    chrome.call("HeapProfiler.collectGarbage")
    counted = chrome.call("Memory.getDOMCounters")
    return counted["nodes"], counted["jsEventListeners"], chrome.call("Runtime.getHeapUsage")["usedSize"]


def test_after_a_day_of_snapshots_and_cuts_the_page_holds_no_more_and_shows_nothing_dead_as_alive(
    chrome: Chrome, van: Van, device: Device, speak: Words
) -> None:
    """A first hour, then five of the page's own time in which 150 cases come and go: each has to leave nothing."""
    device.alert()
    speak.until(lambda: van.snapshot()["cases"], "the case")
    chrome.call("Page.enable")
    chrome.call("Page.addScriptToEvaluateOnNewDocument", source=CLOCKS)
    chrome.call("Page.reload")
    chrome.until("window.streams?.length === 1 && view?.cases.length > 0")
    chrome.ask(DAY + "0")
    chrome.ask("hour(); 0")
    timers, (nodes, listeners, bytes_used) = chrome.ask("waiting()"), held(chrome)
    for _ in range(5):
        cut_and_back(chrome)
        chrome.ask("hour(); 0")
    assert chrome.ask("snapshots") == 4_320
    after = held(chrome)
    assert after[0] < nodes + 60, "nodes"
    assert after[1] < listeners + 10, "listeners"
    assert after[2] < bytes_used + 300_000, "bytes"
    assert chrome.ask("waiting()") <= timers + 2
    assert chrome.ask("faults") == []


def cut_and_back(chrome: Chrome) -> None:
    """The hub hangs without a word while a live view is shown, then refuses, then is back on another connection."""
    chrome.ask("streams.at(-1).onmessage({ data: JSON.stringify(scripted(snapshots)) })")
    assert chrome.ask(ALIVE) == ["Recognising", 1, 1, 1, True]
    chrome.ask("pass(16)")
    assert chrome.ask(ALIVE) == ["Unknown", 0, 0, 0, False]
    streams = chrome.ask("streams.at(-1).readyState = 2; streams.at(-1).onerror(); pass(2); streams.length")
    chrome.until(f"streams.length === {streams + 1}")


class SessionClock:
    """What the hub takes for the time of its sessions, s."""

    now_s = 0.0


class Served:
    """A hub's console with one user on the loopback, in a thread of its own."""

    def __init__(self, root: Path, port: int, clock: SessionClock) -> None:
        hub = Hub(root)
        say(hub.desk, "cam-1", alert("e-1"))
        Users(root).put("op-7", "operator", WORD)
        self.console = hub.console
        self.console.hosts = frozenset((f"127.0.0.1:{port}",))
        self.events: list[str] = []
        self.console.sessions = Sessions(Users(root), lambda: clock.now_s, lambda how, _: self.events.append(how))
        self.url = f"http://127.0.0.1:{port}/?key={self.console.key}"
        page = application(self.console, lambda: None, lambda _: None)
        self._server = uvicorn.Server(
            uvicorn.Config(page, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Served:
        self._thread.start()
        Words.until(lambda: self._server.started, "the console's start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def touch(self) -> None:
        """As a key at the page does."""
        for session in tuple(self.console.sessions._open.values()):
            self.console.sessions.touch(session)


def log_in(page: Chrome) -> None:
    page.until("document.querySelector('#ref') !== null && document.readyState === 'complete'")
    page.ask("document.querySelector('#ref').value = 'op-7'")
    page.ask(f"document.querySelector('#password').value = '{WORD}'")
    page.click("#login button")
    page.until("document.querySelector('.case') !== null")


def shows_only_the_login(page: Chrome) -> None:
    page.until("document.querySelector('#login') !== null")
    assert "Person e-1" not in page.ask("document.documentElement.outerHTML")


def test_the_page_warns_before_the_idle_lock_ends_with_the_shift_and_comes_back_to_a_hub_that_was_restarted(
    chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_N", 2**10)
    monkeypatch.setattr(console, "BEAT_S", 0.2)
    clock, port = SessionClock(), free_port()
    with Chrome(chromium, tmp_path / "profile", "about:blank") as page:
        with Served(tmp_path / "hub", port, clock) as hub:
            page.call("Page.navigate", url=hub.url)
            log_in(page)
            clock.now_s += login.IDLE_S - 30
            page.until("!document.querySelector('#lock').hidden")
            page.press("Tab")
            page.until("document.querySelector('#lock').hidden")
            assert hub.events == ["login"]
            clock.now_s += login.IDLE_S + 1
            shows_only_the_login(page)
            assert hub.events == ["login", "locked"]
            log_in(page)
            for _ in range(int(login.LONGEST_S / 800)):
                clock.now_s += 800
                hub.touch()
            assert page.ask("document.querySelector('.case') !== null")
            clock.now_s += 801
            shows_only_the_login(page)
            assert hub.events[-1] == "ended"
            log_in(page)
        page.until("document.querySelector('#banner').innerText.includes('no connection to its hub')")
        with Served(tmp_path / "hub", port, clock) as hub:
            shows_only_the_login(page)
            log_in(page)
            assert hub.events == ["login"]
