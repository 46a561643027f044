"""Latency from a frame to its alert at the hub: the whole product in real time, measured on the hub's side.

The clip is played at its own pace through worker, supervisor and a real broker with mutual TLS, in a demo workspace.
The list is signed as any other and holds the ten people that a demonstration may, each with the photo that the clip
shows; two passages would make no percentile, so in the bench's clip those ten appear repeatedly: dozens of alerts in
half a minute, more than any deployment would have. In another clip it is the first ten who pass.

From: the decoder's delivery of the frame that decided, by the monotonic clock that worker and supervisor share, so that
worker, link and supervisor all count. To: the arrival of the alert's first revision at a subscriber.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from device.config.deployment import UNOFFICIAL_MOST
from device.errors import Unavailable
from device.hub_api.messages import Alert, moment
from tools.dev.bench.product import lfr
from tools.dev.clip.make import ClipTruth
from tools.dev.demo.processes import Processes
from tools.dev.demo.run import start_hub
from tools.dev.demo.scratch import scratch_folder
from tools.dev.demo.signed import publish_people
from tools.dev.demo.workspace import build_hub, write_device_config
from tools.dev.samples.extract import sample_files
from tools.hub.broker.listener import Listener, Received

AFTER_S = 60.0
"""Start, self-test and ending of the device, beyond the clip's length."""

ARRIVE_S = 3.0
"""What was sent last may arrive after the device has ended."""

NS_PER_MS = 1e6


def measure_latency(clip: Path, truth: ClipTruth) -> dict[str, Any]:
    """Play the clip once and time the alerts; raises Unavailable when the device does not run or raises no alert."""
    with scratch_folder() as folder, ExitStack() as stack:
        workspace = build_hub(folder, 0, 0)
        processes = stack.enter_context(Processes(workspace.logs))
        hub = start_hub(processes, workspace, operator=True)
        shutil.copyfile(clip, workspace.clip)
        publish_people(workspace, {f"e-{n:03d}": [photo] for n, photo in enumerate(photos_of(truth))})
        listener = stack.enter_context(Listener(workspace.hub, hub.broker_port))
        write_device_config(workspace, hub.broker_port, realtime=True, repository_port=hub.repository_port)
        device = processes.start("device", [lfr(), "run", "--config", str(workspace.config)])
        deadline = time.monotonic() + truth.frames / truth.fps + AFTER_S
        while device.exit_status is None and time.monotonic() < deadline:
            time.sleep(0.2)
        listener.wait_for(lambda received: received.statuses[-1:] == ["stopped"], ARRIVE_S)
        late = latencies_ms(listener.received)
        if not late:
            raise Unavailable(f"no alert reached the hub; the last lines of its log:\n{device.last_lines()}")
        return summary(late)


def latencies_ms(received: Received) -> list[float]:
    """Of each alert's first revision: from the frame to its arrival here."""
    found = []
    for arrival in received.first_alert_arrivals().values():
        if isinstance(arrival.data, Alert):
            captured_ns = moment(arrival.data.captured_at).timestamp() * 1e9
            found.append((arrival.wall_ns - captured_ns) / NS_PER_MS)
    return found


def summary(late: list[float]) -> dict[str, Any]:
    """Percentiles; with n alerts the 99th is the largest for n up to 100."""
    return {
        "alerts": len(late),
        "p50_ms": round(float(np.percentile(late, 50)), 1),
        "p95_ms": round(float(np.percentile(late, 95, method="higher")), 1),
        "p99_ms": round(float(np.percentile(late, 99, method="higher")), 1),
        "max_ms": round(max(late), 1),
    }


def photos_of(truth: ClipTruth) -> list[Path]:
    """Photos of the first people who pass, each once, as many as a demonstration may list."""
    known = {path.name: path for group in ("avatars", "public") for path in sample_files(group)}
    names = dict.fromkeys(p.photo for p in truth.passages if p.photo in known)
    return [known[name] for name in list(names)[:UNOFFICIAL_MOST]]
