"""The whole device over the canary clip: nothing of the passers-by in the worker, the supervisor, the broker, on disk.

The worker's memory is opened while it starts; as another user than root that must happen before its lock-down, and
where it cannot be opened the test fails.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.worker.engine_room import EngineRoom
from tools.clip.make import ClipTruth
from tools.clip.spec import watchlist_photos
from tools.demo.processes import Processes, Running
from tools.demo.run import lfr, start_hub
from tools.demo.signed import publish_signed
from tools.demo.stage import Stage, build_hub, write_device_config
from tools.hub.mosquitto import free_port, start_broker
from tools.proof.canaries import FIRST, SECOND, Wanted, canary_clip, wanted_of
from tools.proof.glass import Glass, Region
from tools.proof.search import WORD, Hit, Pieces, find_alike

LIMIT_S = 120.0
BROKER_BYTES = 200_000  # mosquitto is a small program
ENDS_S, AFTER_S = 2.0, 1.0


@pytest.fixture(scope="module")
def canaries(models_ready: Path) -> tuple[Path, ClipTruth, Wanted]:
    clip, truth = canary_clip()
    room = EngineRoom("auto", threads=1)
    try:
        return clip, truth, wanted_of(clip, truth, room)
    finally:
        room.close()


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


def glass_of(pid: int, word: str, device: Running) -> Glass:
    """The memory of that process, opened as soon as there is one."""
    deadline = time.monotonic() + LIMIT_S
    while (found := child_of(pid, word)) is None:
        device.check()
        assert time.monotonic() < deadline, device.last_lines()
    return Glass(found)


def wait_for(stage: Stage, device: Running, what: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        device.check()
        assert time.monotonic() < deadline, device.last_lines()
        try:
            if what(json.loads((stage.run_dir / "status.json").read_text())):
                return
        except FileNotFoundError:
            os.sched_yield()


def wait_for_frame(stage: Stage, device: Running, frame: int) -> None:
    """Until so many frames are decoded, as the device's status file tells."""
    wait_for(stage, device, lambda status: status["counters"]["frames"] >= frame)


def files_below(root: Path, *, but: Path) -> list[Region]:
    """Every file as a region, so that files are searched as memory is."""
    regions = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path != but:
            content = path.read_bytes()
            padded = content + bytes(-len(content) % WORD)
            regions.append(Region(0, str(path), np.frombuffer(padded, np.uint8)))
    return regions


def test_nothing_of_passers_by_is_left_in_any_process_or_on_disk(
    canaries: tuple[Path, ClipTruth, Wanted], tmp_path: Path
) -> None:
    clip, truth, wanted = canaries
    pieces = Pieces(wanted.pieces)
    templates = [pattern for pattern in wanted.patterns if pattern.what == "template"]
    port = free_port()
    stage = build_hub(tmp_path, port, 0)
    shutil.copy(clip, stage.clip)
    publish_signed(stage, next(iter(watchlist_photos().values())), "Listed person")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    found: dict[str, list[Hit]] = {}
    broker = start_broker(stage.hub, port)
    try:
        with Processes(stage.logs) as processes:
            hub = start_hub(processes, stage, operator=True, own_broker=False)
            write_device_config(stage, port, realtime=True, repository_port=hub.repository_port)
            running = [lfr(), "run", "--config", str(stage.config)]
            device = processes.start("device", running, {"TMPDIR": str(temporary)})
            worker = glass_of(device.process.pid, "device.worker", device)
            supervisor = Glass(device.process.pid)  # not earlier: the leash becomes the device by exec
            first, second = truth.passages
            moments = {
                "in view": (first.first + first.last) // 2,
                "forgotten": first.last + round((ENDS_S + AFTER_S) * truth.fps),
                "all forgotten": second.last + round((ENDS_S + AFTER_S) * truth.fps),
            }
            wait_for(stage, device, lambda status: status["state"] == "recognising")
            copied = {}
            for moment, frame in moments.items():
                wait_for_frame(stage, device, frame)
                copied[moment] = (worker.copy(), supervisor.copy())
            assert Path(f"/proc/{worker.pid}/status").read_text().split("VmSwap:")[1].split()[0] == "0"
            assert device.process.wait(LIMIT_S) == 0, device.last_lines()
            with_glass = Glass(broker.pid)
            found["broker"] = pieces.find(with_glass.copy(least_bytes=BROKER_BYTES))
    finally:
        broker.stop()
    for moment, (of_worker, of_supervisor) in copied.items():
        found[f"worker, {moment}"] = pieces.find(of_worker)
        found[f"supervisor, {moment}"] = pieces.find(of_supervisor) + find_alike(of_supervisor, templates)
    found["disk"] = pieces.find(files_below(tmp_path, but=stage.clip))
    assert {hit.whose for hit in found.pop("worker, in view")} == {FIRST}, "the search cannot see"
    assert {hit.whose for hit in found.pop("worker, forgotten")} <= {SECOND}
    assert {place: hits[:3] for place, hits in found.items() if hits} == {}
