"""The console as a person and as an attacker meet it: the running process, the real broker, a real browser."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.domain.time import rfc3339
from device.hub_api import messages
from device.hub_api.command_check import CommandCheck
from tests.browser.conftest import Device, Van, Words, now
from tools.hub.broker.listener import Listener
from tools.hub.storage.folder import Entry

pytestmark = pytest.mark.browser


def page(chromium: str, url: str, tmp_path: Path, *arguments: str) -> str:
    """What a browser makes of the page: its document after the scripts ran."""
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1440,1000",
            *arguments,
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout


def card_texts(document: str) -> list[str]:
    cards = re.findall(r'<article class="case.*?</article>', document.split("<template")[0], re.S)
    return [re.sub(r"<[^>]+>|\s+", " ", card) for card in cards]


def test_the_page_shows_device_sign_counters_and_a_case_with_both_pictures(
    van: Van, device: Device, speak: Words, chromium: str, tmp_path: Path
) -> None:
    alert = device.alert()
    speak.until(lambda: any(c["id"] == alert.alert_id and c["probe"] for c in van.snapshot()["cases"]), "the case")
    document = page(chromium, van.url, tmp_path)
    shown = re.sub(r"<[^>]+>|\s+", " ", document.split("<template")[0])
    for words in ("Recognising", "Sign lit, as sensed (simulated)", "62 seen = 58 discarded + 1 alerted", "DEMO"):
        assert words in shown, words
    assert re.search(r"English\s+Live facial recognition.*Cymraeg\s+Mae adnabod wynebau byw", shown)
    assert 'lang="cy"' in document
    assert "DEMO" in document.split('<header class="top">')[1].split("</header>")[0]
    assert re.search(r"\.top \{ position: sticky; top: 0", van.ask("GET", "/static/console.css")[1].decode())
    (card,) = [c for c in card_texts(document) if "the decision is yours" in c]
    for words in (
        "0.713",
        "0.458",
        "+0.255 over the threshold",
        "custody photo, 2 years old",
        "Person A",
        "missing",
        "response R3",
        "False alert",
        "True alert",
        "Erased automatically in",
    ):
        assert words in card, words
    assert f'src="/cases/{alert.alert_id}/probe?v=1"' in document
    assert f'src="/cases/{alert.alert_id}/reference"' in document
    van.decide(alert.alert_id, "adjudication", "false_alert")


def test_a_picture_of_the_page_can_be_taken(van: Van, device: Device, chromium: str, tmp_path: Path) -> None:
    import cv2

    picture = tmp_path / "page.png"
    page(chromium, van.url, tmp_path, f"--screenshot={picture}")
    taken = cv2.imread(str(picture))
    assert taken is not None
    assert taken.shape[0] >= 800
    assert len({tuple(p) for p in taken[::20, ::20].reshape(-1, 3)}) > 8


def test_hostile_text_from_a_device_stays_text(
    van: Van, device: Device, speak: Words, chromium: str, tmp_path: Path
) -> None:
    alert = device.alert(zone_id="</script><img src=x onerror=alert(1)>", camera_id="<b>front</b>")
    speak.until(lambda: alert.alert_id in van.ask("GET", "/snapshot")[1].decode(), "the case")
    document = page(chromium, van.url, tmp_path)
    assert "onerror=alert(1)&gt;" in document
    assert "<img src=x" not in document.replace("\\u003cimg src=x", "")
    van.decide(alert.alert_id, "adjudication", "false_alert")


def test_a_false_alert_is_removed_everywhere_and_reported_to_the_device(van: Van, device: Device, speak: Words) -> None:
    alert = device.alert()
    path = f"/cases/{alert.alert_id}/probe"
    speak.until(lambda: van.ask("GET", path)[0].status == 200, "the picture")
    assert van.ask("GET", path)[1].startswith(b"\xff\xd8\xff")
    assert van.decide(alert.alert_id, "adjudication", "false_alert") == 200
    assert van.ask("GET", path)[0].status == 404
    assert van.ask("GET", f"/cases/{alert.alert_id}/reference")[0].status == 404

    def reported() -> list[str]:
        return [j.outcome for j in device.judgements if j.alert_id == alert.alert_id]

    speak.until(reported, "the judgement at the device")
    assert reported()[0] == "false_alert"
    assert van.decide(alert.alert_id, "adjudication", "true_alert") == 404


def test_a_stop_from_the_page_reaches_the_device_signed_and_its_reply_is_shown(
    van: Van, device: Device, speak: Words
) -> None:
    headers = {"Origin": f"http://{van.host}", "X-CSRF-Token": van.token()}
    assert van.ask("POST", "/devices/cam-1/stop", headers={"Origin": f"http://{van.host}"})[0].status == 403
    assert van.ask("POST", "/devices/cam-1/stop", headers=headers)[0].status == 200
    speak.until(lambda: device.commands, "the command")
    command = device.commands[-1]
    CommandCheck("demo", "cam-1", (van.hub.root / "ca.pem").read_bytes).require_signed(command, now())
    reply = messages.CommandReply(
        mode=None, command_id=command.command_id, name="stop", result="done", at=rfc3339(now())
    )
    device.say(device.topics.command_reply("stop"), reply)

    def answered() -> bool:
        shown = json.loads(van.ask("GET", "/snapshot")[1])["devices"][0]["command"]
        return shown is not None and (shown["name"], shown["result"]) == ("stop", "done")

    speak.until(answered, "the reply in the device's panel")
    assert van.ask("POST", "/devices/cam-1/format", headers=headers)[0].status == 404
    assert van.ask("POST", "/devices/nobody/stop", headers=headers)[0].status == 404


class Session:
    """A second operator's page: its event stream, and the last snapshot on it."""

    def __init__(self, van: Van) -> None:
        self._connection = http.client.HTTPConnection(van.host, timeout=60)
        self._connection.request(
            "GET", "/events", headers={"Host": van.host, "Cookie": f"lfr_console={van.cookie.value}"}
        )
        self._stream = self._connection.getresponse()

    def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read on until a snapshot is so; the stream's own timeout fails the test otherwise."""
        while line := self._stream.readline():
            if line.startswith(b"data: ") and condition(shown := json.loads(line[6:])):
                return dict(shown)
        raise AssertionError("the stream ended")

    def close(self) -> None:
        self._connection.close()


