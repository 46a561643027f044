"""`lfr demo`: the whole product on this machine, from a synthetic crowd to an erased deployment."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `demo`."""
    parser = commands.add_parser("demo", help="the whole product on this machine: crowd, device, hub page, erasure")
    parser.add_argument("--headless", action="store_true", help="no page, full speed; exit 0 only if every check holds")
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON object")
    parser.add_argument("--keep", action="store_true", help="keep the private folder (it holds pictures)")
    parser.add_argument("--page-port", type=int, default=8443, help="of the hub page (default 8443; 0: any free one)")
    parser.add_argument("--broker-port", type=int, default=0, help="of the broker (default 0: any free one)")
    parser.add_argument(
        "--clip-seconds", type=_length, default=30.0, metavar="S", help="length of the recording (default %(default)g)"
    )
    parser.add_argument("--clip", type=Path, help="a recording made earlier, with its ground truth beside it")
    parser.add_argument(
        "--wait", type=float, default=60.0, metavar="S", help="for somebody to open the page (default %(default)g)"
    )
    parser.set_defaults(run=run)


def _length(text: str) -> float:
    from tools.dev.clip.spec import SHORTEST_S

    seconds = float(text)
    if seconds < SHORTEST_S:
        raise argparse.ArgumentTypeError(f"{text} s is too short for two passages: at least {SHORTEST_S:g}")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when every check holds, 1 otherwise."""
    from tools.dev.demo.run import Options, run_demo

    return run_demo(
        Options(
            headless=args.headless,
            json=args.json,
            keep=args.keep,
            page_port=0 if args.headless else args.page_port,
            broker_port=args.broker_port,
            clip=args.clip,
            clip_seconds=args.clip_seconds,
            wait_s=args.wait,
        )
    )
