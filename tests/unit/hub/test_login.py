"""Sessions at the page: who may ask for what, the idle lock, the end of a shift, wrong passwords, and the log."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from device.cli.main import main
from device.domain.finding import Mode
from device.errors import BadData, RefusedByCondition, UsageError
from tests.unit.hub.test_hub_references import Van
from tools.hub.console import login
from tools.hub.console.login import NOBODY, Sessions
from tools.hub.site import init_hub
from tools.hub.storage import users
from tools.hub.storage.users import Role, Users

WORD = "correct horse battery"
COST = users._N, users._R, users._P


class Desk:
    def __init__(self, hub: Path) -> None:
        self.now_s, self.rows = 0.0, list[tuple[str, str]]()
        self.users = Users(hub)
        self.sessions = Sessions(self.users, lambda: self.now_s, lambda how, ref: self.rows.append((how, ref)))

    def login(self, ref: str, password: str = WORD) -> str:
        return asyncio.run(self.sessions.login(ref, password))


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cheap hashes for these tests; COST is the real one."""
    monkeypatch.setattr(users, "_N", 2**10)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.users.put("op-7", "operator", WORD)
    return made


def test_without_users_the_address_alone_admits(tmp_path: Path) -> None:
    assert Desk(tmp_path).sessions.of("") is NOBODY


def test_a_hub_that_had_users_or_is_operational_lets_nobody_in_without_them(desk: Desk, tmp_path: Path) -> None:
    key = desk.login("op-7")
    assert desk.sessions.of(key) is not None
    desk.users.remove("op-7")
    assert (desk.sessions.of(key), desk.sessions.of("")) == (None, None)
    desk.users._file.unlink()
    assert desk.sessions.of("") is None
    never = Sessions(Users(tmp_path / "other"), lambda: 0.0, lambda *_: None, operational=True)
    assert never.of("") is None


def test_the_console_of_an_operational_hub_needs_a_session(tmp_path: Path) -> None:
    async def on_loop() -> None:
        console = Van(tmp_path / "hub").console
        assert console.sessions.of("") is NOBODY
        operational = replace(console, settings=replace(console.settings, mode=Mode.OPERATIONAL))
        assert operational.sessions.of("") is None

    asyncio.run(on_loop())


def test_a_damaged_file_of_users_is_not_to_be_removed_while_the_hub_runs(desk: Desk) -> None:
    desk.users._file.write_bytes(b"{")
    with pytest.raises(BadData, match="stop the hub"):
        desk.sessions.of("")


def test_a_session_is_locked_when_idle_and_ends_after_a_shift(desk: Desk) -> None:
    key = desk.login("op-7")
    session = desk.sessions.of(key)
    assert session is not None
    desk.now_s = login.IDLE_S - 1
    desk.sessions.touch(session)
    desk.now_s += login.IDLE_S
    assert desk.sessions.of(key) is session
    desk.now_s += 1.1
    assert desk.sessions.of(key) is None
    key = desk.login("op-7")
    began = desk.now_s
    while desk.now_s - began <= login.LONGEST_S:
        session = desk.sessions.of(key)
        assert session is not None
        desk.sessions.touch(session)
        desk.now_s += login.IDLE_S / 2
    assert desk.sessions.of(key) is None
    assert [how for how, _ in desk.rows] == ["login", "locked", "login", "ended"]


def test_a_removed_user_s_session_ends_and_a_guess_opens_none(desk: Desk) -> None:
    desk.users.put("op-8", "operator", WORD)
    key = desk.login("op-7")
    assert desk.sessions.of("guess") is None
    desk.users.remove("op-7")
    assert desk.sessions.of(key) is None
    assert desk.rows[-1] == ("ended", "op-7")


def test_a_new_password_ends_the_sessions_of_the_old_one(desk: Desk) -> None:
    key = desk.login("op-7")
    desk.users.put("op-7", "operator", "another horse battery")
    assert desk.sessions.of(key) is None
    assert desk.sessions.of(desk.login("op-7", "another horse battery")) is not None


def test_wrong_passwords_are_refused_and_then_have_to_wait(desk: Desk) -> None:
    for _ in range(login.TRIES):
        with pytest.raises(RefusedByCondition, match="do not fit"):
            desk.login("op-7", "wrong")
    with pytest.raises(RefusedByCondition, match="wait"):
        desk.login("op-7")
    desk.now_s += login.WAIT_S
    assert desk.sessions.of(desk.login("op-7")) is not None
    with pytest.raises(RefusedByCondition, match="do not fit"):
        desk.login(WORD)
    assert desk.rows[-1] == ("refused", "unknown"), "what was typed may be a password"