def ids(shown: dict[str, Any]) -> list[str]:
    return [case["id"] for case in shown["cases"]]


def test_a_false_alert_vanishes_from_every_open_page_and_a_true_one_stays(
    van: Van, device: Device, speak: Words
) -> None:
    pages = [Session(van), Session(van)]
    false, true = device.alert(), device.alert()
    for page_ in pages:
        page_.until(lambda shown: {false.alert_id, true.alert_id} <= set(ids(shown)))
    van.decide(true.alert_id, "adjudication", "true_alert")
    van.decide(false.alert_id, "adjudication", "false_alert")
    for page_ in pages:
        shown = page_.until(lambda shown: false.alert_id not in ids(shown))
        (kept,) = [case for case in shown["cases"] if case["id"] == true.alert_id]
        assert (kept["outcome"], kept["delete_by"]) == ("true_alert", true.retention.delete_by)
        page_.close()
    device.say(device.topics.erasure, speak.erasure(true.alert_id, "end_of_deployment"))


def test_at_the_end_of_a_deployment_every_card_and_picture_vanishes(
    van: Van, device: Device, speak: Words, chromium: str, tmp_path: Path
) -> None:
    alerts = [device.alert(), device.alert()]
    speak.until(
        lambda: {a.alert_id for a in alerts} <= {c["id"] for c in van.snapshot()["cases"] if c["probe"]}, "both"
    )
    device.say(device.topics.erasure, speak.erasure(None, "end_of_deployment"))
    speak.until(lambda: not van.snapshot()["cases"], "an empty desk")
    assert {van.ask("GET", f"/cases/{a.alert_id}/probe")[0].status for a in alerts} == {404}
    document = page(chromium, van.url, tmp_path)
    assert card_texts(document) == []
    assert "No possible match." in document


