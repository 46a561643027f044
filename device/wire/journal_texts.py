"""The only texts that a vision worker may write to the supervisor's journal.

1. A text is fixed except for its slots: numbers, a backend's or a model's name when the worker starts, and words of
   known sets (NOTE: a source's corrections). No slot can hold a person, a file name or a library's message.
2. The supervisor prints only lines that match one of them, so that a worker whose memory was taken over cannot write
   what it saw.

How do I add one? A line in TEXTS, a method in device/worker/journal.py that sends it.
"""

from __future__ import annotations

import re

from device.domain.camera_fault import CameraFault

_N = r"[0-9]{1,7}(?:\.[0-9]{1,3})?"
_NOTE = "|".join(
    (
        "interlaced: bwdif",
        f"sample aspect {_N}:{_N}: scaled to square pixels",
        f"rotated {_N}",
        r"[a-z0-9]{2,16}: converted to 8-bit 4:2:0",
        rf"{_N} numbered pictures: [0-9.e+]{{1,12}} Hz assumed",
        rf"{_N} damaged packet\(s\) skipped",
        rf"{_N} picture\(s\) arrived damaged, {_N} more were predicted from damaged ones",
        rf"{_N} presentation time\(s\) missing or running back: repaired",
    )
)
_SLOTS = {
    "N": _N,
    "NAME": r"[A-Za-z0-9][A-Za-z0-9:._+-]{0,79}",
    "KIND": "camera|recording",
    "FAULT": "|".join(fault.value for fault in CameraFault),
    "STAGE": "[a-z_]{1,16}",
    "NOTES": rf"(?:{_NOTE})(?:; (?:{_NOTE})){{0,7}}",
}
TEXTS = {
    "engines": "engines opened: NAME, detector NAME, recogniser NAME",
    "evidence": "no camera is opened: the evidence does not cover this list",
    "volunteers": "blue list: N of N volunteers are searched",
    "opening": "opening the camera",
    "opened": "KIND opened: N x N pixels, N Hz",
    "opened_unrated": "KIND opened: N x N pixels, rate not stated",
    "corrected": "corrected on the way in: NOTES",
    "still": "the camera delivers no new picture: pictures left in memory are zeroed",
    "moving": "the camera delivers new pictures again",
    "fault": "camera fault: FAULT",
    "faultless": "the camera has no fault any more",
    "slow": "too slow: N of N frames dropped in N s; the slowest stage is STAGE, p95 N ms",
    "kept_up": "fast enough again",
    "damaged": "N of N pictures arrived damaged in N s: data is lost between camera and decoder",
    "undamaged": "pictures arrive undamaged again",
}
_SLOT = re.compile(r"\b(?:N|NAME|KIND|FAULT|STAGE|NOTES)\b")


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
    slots = [f"(?:{_SLOTS[name]})" for name in _SLOT.findall(text)]
    return re.compile("".join(re.escape(part) + slot for part, slot in zip(fixed, [*slots, ""], strict=True)))


_PATTERNS = {name: _pattern(text) for name, text in TEXTS.items()}
