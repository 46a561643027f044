"""Log lines: one event a line, `event key=value`, to stderr or the journal.

1. Values are text, numbers, booleans or None. Anything else (an array, bytes, an object) is a TypeError, so that a
   picture or a template cannot be logged by accident.
2. State changes are logged, frames are not.
3. In the journal every line has its priority: `<3>` in front of it (sd-daemon(3)), or a handler of its own that adds
   fields (device/edges/service/systemd.py). A traceback is one entry, its lines joined.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any, TextIO

Scalar = str | int | float | bool | None
NOTICE = 25
"""Normal, and what a person at the van would want to see: <5>."""
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (NOTICE, 5), (logging.INFO, 6))
"""Levels of Python and syslog's priorities (syslog(3)); below the last is debug, 7."""


def event(logger: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: Scalar) -> None:
    """Write one event line; raises TypeError for a value that is not a plain scalar (rule 1)."""
    if logger.isEnabledFor(level):
        text = " ".join((name, *(f"{k}={_text(k, v)}" for k, v in fields.items())))
        logger.log(level, "%s", text, extra={"event": name, "event_fields": fields})


def configure(verbose: bool = False, handler: logging.Handler | None = None) -> None:
    """Send log lines to stderr, or to `handler`; under systemd stderr is the journal, which adds the time itself.

    What no caller catches becomes a log line, too, in every thread.
    """
    chosen = handler or logging.StreamHandler(sys.stderr)
    logging.addLevelName(NOTICE, "NOTICE")
    chosen.setFormatter(_JournalFormatter() if handler is None and is_journal(sys.stderr) else _Formatter())
    root = logging.getLogger()
    root.handlers[:] = [chosen]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda fault: _log_uncaught(fault.exc_type, fault.exc_value, fault.exc_traceback)


def is_journal(stream: TextIO) -> bool:
    """Whether a stream leads to the journal: its device and inode are $JOURNAL_STREAM (systemd.exec(5))."""
    try:
        now = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{now.st_dev}:{now.st_ino}"


def priority_of(level: int) -> int:
    """Syslog's priority of a level of Python's."""
    return next((priority for least, priority in PRIORITIES if level >= least), 7)


def journal_line(text: str, level: int) -> str:
    """One entry of the journal's stream: the priority in front, lines joined (rule 3)."""
    return f"<{priority_of(level)}>" + text.rstrip("\n").replace("\n", "\\n")


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(levelname).1s %(name)s %(message)s")


class _JournalFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return journal_line(super().format(record), record.levelno)


def _log_uncaught(kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None) -> None:
    if fault is None or issubclass(kind, SystemExit):
        return
    caught: Any = (kind, fault, trace)
    logging.getLogger("uncaught").critical("%s", kind.__name__, exc_info=caught)


def _text(key: str, value: Scalar) -> str:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise TypeError(f"log field {key!r} is a {type(value).__name__}; only plain scalars may be logged")
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    quotable = any(c.isspace() or c in "\"'=" for c in text) or not text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"' if quotable else text
