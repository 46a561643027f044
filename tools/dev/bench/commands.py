"""`lfr bench`: the fixed clip, the product beside the naive loop, and the latency to the hub.

`lfr bench engines`: the speed of precisions and batches on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.dev.bench.camera_faults import command as camera_faults_command
from tools.dev.bench.recall import command as recall_command


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `bench`."""
    bench = commands.add_parser("bench", help="measure this machine on a fixed clip, beside the naive loop")
    bench.add_argument("--json", action="store_true", help="one JSON object on stdout instead of the table")
    bench.add_argument("--clip", type=Path, help="a clip with its ground truth beside it, instead of the fixed one")
    bench.add_argument("--rounds", type=int, default=2, help="turns of product and naive loop (default 2)")
    bench.add_argument("--naive-frames", type=int, default=150, help="frames for the naive loop in all; 0: all")
    bench.add_argument("--fill", type=int, default=1822, help="people listed, filled up with synthetic templates")
    bench.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    bench.add_argument("--backend", help="passed on to lfr replay")
    bench.add_argument("--screen", metavar="NAME", help="passed on to lfr replay, the pair; not timed to the hub")
    bench.add_argument("--no-latency", action="store_true", help="leave out the run in real time through the broker")
    bench.set_defaults(run=run_bench)
    parts = bench.add_subparsers(metavar="[PART]", help="one part alone (the whole bench)")
    engines = parts.add_parser("engines", help="what fp16, int8, bf16 and batches buy on this machine, as ratios")
    engines.add_argument("--threads", type=int, default=1, help="inference threads of each (1)")
    engines.add_argument("--rounds", type=int, default=20, help="timed calls of each, in turns (20)")
    engines.add_argument("--json", action="store_true", help="one JSON object on stdout")
    engines.set_defaults(run=run_engines)
    recall_command.register(parts)
    camera_faults_command.register(parts)


def run_bench(args: argparse.Namespace) -> int:
    """Measure and print; exit 0 whatever the numbers are."""
    from device.errors import UsageError
    from tools.dev.bench.latency import measure_latency
    from tools.dev.bench.machine import describe, keep_to_cores
    from tools.dev.bench.run import Plan, compare, in_view
    from tools.dev.bench.table import render
    from tools.dev.clip.make import read_truth, ready_clip
    from tools.dev.clip.spec import bench_spec, latency_spec

    if args.rounds < 1 or args.cores < 1:
        raise UsageError("lfr bench: --rounds and --cores are at least 1")
    machine = describe()
    cores = keep_to_cores(args.cores)
    clip, truth = (args.clip, read_truth(args.clip)) if args.clip else ready_clip(bench_spec())
    chosen = (("--backend", args.backend), ("--screen", args.screen))
    options = tuple(part for option, value in chosen if value for part in (option, value))
    result = {
        "machine": {**machine, "cores": cores},
        "clip": {
            "file": clip.name,
            "width": truth.width,
            "height": truth.height,
            "frames": truth.frames,
            "passages": len(truth.passages),
            "faces_in_view": in_view(truth, [(0, truth.frames)]),
        },
        "listed": args.fill,
        "screen": args.screen,
        **compare(Plan(clip, truth, args.rounds, args.naive_frames, args.fill, cores, options)),
    }
    if not args.no_latency and not args.screen:
        print("in real time through supervisor and broker", file=sys.stderr, flush=True)
        result["latency"] = measure_latency(*((clip, truth) if args.clip else ready_clip(latency_spec())))
    print(json.dumps(result) if args.json else render(result))
    return 0


def run_engines(args: argparse.Namespace) -> int:
    """Measure every runtime that is installed; exit 0 whatever the numbers are, 69 when nothing can be opened."""
    from tqdm import tqdm

    from device.errors import UsageError
    from engines.errors import EngineFailed
    from tools.dev.bench.engines import groups, measure, render
    from tools.dev.bench.machine import describe

    if args.threads < 1 or args.rounds < 1:
        raise UsageError("lfr bench engines: --threads and --rounds are at least 1")
    machine = describe()

    def tick() -> None:
        bar.update()

    with tqdm(total=groups() * args.rounds, unit="round", leave=False, mininterval=0.5, file=sys.stderr) as bar:
        result = {"machine": machine, **measure(args.threads, args.rounds, tick)}
    if not result["precisions"]:
        raise EngineFailed(f"no engine can be opened: {next(iter(result['left_out'].values()), 'none is installed')}")
    print(json.dumps(result) if args.json else render(result))
    return 0
