"""Every decision of one replay as rows of numbers, and where two such logs differ. No picture and no template is in it.

Rows: `tracks` (which frames, which passage), `passages` (begun, ended), `passed_over` (frames in which a face was not
looked at, by reason), `looks` (outcome, nearest entry and its score), `decisions` (what the rule made of a passage),
`joins` and `alerts`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from device.domain.sight import Face
from device.vision.observer import Look, NoLook, Weighed

SCORE_TOLERANCE = 0.01
FRAME_TOLERANCE = 1
SCORES = frozenset({"score", "quality", "threshold"})
FRAMES = frozenset({"frame", "first", "last", "frames", "begun", "ended"})
DIGITS = 4
Row = dict[str, Any]
Log = dict[str, list[Row]]


class Recorder:
    """device.vision.observer.Observer that keeps the steps of a replay in the order in which they happened."""

    def __init__(self) -> None:
        self._frame = -1
        self._tracks: dict[tuple[int, int | None], Row] = {}
        self._passages: dict[int, Row] = {}
        self._passed_over: Counter[tuple[int, str]] = Counter()
        self._looks: list[Row] = []
        self._decisions: list[Row] = []
        self._joins: list[Row] = []

    def detected(self, frame: int, faces: Sequence[Face]) -> None:
        self._frame = frame

    def followed(self, frame: int, track: int, passage: int | None, face: Face) -> None:
        new = {"track": track, "passage": passage, "first": frame, "last": frame, "frames": 0}
        row = self._tracks.setdefault((track, passage), new)
        row["last"], row["frames"] = frame, row["frames"] + 1
        if passage is not None:
            self._passages.setdefault(passage, {"passage": passage, "begun": frame, "ended": None})

    def not_looked(self, frame: int, track: int, why: NoLook) -> None:
        self._passed_over[(track, why.value)] += 1

    def looked(self, look: Look) -> None:
        self._looks.append(
            {
                "frame": look.frame,
                "track": look.track,
                "passage": look.passage,
                "outcome": look.outcome.value,
                "settled": look.settled,
                "quality": _rounded(look.quality),
                "entry": look.entry,
                "score": _rounded(look.score),
            }
        )

    def weighed(self, decision: Weighed) -> None:
        self._decisions.append(
            {
                "frame": decision.frame,
                "passage": decision.passage,
                "entry": decision.entry,
                "score": _rounded(decision.score),
                "threshold": _rounded(decision.threshold),
                "stated": decision.stated,
            }
        )

    def joined(self, frame: int, earlier: int, later: int) -> None:
        self._joins.append({"frame": frame, "earlier": earlier, "later": later})

    def ended(self, passage: int) -> None:
        self._passages[passage]["ended"] = self._frame

    def log(self, report: Mapping[str, Any]) -> Log:
        """All rows, with the alerts of the replay's own report."""
        alerts = [{key: row[key] for key in ("frame", "track", "entry", "score")} for row in report["alerts"]]
        over = [{"track": t, "why": why, "frames": n} for (t, why), n in sorted(self._passed_over.items())]
        return {
            "tracks": list(self._tracks.values()),
            "passages": list(self._passages.values()),
            "passed_over": over,
            "looks": self._looks,
            "decisions": self._decisions,
            "joins": self._joins,
            "alerts": alerts,
        }


def differences(wanted: Log, found: Log) -> Iterator[str]:
    """Where `found` is not `wanted`: scores may differ by SCORE_TOLERANCE, frames by FRAME_TOLERANCE, no more."""
    for kind in sorted({*wanted, *found}):
        before, now = wanted.get(kind, []), found.get(kind, [])
        if len(before) != len(now):
            yield f"{kind}: {len(now)} rows, not {len(before)}"
        for n, (old, new) in enumerate(zip(before, now, strict=False)):
            for key in sorted({*old, *new}):
                if not _alike(key, old.get(key), new.get(key)):
                    yield f"{kind}[{n}].{key}: {new.get(key)!r}, not {old.get(key)!r} ({json.dumps(old)})"


def written(about: Mapping[str, Any], log: Log) -> str:
    """The file's text: one row a line, so that a change is read as a diff."""
    parts = [f'"about": {json.dumps(about, indent=1)}']
    for kind, rows in log.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        parts.append(f'"{kind}": [\n{lines}\n]' if rows else f'"{kind}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _alike(key: str, old: object, new: object) -> bool:
    tolerance = SCORE_TOLERANCE if key in SCORES else FRAME_TOLERANCE if key in FRAMES else None
    if tolerance is None or not isinstance(old, int | float) or not isinstance(new, int | float):
        return old == new
    return abs(old - new) <= tolerance


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
