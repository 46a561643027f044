"""Run inside the booted machine, at its hub: end what is published, publish one person's deployment anew.

publish.py ROOT ENTRY PHOTO SECONDS ALERT_HOURS     ROOT holds the hub's folder, SECONDS until the window ends
"""

from __future__ import annotations

import secrets
import shutil
import sys
from datetime import timedelta
from pathlib import Path

from tools.dev.demo.signed import end_deployment, now, publish_people
from tools.dev.demo.workspace import WINDOW_BEFORE, Workspace


def main(root: str, entry: str, photo: str, seconds: str, alert_hours: str) -> None:
    workspace = Workspace(Path(root), entry)
    if workspace.roots.exists():
        end_deployment(workspace)
    listed = publish_people(
        workspace,
        {entry: [Path(photo)]},
        id=f"board-{secrets.token_hex(3)}",
        window={"start": now() - WINDOW_BEFORE, "end": now() + timedelta(seconds=float(seconds))},
        retention={"alert_hours": int(alert_hours)},
    )
    shutil.rmtree(listed)


if __name__ == "__main__":
    main(*sys.argv[1:])
