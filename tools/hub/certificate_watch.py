"""Certificates of a running hub: renewed ones are used within seconds, those that end soon are on the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device.domain.time import WallTime
from device.errors import LfrError
from device.logs import event
from tools.hub.pki.renewal import warnings
from tools.hub.storage.folder import PEOPLE, HubFolder

LOOK_S = 5.0
SERVED = ("ca", "crl", "server", *PEOPLE)

_log = logging.getLogger(__name__)


class CertificateWatch:
    """renewed: called on the loop when what the hub itself shows or checks has changed."""

    def __init__(self, hub: HubFolder, now: Callable[[], WallTime], renewed: Callable[[], None]) -> None:
        self._hub = hub
        self._now = now
        self._renewed = renewed
        self._seen = self._written()
        self._used = self._content()
        self.warnings: list[str] = warnings(hub, now())

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> bool:
        """Once; whether anything was renewed or revoked.

        A name that goes on with another key (`lfr hub sign --replace`) stays on the device list: only the revocation
        list shows that its old certificate is taken back.
        """
        self.warnings = warnings(self._hub, self._now())
        written = self._written()
        if written == self._seen:
            return False
        self._seen = written
        content = self._content()
        if content == self._used:
            return False
        self._used = content
        event(_log, "hub.certificates_renewed")
        try:
            self._renewed()
        except (LfrError, OSError, ValueError) as fault:
            event(_log, "hub.certificates_not_read", level=logging.ERROR, reason=str(fault))
        return True

    def _written(self) -> tuple[int, ...]:
        files = (self._hub.root / f"{name}.pem" for name in SERVED)
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)

    def _content(self) -> tuple[bytes, ...]:
        files = (self._hub.root / f"{name}.pem" for name in SERVED)
        return tuple(file.read_bytes() if file.exists() else b"" for file in files)
