"""The demo from start to end, in the order of events.

hub and broker up ─▶ crowd drawn ─▶ list enrolled and sealed ─▶ operator at the page ─▶ device runs to its ending
─▶ hub down ─▶ disks searched ─▶ private folder deleted ─▶ verdict

1. Everything is acquired in one exit stack; Ctrl-C at any moment unwinds it, and a second one does not interrupt that.
2. The verdict is made of what came over MQTT and of what lies on disk, never of a process's own status.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from device.audit.log import FOLDER as AUDIT
from device.audit.verify import verify
from device.errors import BadData, Unavailable
from device.hub_api.messages import CameraStatus, WatchlistState
from engines.places import cache_dir
from tools.dev.clip.make import ClipTruth, make_clip, read_truth, truth_file
from tools.dev.clip.spec import default_spec, watchlist_photos
from tools.dev.demo.evidence import Check, Evidence, verdict
from tools.dev.demo.leftovers import Needle, changed, listing, photo_piece, picture, search
from tools.dev.demo.live import LiveLines
from tools.dev.demo.processes import Processes, Running
from tools.dev.demo.scratch import PREFIX, scratch_folder
from tools.dev.demo.signed import end_deployment, publish_signed
from tools.dev.demo.witness import Witness
from tools.dev.demo.workspace import DEVICE, Workspace, build_hub, label_of, marked, true_passages, write_device_config
from tools.hub.broker.listener import Listener, Received
from tools.hub.report.audit_heads import kept_heads
from tools.hub.report.deployment_report import as_text, report_of
from tools.hub.report.tallies import read_book

HUB_READY_S = 60.0
GONE_S = 20.0
OTHER_RUNS = (PREFIX, "pytest-of-")
LINGER_S = 20.0
POLL_S = 0.1
SLOWEST = 8.0  # a run may take this many times the recording's length, plus START_S, before it counts as stuck
START_S = 180.0
EXIT_FAILED = 1
OUTSIDE = (Path.cwd(), Path(tempfile.gettempdir()), cache_dir(), Path.home() / ".cache" / "lfr")
# Tools' own, and the folders of tests and demos that run at the same time and search for themselves.
NOT_OURS = frozenset({".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `lfr demo`. `clip` None draws one of `clip_seconds`; ports 0 take any free one."""

    headless: bool
    json: bool
    keep: bool
    page_port: int
    broker_port: int
    clip: Path | None
    clip_seconds: float
    wait_s: float


@dataclass(slots=True)
class Hub:
    """The running hub: its process, the page's address, its ports, and whether its operator has gone."""

    process: Running
    url: str
    broker_port: int
    repository_port: int
    missed: bool = False


def run_demo(options: Options) -> int:
    """Run, check, print. Raises LfrError when it cannot be run; KeyboardInterrupt after a clean stop."""
    signal.signal(signal.SIGINT, interrupt_once)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, end_once)
    quieten_vendors()
    live = LiveLines()
    mark = secrets.token_hex(16)
    photos = [photo for found in watchlist_photos().values() for photo in found]
    marks = [Needle("the reference photo", mark.encode()), Needle("the listed person's label", label_of(mark).encode())]
    needles = [picture(), photo_piece(photos[0]), *marks]
    before = listing(OUTSIDE, NOT_OURS)
    report = ""
    with scratch_folder(keep=options.keep) as folder:
        live.note(f"private folder{', which will stay' if options.keep else ''}: {folder}")
        evidence, report, template = play(options, folder, photos, mark, needles, live)
    evidence.leftovers += leftovers_outside(before, [*marks, template], folder, options.keep)
    live.note("private folder removed" if not options.keep else f"private folder kept: {folder}")
    checks = verdict(evidence)
    show(checks, report, options)
    return 0 if all(check.holds for check in checks) else EXIT_FAILED


