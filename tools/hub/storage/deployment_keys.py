"""The hub's age identities, one a deployment: photos, the list's key and probes are encrypted to it alone.

A rehearsal list (tools/hub/watchlist/rehearsal.py) has one of the same form, `keys/rehearsal-<name>.txt`.

keys/deployment-<id>.txt   0600, as `age-keygen` writes one: `# until: …`, `# public key: age1…`, the secret

1. It is made with the plan, before there is a list, and its public half is in the plan (`hub_recipient`). Only this
   hub needs the secret, and it may be down meanwhile: it is a file, read when something is to be opened.
2. It is erased first when its deployment ends, is discarded or was not published in time: overwritten, then unlinked.
   From then on nothing that was encrypted to it can be opened, wherever copies are. A file system that keeps old blocks
   (flash, snapshots, backups) may keep this file too: the hub's folder belongs on an encrypted disk, and in no backup.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from device.domain.time import WallTime, rfc3339, wall
from device.errors import Unavailable
from tools.hub.storage.files import erase_secret, write_file

DEPLOYMENT, REHEARSAL = "deployment", "rehearsal"
_SUFFIX = ".txt"
_UNTIL, _PUBLIC = "# until: ", "# public key: "


class DeploymentKeys:
    """The identities in one hub's folder. Nothing is held in memory between two calls."""

    def __init__(self, hub: Path, of: str = DEPLOYMENT) -> None:
        self._folder, self._prefix = hub / "keys", f"{of}-"

    def recipient_for(self, deployment_id: str, until: WallTime) -> str:
        """The recipient of a deployment; its identity is made unless there is one (rule 1).

        until  when it is erased if the deployment is not published by then: the end of the plan's window
        """
        import pyrage

        known = self.recipient(deployment_id)
        if known is not None:
            return known
        identity = pyrage.x25519.Identity.generate()
        recipient = str(identity.to_public())
        text = f"{_UNTIL}{rfc3339(until)}\n{_PUBLIC}{recipient}\n{identity}\n"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._file(deployment_id), text.encode())
        return recipient

    def recipient(self, deployment_id: str) -> str | None:
        """The public half; None when the identity is gone or was never made here."""
        return next((line for line in self._comments(deployment_id, _PUBLIC)), None)

    def secret(self, deployment_id: str) -> str | None:
        """The identity itself; None when it is gone or was never made here."""
        lines = (line for line in self._lines(deployment_id) if line and not line.startswith("#"))
        return next(lines, None)

    def secrets(self) -> tuple[str, ...]:
        """Every identity that still exists: a probe does not name its deployment."""
        return tuple(secret for name in self.deployments() if (secret := self.secret(name)) is not None)

    def deployments(self) -> tuple[str, ...]:
        """The deployments that have one."""
        names = (file.name for file in self._folder.glob(f"{self._prefix}*{_SUFFIX}"))
        return tuple(sorted(name.removeprefix(self._prefix).removesuffix(_SUFFIX) for name in names))

    def until(self, deployment_id: str) -> WallTime | None:
        """When it is erased if it was not published by then; None when it has no such time."""
        for text in self._comments(deployment_id, _UNTIL):
            try:
                return wall(datetime.fromisoformat(text.replace("Z", "+00:00")))
            except ValueError:
                return None
        return None

    def drop(self, deployment_id: str) -> bool:
        """Erase it (rule 2); whether there was one. Raises Unavailable when it is still there."""
        return erase_secret(self._file(deployment_id))

    def _comments(self, deployment_id: str, what: str) -> tuple[str, ...]:
        return tuple(line.removeprefix(what) for line in self._lines(deployment_id) if line.startswith(what))

    def _lines(self, deployment_id: str) -> list[str]:
        file = self._file(deployment_id)
        try:
            return file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as fault:
            raise Unavailable(f"the hub's key {file} cannot be read ({fault}); restore the hub's folder") from fault

    def _file(self, deployment_id: str) -> Path:
        return self._folder / f"{self._prefix}{deployment_id}{_SUFFIX}"
