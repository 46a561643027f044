"""`python -m tools.dev.bench.sweep`: run `lfr replay` on many different clips and score each against its ground truth.

Clips are made once and cached. With `--people DIR` (one folder a person, the layout of LFW) listed people are shown
with another photo than the enrolled one; the numbers then say more than the few public portraits can.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from device.errors import LfrError
from tools.dev.bench.naive import Naive
from tools.dev.bench.product import replay
from tools.dev.bench.run import Plan, run_naive
from tools.dev.bench.score import Alert, Score, score
from tools.dev.bench.variants import SHAPES, Variant, variants
from tools.dev.clip.make import ClipTruth, PassageTruth, ready_clip
from tools.dev.clip.spec import write_watchlist

HEAD = ("clip", "listed", "sound", "false", "dupl", "delay", "fps", "seen/true", "templ", "rss")


def main(argv: list[str] | None = None) -> int:
    """Run the sweep; exit status 0 whatever the scores are, an error's own otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tools.dev.bench.sweep", description=__doc__)
    parser.add_argument("--shapes", default="hd,portrait,small,dense,far,rough", help=f"of: {','.join(SHAPES)}")
    parser.add_argument("--seeds", default="21,22", help="numbers, comma-separated")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--people", type=Path, help="folder with one folder of photos a person")
    parser.add_argument("--listed", type=int, default=8, help="how many of --people are listed in each clip")
    parser.add_argument("--naive", action="store_true", help="the naive loop on the same clips too (slow)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--only-make", action="store_true", help="only make the clips, do not run the product")
    parser.add_argument("options", nargs="*", help="after --: passed on to lfr replay")
    args = parser.parse_args(argv)
    try:
        wanted = variants(
            args.shapes.split(","), [int(s) for s in args.seeds.split(",")], args.seconds, args.people, args.listed
        )
        rows = []
        for variant in wanted:
            clip, truth = ready_clip(variant.spec)
            if not args.only_make:
                rows.append(_run(variant, clip, truth, args))
                if not args.json:
                    _print_row(rows[-1], head=len(rows) == 1)
    except LfrError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_status
    if args.json:
        print(json.dumps({"clips": rows, "total": _total(rows)}))
    elif rows:
        print("total   ", "  ".join(f"{key} {value}" for key, value in _total(rows).items()))
    return 0


def _run(variant: Variant, clip: Path, truth: ClipTruth, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lfr-sweep-") as scratch:
        watchlist = write_watchlist(Path(scratch) / "watchlist", variant.enrol)
        said = replay(clip, watchlist, args.options)
        plan = Plan(clip, truth, rounds=1, naive_frames=0, fill=0, threads=2)
        naive = run_naive(plan, watchlist, [(0, truth.frames)], said["threshold"]) if args.naive else None
    result = score(truth, (Alert(a["entry"], a["frame"], a["score"]) for a in said["alerts"]))
    row = {
        "clip": variant.name,
        "file": str(clip),
        "passages": sum(any(f.visible > 0.6 and f.box[3] - f.box[1] >= 32 for f in p.faces) for p in truth.passages),
        **_numbers(result, variant),
        **{key: said[key] for key in ("fps", "faces_seen", "templates", "threshold", "peak_rss_mb", "stages_ms")},
    }
    if naive:
        other = score(truth, (Alert(a["entry"], a["frame"], a["score"]) for a in naive["alerts"]))
        row["naive"] = {**_numbers(other, variant), "fps": round(naive["fps"], 2)}
    return row


def _numbers(result: Score, variant: Variant) -> dict[str, Any]:
    return {
        "listed": result.listed,
        "found": result.found,
        "sound": result.sound,
        "sound_found": result.sound_found,
        "duplicates": result.duplicates,
        "false_alerts": [f"{a.entry} at frame {a.frame}, {a.score:.3f}" for a in result.false_alerts],
        "missed": [_about(passage, variant) for passage in result.missed],
        "delay_frames_p50": float(np.median(result.delays)) if result.delays else None,
    }


def _about(passage: PassageTruth, variant: Variant) -> str:
    """A missed passage, and the cosine of its photos: below the threshold it could not have been found."""
    shown = next(p.photo for p in variant.spec.listed if (p.person, p.photo.name) == (passage.person, passage.photo))
    alike = max(Naive(1.0, 2).likeness(shown, photo) for photo in variant.enrol[passage.person])
    frames = f"frames {passage.first}-{passage.last}, sound {passage.sound_frames()}"
    return f"{passage.person} ({passage.photo}) {frames}, photos alike {alike:.3f}"


def _print_row(row: dict[str, Any], head: bool) -> None:
    if head:
        print(f"{HEAD[0]:14}" + "".join(f"{name:>10}" for name in HEAD[1:]))
    cells = (
        f"{row['found']}/{row['listed']}",
        f"{row['sound_found']}/{row['sound']}",
        len(row["false_alerts"]),
        row["duplicates"],
        "-" if row["delay_frames_p50"] is None else f"{row['delay_frames_p50']:.0f}",
        f"{row['fps']:.0f}",
        f"{row['faces_seen']}/{row['passages']}",
        row["templates"],
        row["peak_rss_mb"],
    )
    print(f"{row['clip']:14}" + "".join(f"{cell!s:>10}" for cell in cells), flush=True)
    for who, side in (("", row), ("naive: ", row.get("naive", {}))):
        for line in side.get("missed", []):
            print(f"    {who}missed  {line}")
        for line in side.get("false_alerts", []):
            print(f"    {who}FALSE   {line}")


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(row[key] for row in rows) for key in ("listed", "found", "sound", "sound_found", "duplicates")}
    total["false_alerts"] = sum(len(row["false_alerts"]) for row in rows)
    if any("naive" in row for row in rows):
        total["naive_found"] = sum(row["naive"]["found"] for row in rows)
        total["naive_false_alerts"] = sum(len(row["naive"]["false_alerts"]) for row in rows)
    total["fps_median"] = round(float(np.median([row["fps"] for row in rows])), 1) if rows else 0
    return total


if __name__ == "__main__":
    sys.exit(main())