def play(
    options: Options, folder: Path, photos: list[Path], mark: str, needles: list[Needle], live: LiveLines
) -> tuple[Evidence, str, Needle]:
    """From the first process to the last; returns the evidence, the deployment report and the template's needle."""
    with ExitStack() as stack:
        workspace = build_hub(folder, options.broker_port, options.page_port)
        processes = stack.enter_context(Processes(workspace.logs))
        hub = start_hub(processes, workspace, operator=options.headless)
        live.note(f"hub and broker are up (MQTT 5, mutual TLS, port {hub.broker_port})")
        if not options.headless:
            live.note(f"the hub page is at  {hub.url}")
            live.note("open it in a browser: without an operator at the page, the device does not recognise")
        truth = bring_clip(options, workspace, live)
        template = Needle("a template", publish_signed(workspace, marked(photos, mark, folder), label_of(mark)))
        live.note(
            "one person enrolled, deployment signed by its officer, published; its list is ciphertext to all but the"
        )
        live.note("workers: the device makes a key in memory, and the hub addresses the list's key to that")
        if not options.headless:
            hub = wait_for_operator(options, processes, workspace, hub, live)
        evidence = Evidence(workspace.entry_ref, true_passages(truth))
        write_device_config(
            workspace, hub.broker_port, realtime=not options.headless, repository_port=hub.repository_port
        )
        with (
            Listener(workspace.hub, hub.broker_port) as listener,
            Witness(workspace.hub, hub.broker_port, [*needles, template]) as witness,
        ):
            device = processes.start("device", [lfr(), "run", "--config", str(workspace.config)])
            follow(device, hub, listener, live, START_S + SLOWEST * truth.frames / truth.fps)
            if not options.headless:
                keep_page_open(live)
            witness.until_device_stopped(GONE_S)
            gather(evidence, listener, witness)
        evidence.leftovers += search(workspace.device_folders, [*needles, template])
        processes.stop(device)
        evidence.keys_left = end_deployment(workspace)
        processes.stop(hub.process)
        evidence.audit = audit_of(workspace)
        evidence.statuses = {"device": device.exit_status, "hub and broker": hub.process.exit_status}
        evidence.named += [path.name for path, _ in search([workspace.logs], needles)]
        if device.exit_status:
            print(f"the last lines of its log:\n{device.last_lines()}", file=sys.stderr)
        return evidence, deployment_report(workspace), template


def start_hub(processes: Processes, workspace: Workspace, *, operator: bool, own_broker: bool = True) -> Hub:
    """`lfr hub serve`, until it prints its address. Raises Unavailable with its last log lines."""
    command = [lfr(), "hub", "serve", str(workspace.hub.root)]
    command += ["--operator-present"] if operator else []
    process = processes.start("hub", command + ([] if own_broker else ["--no-broker"]))
    deadline = time.monotonic() + HUB_READY_S
    while time.monotonic() < deadline:
        for line in process.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                ready = json.loads(line)
                return Hub(process, ready["url"], ready["broker_port"], ready["repository_port"])
        process.check()
        time.sleep(POLL_S)
    raise Unavailable(
        f"the hub is not ready after {HUB_READY_S:g} s; the last lines of its log:\n{process.last_lines()}"
    )


def bring_clip(options: Options, workspace: Workspace, live: LiveLines) -> ClipTruth:
    """The recording and its ground truth: drawn now, or a copy of the one that was named."""
    if options.clip is not None:
        if not truth_file(options.clip).is_file():
            raise BadData(f"{options.clip} has no ground truth beside it ({truth_file(options.clip).name})")
        truth = read_truth(options.clip)
        shutil.copy(options.clip, workspace.clip)
    else:
        live.note("drawing the crowd from sample photos")
        truth = make_clip(default_spec(seconds=options.clip_seconds), workspace.clip)
    people = {p.person for p in truth.passages}
    live.note(f"{truth.frames / truth.fps:.0f} s of recording, {len(truth.passages)} passages of {len(people)} people")
    return truth


def wait_for_operator(options: Options, processes: Processes, workspace: Workspace, hub: Hub, live: LiveLines) -> Hub:
    """Until somebody opens the page; after `wait_s` a stand-in operator, so that a demo without a browser goes on."""
    with Listener(workspace.hub, hub.broker_port) as listener:
        live.note("waiting until the page is opened")
        if listener.wait_for(lambda received: received.operator_present, options.wait_s):
            live.note("an operator is at the page")
            return hub
    live.note(f"the page was not opened within {options.wait_s:g} s: a simulated operator takes over")
    processes.stop(hub.process)
    hub.process.log.unlink()
    hub = start_hub(processes, workspace, operator=True)
    live.note(f"the hub page is now at  {hub.url}")
    return hub


def follow(device: Running, hub: Hub, listener: Listener, live: LiveLines, limit_s: float) -> None:
    """Until the device has ended; what it sent last may arrive a little later."""
    deadline = time.monotonic() + limit_s
    while device.exit_status is None and time.monotonic() < deadline and not given_up(listener.received):
        live.update(listener.received)
        remind(hub, listener.received, live)
        hub.process.check()
        time.sleep(POLL_S)
    if given_up(listener.received):
        live.note(f"the device has disabled its camera; the last lines of its log:\n{device.last_lines()}")
    elif device.exit_status is None:
        live.note(f"the device has not ended after {limit_s:.0f} s and is stopped")
    listener.wait_for(lambda received: received.statuses[-1:] == ["stopped"], GONE_S)
    live.update(listener.received)


