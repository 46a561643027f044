"""Compares alerts with a clip's ground truth.

1. An alert is right when a passage of that listed person has begun, and ended not more than GRACE_S ago.
2. The first right alert of a passage finds it; every further one in the same passage is a duplicate.
3. Any other alert is false.
4. A listed passage is sound when it could fairly be recognised: SOUND_FRAMES frames in which the face is at least
   48 px high and at least 90 % visible. All listed passages are counted, sound ones also on their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tools.dev.clip.make import ClipTruth, PassageTruth

GRACE_S = 2.0
"""The product's passage ends after 2 s unseen, and may be decided until then (DESIGN section 3)."""

SOUND_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as the product states it: the entry's folder name, and the 0-based frame when it was raised."""

    entry: str
    frame: int
    score: float


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one clip. `missed` holds the listed passages without an alert; `delays` frames from the first sound
    frame to the alert, of the found sound passages."""

    listed: int
    found: int
    sound: int
    sound_found: int
    duplicates: int
    false_alerts: tuple[Alert, ...]
    missed: tuple[PassageTruth, ...]
    delays: tuple[int, ...]


def score(truth: ClipTruth, alerts: Iterable[Alert], frames: int | None = None) -> Score:
    """Match alerts with passages. `frames`: only so many first frames were shown; passages that begin later or were
    not yet sound by then do not count."""
    shown = truth.frames if frames is None else min(frames, truth.frames)
    listed = [p for p in truth.passages if p.listed and p.first < shown and (p.last < shown or is_sound(p, shown))]
    grace = round(GRACE_S * truth.fps)
    firsts: dict[int, Alert] = {}
    duplicates, wrong = 0, []
    for alert in sorted(alerts, key=lambda one: one.frame):
        right = [p for p in listed if p.person == alert.entry and p.first <= alert.frame <= p.last + grace]
        fresh = [p for p in right if p.passage not in firsts]
        if fresh:
            firsts[fresh[-1].passage] = alert
        elif right:
            duplicates += 1
        else:
            wrong.append(alert)
    sound = [p for p in listed if is_sound(p, shown)]
    delays = [firsts[p.passage].frame - _first_sound(p) for p in sound if p.passage in firsts]
    return Score(
        listed=len(listed),
        found=len(firsts),
        sound=len(sound),
        sound_found=sum(p.passage in firsts for p in sound),
        duplicates=duplicates,
        false_alerts=tuple(wrong),
        missed=tuple(p for p in listed if p.passage not in firsts),
        delays=tuple(delays),
    )


def is_sound(passage: PassageTruth, shown: int) -> bool:
    """Rule 4, within the first `shown` frames."""
    return len(_sound_frames(passage, shown)) >= SOUND_FRAMES


def _sound_frames(passage: PassageTruth, shown: int) -> list[int]:
    return [f.frame for f in passage.faces if f.frame < shown and f.visible >= 0.9 and f.box[3] - f.box[1] >= 48]


def _first_sound(passage: PassageTruth) -> int:
    return _sound_frames(passage, 1 << 30)[0]
