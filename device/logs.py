"""Log lines: one event a line, `event key=value`, to stderr or the journal.

1. Values are text, numbers, booleans or None. Anything else (an array, bytes, an object) is a TypeError, so that a
   picture or a template cannot be logged by accident.
2. State changes are logged, frames are not.
"""

from __future__ import annotations

import logging
import sys

Scalar = str | int | float | bool | None


def event(logger: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: Scalar) -> None:
    """Write one event line; raises TypeError for a value that is not a plain scalar (rule 1)."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", " ".join((name, *(f"{k}={_text(k, v)}" for k, v in fields.items()))))


def configure(verbose: bool = False) -> None:
    """Send log lines to stderr; under systemd stderr is the journal, which adds the time itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname).1s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)


def _text(key: str, value: Scalar) -> str:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise TypeError(f"log field {key!r} is a {type(value).__name__}; only plain scalars may be logged")
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    quotable = any(c.isspace() or c in "\"'=" for c in text) or not text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"' if quotable else text
