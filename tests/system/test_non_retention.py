"""The whole device over the canary clip: nothing of the passers-by in the worker, the supervisor, the broker, on disk.

The worker's memory is opened while it starts; as another user than root that must happen before its lock-down, and
where it cannot be opened the test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.dev.clip.make import ClipTruth
from tools.dev.clip.spec import watchlist_photos
from tools.dev.demo.processes import Processes, Running
from tools.dev.demo.run import lfr, start_hub
from tools.dev.demo.signed import publish_signed
from tools.dev.demo.workspace import Workspace, build_hub, write_device_config
from tools.dev.proof.canaries import FIRST, SECOND, Wanted
from tools.dev.proof.disks import PLACES, Disks, below
from tools.dev.proof.process_memory import NoView, ProcessMemory, Region
from tools.dev.proof.search import Hit, Piece, Pieces, find_alike
from tools.hub.broker.mosquitto import free_port, start_broker

LIMIT_S = 600.0
BROKER_BYTES = 200_000  # mosquitto is a small program
ENDS_S, AFTER_S = 2.0, 1.0
TRIES = 3


def child_of(pid: int, word: str) -> int | None:
    """The process below `pid` whose command line has `word`."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(") ")[2].split()
            parents[int(process.name)] = (int(fields[1]), (process / "cmdline").read_bytes().decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    below, more = {pid}, True
    while more:  # numbers wrap around: a child's may be lower than its parent's
        new = {child for child, (parent, _) in parents.items() if parent in below} - below
        below, more = below | new, bool(new)
    return next((child for child in below - {pid} if word in parents[child][1]), None)


def glass_of(pid: int, word: str, device: Running) -> ProcessMemory:
    """The memory of that process, opened as soon as there is one."""
    deadline = time.monotonic() + LIMIT_S
    while (found := child_of(pid, word)) is None:
        device.check()
        assert time.monotonic() < deadline, device.last_lines()
    return ProcessMemory(found)


def wait_for(workspace: Workspace, device: Running, what: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        device.check()
        assert time.monotonic() < deadline, device.last_lines()
        try:
            if what(status_of(workspace)):
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)


def status_of(workspace: Workspace) -> dict[str, Any]:
    """The device's status file."""
    found: dict[str, Any] = json.loads((workspace.run_dir / "status.json").read_text())
    return found


def wait_for_frame(workspace: Workspace, device: Running, frame: int) -> None:
    """Until so many frames are decoded, by the device's status file."""
    wait_for(workspace, device, lambda status: status["counters"]["frames"] >= frame)


def controls(piece: Piece) -> Iterator[Path]:
    """Write the face into a file of each searched place, where the search must find it."""
    files = [place / f"lfr-proof-control-{os.getpid()}" for place in PLACES if os.access(place, os.W_OK)]
    try:
        for file in files:
            file.write_bytes(b"x" * 13 + piece.content)
        yield from files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


class Late(Exception):
    """This machine was busy with others, and the clip went on meanwhile."""


@dataclass
class Memories:
    """Copies of memory: of worker and supervisor at each moment, and of the broker in the end."""

    at: dict[str, tuple[list[Region], list[Region]]] = field(default_factory=dict)
    broker: list[Region] = field(default_factory=list)


def walked_by(folder: Path, clip: Path, truth: ClipTruth) -> Memories:
    """A whole device over the clip, with its hub and broker below `folder`."""
    folder.mkdir()
    port = free_port()
    workspace = build_hub(folder, port, 0)
    assert workspace.clip == folder / "clip.mp4"
    shutil.copy(clip, workspace.clip)
    publish_signed(workspace, next(iter(watchlist_photos().values())), "Listed person")
    temporary = folder / "tmp"
    temporary.mkdir()
    found = Memories()
    broker = start_broker(workspace.hub, port)
    try:
        with Processes(workspace.logs) as processes:
            hub = start_hub(processes, workspace, operator=True, own_broker=False)
            write_device_config(workspace, port, realtime=True, repository_port=hub.repository_port)
            running = [lfr(), "run", "--config", str(workspace.config)]
            device = processes.start("device", running, {"TMPDIR": str(temporary)})
            worker = glass_of(device.process.pid, "device.worker", device)
            supervisor = ProcessMemory(device.process.pid)  # not earlier: the starter becomes the device by exec
            wait_for(workspace, device, lambda status: status["state"] == "recognising")
            for moment, (frame, most) in moments(truth).items():
                wait_for_frame(workspace, device, frame)
                try:
                    swapped = Path(f"/proc/{worker.pid}/status").read_text().split("VmSwap:")[1].split()[0]
                    found.at[moment] = (standing_still(worker), supervisor.copy())
                except (FileNotFoundError, IndexError, NoView, ProcessLookupError) as over:
                    raise Late("the clip is over") from over
                assert swapped == "0"
                if (now := status_of(workspace)["counters"]["frames"]) > most:
                    raise Late(f"{moment}: at frame {now}, of {most}")
            assert device.process.wait(LIMIT_S) == 0, device.last_lines()
            found.broker = ProcessMemory(broker.pid).copy(least_bytes=BROKER_BYTES)
    finally:
        broker.stop()
    return found


def standing_still(worker: ProcessMemory) -> list[Region]:
    """A copy of memory in which nothing goes on meanwhile."""
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        return worker.copy()
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def moments(truth: ClipTruth) -> dict[str, tuple[int, int]]:
    """The frame from which each moment is, and the last one that a status (a second old at most) may have after it."""
    first, second = truth.passages
    return {
        "in view": ((first.first + first.last) // 2, first.last + round((ENDS_S - 1.2) * truth.fps)),
        "forgotten": (first.last + round((ENDS_S + AFTER_S) * truth.fps), truth.frames),
        "all forgotten": (second.last + round((ENDS_S + AFTER_S) * truth.fps), truth.frames),
    }


def walked_by_in_time(folder: Path, clip: Path, truth: ClipTruth) -> Memories:
    for attempt in range(TRIES - 1):
        with contextlib.suppress(Late):
            return walked_by(folder / f"try-{attempt}", clip, truth)
    return walked_by(folder / "last-try", clip, truth)


def test_nothing_of_passers_by_is_left_in_any_process_or_on_disk(
    canaries: tuple[Path, ClipTruth, Wanted], tmp_path: Path
) -> None:
    clip, truth, wanted = canaries
    pieces = Pieces(wanted.pieces)
    templates = [pattern for pattern in wanted.patterns if pattern.what == "template"]
    clips = [tmp_path / name / "clip.mp4" for name in (*(f"try-{n}" for n in range(TRIES)), "last-try")]
    disks = Disks(but=clips)
    memories = walked_by_in_time(tmp_path, clip, truth)
    found: dict[str, list[Hit]] = {"broker": pieces.find(memories.broker)}
    for moment, (of_worker, of_supervisor) in memories.at.items():
        found[f"worker, {moment}"] = pieces.find(of_worker)
        found[f"supervisor, {moment}"] = pieces.find(of_supervisor) + find_alike(of_supervisor, templates)
    found["own folders"] = pieces.find(below(tmp_path, but=clips))
    found["machine"] = pieces.find(disks.written())
    assert disks.unread == []
    assert {hit.whose for hit in found.pop("worker, in view")} == {FIRST}, "the search cannot see"
    assert {hit.whose for hit in found.pop("worker, forgotten")} <= {SECOND}
    assert {place: hits[:3] for place, hits in found.items() if hits} == {}


def test_the_search_of_the_machine_finds_a_face_in_each_place(canaries: tuple[Path, ClipTruth, Wanted]) -> None:
    _, _, wanted = canaries
    one = wanted.pieces[len(wanted.pieces) // 2]
    disks = Disks()
    for file in controls(one):
        hits = [hit for hit in Pieces([one]).find(disks.written()) if hit.region == str(file)]
        assert [hit.address for hit in hits] == [13], file
