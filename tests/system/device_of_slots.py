"""The scripted device on a machine that has slots, as `lfr flash` makes them: it asks the hub for releases.

python -m tests.system.device_of_slots CONFIG HOST BOARD     BOARD: as tests/unit/update makes one
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from device.supervisor import main as supervisor
from device.supervisor.deployment import release_watch
from device.sync import release_client
from device.update.machine import Machine
from tests.system import scripted_device
from tests.unit.update.conftest import HERE


def main(config: str, host: str, board: str) -> int:
    """The exit status of the device. Its polls are quick, and a disk of any size has room."""
    with ExitStack() as patched:
        for where, name, value in (
            (supervisor, "TOP", Path(board) / "opt"),
            (supervisor, "UPDATES", Path(board) / "lfr-update"),
            (supervisor, "this_machine", lambda: Machine(HERE)),
            (release_watch, "RELEASE_FIRST_S", 0.2),
            (release_watch, "RELEASE_POLL_S", 0.5),
            (release_client, "RESERVE_BYTES", 0),
        ):
            patched.enter_context(patch.object(where, name, value))
        return scripted_device.main(config, host)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
