"""Random kills and cuts over hub, broker, supervisor and worker, for minutes or days; its counts add up over runs.

    make soak ARGS='--kills 200'       goes on where the book ends;  --hours 8;  --report: the sums so far

Episodes of three kinds in turn. `van`: two whole devices (`van.py`), whose deployment then ends, with every log, report
and disk checked. `hub`: the drill of `hub_kills.py`, quicker, without supervisors. `cut`: power cuts that lose
unflushed writes, in updates and state folders (`soak_cuts.py`). The book: `soak_book.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import msgspec

from device.domain.time import rfc3339
from device.errors import LfrError
from tests.system import hub_kills
from tests.system.left_behind import Wanted, picture, search, template, text
from tests.system.soak_book import Episode, SoakBook
from tests.system.soak_cuts import CutEpisode
from tests.system.van import Van, drawn, listed_people, now
from tests.system.van_running import ROOT, Running, child_of, rows_of, wait
from tools.hub.report.audit_counts import count_chains
from tools.hub.report.deployment_report import report_of
from tools.hub.report.tallies import read_book

BOOK = ROOT / ".cache" / "soak" / "episodes.jsonl"
DEVICES, DEPLOYMENT, NAMES = ("cam-1", "cam-2"), "soak", ("Ann Archer", "Siân Powell-Rees", "Dai Ellis")
VICTIMS = ("hub", "broker", "supervisor", "worker", "hub and supervisor", "broker cut")
VAN_KILLS, HUB_KILLS, CUTS = 20, 40, 40
PATIENCE_S = 300.0  # a loaded machine
WORKER_KILLS_MOST, WORKER_KILLS_WITHIN_S = 4, 75.0  # the supervisor's own budget is 5 in 60 s
Play = Callable[[Path, int, int], Episode]
FINDINGS = (
    AssertionError,
    LfrError,
    OSError,
    HTTPException,
    LookupError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
    subprocess.SubprocessError,
)
"""What an episode ends with when something is wrong: an answer that cannot be read, or a book that is gone, too."""


@dataclass
class VanEpisode:
    """Two devices, their hub, and what is known of every alert."""

    folder: Path
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    open: set[str] = field(default_factory=set)
    judged: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    ghosts: set[str] = field(default_factory=set)
    undeleted: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._people = listed_people(NAMES, (1, 2, 1), self.folder / "sources", self.seed)
        self.van = Van(self.folder / "van", DEVICES, self._people, self.folder / "safe")
        self.van.publish(DEPLOYMENT)
        self._running = Running(self.van)
        self._passage = 0
        self._probes: list[bytes] = []
        self._worker_kills: dict[str, list[float]] = {name: [] for name in DEVICES}

    def play(self, kills: int) -> None:
        """The kills, then the end of the deployment and every check. AssertionError when nothing goes on."""
        running = self._running
        try:
            running.start_hub()
            for name in DEVICES:
                running.start_device(name)
            for _ in range(kills):
                self._some_life()
                self._kill(self._random.choice(VICTIMS))
                self._check_page()
            self._settle()
            self._end()
        finally:
            running.stop()
        self._check_counts()
        self.undeleted += [f"{trace.what} in {trace.place}" for trace in search((self.van.folder,), self._wanted())]

    def _some_life(self) -> None:
        """People pass, alerts are raised and judged; the last alert is stored right before the kill."""
        for _ in range(self._random.randrange(1, 3)):
            if self.open and self._random.random() < 0.6:
                self._judge(self._random.choice(sorted(self.open)))
            name = self._random.choice(DEVICES)
            self._running.walk(name, self._random.randrange(200), still=self._random.randrange(4))
            self._alert(name)

    def _alert(self, name: str) -> None:
        """A listed person: known to this episode as soon as the device has stored the alert."""
        self._passage += 1
        before = self._stored(name)
        probe = drawn(29, self.seed * 1_000 + self._passage)
        self._probes.append(probe)
        self._running.appear(name, self._passage, self._random.choice(self._people), probe)
        found: set[str] = set()

        def stored() -> bool:
            found.update(self._stored(name) - before)
            return bool(found)

        wait(stored, f"an alert of {name} in its outbox", PATIENCE_S)
        first, *more = sorted(found)
        self.open.add(first)
        self.ghosts |= set(more)

    def _judge(self, alert: str) -> None:
        """Once its picture is on the page."""
        page = self._running.page
        wait(lambda: page.cases().get(alert, {}).get("probe"), f"the picture of {alert}", PATIENCE_S)
        outcome = self._random.choice(("true_alert", "false_alert"))
        assert page.decide(alert, "adjudication", outcome) == 200
        self.open.discard(alert)
        self.judged[alert] = outcome

    def _kill(self, victim: str) -> None:
        running, name = self._running, self._random.choice(DEVICES)
        if victim == "worker" and not self._worker_may_be_killed(name):
            victim = "supervisor"
        self.kills[victim] += 1
        if "supervisor" in victim:
            running.kill_device(name)
        if "hub" in victim:
            running.kill_hub()
            running.start_hub()
        if "supervisor" in victim:
            running.start_device(name)
        if victim == "broker":
            running.kill_broker()
        if victim == "worker":
            running.kill_worker(name)
        if victim == "broker cut":
            self._cut()

    def _worker_may_be_killed(self, name: str) -> bool:
        at = time.monotonic()
        recent = [each for each in self._worker_kills[name] if at - each < WORKER_KILLS_WITHIN_S]
        self._worker_kills[name] = [*recent, at]
        return len(recent) < WORKER_KILLS_MOST

    def _cut(self) -> None:
        """No byte passes the broker for a while; connections stay."""
        assert self._running.hub is not None
        broker = child_of(self._running.hub.pid, "mosquitto")
        os.kill(broker, signal.SIGSTOP)
        time.sleep(self._random.random() * 4)
        with contextlib.suppress(ProcessLookupError):
            os.kill(broker, signal.SIGCONT)

    def _check_page(self) -> None:
        """Every unjudged alert is there (again), none that was judged false, and none that nobody raised."""
        page, began = self._running.page, time.monotonic()
        with contextlib.suppress(AssertionError):
            wait(lambda: self.open <= set(page.cases()), "every unjudged alert", PATIENCE_S)
        self.back_s.append(time.monotonic() - began)
        shown = {case["id"] for case in page.snapshot()["cases"]}
        self.lost |= self.open - shown
        self.open -= self.lost
        known = self.open | {alert for alert, outcome in self.judged.items() if outcome == "true_alert"}
        self.ghosts |= shown - known

    def _settle(self) -> None:
        """Every judgement has reached its device."""
        kept = self.open | {alert for alert, outcome in self.judged.items() if outcome == "true_alert"}
        wait(lambda: set().union(*map(self._stored, DEVICES)) == kept, "what was judged false to be erased", PATIENCE_S)

    def _end(self) -> None:
        """`lfr deployment end`, once everybody recognises."""
        self._running.until_recognising(within_s=PATIENCE_S)
        words = ("deployment", "end", DEPLOYMENT, "--hub", str(self.van.hub.root))
        subprocess.run([sys.executable, "-m", "device.cli.main", *words], check=True, cwd=ROOT, capture_output=True)
        for name in DEVICES:
            assert self._running.devices[name].wait(PATIENCE_S) == 0, f"{name} did not end well"
        wait(lambda: not self._running.page.cases(), "an empty desk", PATIENCE_S)

    def _check_counts(self) -> None:
        """The hub's counts and the audit logs against what was done."""
        outcomes = Counter(self.judged.values())
        outcomes["not_adjudicated"] = len(self.open) + len(self.lost)
        done = {name: n for name, n in sorted(outcomes.items()) if n}
        alerts = set(self.judged) | self.open | self.lost
        report = report_of(read_book(self.van.hub.report_file).deployments[DEPLOYMENT])
        try:
            logs = {name: self.van.state_dir(name) / "audit" for name in DEVICES}
            chain = count_chains(self.van.hub.root, logs)[DEPLOYMENT]
        except LfrError as fault:
            self.unbalanced.append(str(fault))
            return
        checks = {
            "alerts, listed people who appeared": (len(alerts), self._passage),
            "hub, alerts": (report.alerts_received, len(alerts)),
            "hub, outcomes": ({name: n for name, n in sorted(report.outcomes.items()) if n}, done),
            "hub, balanced": (report.balanced, True),
            "audit logs, alerts": (chain.alerts, alerts),
            "audit logs, outcomes": (chain.outcomes, done),
            "audit logs, balanced": (chain.balanced, True),
        }
        self.unbalanced += [f"{what}: {a} != {b}" for what, (a, b) in checks.items() if a != b]

    def _stored(self, name: str) -> set[str]:
        """Alerts in a device's outbox."""
        file = self.van.state_dir(name) / "outbox.sqlite"
        if not file.exists():
            return set()
        return set(rows_of(file, "SELECT DISTINCT alert_id FROM messages WHERE kind = 'alert'"))

    def _wanted(self) -> list[Wanted]:
        found = [picture("probe", "", content) for content in self._probes]
        for person in self._people:
            found += [text("name", person.label), text("entry", person.ref)]
            found += [template(person.label, row.tobytes()) for row in person.templates]
        return found


