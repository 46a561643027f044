"""`lfr bench camera-faults`: arguments, and a line for each run."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.dev.bench.camera_faults.measure import Found, SearchFaces

WITHIN_S = 2.0
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
    part.add_argument("--plain", action="store_true", help="judge the clips as they are: nothing is wrong in them")
    part.add_argument("--quiet", action="store_true", help="without clips: a drawn room that is mostly empty")
    part.add_argument("--json", action="store_true", help="one JSON object a line, one for each run")
    part.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit 1 when a fault was not reported within 2 s of the stream."""
    from tools.dev.bench.machine import describe

    print(json.dumps(describe()), file=sys.stderr)
    anybody: SearchFaces = _faces() if args.faces else lambda _: False
    late = 0
    for row, expected in _plain(args, anybody) if args.plain else _broken(args, anybody):
        print(json.dumps(row) if args.json else _line(row), flush=True)
        said_s = row["warned_s"] if row["reported_s"] is None else row["reported_s"]
        late += expected and (said_s is None or said_s > WITHIN_S)
    return 1 if late else 0


def _plain(args: argparse.Namespace, anybody: SearchFaces) -> Iterator[tuple[dict[str, Any], bool]]:
    """A row for each clip as it is."""
    from tools.dev.bench.camera_faults.measure import plain

    for path in _files(args.clips):
        yield _row(path.name, "none", "as it is", plain(path, anybody=anybody)), False


def _broken(args: argparse.Namespace, anybody: SearchFaces) -> Iterator[tuple[dict[str, Any], bool]]:
    """A row for each clip, fault and encoder, and whether a report was expected."""
    from tools.dev.bench.camera_faults.encoders import ENCODERS
    from tools.dev.bench.camera_faults.faulty import FAULTS, drawn_room, quiet_room, read_clip
    from tools.dev.bench.camera_faults.measure import measure

    faults, encoders = _chosen(args.faults, FAULTS), _chosen(args.encoders, ENCODERS)
    clips = (read_clip(path, start_s=args.start, seconds=args.seconds) for path in _files(args.clips))
    for clip in clips if args.clips else [quiet_room() if args.quiet else drawn_room()]:
        for fault, encoder in itertools.product(faults, encoders):
            found = measure(
                clip,
                FAULTS[fault],
                ENCODERS[encoder],
                breaks_s=args.breaks,
                seconds=args.seconds,
                anybody=anybody,
            )
            yield _row(clip.name, fault, encoder, found), FAULTS[fault].expected is not None


def _row(clip: str, fault: str, encoder: str, found: Found) -> dict[str, Any]:
    return {
        "clip": clip,
        "fault": fault,
        "encoder": encoder,
        "reported_s": _rounded(found.reported_s),
        "warned_s": _rounded(found.warned_s),
        "false_alarms": {one.value: count for one, count in found.false_alarms.items()},
        "alarm_s": round(found.alarm_s, 1),
        "seconds": round(found.seconds, 1),
        "us_a_frame": round(1e6 * found.judged_s / max(1, found.frames), 1),
    }


def _line(row: dict[str, Any]) -> str:
    reported = "-" if row["reported_s"] is None else f"{row['reported_s']:.2f} s"
    warned = "" if row["warned_s"] is None else f" (still: {row['warned_s']:.2f} s)"
    false = ", ".join(f"{count} x {name}" for name, count in row["false_alarms"].items()) or "none"
    false += f" ({row['alarm_s']} s of {row['seconds']} s)" if row["false_alarms"] else f" in {row['seconds']} s"
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