def test_the_time_to_its_erasure_counts_down_on_the_card_of_a_true_alert(
    van: Van, device: Device, speak: Words, chromium: str, tmp_path: Path
) -> None:
    alert = device.alert()
    speak.until(lambda: alert.alert_id in ids(van.snapshot()), "the case")
    van.decide(alert.alert_id, "adjudication", "true_alert")

    def left_s() -> int:
        (card,) = [c for c in card_texts(page(chromium, van.url, tmp_path)) if "Judged a true alert" in c]
        hours, minutes, seconds = map(int, re.findall(r"Erased automatically in (\d+) h (\d+) min (\d+) s", card)[0])
        return hours * 3600 + minutes * 60 + seconds

    first = left_s()
    speak.until(lambda: left_s() < first, "less time")
    assert first <= 24 * 3600
    device.say(device.topics.erasure, speak.erasure(alert.alert_id, "end_of_deployment"))


def test_counters_stay_when_older_counts_arrive_late(van: Van, device: Device, speak: Words) -> None:
    import msgspec

    old = speak.stats(faces_seen=70)
    new = msgspec.structs.replace(speak.stats(faces_seen=71), at=speak.later(5))
    for stats in (new, old):
        device.say(device.topics.stats, stats)
    last = device.alert()
    speak.until(lambda: any(c["id"] == last.alert_id for c in van.snapshot()["cases"]), "what was sent last")
    assert van.snapshot()["devices"][0]["stats"]["faces_seen"] == 71
    van.decide(last.alert_id, "adjudication", "false_alert")


def test_a_pending_condition_is_shown_as_not_known_yet(
    van: Van, device: Device, speak: Words, chromium: str, tmp_path: Path
) -> None:
    state = speak.recognising("pending")
    device.say(device.topics.state, state, retain=True)
    speak.until(lambda: any(c["result"] == "pending" for c in van.snapshot()["devices"][0]["conditions"]), "the state")
    document = re.sub(r"<[^>]+>|\s+", " ", page(chromium, van.url, tmp_path).split("<template")[0])
    assert "Conditions: 1 not known yet, 3 met" in document
    assert "(not known yet)" in document
    device.say(device.topics.state, speak.recognising(), retain=True)


def test_an_entry_added_while_the_console_runs_is_known_a_moment_later(van: Van, device: Device, speak: Words) -> None:
    alert = device.alert("e-late")
    path = f"/cases/{alert.alert_id}/reference"
    speak.until(lambda: any(c["id"] == alert.alert_id for c in van.snapshot()["cases"]), "the case")
    assert van.ask("GET", path)[0].status == 404
    van.hub.add_entry("e-late", Entry("Person L"), speak.portrait(90, 5))
    speak.until(lambda: any(c["label"] == "Person L" for c in van.snapshot()["cases"]), "the label")
    assert van.ask("GET", path)[0].status == 200
    van.decide(alert.alert_id, "adjudication", "false_alert")


def test_engagement_and_disposition_are_taken_and_shown(van: Van, device: Device, speak: Words) -> None:
    alert = device.alert()
    speak.until(lambda: any(c["id"] == alert.alert_id for c in van.snapshot()["cases"]), "the case")
    for kind, outcome in (
        ("adjudication", "true_alert"),
        ("engagement", "confirmed_true"),
        ("disposition", "no_action"),
    ):
        assert van.decide(alert.alert_id, kind, outcome) == 200
    (case,) = [c for c in van.snapshot()["cases"] if c["id"] == alert.alert_id]
    assert (case["outcome"], case["engagement"], case["disposition"]) == ("true_alert", "confirmed_true", "no_action")
    assert van.decide(alert.alert_id, "engagement", "arrest") == 400
    device.say(device.topics.erasure, speak.erasure(alert.alert_id, "end_of_deployment"))
    speak.until(lambda: all(c["id"] != alert.alert_id for c in van.snapshot()["cases"]), "the wiping")


