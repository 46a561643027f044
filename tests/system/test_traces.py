"""Two passers-by before the installed service: nothing of them in the journal, byte by byte, nor on its disk."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.system.conftest import Board
from tools.dev.clip.make import ClipTruth
from tools.dev.proof.canaries import Wanted
from tools.dev.proof.disks import at_any_byte, below
from tools.dev.proof.process_memory import Region
from tools.dev.proof.search import Hit, Pieces, find_alike

pytestmark = pytest.mark.system
CLIP = "var/lib/lfr/clip.mp4"
JOURNALS = ("run/log/journal", "var/log/journal")
WRITABLE = ("tmp", "var", "dev/shm", "run", "etc", "root", "home", "opt/lfr/.venv")
SPEAK = """
import base64, socket, struct, sys
def field(name, content):
    return name + b"\\n" + struct.pack("<Q", len(content)) + content + b"\\n"
piece, template = map(base64.b64decode, sys.argv[1:])
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
journal.send(b"MESSAGE=control\\n" + field(b"PIECE", piece) + field(b"TEMPLATE", template))
"""
"""The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), as a program that logs a face would use it."""
EXPORT = "run/journal-export"


@pytest.fixture
def walked_by(
    board: Board, canaries: tuple[Path, ClipTruth, Wanted], repeated: Callable[[Path, Path, int], None]
) -> Iterator[Board]:
    """The board after both people have passed its camera and the service has stopped."""
    clip, truth, _ = canaries
    repeated(clip, board.scratch / "canary.mp4", 8)  # it goes on for longer than a busy machine needs to see them
    guest, last = board.guest, truth.passages[-1].last + round(3 * truth.fps)
    guest.run("sh", "-ec", f"cp /srv/host/canary.mp4 /{CLIP}")
    board.publish()
    board.start()
    try:
        guest.until(lambda: board.status().get("counters", {}).get("frames", 0) >= last, 120.0, board.why)
        yield board
    finally:
        guest.run("systemctl", "stop", "lfr")
        guest.run("sh", "-ec", f"cp /srv/host/clip.mp4 /{CLIP}")


def journal(guest: Any) -> list[Region]:
    """The journal's files as they are, and all its entries as `journalctl` reads them: large fields are compressed."""
    guest.run("sh", "-ec", f"journalctl --sync; journalctl --output=export --all >/{EXPORT}")
    places = [guest.root / place for place in JOURNALS]
    found = [region for place in places if place.is_dir() for region in below(place)]
    export = guest.root / EXPORT
    return [*found, *(region for region in below(export.parent) if region.name == str(export))]


def test_nothing_of_passers_by_is_in_the_journal_or_on_the_disk(
    walked_by: Board, canaries: tuple[Path, ClipTruth, Wanted]
) -> None:
    _, _, wanted = canaries
    guest, pieces = walked_by.guest, Pieces(wanted.pieces)
    templates = [pattern for pattern in wanted.patterns if pattern.what == "template" and pattern.kind == "f32"]

    def search() -> list[Hit]:
        output = journal(guest)
        assert sum(region.content.any() for region in output) >= 2, "the journal cannot be seen"
        return pieces.find(output) + find_alike(at_any_byte(output), templates)

    guest.run("systemctl", "stop", "lfr")
    written = [region for place in WRITABLE for region in below(guest.root / place, but=[guest.root / CLIP])]
    assert search() == []
    assert pieces.find(written) == []
    one, like = wanted.pieces[len(wanted.pieces) // 2], templates[len(templates) // 2]
    given = (base64.b64encode(content).decode() for content in (one.content, like.values.astype(np.float32).tobytes()))
    guest.run("python3", "-c", SPEAK, *given)
    found = {(hit.whose, hit.what) for hit in search()}
    assert {(one.whose, one.what), (like.whose, "template")} <= found, "the search cannot see"
