"""`lfr-hub.service` on a booted systemd: ready, watched, killed, with a broker that dies, confined, stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system import guest
from tests.system.guest import Guest

pytestmark = pytest.mark.system
UNIT, LFR, STATE = "lfr-hub", "/opt/lfr/.venv/bin/lfr", "/var/lib/lfr-hub"
KEY = "0123456789abcdef" * 3
MOST_EXPOSED = 1.4
"""`systemd-analyze security` of the running unit, 2026-11-30, systemd 252; 0 is best, 10 is worst."""
PAGE = f"""import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8443, timeout=5)
connection.request("GET", "/?key={KEY}")
print(connection.getresponse().status)
"""


class Van:
    """A machine with a hub installed as systemd/README.md says."""

    def __init__(self, machine: Guest) -> None:
        self.guest = machine

    def show(self, *names: str) -> dict[str, str]:
        return self.guest.show(UNIT, *names)

    def pid(self) -> str:
        return self.show("MainPID")["MainPID"]

    def broker(self) -> str:
        """Process id of the hub's own mosquitto; empty while there is none."""
        return self.guest.run("pgrep", "-P", self.pid(), "-x", "mosquitto", check=False).strip()

    def page(self) -> str:
        """HTTP status of the page at its fixed address; empty while nobody answers."""
        return self.guest.run("python3", "-c", PAGE, check=False).strip().splitlines()[-1][:3]

    def well(self) -> bool:
        """The service manager was told that the broker is connected, and the page answers."""
        reported = self.show("ActiveState", "StatusText")
        return reported["ActiveState"] == "active" and reported["StatusText"].startswith("broker connected")

    def why(self) -> str:
        return "\n".join(self.guest.journal(UNIT)[-30:])

    def until_well(self) -> None:
        self.guest.until(lambda: self.well() and self.page() in ("200", "303"), why=self.why)


def install(machine: Guest, site: str) -> None:
    """As systemd/README.md says, in test mode."""
    machine.run("sh", "-ec", "cp -a /srv/host/venv /opt/lfr/.venv; chmod 755 /opt/lfr")
    libraries = "[ ! -d /opt/python ] || { echo /opt/python/lib >/etc/ld.so.conf.d/python.conf; ldconfig; }"
    machine.run("sh", "-ec", libraries)
    steps = (
        "cd /opt/lfr/source/systemd",
        "install -m 644 lfr-hub.service /etc/systemd/system/",
        "install -m 644 lfr.sysusers.conf /usr/lib/sysusers.d/lfr.conf && systemd-sysusers",
        "install -m 644 lfr.tmpfiles.conf /usr/lib/tmpfiles.d/lfr.conf && systemd-tmpfiles --create lfr.conf",
        f"install -m 600 /dev/null /etc/lfr/hub-console.key && echo {KEY} > /etc/lfr/hub-console.key",
        "echo 127.0.0.1 localhost >/etc/hosts",
    )
    machine.run("sh", "-ec", "; ".join(steps))
    init = (LFR, "hub", "init", STATE, "--site", site, "--device", "cam-1", "--mode", "test")
    machine.run("setpriv", "--reuid=lfr-hub", "--regid=lfr-hub", "--clear-groups", *init)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", UNIT)


@contextmanager
def booted_van(scratch: Path, site: str = "north") -> Iterator[Van]:
    """A machine whose hub runs; skipped with the reason where none can be booted."""
    if reason := guest.cannot():
        pytest.skip(reason)
    scratch.chmod(0o755)
    guest.environment(scratch / "venv")
    machine = Guest(scratch)
    try:
        install(machine, site)
        made = Van(machine)
        made.until_well()
        yield made
    finally:
        machine.close()


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Van]:
    with booted_van(tmp_path_factory.mktemp("van")) as made:
        yield made


def test_it_says_ready_keeps_its_status_line_and_has_its_page_at_a_fixed_address(van: Van) -> None:
    line = r"broker connected; operator absent; 0 cases open; 0 of 1 devices report"
    van.guest.until(lambda: re.match(line, van.show("StatusText")["StatusText"]) is not None, why=van.why)
    reported = van.show("ActiveState", "Type", "NRestarts", "WatchdogUSec", "UnitFileState")
    assert (reported["ActiveState"], reported["Type"], reported["NRestarts"]) == ("active", "notify", "0")
    assert (reported["WatchdogUSec"], reported["UnitFileState"]) == ("10s", "enabled")
    assert not any(KEY in line for line in van.guest.journal(UNIT))


def test_it_is_confined_as_its_unit_says(van: Van) -> None:
    pid = van.pid()
    facts = dict(
        line.split(":\t", 1) for line in van.guest.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    user = van.guest.run("id", "-u", "lfr-hub").strip()
    assert facts["Uid"].split() == [user] * 4
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert set(facts["CapEff"]) == set(facts["CapPrm"]) == set(facts["CapBnd"]) == {"0"}
    assert "Max core file size        0                    0" in van.guest.run("cat", f"/proc/{pid}/limits")
    as_the_service = ("nsenter", "-t", pid, "-m", "-S", user, "-G", user)
    assert van.guest.status_of(*as_the_service, "cat", f"{STATE}/ca.key") != 0
    assert van.guest.status_of(*as_the_service, "cat", f"{STATE}/hub.key") == 0
    for place in ("/etc/lfr/x", "/usr/x", "/opt/lfr/x", "/var/lib/x", "/home/x"):
        assert van.guest.status_of(*as_the_service, "touch", place) != 0, place
    assert van.guest.status_of(*as_the_service, "touch", f"{STATE}/x") == 0


def test_its_exposure_is_not_above_the_number_of_the_readme(van: Van) -> None:
    shown = van.guest.run("systemd-analyze", "security", "--no-pager", UNIT, check=False)
    found = re.search(r"Overall exposure level for lfr-hub.service: ([0-9.]+)", shown)
    assert found is not None, shown
    assert float(found[1]) <= MOST_EXPOSED
    here = Path(__file__).parents[2] / "systemd" / "README.md"
    assert f"exposure level {MOST_EXPOSED} of" in here.read_text(encoding="utf-8")


def test_a_broker_that_is_killed_comes_back_and_the_hub_stays(van: Van) -> None:
    hub, broker = van.pid(), van.broker()
    assert broker
    van.guest.run("kill", "-KILL", broker)
    van.guest.until(lambda: van.broker() not in ("", broker), why=van.why)
    van.until_well()
    assert (van.pid(), van.show("NRestarts")["NRestarts"]) == (hub, "0")
    assert any("hub.broker_died" in line for line in van.guest.journal(UNIT))


def test_a_hub_that_is_killed_or_hangs_starts_again_with_its_broker_and_its_address(van: Van) -> None:
    for signal in ("KILL", "STOP"):
        hub, broker, restarts = van.pid(), van.broker(), van.show("NRestarts")["NRestarts"]
        van.guest.run("kill", f"-{signal}", hub)
        van.guest.until(lambda: van.show("NRestarts")["NRestarts"] != restarts, why=van.why)
        van.until_well()
        assert van.pid() != hub
        assert van.guest.status_of("test", "-d", f"/proc/{broker}") != 0, "the old broker outlived its hub"
    assert any("atchdog" in line for line in van.guest.journal(UNIT))


def test_a_stop_is_in_order_and_leaves_nobody(van: Van) -> None:
    broker = van.broker()
    van.guest.run("systemctl", "stop", UNIT)
    assert van.show("Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert van.guest.status_of("test", "-d", f"/proc/{broker}") != 0
