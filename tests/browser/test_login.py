"""Somebody logs in, judges under a reference, stops a device, reads the page in Welsh, and is locked out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from device.audit.log import lines_of
from device.audit.rows import read
from device.cli.main import main
from device.domain.finding import Mode
from tests.browser.chrome import Chrome
from tests.browser.conftest import Device, Van, Words
from tools.hub.console.access import wall_now
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.hub_log import HubLog
from tools.hub.storage.users import ROLES, Users

pytestmark = pytest.mark.browser
WORD = "correct horse battery"


@pytest.fixture(scope="module")
def manned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Van]:
    """A van whose page needs a login; one user a role: operator-1, supervisor-1, …"""
    folder = tmp_path_factory.mktemp("manned") / "hub"
    init_hub(folder, site="demo", devices=("cam-1",), mode=Mode.DEMO)
    HubFolder(folder).add_entry("e-042", Entry("Person A", "missing", "R3"), Words.portrait(150, 22))
    Words.publish(HubFolder(folder))
    for role in ROLES:
        Users(folder).put(f"{role}-1", role, WORD)
    running = Van(folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def its_device(manned: Van) -> Iterator[Device]:
    from device.hub_api import messages

    device = Device(manned.hub, manned.broker_port)
    device.say(device.topics.status, messages.Status(mode=None, status="online", boot_id="b-1", bd_seq=1), retain=True)
    device.say(device.topics.state, Words.recognising(), retain=True)
    device.beat()
    yield device
    device.close()


class Person:
    """Somebody with a session of their own."""

    def __init__(self, van: Van, ref: str, password: str = WORD) -> None:
        self.van = van
        page = van.ask("GET", "/")[1].decode()
        self.token = page.split('name="csrf" content="')[1].split('"')[0]
        self.cookies = f"lfr_console={van.cookie.value}"
        body = json.dumps({"ref": ref, "password": password})
        answer, _ = van.ask("POST", "/login", body, headers=self.headers())
        self.status = answer.status
        if answer.status == 200:
            self.cookies += f"; lfr_session={SimpleCookie(answer.getheader('Set-Cookie'))['lfr_session'].value}"

    def headers(self) -> dict[str, str]:
        origin = {"Origin": f"http://{self.van.host}", "Content-Type": "application/json"}
        return {**origin, "X-CSRF-Token": self.token, "Cookie": self.cookies}

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        return self.van.ask(method, path, body, headers=self.headers())[0].status

    def snapshot(self) -> dict[str, object]:
        return dict(json.loads(self.van.ask("GET", "/snapshot", headers=self.headers())[1]))


def test_without_a_login_only_the_login_page_is_served(manned: Van, its_device: Device, speak: Words) -> None:
    page = manned.ask("GET", "/")[1].decode()
    assert 'id="login"' in page
    assert "Person A" not in page
    assert "cam-1" not in page
    for path in ("/snapshot", "/events", "/cases/a/probe", "/holds"):
        assert manned.ask("GET", path)[0].status == 401, path
    assert Person(manned, "operator-1", "wrong").status == 403


def test_each_role_sees_and_does_its_own(manned: Van, its_device: Device, speak: Words) -> None:
    alert = its_device.alert()
    operator, auditor = Person(manned, "operator-1"), Person(manned, "auditor-1")
    speak.until(lambda: operator.snapshot()["cases"], "the case")
    assert auditor.snapshot()["cases"] == []
    probe, judged = f"/cases/{alert.alert_id}/probe", f"/cases/{alert.alert_id}/adjudication"
    speak.until(lambda: operator.ask("GET", probe) == 200, "the picture")
    for other in ("auditor-1", "engineer-1"):
        assert Person(manned, other).ask("GET", probe) == 403
        assert Person(manned, other).ask("POST", judged, '{"outcome":"true_alert"}') == 403
    assert operator.ask("POST", "/devices/cam-1/resume", "{}") == 403
    assert operator.ask("POST", judged, '{"outcome":"false_alert"}') == 200
    speak.until(lambda: its_device.judgements, "the judgement")
    assert its_device.judgements[-1].officer_ref == "operator-1"
    log = HubLog(manned.hub.root, wall_now()).folder / "audit.jsonl"
    rows = [read(line[:-1]).record for line in lines_of(log)]
    assert ("login", "operator-1") in {(row.event, row.officer) for row in rows if row.what == "session"}


def test_the_hold_commands_log_in(manned: Van, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word = tmp_path / "word"
    word.write_text(WORD)
    word.chmod(0o600)
    command = ["hub", "complaint", str(manned.hub.root), "C-1", "--port", manned.host.partition(":")[2]]
    assert main(command) == 64
    assert main([*command, "--by", "operator-1", "--password-file", str(word)]) == 65, "not for an operator"
    assert main([*command, "--by", "supervisor-1", "--password-file", str(word)]) == 0
    assert "not for the role operator" in capsys.readouterr().err


def logged_in(page: Chrome, ref: str) -> None:
    page.until("document.querySelector('#ref') !== null && document.readyState === 'complete'")
    page.ask(f"document.querySelector('#ref').value = '{ref}'")
    page.ask(f"document.querySelector('#password').value = '{WORD}'")
    page.click("#login button")
    page.until("document.querySelector('#link')?.textContent")  # drawn by the script


@pytest.fixture
def page(chromium: str, manned: Van, its_device: Device, tmp_path: Path) -> Iterator[Chrome]:
    with Chrome(chromium, tmp_path / "profile", manned.url) as chrome:
        logged_in(chrome, "supervisor-1")
        yield chrome


def test_an_operator_is_present_only_while_logged_in(page: Chrome, its_device: Device, speak: Words) -> None:
    speak.until(lambda: its_device.hub_states and its_device.hub_states[-1].operator == "present", "presence")
    page.click("#logout")
    page.until("document.querySelector('#login') !== null")
    speak.until(lambda: its_device.hub_states[-1].operator == "absent", "absence")


def test_stop_and_resume_are_sent_signed_from_the_page(page: Chrome, its_device: Device, speak: Words) -> None:
    page.until("document.querySelector('[data-command=stop]') !== null")
    page.click("[data-command=stop]")
    page.until("document.querySelector('.command').innerText.includes('supervisor-1')")
    assert "no reply yet" in page.ask("document.querySelector('.command').innerText")
    page.click("[data-command=resume]")
    page.until("document.querySelector('.command').innerText.startsWith('Resume')")


def test_the_page_is_welsh_at_a_click_and_marked_a_draft(page: Chrome, speak: Words) -> None:
    page.until("document.querySelector('.state-word')?.innerText === 'Recognising'")
    page.click("#language")
    page.until("document.documentElement?.lang === 'cy'")
    page.until("document.querySelector('.state-word')?.innerText === 'Yn adnabod'")
    assert "DRAFFT" in page.ask("document.querySelector('#draft').innerText")
    assert page.ask("document.querySelector('#draft').hidden") is False
    shown = page.ask("document.body.innerText")
    for english in ("Possible matches", "Latest erasures", "Broker connected", "Recognising", "faces seen"):
        assert english not in shown, english
    page.click("#language")
    page.until("document.documentElement?.lang === 'en'")


def test_the_sound_is_muted_and_stays_so(page: Chrome) -> None:
    page.until("document.querySelector('.state-word') !== null")  # drawn by the script, which takes keys from then on
    assert page.ask("document.querySelector('#sound').innerText") == "Sound on"
    page.key("m")
    assert page.ask("document.querySelector('#sound').innerText") == "Sound off"
    page.ask("var before_the_reload = true")
    page.call("Page.reload")
    page.until("window.before_the_reload === undefined && document.querySelector('#sound')?.innerText === 'Sound off'")
    page.click("#sound")


def test_a_user_who_is_removed_sees_the_login_again(page: Chrome, manned: Van) -> None:
    users = Users(manned.hub.root)
    users.remove("supervisor-1")
    page.until("document.querySelector('#login') !== null")
    users.put("supervisor-1", "supervisor", WORD)
