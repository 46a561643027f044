"""A scripted day: its script is the truth, and the report, the devices and the disks must say the same at its end.

    python -m tests.system.scripted_day [--folder DIR] [--seed N]      prints the report beside the truth

Two devices, 34,900 faces and 11 alerts as recorded messages; three broker cuts, two kills of the hub, one reboot of a
device; one false alert, one that was confirmed to be another person, one hold. Broker, hub, page, repository and the
devices' supervisors are the real programs; their workers are emulated (`emulated_worker.py`).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from device.domain.proportion import wilson
from tests.machine_time import of_processes
from tests.system.emulated_worker import DETECTOR_SHA256, RECOGNISER_SHA256, THRESHOLD
from tests.system.left_behind import Trace, Wanted, picture, search, template, text
from tests.system.recognition_clock import RecognitionClock
from tests.system.van import PASSWORD, SUPERVISOR, Van, drawn, listed_people, now
from tests.system.van_running import ROOT, STEP_WITHIN_S, Running, rows_of, wait
from tools.hub.report.audit_counts import count_chains
from tools.hub.report.home_office import COLUMNS

DEPLOYMENT = "market-day"
FACES = 34_900
NAMES = ("Ann Archer", "Bob Bright", "Siân Powell-Rees", "Dai Ellis", "Eve O'Neill")
PHOTOS = (1, 2, 1, 3, 1)
DEVICES = ("cam-1", "cam-2")
BACK_WITHIN_S = 5.0
PLAN = {
    "controller": "Heddlu Gwent",
    "owner": "South Wales Police",
    "purpose": "find missing people",
    "place": "Market Street",
}


@dataclass
class Truth:
    """What the script did."""

    faces: int = 0
    probes: dict[str, bytes] = field(default_factory=dict)
    recognising_s: float = 0.0
    back_s: list[float] = field(default_factory=list)


class Day:
    """The script."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self.people = listed_people(NAMES, PHOTOS, folder / "sources", seed)
        self.van = Van(folder / "van", DEVICES, self.people, folder / "safe")
        self.van.publish(DEPLOYMENT, **PLAN)
        self.shown = {person.ref: self.van.hub.reference(person.ref) or b"" for person in self.people}
        assert all(self.shown.values())
        self.running = Running(self.van)
        self.truth = Truth()
        self.opened_at = now()
        self.found_at_noon: list[Trace] = []
        self.on_one_device_at_noon: list[Trace] = []
        self.left_with_the_hold: list[Trace] = []

    def play(self) -> None:
        """From the first start to the last release."""
        running = self.running
        running.start_hub()
        for name in DEVICES:
            running.start_device(name)
        running.until_recognising()
        with RecognitionClock(running) as clock:
            held = self._the_day()
            self._the_end()
            self.truth.recognising_s = clock.seconds
        self._the_hold_is_released(held)

    def _the_day(self) -> str:
        """Every event; the alert that is held at its end."""
        running = self.running
        found = self._alert("cam-1", 1)
        self._walk("cam-1", 6_000)
        self._judge(found, "true_alert", "confirmed_true", "arrest")

        incorrect = self._alert("cam-2", 2)
        self._judge(incorrect, "false_alert")
        self._is_erased("cam-2", incorrect)

        self._walk("cam-2", 9_000, still=4)
        other = self._alert("cam-2", 3, cut=True)
        self._judge(other, "true_alert", disposition="arrest")
        self._judge(other, engagement="confirmed_false")
        self._is_erased("cam-2", other)

        waiting = self._alert("cam-1", 4)
        self._restart_hub()
        self._is_back(waiting)
        self.found_at_noon = self.search()
        self.on_one_device_at_noon = search((self.van.folder / "cam-1",), self.wanted())
        self._judge(waiting, "true_alert", "confirmed_true", "other_disposal")

        before_reboot = self._alert("cam-1", 5)
        self._walk("cam-1", 5_000, still=7)
        assert running.leave("cam-1") == 0
        self._judge(before_reboot, "true_alert", "confirmed_true", "arrest")
        running.start_device("cam-1")
        running.until_recognising()

        held = self._alert("cam-2", 6, cut=True, revisions=2)
        self._judge(held, "true_alert")
        review = f"{now() + timedelta(days=30):%Y-%m-%d}"
        terms = ("--kind", "evidence", "--reason", "prosecution", "--owner", "CID-4", "--review", review)
        self._lfr("hub", "hold", str(self.van.hub.root), held, *terms, *self._supervisor())

        judged_late = self._alert("cam-1", 7)
        self._judge(judged_late, "true_alert")
        self._restart_hub()
        self._walk("cam-1", 4_000)

        during_cut = self._alert("cam-2", 8)
        running.kill_broker()
        self._judge(during_cut, "true_alert", "not_located")
        running.until_recognising()

        for number in (9, 10):
            self._judge(self._alert("cam-2", number), "true_alert", disposition="no_action")
        self._alert("cam-1", 11)
        self._walk("cam-2", FACES - self.truth.faces)
        return held

    def _the_end(self) -> None:
        """`lfr deployment end`: the devices erase, receipt by receipt, and end."""
        self._lfr("deployment", "end", DEPLOYMENT, "--hub", str(self.van.hub.root))
        for name in DEVICES:
            assert self.running.devices[name].wait(2 * STEP_WITHIN_S) == 0, self.van.log(name).read_text()[-2000:]
        wait(lambda: not self.running.page.cases(), "an empty desk")
        wait(lambda: not list(self.van.hub.references.iterdir()), "no reference photo at the hub")

    def _the_hold_is_released(self, held: str) -> None:
        """Only what is held outlives the end; released, it goes at the hub, and on its device at its next start."""
        self.left_with_the_hold = self.search()
        self._lfr("hub", "release", str(self.van.hub.root), held, *self._supervisor())
        self.running.start_device("cam-2")
        wait(lambda: self.running.state("cam-2") == "ready", "cam-2 to be ready")
        self._is_erased("cam-2", held)
        wait(lambda: not self.undelivered("cam-2"), "every receipt at the hub")
        assert self.running.leave("cam-2") == 0
        self.running.stop()

    def _walk(self, device: str, people: int, still: int = 0) -> None:
        self.running.walk(device, people, still=still)
        self.truth.faces += people

    def _alert(self, device: str, number: int, *, cut: bool = False, revisions: int = 0) -> str:
        """A listed person appears; its alert once it is on the page. cut: the broker is killed right before."""
        running, known = self.running, {case["id"] for case in self.running.page.snapshot()["cases"]}
        if cut:
            running.kill_broker()
        person = self.people[number % len(self.people)]
        for revision in range(revisions + 1):
            probe = drawn(29, self._seed * 1000 + number * 10 + revision)
            running.appear(device, number, person, probe, revision)
            self.truth.probes[f"{number}.{revision}"] = probe
        self.truth.faces += 1
        found: set[str] = set()

        def there() -> bool:
            cases = running.page.cases()
            found.update(a for a in set(cases) - known if cases[a]["revision"] == revisions and cases[a]["probe"])
            return bool(found)

        wait(there, f"alert {number} on the page")
        running.until_recognising()
        assert len(found) == 1, f"a ghost: {found}"
        return found.pop()

    def _judge(self, alert: str, outcome: str = "", engagement: str = "", disposition: str = "") -> None:
        kinds = (("adjudication", outcome), ("engagement", engagement), ("disposition", disposition))
        for kind, value in kinds:
            assert not value or self.running.page.decide(alert, kind, value) == 200, (alert, kind, value)

    def _restart_hub(self) -> None:
        self.running.kill_hub()
        self.running.start_hub()

    def _is_back(self, alert: str) -> None:
        with of_processes(self.running.processes) as machine:
            wait(lambda: alert in self.running.page.cases(), "an open alert on the page again")
            self.truth.back_s.append(machine.seconds)
        self.running.until_recognising()

    def _is_erased(self, device: str, alert: str) -> None:
        """It is on no page and in no outbox any more."""
        assert alert not in {case["id"] for case in self.running.page.snapshot()["cases"]}
        wait(lambda: alert not in self.outbox(device), f"{alert} erased on {device}")

    def outbox(self, device: str) -> list[str]:
        """Alerts that a device holds, in its own file."""
        return self._rows(device, "SELECT DISTINCT alert_id FROM messages WHERE alert_id IS NOT NULL")

    def undelivered(self, device: str) -> list[str]:
        """Kinds of messages that its hub has not acknowledged."""
        return self._rows(device, "SELECT kind FROM messages WHERE state = 'waiting'")

    def _rows(self, device: str, query: str) -> list[str]:
        return rows_of(self.van.state_dir(device) / "outbox.sqlite", query)

    def search(self) -> list[Trace]:
        """What is left of anybody below the van's folder."""
        return search((self.van.folder,), self.wanted())

    def wanted(self) -> list[Wanted]:
        """Everything personal of this day: of each person and of each probe."""
        found = [picture("probe", number, content) for number, content in self.truth.probes.items()]
        for person in self.people:
            found += [text("name", person.label), text("entry", person.ref)]
            found += [template(person.label, row.tobytes()) for row in person.templates]
            as_given = [photo.read_bytes() for photo in person.photos]
            found += [picture("reference", person.label, each) for each in (*as_given, self.shown[person.ref])]
        return found

    def _supervisor(self) -> tuple[str, ...]:
        file = self.van.folder.parent / "password"
        file.write_text(PASSWORD + "\n")
        file.chmod(0o600)
        return ("--by", SUPERVISOR, "--password-file", str(file))

    def _lfr(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "device.cli.main", *words], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def report(self, *audited: str) -> dict[str, str]:
        """The line of `lfr report --csv`, from the hub's counts or the named devices' audit logs."""
        logs = [word for name in audited for word in ("--audit", f"{name}={self.van.state_dir(name) / 'audit'}")]
        rows = list(csv.DictReader(io.StringIO(self._lfr("report", str(self.van.hub.root), *logs, "--csv"))))
        assert len(rows) == 1, rows
        return {name: rows[0][label] for name, label in COLUMNS.items()}

    def recognised_s(self) -> float:
        """How long the devices recognised, by their audit logs."""
        logs = {name: self.van.state_dir(name) / "audit" for name in DEVICES}
        return count_chains(self.van.hub.root, logs)[DEPLOYMENT].recognising_s

    def signed_report(self) -> str:
        """`lfr report --out`, and what `lfr report verify` says of its CSV."""
        logs = [word for name in DEVICES for word in ("--audit", f"{name}={self.van.state_dir(name) / 'audit'}")]
        out, hub = self.van.folder.parent / "report", self.van.hub.root
        self._lfr("report", str(hub), *logs, "--out", str(out))
        return self._lfr(
            "report", "verify", str(out / "report.csv"), "--ca", str(hub / "ca.pem"), "--hub", str(hub), *logs
        )

    def expected(self) -> dict[str, str]:
        """The report's line as the script knows it."""
        low, high = wilson(2 / FACES, FACES)
        images, subjects = sum(PHOTOS), len(NAMES)
        # Templates of everybody who was not alerted, 11 alerts, and the list on each device.
        erased = (FACES - 11) + 11 + subjects * len(DEVICES)
        return {
            "deployment": DEPLOYMENT,
            "date": f"{self.opened_at:%Y-%m-%d}",
            "type": "demo",
            **PLAN,
            "duration_min": f"{round(self.truth.recognising_s / 60, 1):g}",
            "cameras": "2",
            "watchlist_subjects": str(subjects),
            "watchlist_images": str(images),
            "threshold": f"{THRESHOLD:g}",
            "faces_seen": str(FACES),
            "alerts": "11",
            "alerts_positive": "8",
            "alerts_incorrect": "2",
            "alerts_not_adjudicated": "1",
            "interventions_positive": "3",
            "interventions_incorrect": "1",
            "arrests": "2",
            "arrests_unrelated": "1",
            "other_disposals": "1",
            "incorrect_alert_rate": f"{2 / FACES:.6g}",
            "incorrect_alert_rate_low": f"{low:.6g}",
            "incorrect_alert_rate_high": f"{high:.6g}",
            "sign_dark_s": "0",
            "refusals": "0",
            "erasures": str(erased),
            "holds": "1",
            "detector_sha256": DETECTOR_SHA256,
            "recogniser_sha256": RECOGNISER_SHA256,
            "balanced": "yes",
            "uncounted_s": "0",
            "audit_chain": f"verified against the hub's signed heads: {', '.join(DEVICES)}",
        }


