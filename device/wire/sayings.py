"""What a vision worker may say in the supervisor's journal: these wordings, and nothing else.

1. A wording is fixed but for its slots: numbers, words such as a model's name, and notes of what a source corrects.
   None has a place for a person, a file or anything that a library says.
2. The supervisor prints only what is one of them: a worker whose memory somebody has taken over cannot write there
   what it saw.
"""

from __future__ import annotations

import re

_SLOTS = {
    "N": r"[0-9]{1,7}(?:\.[0-9]{1,3})?",
    "WORD": r"[A-Za-z0-9][A-Za-z0-9:._-]{0,39}",
    "NOTES": r"[A-Za-z0-9 ,.:;()/-]{1,220}",
}
WORDINGS = {
    "engines": "engines opened: WORD, detector WORD, recogniser WORD",
    "evidence": "no camera is opened: the evidence does not cover this list",
    "opening": "opening the camera",
    "opened": "WORD opened: N x N pixels, N Hz",
    "opened_unrated": "WORD opened: N x N pixels, rate not stated",
    "corrected": "corrected on the way in: NOTES",
    "still": "the camera shows nothing new: what is left of its pictures in memory is zeroed",
    "moving": "the camera shows something new again",
    "slow": "too slow: N of N frames dropped in N s; the slowest stage is WORD, p95 N ms",
    "kept_up": "fast enough again",
    "damaged": "N of N pictures arrived damaged in N s: data is lost between camera and decoder",
    "undamaged": "pictures arrive whole again",
}
_SLOT = re.compile(r"\b(?:N|WORD|NOTES)\b")


def saying(wording: str, *values: str | float) -> str:
    """The text of a wording with its slots filled in order."""
    left = iter(values)
    return _SLOT.sub(lambda _: _plain(next(left)), WORDINGS[wording])


def wording_of(text: str) -> str | None:
    """Which wording a text is; None when it is none (rule 2)."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(text)), None)


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):.10g}"


def _pattern(wording: str) -> re.Pattern[str]:
    fixed = _SLOT.split(wording)
    slots = [_SLOTS[name] for name in _SLOT.findall(wording)]
    return re.compile("".join(re.escape(text) + slot for text, slot in zip(fixed, [*slots, ""], strict=True)))


_PATTERNS = {name: _pattern(wording) for name, wording in WORDINGS.items()}
