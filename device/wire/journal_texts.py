"""The only texts that a vision worker may write to the supervisor's journal.

1. A text is fixed except for its slots: numbers, words such as a model's name, and a source's notes on its
   corrections. No slot can hold a person, a file name or a library's message.
2. The supervisor prints only lines that match one of them, so that a worker whose memory was taken over cannot write
   what it saw.

How do I add one? A line in TEXTS, a method in device/worker/journal.py that sends it.
"""

from __future__ import annotations

import re

_SLOTS = {
    "N": r"[0-9]{1,7}(?:\.[0-9]{1,3})?",
    "WORD": r"[A-Za-z0-9][A-Za-z0-9:._-]{0,39}",
    "NOTES": r"[A-Za-z0-9 ,.:;()/-]{1,220}",
}
TEXTS = {
    "engines": "engines opened: WORD, detector WORD, recogniser WORD",
    "evidence": "no camera is opened: the evidence does not cover this list",
    "volunteers": "blue list: N of N volunteers are searched",
    "opening": "opening the camera",
    "opened": "WORD opened: N x N pixels, N Hz",
    "opened_unrated": "WORD opened: N x N pixels, rate not stated",
    "corrected": "corrected on the way in: NOTES",
    "still": "the camera delivers no new picture: pictures left in memory are zeroed",
    "moving": "the camera delivers new pictures again",
    "fault": "camera fault: WORD",
    "faultless": "the camera has no fault any more",
    "slow": "too slow: N of N frames dropped in N s; the slowest stage is WORD, p95 N ms",
    "kept_up": "fast enough again",
    "damaged": "N of N pictures arrived damaged in N s: data is lost between camera and decoder",
    "undamaged": "pictures arrive undamaged again",
}
_SLOT = re.compile(r"\b(?:N|WORD|NOTES)\b")


def journal_text(name: str, *values: str | float) -> str:
    """A text by its name, with its slots filled in order."""
    left = iter(values)
    return _SLOT.sub(lambda _: _plain(next(left)), TEXTS[name])


def name_of(text: str) -> str | None:
    """The name of the text that a line matches; None when it matches none (rule 2)."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(text)), None)


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):.10g}"


def _pattern(text: str) -> re.Pattern[str]:
    fixed = _SLOT.split(text)
    slots = [_SLOTS[name] for name in _SLOT.findall(text)]
    return re.compile("".join(re.escape(part) + slot for part, slot in zip(fixed, [*slots, ""], strict=True)))


_PATTERNS = {name: _pattern(text) for name, text in TEXTS.items()}