def test_a_flood_is_refused_in_the_same_words_whether_the_reference_is_known_or_not(desk: Desk) -> None:
    said = set()
    for ref in ("op-7", "op-999"):
        for _ in range(login.TRIES + 2):
            with pytest.raises(RefusedByCondition) as refused:
                desk.login(ref, "wrong")
            said.add(str(refused.value))
    assert said == {f"login: {login.REFUSED}"}
    assert f"after {login.TRIES} tries" in login.REFUSED
    assert login.WAIT_S == 60.0, "a minute"


class Checks:
    """Stands in for `Users.check`: every password is wrong; counts what is looked at, and how many at once."""

    def __init__(self) -> None:
        self.looked_at = self.now = self.most = 0

    def __call__(self, ref: str, password: str) -> None:
        self.looked_at += 1
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.002)
        self.now -= 1


def test_parallel_tries_count_before_their_passwords_are_looked_at_one_by_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks()
    monkeypatch.setattr(desk.users, "check", checks)

    async def attack() -> list[object]:
        tries = (desk.sessions.login("op-7", f"wrong {n}") for n in range(200))
        return list(await asyncio.gather(*tries, return_exceptions=True))

    assert all(isinstance(end, RefusedByCondition) for end in asyncio.run(attack()))
    assert (checks.looked_at, checks.most) == (login.TRIES, 1)


def test_unknown_references_count_as_one_and_lift_nobody_s_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Checks()
    monkeypatch.setattr(desk.users, "check", checks)
    for ref in ["op-7"] * login.TRIES + [f"guess-{n}" for n in range(1100)]:
        with pytest.raises(RefusedByCondition):
            desk.login(ref, "wrong")
    assert checks.looked_at == 2 * login.TRIES
    with pytest.raises(RefusedByCondition, match="wait"):
        desk.login("op-7")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("operator", {"case", "stop", "view", "read holds"}),
        ("supervisor", {"case", "stop", "resume", "view", "zone", "hold", "read holds"}),
        ("auditor", {"read holds"}),
        ("engineer", {"stop", "view", "zone"}),
    ],
)
def test_each_role_may_do_its_own(desk: Desk, role: Role, allowed: set[str]) -> None:
    asked = {
        "case": ("GET", "/cases/a/probe"),
        "stop": ("POST", "/devices/cam-1/stop"),
        "resume": ("POST", "/devices/cam-1/resume"),
        "view": ("GET", "/devices/cam-1/cameras/front/view"),
        "zone": ("POST", "/devices/cam-1/zone"),
        "hold": ("POST", "/holds/a"),
        "read holds": ("GET", "/holds"),
    }
    session = login.Session("x-1", role, 0.0, 0.0)
    assert {name for name, (method, path) in asked.items() if session.may(method, path)} == allowed


def test_a_name_or_a_short_password_is_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match="may be a name"):
        desk.users.put("jones", "operator", WORD)
    with pytest.raises(UsageError, match="at least"):
        desk.users.put("op-9", "operator", "short")
    content = (desk.users._file).read_text()
    assert WORD not in content
    assert desk.users._file.stat().st_mode & 0o077 == 0


def test_the_commands_and_an_operational_hub_without_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = str(tmp_path / "hub")
    init_hub(tmp_path / "hub", site="north", devices=(), mode=Mode.OPERATIONAL)
    assert main(["hub", "serve", hub, "--port", "0", "--broker-port", "0", "--repository-port", "0"]) == 78
    assert "lfr hub user add" in capsys.readouterr().err
    word = tmp_path / "word"
    word.write_text(WORD)
    word.chmod(0o600)
    assert main(["hub", "user", "add", hub, "op-7", "--role", "operator", "--password-file", str(word)]) == 0
    assert main(["hub", "user", "list", hub]) == 0
    assert "op-7: operator" in capsys.readouterr().out
    assert main(["hub", "user", "remove", hub, "op-7"]) == 77
    assert "op-7 is the only one" in capsys.readouterr().err
    Users(tmp_path / "hub").put("op-8", "supervisor", WORD)
    assert main(["hub", "user", "remove", hub, "op-7"]) == 0
    assert list(Users(tmp_path / "hub").all()) == ["op-8"]


def test_a_password_costs_what_owasp_asks_for_at_least() -> None:
    """OWASP's password storage cheat sheet, 2024: N = 2^15 with r = 8 and p = 3."""
    n, r, p = COST
    assert n >= 2**15
    assert (r, p) == (8, 3)
