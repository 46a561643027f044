"""What a worker's stand-ins say on the link, in one place: `from tests.sample_worker import …`.

Three programs stand in for a worker, each for what it tests: `sim/workers.py` in virtual time,
`system/emulated_worker.py` with a real list, `unit/supervisor/scripted_worker.py` that misbehaves. Their candidates,
and those of `system/hub_kills_device.py`, are `sample_alerts.a_candidate`.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from device.domain.finding import Counters
from device.wire.link import PROTOCOL, Beat, Hello, WatchlistLoaded

PROTECTIONS = dict.fromkeys(("core_limit_0", "memory_locked", "no_file_writes", "not_dumpable"), True)


def a_hello(**changes: Any) -> Hello:
    """Its first message: engines that agree with the reference, and every protection."""
    fields: dict[str, Any] = {
        "protocol": PROTOCOL,
        "pid": os.getpid(),
        "backend": "none",
        "detector": "d",
        "recogniser": "r",
        "detector_sha256": "b" * 64,
        "recogniser_sha256": "b" * 64,
        "self_test": "",
        "protections": PROTECTIONS,
    }
    return Hello(**{**fields, **changes})


def an_open_list(**changes: Any) -> WatchlistLoaded:
    """A list of three with an operating point from evidence."""
    fields: dict[str, Any] = {
        "watchlist_id": "wl-1",
        "sha256": "a" * 64,
        "subjects": 3,
        "images": 3,
        "threshold": 0.5,
        "threshold_source": "evidence",
        "predicted_far": 1e-4,
        "predicted_far_bound": 1e-3,
    }
    return WatchlistLoaded(**{**fields, **changes})


def a_beat(seq: int, counters: Counters, **changes: Any) -> Beat:
    """A beat of a camera that delivers, with the counters as they are now."""
    fields: dict[str, Any] = {"camera": "online", "fps": 25.0, "stage_p95_ms": {}, "rss_bytes": 1, "size": (1280, 720)}
    return Beat(seq=seq, counters=msgspec.structs.replace(counters), **{**fields, **changes})
