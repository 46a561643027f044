"""`lfr replay SOURCE --watchlist DIR [--json]`: the vision worker over a recording, for measuring."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.config.installed import CONFIG

if TYPE_CHECKING:
    from device.cli.main import Subparsers

_EVERY_S = 0.5


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("replay", help="the vision worker over a recording, as JSON")
    parser.add_argument("source", help="a video file, or a folder of numbered pictures taken as one video")
    parser.add_argument("--watchlist", required=True, type=Path, help="folder with one sub-folder of photos a person")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--threshold", type=_cosine, help="cosine, instead of the operating point")
    parser.add_argument("--backend", help="openvino | onnxruntime | tensorrt | NAME:PRECISION | auto (default: auto)")
    parser.add_argument("--detector", metavar="NAME", help="a model of `lfr engines list` (the default detector)")
    parser.add_argument(
        "--recogniser", metavar="NAME", help="likewise; one without evidence has a provisional threshold"
    )
    parser.add_argument("--screen", metavar="NAME", help="a second recogniser that runs first (none)")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE",
        help="of `lfr calibrate operating-point`, instead of the shipped one",
    )
    parser.add_argument(
        "--evidence-keys", type=Path, metavar="FOLDER", help="public keys (PEM) that may have signed it"
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=CONFIG,
        metavar="FILE",
        help="of the device here; an operational one refuses (77)",
    )
    parser.add_argument("--no-cache", action="store_true", help="neither read nor write the template cache")
    parser.add_argument("--fill", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print; progress goes to stderr."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the worker: read when numpy is first imported
    from device.edges.sandbox.hardening import forbid_dumps

    forbid_dumps()
    from device.recognition.replay import Request, cache_at, replay

    request = Request(
        args.source,
        args.watchlist,
        args.backend,
        args.threshold,
        args.fill,
        detector=args.detector,
        recogniser=args.recogniser,
        screen=args.screen,
        evidence=args.evidence,
        evidence_keys=args.evidence_keys,
        config=args.config,
    )
    cache = (
        None
        if args.no_cache
        else cache_at(
            cache_file(), args.backend, detector=args.detector, recogniser=args.recogniser, screen=args.screen
        )
    )
    try:
        with _CtrlC() as ctrl_c:
            talk = not args.quiet
            report = replay(request, cache=cache, progress=_Progress(talk), talk=talk, checkpoint=ctrl_c.check)
    finally:
        if cache is not None:
            cache.close()
    uncovered = report["operating_point"]["outside_evidence"]
    if uncovered and args.threshold is None:
        print(f"lfr: no evidence covers this run: {uncovered}", file=sys.stderr)
    print(json.dumps(report) if args.json else _table(report))  # ASCII: whatever the terminal's encoding, it is JSON
    return 0


def cache_file() -> Path:
    """The user's own cache (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lfr" / "templates.sqlite"


def _cosine(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number; a cosine between -1 and 1 is needed") from None
    if not -1.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is no cosine: it must lie between -1 and 1")
    return value


class _CtrlC:
    """In this block the first Ctrl-C is recorded, and `check` raises it; a second one raises at once.

    Raised inside an import it may leave Python's import lock taken: the other threads then wait for ever (seen with
    Python 3.11, 1 in 100 at random moments). No wait between two checks is longer than a photo or a quarter second.
    """

    def __init__(self) -> None:
        self._noted = False

    def __enter__(self) -> _CtrlC:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self.check()

    def check(self) -> None:
        """KeyboardInterrupt if there was one."""
        if self._noted:
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        self.check()
        self._noted = True


class _Progress:
    """Frames so far, on one line of stderr."""

    def __init__(self, talk: bool) -> None:
        self._talk = talk
        self._said_at = 0.0
        self._finished = False

    def __call__(self, frames: int, total: int | None) -> None:
        now = time.monotonic()
        finished = total is not None and frames >= total
        if not self._talk or self._finished or (now - self._said_at < _EVERY_S and not finished):
            return
        self._said_at, self._finished = now, finished
        of = f" of {total}" if total else ""
        end = "\r" if sys.stderr.isatty() and not finished else "\n"
        print(f"frame {frames}{of}", end=end, file=sys.stderr, flush=True)


def _table(report: dict[str, Any]) -> str:
    """The report for a person."""
    listed = report["watchlist"]
    lines = [
        f"mode {report['mode']}, backend {report['backend']}",
        f"threshold {report['threshold']} ({report['threshold_source']})",
        f"{report['frames']} frames in {report['seconds']:.2f} s: {report['fps']:.1f} frames/s; "
        f"{report['faces_seen']} faces seen, {report['templates']} templates; peak {report['peak_rss_mb']} MB",
        f"watchlist: {listed['subjects']} people, {listed['images']} photos",
        *(f"  rejected  {r['file']}: {r['reason']}" for r in listed["rejected"]),
        *(f"  warning   {r['file']}: {r['reason']}" for r in listed["warnings"]),
        "stage        p50 ms    p95 ms       n",
        *(f"{name:9}{_ms(row['p50'])}{_ms(row['p95'])}{row['n']:8d}" for name, row in report["stages_ms"].items()),
        f"{len(report['alerts'])} possible match(es)",
        *(
            f"  {a['entry']}  score {a['score']:.3f}  at {a['t_ms'] / 1000:.2f} s, frame {a['frame']}"
            for a in report["alerts"]
        ),
    ]
    return "\n".join(_printable(line) for line in lines)


def _printable(line: str) -> str:
    """A line with control characters (from a file's name) escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _ms(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:10.2f}"