def remind(hub: Hub, received: Received, live: LiveLines) -> None:
    """Print the page's address when its operator has gone: without one the device stays inhibited."""
    if received.operator_present:
        hub.missed = False
    elif not hub.missed and received.states[-1:] == ["inhibited"]:
        hub.missed = True
        live.note(f"the page is closed; open it again:  {hub.url}")


def given_up(received: Received) -> bool:
    """Whether the device switched its camera off after too many restarts: it would wait for a person for ever."""
    return any(isinstance(a.data, CameraStatus) and a.data.status == "disabled" for a in received.arrivals)


def gather(evidence: Evidence, listener: Listener, witness: Witness) -> None:
    """Move what was received into the evidence."""
    received = listener.received
    evidence.alerts = received.alerts
    evidence.probes = list(witness.probes)
    evidence.named += [topic for topic, _ in witness.betrayals]
    evidence.stats = received.stats.get(DEVICE)
    evidence.erasures = received.erasures
    evidence.states = received.states
    evidence.watchlists = [a.data for a in received.arrivals if isinstance(a.data, WatchlistState)]


def keep_page_open(live: LiveLines) -> None:
    """Leave the page up for a moment; here Ctrl-C ends the wait, not the demo."""
    live.note(f"the page stays for {LINGER_S:g} s; Ctrl-C ends it now")
    try:
        time.sleep(LINGER_S)
    except KeyboardInterrupt:
        live.note("ending")


def audit_of(workspace: Workspace) -> tuple[bool, str]:
    """Whether the device's audit log is whole, by the key and the heads that the hub has kept."""
    heads = kept_heads(workspace.hub.root, DEVICE)
    if not heads:
        return False, "the hub has received no signed head"
    found = verify(workspace.state_dir / AUDIT, heads[0].key, heads)
    if found.broken is not None:
        return False, f"row {found.broken.row}: {found.broken.text}"
    text = f"{found.rows} rows, {len(heads)} signed heads at the hub, people balance in {found.counts} counts"
    return found.ok, text if found.ok else f"people do not balance in rows {found.unbalanced}"


def deployment_report(workspace: Workspace) -> str:
    """The hub's report of the deployment as text; says so when the hub counted nothing."""
    deployments = read_book(workspace.hub.report_file).deployments.values()
    return "\n\n".join(as_text(report_of(tally)) for tally in deployments) or "nothing was reported to the hub"


def leftovers_outside(
    before: dict[Path, tuple[int, int]], marks: list[Needle], folder: Path, keep: bool
) -> list[tuple[Path, str]]:
    """Personal data in files that are new or changed outside the private folder, and the folder itself.

    Any picture counts below the working folder; elsewhere, where other programs (and other runs) write too, only data
    with this run's mark.
    """
    found = [(folder, "the private folder is still there")] if folder.exists() and not keep else []
    after = changed(before, listing(OUTSIDE, NOT_OURS))
    touched = [p for p in after if not any(part.startswith(OTHER_RUNS) for part in p.parts)]
    here = [p for p in touched if Path.cwd() in p.parents and cache_dir() not in p.parents]
    return found + search(here, [picture(), *marks]) + search([p for p in touched if p not in here], marks)


def show(checks: list[Check], report: str, options: Options) -> None:
    """The report and the table of checks on stdout; as JSON when asked."""
    if options.json:
        print(json.dumps({"ok": all(c.holds for c in checks), "checks": [asdict(c) for c in checks]}))
        return
    if report:
        print(f"\n{report}")
    width = max(len(check.name) for check in checks)
    print("\nWhat was promised, checked from outside")
    for check in checks:
        print(f"  {'ok    ' if check.holds else 'FAILED'}  {check.name:{width}}  {check.found}")
    failed = [check.name for check in checks if not check.holds]
    print(f"\n{f'FAILED: {failed[0]}' if failed else 'All of it holds.'}")


def quieten_vendors() -> None:
    """Silence messages between the demo's own lines: sessions that end with the hub, OpenCV's hints."""
    logging.getLogger("device.edges.broker.paho").setLevel(logging.ERROR)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")


def lfr() -> str:
    """The command beside the Python that runs this."""
    return str(Path(sys.executable).with_name("lfr"))


def interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C: unwind everything; a second one does not interrupt that (rule 1)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("\nstopping and erasing", file=sys.stderr, flush=True)
    raise KeyboardInterrupt


def end_once(number: int, _frame: FrameType | None) -> None:
    """SIGTERM or a closed terminal: as Ctrl-C, with the exit status of that signal."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
