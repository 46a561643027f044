"""`lfr clip make`: a seeded crowd clip with ground truth."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `clip`."""
    verbs = commands.add_parser("clip", help="seeded crowd clips with ground truth").add_subparsers(
        metavar="VERB", required=True
    )
    make = verbs.add_parser("make", help="make a clip, or print its path in the cache")
    make.add_argument("--seed", type=int, default=3)
    make.add_argument("--seconds", type=float, default=30.0)
    make.add_argument("--size", default="1280x720", metavar="WxH", help="even numbers; portrait where H is larger")
    make.add_argument("--fps", type=int, default=25)
    make.add_argument("--in-view", default="6-8", metavar="LEAST-MOST", help="people in view at a time")
    make.add_argument("--out", type=Path, help="file to write; the cache when left out")
    make.add_argument("--watchlist", type=Path, metavar="DIR", help="also write the folder to enrol from")
    make.add_argument("--json", action="store_true", help="the result as one JSON object")
    make.set_defaults(run=run_make)


def run_make(args: argparse.Namespace) -> int:
    """Make the clip and print the paths of it and its ground truth."""
    from tools.dev.clip.make import make_clip, ready_clip, truth_file
    from tools.dev.clip.spec import default_spec, write_watchlist

    try:
        width, height = (int(part) for part in args.size.split("x"))
        least, most = (int(part) for part in args.in_view.split("-"))
        spec = replace(
            default_spec(args.seed, args.seconds), width=width, height=height, fps=args.fps, in_view=(least, most)
        )
    except ValueError as fault:
        from device.errors import UsageError

        raise UsageError(f"lfr clip make: {fault}") from fault
    path, truth = (args.out, make_clip(spec, args.out)) if args.out else ready_clip(spec)
    if args.watchlist:
        write_watchlist(args.watchlist)
    listed = sum(passage.listed for passage in truth.passages)
    result = {
        "clip": str(path),
        "truth": str(truth_file(path)),
        "frames": truth.frames,
        "passages": len(truth.passages),
        "listed_passages": listed,
    }
    print(json.dumps(result) if args.json else "\n".join(f"{key:16}{value}" for key, value in result.items()))
    return 0
