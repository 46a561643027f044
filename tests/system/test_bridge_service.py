"""`lfr-bridge.service` on a booted systemd, beside `lfr-hub.service`: what it carries, killed, confined."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.guest import Guest
from tests.system.test_hub_service import LFR, STATE, Van, booted_van
from tools.hub.broker.configuration import BRIDGED

pytestmark = pytest.mark.system
UNIT, REGION, PORT, PREFIX = "lfr-bridge", "/var/lib/region", "8893", "region-2/lfr"
MOST_EXPOSED = 1.1
"""`systemd-analyze security` of the running unit, 2026-11-30, systemd 252; 0 is best, 10 is worst."""
CLUSTER = f"""listener {PORT} 127.0.0.1
cafile {REGION}/ca.pem
certfile {REGION}/server.pem
keyfile {REGION}/server.key
require_certificate true
use_identity_as_username true
allow_anonymous false
user root
"""


def install_bridge(machine: Guest) -> None:
    """A broker of somebody else, and the bridge to it as systemd/README.md says."""
    machine.run(LFR, "hub", "init", REGION, "--site", "region", "--device", "van-7", "--mode", "test")
    machine.run("sh", "-ec", f"cat >{REGION}/cluster.conf <<'END'\n{CLUSTER}END")
    machine.run("systemd-run", "--unit=cluster", "/usr/sbin/mosquitto", "-c", f"{REGION}/cluster.conf")
    mine = f"{STATE}/bridge"
    machine.run("install", "-d", "-m", "700", "-o", "lfr-hub", "-g", "lfr-hub", mine)
    for source, name in (
        ("ca.pem", "region-ca.pem"),
        ("devices/van-7.pem", "van-7.pem"),
        ("devices/van-7.key", "van-7.key"),
    ):
        machine.run("install", "-m", "600", "-o", "lfr-hub", "-g", "lfr-hub", f"{REGION}/{source}", f"{mine}/{name}")
    options = ["--to", f"127.0.0.1:{PORT}", "--prefix", PREFIX, "--ca", f"{mine}/region-ca.pem"]
    options += ["--cert", f"{mine}/van-7.pem", "--key", f"{mine}/van-7.key"]
    user = ("setpriv", "--reuid=lfr-hub", "--regid=lfr-hub", "--clear-groups")
    machine.run(*user, LFR, "hub", "bridge", STATE, *options)
    machine.run("install", "-m", "644", f"/opt/lfr/source/systemd/{UNIT}.service", "/etc/systemd/system/")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", UNIT)


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Van]:
    with booted_van(tmp_path_factory.mktemp("van"), "demo") as made:
        install_bridge(made.guest)
        yield made


def crosses(van: Van) -> dict[str, list[str]]:
    """What was sent, and which topics arrived at the cluster."""
    program = ("/opt/lfr/.venv/bin/python", "-m", "tests.system.bridge_traffic", STATE, REGION, PORT)
    found: dict[str, list[str]] = json.loads(van.guest.run(*program).splitlines()[-1])
    return found


def carried(topic: str) -> bool:
    """Whether the bridge may carry a topic of the van."""
    patterns = [branch.replace("+", "[^/]+") for branch in BRIDGED]
    return any(re.fullmatch(f"lfr/v1/demo/{pattern}", topic) for pattern in patterns)


def test_one_message_of_each_kind_that_may_crosses_and_of_no_other(van: Van) -> None:
    found = crosses(van)
    of_device = {topic for topic in found["sent"] if carried(topic)}
    assert len(of_device) == len(BRIDGED)
    assert set(found["arrived"]) == {f"{PREFIX}/{topic}" for topic in (*of_device, "lfr/v1/demo/hub/state")}
    assert {"alert", "erasure", "birth"} <= {topic.split("/")[4] for topic in found["sent"]}, "and these were sent, too"


def test_a_bridge_that_is_killed_starts_again_and_carries_on(van: Van) -> None:
    before = van.guest.show(UNIT, "MainPID", "NRestarts")
    van.guest.run("kill", "-KILL", before["MainPID"])
    again = {"ActiveState": "active", "NRestarts": str(int(before["NRestarts"]) + 1)}
    van.guest.until(
        lambda: van.guest.show(UNIT, "ActiveState", "NRestarts") == again,
        why=lambda: "\n".join(van.guest.journal(UNIT)[-20:]),
    )
    assert any(topic.endswith("/cam-1/stats") for topic in crosses(van)["arrived"])


def test_it_is_confined_as_its_unit_says(van: Van) -> None:
    pid, user = van.guest.show(UNIT, "MainPID")["MainPID"], van.guest.run("id", "-u", "lfr-hub").strip()
    facts = dict(
        line.split(":\t", 1) for line in van.guest.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    assert facts["Uid"].split() == [user] * 4
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert set(facts["CapEff"]) == set(facts["CapPrm"]) == set(facts["CapBnd"]) == {"0"}
    as_the_service = ("nsenter", "-t", pid, "-m", "-S", user, "-G", user)
    seen = van.guest.run(*as_the_service, "ls", STATE).split()
    assert set(seen) == {"bridge", "bridge.key", "bridge.pem", "ca.pem"}
    for place in (f"{STATE}/x", "/etc/x", "/usr/x", "/var/lib/x"):
        assert van.guest.status_of(*as_the_service, "touch", place) != 0, place
    assert van.guest.status_of(*as_the_service, "touch", f"{STATE}/bridge/x") == 0


def test_its_exposure_is_not_above_the_number_of_the_readme(van: Van) -> None:
    shown = van.guest.run("systemd-analyze", "security", "--no-pager", UNIT, check=False)
    found = re.search(r"Overall exposure level for lfr-bridge.service: ([0-9.]+)", shown)
    assert found is not None, shown
    assert float(found[1]) <= MOST_EXPOSED, shown
    here = Path(__file__).parents[2] / "systemd" / "README.md"
    assert f"exposure level {MOST_EXPOSED} of" in here.read_text(encoding="utf-8")
