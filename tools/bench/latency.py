"""Latency from a frame to its alert at the hub: the whole product in real time, measured on the hub's side.

The clip is played at its own pace through worker, supervisor and a real broker with mutual TLS, on the demo's stage.
Two passages would make no percentile, so much of the crowd is listed too, each with the photo that the clip shows:
dozens of alerts in half a minute, more than any deployment would have.

From: the decoder's delivery of the frame that decided, by the monotonic clock that worker and supervisor share, so that
worker, link and supervisor all count. To: the arrival of the alert's first statement at a subscriber.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from device.alerts.messages import Alert, moment
from device.config.deployment import FILE, IDENTITY_FILE, WATCHLIST_FILE
from device.domain.finding import Mode
from device.errors import Unavailable
from tools.bench.product import lfr
from tools.clip.make import ClipTruth
from tools.demo.processes import Processes
from tools.demo.run import start_hub
from tools.demo.scratch import scratch_folder
from tools.demo.stage import (
    CATEGORY,
    RESPONSE,
    Stage,
    build_hub,
    deployment_document,
    write_device_config,
    write_private,
    write_yaml,
)
from tools.hub.folder import Entry
from tools.hub.listener import Heard, Listener
from tools.samples.extract import sample_files

LISTED_MOST = 60
"""People of the clip who are listed, in the order of their passages."""

AFTER_S = 60.0
"""Start, self-test and ending of the device, beyond the clip's length."""

ARRIVE_S = 3.0
"""What was sent last may arrive after the device has ended."""

NS_PER_MS = 1e6


def measure_latency(clip: Path, truth: ClipTruth) -> dict[str, Any]:
    """Play the clip once and time the alerts; raises Unavailable when the device does not run or raises no alert."""
    with scratch_folder() as folder, ExitStack() as stack:
        stage = build_hub(folder, 0, 0)
        processes = stack.enter_context(Processes(stage.logs))
        hub = start_hub(processes, stage, operator=True)
        shutil.copyfile(clip, stage.clip)
        publish(stage, photos_of(truth))
        listener = stack.enter_context(Listener(stage.hub, hub.broker_port))
        write_device_config(stage, hub.broker_port, realtime=True)
        device = processes.start("device", [lfr(), "run", "--config", str(stage.config)])
        deadline = time.monotonic() + truth.frames / truth.fps + AFTER_S
        while device.exit_status is None and time.monotonic() < deadline:
            time.sleep(0.2)
        listener.wait_for(lambda heard: heard.statuses[-1:] == ["stopped"], ARRIVE_S)
        late = latencies_ms(listener.heard)
        if not late:
            raise Unavailable(f"no alert reached the hub; the device said last:\n{device.last_lines()}")
        return summary(late)


def latencies_ms(heard: Heard) -> list[float]:
    """Of each alert's first statement: from the frame to its arrival here."""
    found = []
    for arrival in heard.first_alert_arrivals().values():
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
    """Photos of the people who pass, each once, in order; of the demo's listed person too."""
    known = {path.name: path for group in ("avatars", "public") for path in sample_files(group)}
    names = dict.fromkeys(p.photo for p in truth.passages if p.photo in known)
    return [known[name] for name in list(names)[:LISTED_MOST]]


def publish(stage: Stage, photos: list[Path]) -> None:
    """Enrol every photo as a person of its own, seal the list, write the deployment and the hub's references."""
    import pyrage

    from device.watchlist.folder import enrol
    from device.watchlist.sealed import compose, seal, sha256_of
    from device.worker.engine_room import EngineRoom
    from device.worker.photos import EnginePhotoReader
    from engines.cards import RECOGNISER_DEFAULT, card

    people, now = stage.root / "enrol", datetime.now(timezone.utc)
    for number, photo in enumerate(photos):
        (people / f"e-{number:03d}").mkdir(parents=True)
        shutil.copyfile(photo, people / f"e-{number:03d}" / photo.name)
        stage.hub.add_entry(f"e-{number:03d}", Entry(f"bench {number}", CATEGORY, RESPONSE), photo.read_bytes())
    room = EngineRoom(None, threads=os.cpu_count() or 1)
    try:
        enrolment = enrol(people, [EnginePhotoReader(room)], progress=False)
    finally:
        room.close()
        shutil.rmtree(people)
    identity = pyrage.x25519.Identity.generate()
    deployment_id, list_id = f"bench-{secrets.token_hex(4)}", f"wl-{secrets.token_hex(6)}"
    watchlist = compose(
        enrolment,
        watchlist_id=list_id,
        deployment_id=deployment_id,
        mode=Mode.DEMO,
        created_at=now,
        recogniser_sha256=card(RECOGNISER_DEFAULT).source.member_sha256,
        category=CATEGORY,
        image_source="sample photo",
    )
    sealed = seal(watchlist, [str(identity.to_public())])
    write_private(stage.deployment / WATCHLIST_FILE, sealed)
    write_private(stage.deployment / IDENTITY_FILE, f"{identity}\n".encode())
    reference: dict[str, object] = {"id": list_id, "sha256": sha256_of(sealed)}
    reference |= {"subjects": watchlist.subjects, "images": watchlist.images}
    document = deployment_document(stage, deployment_id, reference, now)
    write_yaml(stage.deployment / FILE, {**document, "max_watchlist_size": LISTED_MOST})
