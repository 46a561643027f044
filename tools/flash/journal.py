"""What was done to a root file system, kept in it: a killed or interrupted `apply` goes on where it stopped.

`/var/lib/lfr-flash/journal.jsonl`, one JSON object a line, each on the disk before the next thing is done:

    {"kit": …, "serial": …, "device": …}         the first line
    {"begin": name, "note": {…}}                 what was there, before the first attempt at a step
    {"done": name}                               the step's result was there

A last line that a power cut tore is ignored.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tools.flash.root import Root
from tools.flash.steps import STATE, Note

FILE = f"{STATE}/journal.jsonl"


class Journal:
    """The journal of one root."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def rows(self) -> list[dict[str, Any]]:
        """Every whole line, in order."""
        found = []
        text = self._root.read(FILE).decode("utf-8", "replace") if self._root.exists(FILE) else ""
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                found.append(row)
        return found

    def header(self) -> dict[str, Any] | None:
        """Which kit and board this root was begun for; None when it was not."""
        return next((row for row in self.rows() if "serial" in row), None)

    def notes(self) -> dict[str, Note]:
        """Note by the name of each step that was begun, in order."""
        return {row["begin"]: row["note"] for row in self.rows() if "begin" in row}

    def done(self) -> set[str]:
        """Names of the steps that were done."""
        return {row["done"] for row in self.rows() if "done" in row}

    def add(self, row: dict[str, Any]) -> None:
        """One line, on the disk when this returns."""
        place = self._root.resolve(FILE)
        with self._root.writing(place):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            torn = place.exists() and not place.read_bytes().endswith(b"\n") and place.stat().st_size > 0
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, (b"\n" if torn else b"") + (json.dumps(row) + "\n").encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def forget(self) -> None:
        """Remove the journal after everything was undone."""
        place = self._root.resolve(FILE)
        with self._root.writing(place):
            place.unlink(missing_ok=True)
