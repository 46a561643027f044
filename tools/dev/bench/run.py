"""The bench: product and naive loop in turns on the same clip, cores, list size and threshold.

1. Each side runs in processes of its own, one after the other, never at once; every round has both, so that a machine
   that becomes slower is slower for both.
2. The product is timed as a whole over the whole clip. The naive loop would need a minute for that, so it gets
   stretches of the clip around the listed passages; accuracy is compared over these stretches. `naive_frames` 0 gives
   it the whole clip.
3. The list is filled to FILL with seeded synthetic templates on both sides: that costs what a long list costs, and
   does not affect accuracy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device.errors import EngineUnavailable
from tools.dev.bench.product import TIMEOUT_S, replay
from tools.dev.bench.score import Alert, score
from tools.dev.clip.make import ClipTruth
from tools.dev.clip.spec import write_watchlist

FILL = 1822
"""People on a long list: as many as the accuracy figures were measured with (1,822, LFW)."""

LEAD_IN = 8
"""Frames that a stretch begins before the listed passage does."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. naive_frames: in all rounds together; 0 for the whole clip."""

    clip: Path
    truth: ClipTruth
    rounds: int
    naive_frames: int
    fill: int
    threads: int
    options: tuple[str, ...] = ()


def compare(plan: Plan) -> dict[str, Any]:
    """Run all rounds; raises ReplayFailed or NaiveFailed when a side does not run."""
    windows = stretches(plan.truth, plan.naive_frames)
    shares = [windows] if not plan.naive_frames else [windows[n :: plan.rounds] for n in range(plan.rounds)]
    products, naives = [], []
    with tempfile.TemporaryDirectory(prefix="lfr-bench-") as scratch:
        watchlist = write_watchlist(Path(scratch) / "watchlist")
        for turn in range(plan.rounds):
            _print_line(f"round {turn + 1} of {plan.rounds}: lfr replay")
            products.append(replay(plan.clip, watchlist, ("--fill", str(plan.fill), "--quiet", *plan.options)))
            if turn < len(shares) and shares[turn]:
                _print_line(f"round {turn + 1} of {plan.rounds}: naive loop")
                naives.append(run_naive(plan, watchlist, shares[turn], products[-1]["threshold"]))
    product, naive = _product(plan, products), _naive_total(plan, naives)
    return {
        "product": product,
        "naive": naive,
        "ratio": round(product["fps"] / naive["fps"], 2) if naive["fps"] else None,
        "processor_ratio": _quotient(naive["processor_ms"], product["processor_ms"]),
        "same_frames": _same_frames(plan, windows, products[-1]["alerts"], [a for n in naives for a in n["alerts"]]),
    }


def stretches(truth: ClipTruth, frames: int) -> list[tuple[int, int]]:
    """[first, end) around each listed passage, together about `frames` long; the whole clip for 0."""
    listed = [p for p in truth.passages if p.listed]
    if frames <= 0 or frames >= truth.frames or not listed:
        return [(0, truth.frames if frames <= 0 or not listed else min(frames, truth.frames))]
    each, found = max(1, frames // len(listed)), []
    at = 0
    for passage in listed:
        first = max(at, passage.first - LEAD_IN)
        at = min(truth.frames, first + each)
        if at > first:
            found.append((first, at))
    return found


def in_view(truth: ClipTruth, windows: list[tuple[int, int]]) -> float:
    """Mean number of faces a frame that are at least a third visible, by ground truth."""
    shown = sum(end - first for first, end in windows)
    faces = (f for p in truth.passages for f in p.faces if f.visible > 1 / 3)
    return round(sum(any(first <= f.frame < end for first, end in windows) for f in faces) / max(1, shown), 2)


class NaiveFailed(EngineUnavailable):
    """The naive loop's process ended badly."""


def run_naive(plan: Plan, watchlist: Path, windows: list[tuple[int, int]], threshold: float) -> dict[str, Any]:
    """The naive loop over some stretches in a process of its own; raises NaiveFailed."""
    command = [sys.executable, "-m", "tools.dev.bench.naive", str(plan.clip), "--watchlist", str(watchlist)]
    command += ["--windows", ",".join(f"{first}-{end}" for first, end in windows), "--threshold", str(threshold)]
    command += ["--fill", str(plan.fill), "--threads", str(plan.threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise NaiveFailed(f"the naive loop ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _product(plan: Plan, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All rounds as one: rates over the sum of times, everything else from the last run (they decide alike)."""
    last = runs[-1]
    found = score(plan.truth, (Alert(a["entry"], a["frame"], a["score"]) for a in last["alerts"]))
    return {
        "fps": round(sum(r["frames"] for r in runs) / sum(r["seconds"] for r in runs), 1),
        "fps_rounds": [r["fps"] for r in runs],
        "processor_ms": _quotient(1e3 * sum(r["processor_s"] for r in runs), sum(r["frames"] for r in runs)),
        "frames": last["frames"],
        "faces_seen": last["faces_seen"],
        "templates": last["templates"],
        "templates_per_person": round(last["templates"] / max(1, last["faces_seen"]), 2),
        "listed": found.listed,
        "found": found.found,
        "false_alerts": len(found.false_alerts),
        "duplicates": found.duplicates,
        "threshold": last["threshold"],
        "threshold_source": last["threshold_source"],
        "stages_ms": last["stages_ms"],
        "backend": last["backend"],
        "peak_rss_mb": max(r["peak_rss_mb"] for r in runs),
    }


def _naive_total(plan: Plan, runs: list[dict[str, Any]]) -> dict[str, Any]:
    frames, seconds = sum(r["frames"] for r in runs), sum(r["seconds"] for r in runs)
    return {
        "fps": round(frames / seconds, 2) if seconds else 0.0,
        "fps_rounds": [round(r["fps"], 2) for r in runs],
        "processor_ms": _quotient(1e3 * sum(r["processor_s"] for r in runs), frames),
        "frames": frames,
        "faces_per_frame": round(sum(r["templates"] for r in runs) / max(1, frames), 2),
        "templates": sum(r["templates"] for r in runs),
        "tracks": sum(r["tracks"] for r in runs),
        "threads": plan.threads,
        "peak_rss_mb": max((r["peak_rss_mb"] for r in runs), default=0),
    }


def _quotient(value: float | None, by: float | None) -> float | None:
    return round(value / by, 2) if value is not None and by else None


def _same_frames(
    plan: Plan, windows: list[tuple[int, int]], product: list[dict[str, Any]], naive: list[dict[str, Any]]
) -> dict[str, Any]:
    """Both sides' alerts within the stretches that the naive loop saw."""
    result: dict[str, Any] = {"stretches": windows, "faces_in_view": in_view(plan.truth, windows)}
    for name, alerts in (("product", product), ("naive", naive)):
        inside = [a for a in alerts if any(first <= a["frame"] < end for first, end in windows)]
        found = score(plan.truth, (Alert(a["entry"], a["frame"], a["score"]) for a in inside))
        result[name] = {
            "found": found.found,
            "false_alerts": len(found.false_alerts),
            "duplicates": found.duplicates,
        }
    return result


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