def test_an_operator_is_present_while_a_page_is_open(van: Van, device: Device, speak: Words) -> None:
    speak.until(lambda: not van.snapshot()["operator_present"], "absence without a page")
    connection = socket.create_connection(van.host.split(":"))
    connection.sendall(
        f"GET /events HTTP/1.1\r\nHost: {van.host}\r\nCookie: lfr_console={van.cookie.value}\r\n\r\n".encode()
    )
    speak.until(lambda: device.hub_states and device.hub_states[-1].operator_present, "presence at the device")
    connection.close()
    speak.until(lambda: not device.hub_states[-1].operator_present, "absence at the device")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("GET", "/?key=wrong", {"Cookie": ""}, 403),
        ("GET", "/", {"Cookie": ""}, 403),
        ("GET", "/snapshot", {"Cookie": "lfr_console=guess"}, 403),
        ("GET", "/events", {"Cookie": ""}, 403),
        ("GET", "/cases/a/probe", {"Cookie": ""}, 403),
        ("GET", "/static/../serve.py", {}, 404),
        ("GET", "/static/%2e%2e%2fserve.py", {}, 404),
        ("GET", "/keys/deployment-d-1.txt", {}, 404),
        ("GET", "/cases/..%2f..%2fkeys/reference", {}, 404),
        ("POST", "/cases/a/adjudication", {}, 403),
        ("POST", "/cases/a/adjudication", {"Origin": "http://evil.example"}, 403),
        ("DELETE", "/", {}, 405),
    ],
)
def test_what_must_not_be_answered_is_refused(
    van: Van, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer, content = van.ask(method, path, "{}" if method == "POST" else None, headers=headers)
    assert answer.status == status
    assert b"AGE-SECRET" not in content


def test_a_change_needs_the_pages_own_token(van: Van) -> None:
    own = {"Origin": f"http://{van.host}"}
    assert van.ask("POST", "/cases/a/adjudication", '{"outcome":"true_alert"}', headers=own)[0].status == 403
    own["X-CSRF-Token"] = van.token()
    assert van.ask("POST", "/cases/a/adjudication", "not json", headers=own)[0].status == 400
    assert van.ask("POST", "/cases/a/adjudication", '{"outcome":"arrest"}', headers=own)[0].status == 400
    assert van.ask("POST", "/cases/a/nonsense", '{"outcome":"arrest"}', headers=own)[0].status == 400


@pytest.mark.parametrize("path", ["/", "/snapshot", "/static/console.js", "/nothing"])
def test_every_answer_carries_the_protective_headers(van: Van, path: str) -> None:
    answer, _ = van.ask("GET", path)
    assert answer.getheader("Cache-Control") == "no-store"
    assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


def test_the_page_refers_to_nothing_outside(van: Van) -> None:
    content = b"".join(van.ask("GET", path)[1] for path in ("/", "/static/console.css", "/static/console.js"))
    assert not re.findall(rb"https?://|//[a-z]+\.[a-z]|@import|url\(", content)


def test_the_console_listens_on_the_loopback_only_and_has_no_probe_on_disk(
    van: Van, device: Device, speak: Words
) -> None:
    alert = device.alert()
    speak.until(lambda: van.ask("GET", f"/cases/{alert.alert_id}/probe")[0].status == 200, "the picture")
    probe = van.ask("GET", f"/cases/{alert.alert_id}/probe")[1]
    assert all(probe not in file.read_bytes() for file in van.hub.root.rglob("*") if file.is_file())
    port = f"{int(van.host.split(':')[1]):04X}"
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{port} " in line]
    assert {address.split(":")[0] for address in listening} <= {"0100007F"}
    van.decide(alert.alert_id, "adjudication", "false_alert")


def test_the_listener_receives_what_the_hub_receives(van: Van, device: Device, speak: Words) -> None:
    with Listener(van.hub, van.broker_port) as listener:
        alert = device.alert()
        device.say(device.topics.stats, speak.stats(faces_seen=63))
        assert listener.wait_for(lambda h: bool(h.stats) and bool(h.probes), 60.0)
    assert list(listener.received.alerts) == [alert.alert_id]
    assert [(p.alert_id, p.opens) for p in listener.received.probes] == [(alert.alert_id, True)]
    assert listener.received.stats["cam-1"].faces_seen == 63
    assert listener.received.states == ["recognising"]
    assert listener.received.unreadable == []
    van.decide(alert.alert_id, "adjudication", "false_alert")