def play_van(folder: Path, seed: int, kills: int) -> Episode:
    """One `van` episode; whatever goes wrong is a finding."""
    began, load = time.monotonic(), os.getloadavg()[0]
    episode = VanEpisode(folder, seed)
    problems = []
    try:
        episode.play(kills)
    except FINDINGS as fault:
        problems.append(f"{type(fault).__name__}: {fault}")
    return _line(
        "van",
        seed,
        began,
        load,
        kills=dict(episode.kills),
        alerts=len(episode.judged) + len(episode.open) + len(episode.lost),
        judged=dict(Counter(episode.judged.values())),
        lost=len(episode.lost),
        ghosts=len(episode.ghosts),
        undeleted=len(episode.undeleted),
        unbalanced=len(episode.unbalanced),
        back_s_most=round(max(episode.back_s, default=0.0), 2),
        problems=[*problems, *episode.undeleted, *episode.unbalanced],
    )


def play_hub(folder: Path, seed: int, kills: int) -> Episode:
    """One `hub` episode: the drill raises at its first finding, which counts as a problem."""
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        counts, problems = hub_kills.drill(folder, kills=kills, seed=seed), []
    except FINDINGS as fault:
        counts, problems = hub_kills.Counts(), [f"{type(fault).__name__}: {fault}"]
    return _line(
        "hub",
        seed,
        began,
        load,
        kills=counts.kills,
        alerts=counts.raised,
        judged=counts.judged,
        back_s_most=max(counts.back_s, default=0.0),
        problems=problems,
    )


