"""An update of a small device, from inbox to commit. Marks: `begin` when its disk is flushed, then the new version.

The root of trust is written beside the folder, so that what a power cut leaves can be updated again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from device.update.updater import attempt
from tests.lost_writes.disk import mark
from tests.unit.update.conftest import board_at, bundle, manifest

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    board = board_at(folder / "board")
    inbox = board.hub.offer(bundle(manifest()))
    (folder.parent / "root.json").write_bytes(board.hub.root())
    os.sync()
    mark("begin")
    mark(attempt(board.updater(), inbox))
