"""The packaged portraits as a data set in LFW's layout: one folder a person, for evaluation and evidence.

Two photos that are cut out of a third one are left out, and pairs that show one person share a folder.
"""

from __future__ import annotations

from pathlib import Path

from device.errors import Unavailable
from tools.dev.samples.extract import sample_files
from tools.dev.samples.sources import AVATARS, PUBLIC, SAME_PERSON

PUBLIC_PEOPLE = {"biden.jpg": "public-1", "obama.jpg": "public-2", "obama2.jpg": "public-2", "obama3.jpg": "public-2"}


def lay_out(target: Path) -> int:
    """Links to every portrait below `target`, which must not exist or be empty; returns the number of people."""
    if target.exists() and any(target.iterdir()):
        raise Unavailable(f"{target} is not empty; name a new folder")
    same = {second: first for first, second in SAME_PERSON}
    found = [(PUBLIC_PEOPLE[path.name], path) for path in sample_files(PUBLIC) if path.name in PUBLIC_PEOPLE]
    found += [(f"avatar-{Path(same.get(path.name, path.name)).stem}", path) for path in sample_files(AVATARS)]
    for person, path in found:
        folder = target / person
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path.resolve())
    return len({person for person, _ in found})
