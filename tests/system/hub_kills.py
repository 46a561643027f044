"""Random SIGKILLs of hub, broker and device while alerts are raised and judged; nothing may be lost or reappear.

    python -m tests.system.hub_kills --kills 1000 --seed 7 --folder DIR     # the long run; one JSON line of counts

The hub is `lfr hub serve` with a real mosquitto; the device is a process of its own (`hub_kills_device.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from device.domain.finding import Mode
from device.domain.time import WallTime, wall
from tests.machine_time import of_processes
from tests.system.van_running import ROOT, STEP_WITHIN_S, child_of, children_of, wait
from tools.hub.broker.mosquitto import free_port
from tools.hub.publishing.deployment_records import Record, Records
from tools.hub.report.deployment_report import report_of
from tools.hub.report.tallies import Tallies
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.storage.sealed_desk import SealedDesk

SITE, DEVICE, DEPLOYMENT, ENTRY = "demo", "cam-1", "d-1", "e-042"
JPEG = b"\xff\xd8\xff\xe0 drawn, nobody's"
DEVICE_PROGRAM = "tests.system.hub_kills_device"
BACK_WITHIN_S = 5.0


def now() -> WallTime:
    return wall(datetime.now(timezone.utc))


def make_hub(root: Path) -> HubFolder:
    """A hub with one device and one published deployment: records and keys."""
    init_hub(root, site=SITE, devices=(DEVICE,), mode=Mode.DEMO)
    hub = HubFolder(root)
    hub.keys.recipient_for(DEPLOYMENT, wall(now() + timedelta(days=1)))
    hub.add_entry(ENTRY, Entry("Person A", "missing", "R3"), JPEG)
    Records(root).save(
        Record(
            id=DEPLOYMENT,
            stem="0" * 32,
            mode="demo",
            watchlist_id="wl-1",
            devices=(DEVICE,),
            ends=now() + timedelta(hours=10),
            published_at=now(),
            refs=(ENTRY,),
        )
    )
    return hub


@dataclass
class Counts:
    """Counts and findings of the drill."""

    kills: dict[str, int] = field(default_factory=dict)
    raised: int = 0
    judged: dict[str, int] = field(default_factory=dict)
    back_s: list[float] = field(default_factory=list)


class Drill:
    """Hub and device as processes, and what is known of every alert."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.hub = make_hub(folder / "hub")
        self.counts = Counts()
        self._random = random.Random(seed)
        self._state, self._log = folder / "state", folder / "log"
        self._ports = [free_port(), free_port(), free_port()]
        self.open: set[str] = set()
        self.false: set[str] = set()
        self.true: set[str] = set()
        self.start_hub()
        self.start_device()

    def start_hub(self) -> None:
        ports = zip(("--port", "--broker-port", "--repository-port"), map(str, self._ports), strict=True)
        command = [sys.executable, "-m", "device.cli.main", "hub", "serve", str(self.hub.root), "--operator-present"]
        self._hub_process = subprocess.Popen(
            [*command, *(word for pair in ports for word in pair)],
            stdout=subprocess.PIPE,
            stderr=self._log.open("ab"),
            text=True,
        )
        line = self._hub_process.stdout.readline() if self._hub_process.stdout else ""
        assert line, self._log.read_text()[-3000:]
        self._url = urlsplit(json.loads(line)["url"])
        answer, _ = self._ask("GET", f"/?{self._url.query}", "")
        self._cookie = (answer.getheader("Set-Cookie") or "").split(";")[0]
        page = self._ask("GET", "/", self._cookie)[1].decode()
        self._token = page.split('name="csrf" content="')[1].split('"')[0]

    def start_device(self) -> None:
        arguments = ["-m", DEVICE_PROGRAM, str(self.hub.root), str(self._ports[1]), str(self._state)]
        self._device = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("ab"),
            text=True,
        )

    def run(self, kills: int) -> None:
        victims = ("hub", "broker", "device", "hub and device", "hung hub")
        for _ in range(kills):
            self.some_life()
            victim = self._random.choice(victims)
            self.counts.kills[victim] = self.counts.kills.get(victim, 0) + 1
            if victim == "hung hub":
                self.hang_hub()
            else:
                self.erase_one()
            self.kill(victim)
            self.check_page()

    def some_life(self) -> None:
        """A few alerts and judgements; the last alert is raised right before the kill."""
        for _ in range(self._random.randrange(1, 4)):
            if self.open and self._random.random() < 0.5:
                self.judge(self._random.choice(sorted(self.open)), self._random.choice(("true_alert", "false_alert")))
            self.raise_alert()
            time.sleep(self._random.random() * 0.2)

    def erase_one(self) -> None:
        """Often: judged false right before the kill, so that its receipt is on its way."""
        if self.open and self._random.random() < 0.7:
            self.judge(self._random.choice(sorted(self.open)), "false_alert")

    def hang_hub(self) -> None:
        """The hub stands still while a device erases what was judged, and the broker acknowledges the receipt."""
        alert_id = min(self.open) if self.open else self.raise_alert()
        wait(lambda: alert_id in self.page(), f"alert {alert_id} on the page")
        self._device.send_signal(signal.SIGSTOP)
        self.judge(alert_id, "false_alert")
        self._hub_process.send_signal(signal.SIGSTOP)
        self._device.send_signal(signal.SIGCONT)
        time.sleep(0.1 + self._random.random() * 0.4)

    def raise_alert(self) -> str:
        """Its id."""
        alert_id = str(self.ask_device("raise"))
        self.open.add(alert_id)
        self.counts.raised += 1
        return alert_id

    def ask_device(self, command: str) -> Any:
        """The device's answer to a line on its stdin."""
        assert self._device.stdin is not None
        assert self._device.stdout is not None
        self._device.stdin.write(f"{command}\n")
        self._device.stdin.flush()
        return json.loads(self._device.stdout.readline())

    def judge(self, alert_id: str, outcome: str) -> None:
        wait(lambda: alert_id in self.page(), f"alert {alert_id} on the page")
        body = json.dumps({"outcome": outcome})
        answer, text = self._ask("POST", f"/cases/{alert_id}/adjudication", self._cookie, body)
        assert answer.status == 200, text
        self.open.discard(alert_id)
        (self.false if outcome == "false_alert" else self.true).add(alert_id)
        self.counts.judged[outcome] = self.counts.judged.get(outcome, 0) + 1

    def kill(self, victim: str) -> None:
        if "device" in victim:
            self._device.kill()
            self._device.wait()
        if "hub" in victim:
            self._hub_process.kill()
            self._hub_process.wait()
            self.start_hub()
        if victim == "broker":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.broker_pid(), signal.SIGKILL)
        if "device" in victim:
            self.start_device()

    def broker_pid(self) -> int:
        """The hub's child that is mosquitto, once there is one: the hub may be starting it again."""
        return child_of(self._hub_process.pid, "mosquitto")

    def check_page(self) -> None:
        """Every unjudged alert is on the page within BACK_WITHIN_S of machine time, nothing judged false ever is."""
        with of_processes(self.processes) as machine:
            wait(lambda: self.open <= set(self.page()), "every unjudged alert on the page")
            self.counts.back_s.append(round(machine.seconds, 2))
        shown = self.page()
        assert not self.false & set(shown), "a ghost: judged false, and on the page"
        wrong = {a: o for a, o in shown.items() if o != ("true_alert" if a in self.true else None)}
        assert not wrong, wrong

    def processes(self) -> list[int]:
        """Hub, broker and device."""
        return [self._hub_process.pid, self._device.pid, *children_of(self._hub_process.pid, "mosquitto")]

    def settle(self) -> None:
        """Every judgement reached its device: what was judged false is deleted there, and what is open is not."""

        wait(
            lambda: set(self.ask_device("held")) == self.open | self.true,
            "the device to hold exactly what was not judged false",
        )
        reported = {json.loads(x)["judged"] for x in self._log.read_text().splitlines() if x.startswith('{"judged"')}
        wait(lambda: self.true <= reported or self._read_reported(reported), "every true judgement at the device")
        wait(lambda: self.ask_device("undelivered") == 0, "every receipt confirmed by the hub")

    def _read_reported(self, reported: set[str]) -> bool:
        lines = self._log.read_text().splitlines()
        reported |= {json.loads(line)["judged"] for line in lines if line.startswith('{"judged"')}
        return self.true <= reported

    def page(self) -> dict[str, str | None]:
        """Alert id to its outcome on the page."""
        _, content = self._ask("GET", "/snapshot", self._cookie)
        return {case["id"]: case["outcome"] for case in json.loads(content)["cases"]}

    def stop(self) -> None:
        for process in (self._device, self._hub_process):
            process.terminate()
            process.wait(STEP_WITHIN_S)

    def report(self) -> dict[str, Any]:
        """The hub's own counts, after it ended."""
        book = Tallies(self.hub.report_file, SealedDesk(self.hub.desk_file).book()).book
        return {
            "received": book.deployments[DEPLOYMENT].alerts_received,
            "erased": book.deployments[DEPLOYMENT].erasures.get("alert.false_alert", 0),
            **report_of(book.deployments[DEPLOYMENT]).outcomes,
        }

    def _ask(
        self, method: str, path: str, cookie: str, body: str | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=STEP_WITHIN_S)
        headers = {"Host": self._url.netloc, "Cookie": cookie}
        if body is not None:
            headers |= {"Origin": f"http://{self._url.netloc}", "X-CSRF-Token": self._token}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content


def drill(folder: Path, *, kills: int, seed: int) -> Counts:
    """Run it; AssertionError for anything that is lost, comes back, or does not balance."""
    running = Drill(folder, seed)
    try:
        running.run(kills)
        running.settle()
    finally:
        running.stop()
    counts, expected = running.report(), running.counts
    judged = {name: n for name, n in expected.judged.items() if n}
    waiting = {"awaiting_judgement": len(running.open)} if running.open else {}
    erased = judged.get("false_alert", 0)
    assert counts == {"received": expected.raised, "erased": erased, **judged, **waiting}, (counts, expected)
    return expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    counts = drill(args.folder, kills=args.kills, seed=args.seed)
    back = sorted(counts.back_s)
    slow = {"back_s_p50": back[len(back) // 2], "back_s_most": back[-1]}
    sys.stdout.write(
        json.dumps({"kills": counts.kills, "raised": counts.raised, "judged": counts.judged, **slow}) + "\n"
    )


if __name__ == "__main__":
    main()
