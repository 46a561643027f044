"""lfr.service through systemctl(1), for the updater, which is another program."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

from device.errors import Unavailable
from device.ports.device_service import Reading

UNIT = "lfr.service"
STATUS = Path("/run/lfr/status.json")
STALE_S = 5.0  # the supervisor writes each second
STATUS_MAX_BYTES = 1_000_000
WITHIN_S = 60.0
PROPERTIES = ("ActiveState", "NRestarts", "StatusText")


class SystemctlService:
    """`DeviceService` of this machine."""

    def __init__(self, status: Path = STATUS) -> None:
        self._status = status

    def reading(self) -> Reading:
        shown = dict.fromkeys(PROPERTIES, "")
        for line in _systemctl("show", f"--property={','.join(PROPERTIES)}", UNIT).splitlines():
            name, _, value = line.partition("=")
            shown[name] = value
        restarts = shown["NRestarts"]
        return Reading(
            shown["ActiveState"], int(restarts) if restarts.isdigit() else 0, shown["StatusText"], self._read()
        )

    def restart(self) -> None:
        _systemctl("daemon-reload")
        _systemctl("reset-failed", UNIT, check=False)
        _systemctl("restart", "--no-block", UNIT)

    def _read(self) -> dict[str, Any] | None:
        """The status file, when it is fresh. Its folder is the unprivileged service's own and root reads it: no link is
        followed, no pipe is waited for, and no more is read than a status has.
        """
        try:
            descriptor = os.open(self._status, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                facts = os.fstat(descriptor)
                if not stat.S_ISREG(facts.st_mode) or abs(time.time() - facts.st_mtime) > STALE_S:
                    return None
                found = json.loads(file.read(STATUS_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def _systemctl(*words: str, check: bool = True) -> str:
    try:
        done = subprocess.run(
            ["systemctl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Unavailable(f"systemctl {words[0]}: {fault}; is this a booted device?") from fault
    if check and done.returncode != 0:
        raise Unavailable(f"systemctl {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
