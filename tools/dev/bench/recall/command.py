"""`lfr bench recall`: arguments, and what is printed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def register(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the part `recall`."""
    recall = parts.add_parser("recall", help="who is found, beside the naive loop, on labelled clips")
    recall.add_argument(
        "clips", nargs="*", type=Path, help="folders with clip, list and truth.json (README); none: drawn"
    )
    recall.add_argument("--drawn", action="store_true", help="drawn clips beside the folders that are given")
    recall.add_argument("--people", type=Path, metavar="DIR", help="draw people of this folder (one folder a person)")
    recall.add_argument(
        "--list-from", type=Path, action="append", default=[], metavar="DIR", help="more people to list"
    )
    recall.add_argument("--listed", type=int, default=0, metavar="N", help="entries on the list, filled up with others")
    recall.add_argument(
        "--shapes",
        default="720p,1080p,portrait",
        help="of the drawn clips; also walk-720p, walk-1080p, walk-portrait, near-... and clear-... (README)",
    )
    recall.add_argument("--seeds", default="1,2", help="numbers, comma-separated; each gives one clip of each shape")
    recall.add_argument("--seconds", type=float, default=15.0, help="length of a drawn clip (15)")
    recall.add_argument("--threshold", type=float, help="instead of the device's own for this list")
    recall.add_argument("--evidence", type=Path, metavar="FILE", help="the operating point's evidence, as lfr replay")
    recall.add_argument("--evidence-keys", type=Path, metavar="DIR", help="keys that may have signed it")
    recall.add_argument(
        "--share", type=float, default=0.01, help="of strangers who may alert, for the equal rate (.01)"
    )
    recall.add_argument(
        "--same-threshold-only", action="store_true", help="leave out the equal rate: no clip is run again"
    )
    recall.add_argument(
        "--naive-every", type=int, default=1, metavar="N", help="the naive loop sees one frame in N (1)"
    )
    recall.add_argument("--backend", help="as lfr replay")
    recall.add_argument("--recogniser", metavar="NAME", help="as lfr replay")
    recall.add_argument("--screen", metavar="NAME", help="as lfr replay: both sides decide with the pair")
    recall.add_argument("--json", action="store_true", help="one JSON object on stdout instead of the table")
    recall.add_argument("--rotate", action="store_true", help="list half of those shown, then the other half")
    recall.add_argument(
        "--pool", nargs="+", type=Path, metavar="FILE", help="no run: the tables of what --json printed, together"
    )
    recall.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit 1 when a band of ten passages or more is below the naive loop."""
    from tools.dev.bench.recall.table import render, summary

    if args.pool:
        from tools.dev.bench.recall.pool import pooled

        result = pooled(args.pool)
    else:
        result = _measured(args)
    result = {**result, **summary(result)}
    print(json.dumps(result) if args.json else render(result))
    if not result["met"]:
        print("lfr bench recall: a band is below the naive loop", file=sys.stderr)
    return 0 if result["met"] else 1


def _measured(args: argparse.Namespace) -> dict[str, Any]:
    """The clips that the arguments name or draw, measured on this machine."""
    from device.errors import BadData, UsageError

    if args.naive_every < 1 or not 0 <= args.share < 1:
        raise UsageError("lfr bench recall: --naive-every is at least 1, --share at least 0 and below 1")
    try:
        seeds = tuple(int(seed) for seed in args.seeds.split(","))
    except ValueError as fault:
        raise UsageError(f"lfr bench recall: --seeds {args.seeds}: whole numbers, comma-separated") from fault
    from device.edges.sandbox.hardening import forbid_dumps

    forbid_dumps()
    from device.cli.replay_command import cache_file
    from device.recognition.replay import cache_at
    from tools.dev.bench.machine import describe
    from tools.dev.bench.recall.cases import Cases, Drawing, add_drawn, add_folder, avatars, fill, folder_of, rotated
    from tools.dev.bench.recall.run import Terms, measure

    cases, shown = Cases(), set()
    for folder in args.clips:
        add_folder(cases, folder)
    if args.drawn or not args.clips:
        shown = add_drawn(cases, Drawing(tuple(args.shapes.split(",")), seeds, args.seconds, args.people))
    own = [folder_of(args.people)] if args.people else []
    fill(cases, args.listed, [*own, *map(folder_of, args.list_from), avatars()], shown)
    if not cases.cases:
        raise BadData("lfr bench recall: no clip is labelled in what was given")
    if not cases.enrol:
        raise UsageError("lfr bench recall: nobody is listed; give photos in list/, or --listed with --list-from")
    terms = Terms(
        backend=args.backend,
        recogniser=args.recogniser,
        screen=args.screen,
        threshold=args.threshold,
        evidence=args.evidence,
        evidence_keys=args.evidence_keys,
        every=args.naive_every,
        share=None if args.same_threshold_only else args.share,
    )
    cache = cache_at(cache_file(), args.backend, recogniser=args.recogniser, screen=args.screen)
    try:
        return {"machine": describe(), **measure(rotated(cases) if args.rotate else [cases], terms, cache)}
    finally:
        cache.close()