def play_cuts(folder: Path, seed: int, kills: int) -> Episode:
    """One `cut` episode."""
    began, load = time.monotonic(), os.getloadavg()[0]
    episode = CutEpisode(folder, seed)
    try:
        episode.play(kills)
    except (AssertionError, LfrError, OSError, subprocess.SubprocessError) as fault:
        episode.problems.append(f"{type(fault).__name__}: {fault}")
    counts = {name: getattr(episode, name) for name in ("alerts", "lost", "ghosts", "undeleted", "unbalanced")}
    found = [f"{name}: {n}" for name, n in counts.items() if n and name != "alerts"]
    return _line(
        "cut", seed, began, load, kills=dict(episode.kills), judged={}, **counts, problems=[*episode.problems, *found]
    )


def _line(kind: str, seed: int, began: float, load: float, **found: object) -> Episode:
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    seconds = round(time.monotonic() - began, 1)
    line = {"id": f"{kind}-{seed}", "kind": kind, "seed": seed, "at": rfc3339(now()), "machine": machine, "load": load}
    return msgspec.convert({**line, "seconds": seconds, **found}, Episode)


KINDS: tuple[tuple[Play, int], ...] = ((play_van, VAN_KILLS), (play_hub, HUB_KILLS), (play_cuts, CUTS))


def soak(
    book: SoakBook,
    *,
    kills: int | None,
    until_s: float,
    kinds: tuple[tuple[Play, int], ...] = KINDS,
    keep: Path | None = None,
) -> bool:
    """Play episodes until so many more kills are counted, or the time is over; whether all of them were clean.

    keep  folder to which an episode with a finding moves its files
    """
    done, clean = 0, True
    while (kills is None or done < kills) and time.monotonic() < until_s:
        seed = book.next_seed()
        play, size = kinds[seed % len(kinds)]
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            episode = play(Path(folder) / "episode", seed, size if kills is None else min(size, kills - done))
            book.add(episode)
            if episode.problems:
                clean = False
                if keep is not None:
                    shutil.move(Path(folder) / "episode", keep / episode.id)
        count = sum(episode.kills.values())
        done += max(1, count)
        found = f"lost {episode.lost}, ghosts {episode.ghosts}, undeleted {episode.undeleted}"
        line = f"{episode.id}: {count} kills, {episode.alerts} alerts, {found}, {episode.problems or 'clean'}"
        say(line)
    return clean


@contextlib.contextmanager
def alone(book: Path) -> Iterator[None]:
    """Two soaks would play the same seeds into one book: the second is refused."""
    with book.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"soak: another one writes into {book}; wait for its end, or name another --book"
            ) from None
        yield


def say(line: str) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """0 when every episode so far is clean, 1 when there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="so many more")
    parser.add_argument("--hours", type=float, help="so long at most")
    parser.add_argument("--report", action="store_true", help="only print the sums of all runs so far")
    parser.add_argument("--book", type=Path, default=BOOK)
    args = parser.parse_args()
    book = SoakBook(args.book)
    if not args.report:
        kills = args.kills if args.kills or args.hours else 200
        until_s = time.monotonic() + (args.hours * 3600 if args.hours else 1e9)
        keep = args.book.parent
        keep.mkdir(parents=True, exist_ok=True)
        with alone(args.book):
            soak(book, kills=kills, until_s=until_s, keep=keep)
    sums = book.sums()
    say(msgspec.json.format(msgspec.json.encode(sums), indent=1).decode())
    return 0 if sums.clean else 1


if __name__ == "__main__":
    sys.exit(main())
