"""What the supervisor keeps of a text that a worker wrote: words, and at most UNUSUAL_CHARS of anything else.

A worker's error states its cause and remedy, with paths, addresses and numbers in them, and may hold the text of a
library's exception. The process that wrote it sees faces, so that the supervisor passes on (decision record 0035):

1. one line of at most TEXT_CHARS characters of CHARACTERS; of a longer one its beginning (the cause) and its end (the
   remedy), any other character as `?`;
2. plain words as they are: `word`, `Word`, `WORD`, of at most WORD_CHARS letters;
3. everything else (numbers, names such as bf16, parts of hashes) while it is UNUSUAL_CHARS in all. Of more the longest
   are replaced by `…`, until the rest fits; the words of the remedy stay;
4. nothing of a text of which more than MOSTLY is such characters: WITHHELD instead.

A picture, a template as numbers, base64 or hexadecimal, or the output of a debugger is nearly all unusual.
"""

from __future__ import annotations

import re
import string
from itertools import accumulate

TEXT_CHARS = 240
UNUSUAL_CHARS = 64
WORD_CHARS = 20
MOSTLY = 3 / 4
WITHHELD = "its text is withheld: more than words and a few numbers"
CHARACTERS = frozenset(string.ascii_letters + string.digits + string.punctuation + " …–—’“”×·°≤≥±µ")
_PART = re.compile(r"[A-Za-z0-9]+|\?")
_WORD = re.compile(rf"[A-Z]?[a-z]{{0,{WORD_CHARS - 1}}}|[A-Z]{{2,8}}")


def plain_text(text: str) -> str:
    """A worker's text as journal, status and hub may get it (rules 1 to 4)."""
    line = _one_line(text)
    parts = _PART.findall(line)
    unusual = sorted(len(part) for part in parts if not _WORD.fullmatch(part))
    if sum(unusual) <= UNUSUAL_CHARS:
        return line
    if sum(unusual) > MOSTLY * sum(map(len, parts)):
        return WITHHELD
    too_long = next(length for length, total in zip(unusual, accumulate(unusual), strict=True) if total > UNUSUAL_CHARS)
    return _PART.sub(lambda part: "…" if len(part[0]) >= too_long and not _WORD.fullmatch(part[0]) else part[0], line)


def _one_line(text: str) -> str:
    """Rule 1. Only the ends of a long text are looked at, so that its length costs nothing."""
    kept = text if len(text) <= 4 * TEXT_CHARS else f"{text[: 2 * TEXT_CHARS]} … {text[-2 * TEXT_CHARS :]}"
    line = " ".join("".join(c if c in CHARACTERS or c.isspace() else "?" for c in kept).split())
    half = TEXT_CHARS // 2
    return line if len(line) <= TEXT_CHARS else f"{line[: half - 2]} … {line[-half + 2 :]}"
