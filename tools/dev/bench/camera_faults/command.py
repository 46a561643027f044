"""`lfr bench camera-faults`: arguments, and the two tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.dev.bench.camera_faults.measure import SearchFaces

SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".gif", ".ts"}


def register(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the part `camera-faults`."""
    part = parts.add_parser("camera-faults", help="how fast a camera's faults are found, and false alarms")
    part.add_argument("clips", nargs="*", type=Path, help="video files or folders of them; none: a drawn room")
    part.add_argument("--faults", help="comma-separated, of those that the table shows (all)")
    part.add_argument("--encoders", help="comma-separated, of those that the table shows (all)")
    part.add_argument("--start", type=float, default=0.0, metavar="S", help="begin this far into each clip")
    part.add_argument("--breaks", type=float, default=6.0, metavar="S", help="when the camera breaks (6)")
    part.add_argument("--seconds", type=float, default=9.0, metavar="S", help="of each run; short clips are looped (9)")
    part.add_argument("--faces", action="store_true", help="search a still picture for faces, as a device does")
    part.add_argument("--json", action="store_true", help="one JSON object a line, one for each run")
    part.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit 1 when a fault was not reported within 2 s of the stream."""
    from tools.dev.bench.camera_faults.encoders import ENCODERS
    from tools.dev.bench.camera_faults.faulty import FAULTS, Clip, drawn_room, read_clip
    from tools.dev.bench.camera_faults.measure import measure
    from tools.dev.bench.machine import describe

    faults = _chosen(args.faults, FAULTS)
    encoders = _chosen(args.encoders, ENCODERS)
    clips: list[Clip] = [read_clip(path, start_s=args.start, seconds=args.seconds) for path in _files(args.clips)]
    print(json.dumps(describe()), file=sys.stderr)
    anybody, late = _faces() if args.faces else (lambda _: False), 0
    for clip in clips or [drawn_room()]:
        for fault_name in faults:
            for encoder_name in encoders:
                fault = FAULTS[fault_name]
                found = measure(
                    clip,
                    fault,
                    ENCODERS[encoder_name],
                    breaks_s=args.breaks,
                    seconds=args.seconds,
                    anybody=anybody,
                )
                reported = found.reported_s if found.reported_s is not None else found.warned_s
                late += fault.expected is not None and (reported is None or reported > 2.0)
                row = {
                    "clip": clip.name,
                    "fault": fault_name,
                    "encoder": encoder_name,
                    "reported_s": _rounded(found.reported_s),
                    "warned_s": _rounded(found.warned_s),
                    "false_alarms": {one.value: count for one, count in found.false_alarms.items()},
                    "seconds": found.seconds,
                    "us_a_frame": round(1e6 * found.judged_s / max(1, found.frames), 1),
                }
                print(json.dumps(row) if args.json else _line(row), flush=True)
    return 1 if late else 0


def _line(row: dict[str, Any]) -> str:
    reported = "-" if row["reported_s"] is None else f"{row['reported_s']:.2f} s"
    warned = "" if row["warned_s"] is None else f" (still: {row['warned_s']:.2f} s)"
    false = ", ".join(f"{count} x {name}" for name, count in row["false_alarms"].items()) or "none"
    return (
        f"{row['clip'][:30]:30} {row['fault']:14} {row['encoder']:14} {reported:>7}{warned:18} false: {false}; "
        f"{row['us_a_frame']} us a frame"
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _chosen(asked: str | None, known: dict[str, Any]) -> list[str]:
    """The names asked for. Raises UsageError for one that is not known."""
    from device.errors import UsageError

    names = [*known] if asked is None else [name.strip() for name in asked.split(";" if ";" in asked else ",")]
    if asked is not None and asked.strip() in known:
        names = [asked.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"lfr bench camera-faults: {name!r} is none of {'; '.join(known)}")
    return names


def _files(places: list[Path]) -> list[Path]:
    """Video files, of folders those in it."""
    found = [sorted(p for p in one.rglob("*") if p.suffix in SUFFIXES) if one.is_dir() else [one] for one in places]
    return [path for paths in found for path in paths]


def _faces() -> SearchFaces:
    """Whether a frame has a face in it, by the device's own detector."""
    from device.domain.operating_point import MIN_FACE_PX
    from device.enrolment.model_sessions import ModelSessions

    front_end = ModelSessions("auto", threads=1).front_end(MIN_FACE_PX)
    return lambda frame: bool(front_end.look(frame))