def differences(report: Mapping[str, str], truth: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Columns that differ; what the script does not know is empty, the duration may differ by a tenth of a minute."""
    known = {name: (shown, truth.get(name, "")) for name, shown in report.items()}
    found = {name: (shown, true) for name, (shown, true) in known.items() if shown != true}
    if (
        report["duration_min"]
        and "duration_min" in found
        and abs(float(report["duration_min"]) - float(truth["duration_min"])) < 0.11
    ):
        del found["duration_min"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        day = Day(args.folder or Path(scratch), args.seed)
        began = time.monotonic()
        try:
            day.play()
        finally:
            day.running.stop()
        report, truth = day.report(*DEVICES), day.expected()
        for name, label in COLUMNS.items():
            sys.stdout.write(f"{label:<40} {report[name]:<60} {truth.get(name, '')}\n")
        left = [f"{trace.what} of {trace.whose} in {trace.place}" for trace in day.search()]
        summary = {
            "seconds": round(time.monotonic() - began, 1),
            "recognised_s": {"audit logs": round(day.recognised_s(), 2), "seen": round(day.truth.recognising_s, 2)},
            "differences": differences(report, truth),
            "at_the_hub": differences(day.report(), truth),
            "found_at_noon": len(day.found_at_noon),
            "left_with_the_hold": sorted({f"{t.what} in {t.place}" for t in day.left_with_the_hold}),
            "left": left,
            "back_s": day.truth.back_s,
        }
        sys.stdout.write(json.dumps(summary, indent=1) + "\n" + day.signed_report())


if __name__ == "__main__":
    main()
