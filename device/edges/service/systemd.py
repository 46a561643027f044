"""systemd-python: sd_notify(3) with readiness, a status line and the watchdog; the journal with fields."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from device import logs
from device.edges.service.journal_messages import FIELDS, MESSAGES
from device.errors import Unavailable
from device.ports.service import ServiceManager


class SystemdService:
    """The unit that started us. Unavailable when systemd-python is missing or the manager cannot be notified."""

    def __init__(self) -> None:
        try:
            from systemd import daemon
        except ImportError as fault:
            raise Unavailable(
                "NOTIFY_SOCKET is set but systemd-python is not installed: install the `device` extra"
                " (needs libsystemd-dev), or python3-systemd in a virtual environment with system packages"
            ) from fault
        self._daemon: Any = daemon

    def ready(self) -> None:
        self._notify("READY=1")

    def status(self, text: str) -> None:
        self._notify("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    def extend_start(self, within_s: float) -> None:
        self._notify(f"EXTEND_TIMEOUT_USEC={round(within_s * 1_000_000)}")

    def _notify(self, message: str) -> None:
        try:
            self._daemon.notify(message)
        except OSError as fault:
            raise Unavailable(f"the service manager cannot be notified of {message.split('=')[0]}: {fault}") from fault


class NoServiceManager:
    """For a start by hand: notifications are dropped. Also the fake: it records each notification."""

    def __init__(self) -> None:
        self.is_ready = False
        self.is_stopping = False
        self.beats = 0
        self.last_status = ""
        self.start_within_s = 0.0

    def ready(self) -> None:
        self.is_ready = True

    def status(self, text: str) -> None:
        self.last_status = text.replace("\n", " ")

    def alive(self) -> None:
        self.beats += 1

    def stopping(self) -> None:
        self.is_stopping = True

    def extend_start(self, within_s: float) -> None:
        self.start_within_s = within_s


def service_manager() -> ServiceManager:
    """The manager that started this process, by the variable of sd_notify(3); else one that does nothing."""
    return SystemdService() if os.environ.get("NOTIFY_SOCKET") else NoServiceManager()


class JournalHandler(logging.Handler):
    """Log records as entries of the journal: priority, LFR_EVENT, its MESSAGE_ID, and the fields of FIELDS alone.

    An entry that the journal does not take is written to stderr instead.
    """

    def __init__(self, journal: Any) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        try:
            self._journal.send(text, **self._fields(record))
        except (OSError, ValueError) as fault:
            sys.stderr.write(logs.journal_line(f"{text} (journal: {fault})", record.levelno) + "\n")

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        name = getattr(record, "event", "")
        found: dict[str, Any] = {
            "PRIORITY": str(logs.priority_of(record.levelno)),
            "SYSLOG_IDENTIFIER": "lfr",
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
        }
        if not name:
            return found
        found["LFR_EVENT"] = name
        if name in MESSAGES:
            found["MESSAGE_ID"] = MESSAGES[name].id
        values = getattr(record, "event_fields", {})
        return found | {FIELDS[key]: str(value) for key, value in values.items() if key in FIELDS and value is not None}


def journal_handler() -> logging.Handler | None:
    """Where stderr is the journal and systemd-python is there; else None, and the stream with priorities is used."""
    if not logs.is_journal(sys.stderr):
        return None
    try:
        from systemd import journal
    except ImportError:
        return None
    return JournalHandler(journal)
