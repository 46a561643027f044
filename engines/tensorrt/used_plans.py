"""Which release of the program uses which plans: a list a release, beside the plans; what no kept release uses can go.

1. `lfr engines build --config` writes the list of its own release when all its plans are there, so that two slots'
   plans are known while both slots are on the disk.
2. Plans are deleted only where the list of every release that is kept is there: a release without one was built by a
   program that kept no lists, and any plan may be its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from engines.errors import BadOption, PlanRefused
from engines.places import placing, writing
from engines.tensorrt.plans import TIMING_CACHE, PlanKey, described

LISTS = "used"
_RELEASE = re.compile(r"[0-9][0-9.]{0,30}")


def remember(folder: Path, release: str, keys: Iterable[PlanKey]) -> None:
    """Write the list of a release (rule 1). Raises CacheUnwritable."""
    place = _list(folder, release)
    with writing(place.parent), placing(place) as (staged,):
        staged.write_text(json.dumps(sorted({key.stem for key in keys})) + "\n", encoding="utf-8")


def prune(folder: Path, keep: Iterable[str]) -> list[str]:
    """Delete the plans and lists that no release of `keep` uses (rule 2); names of the deleted plans.

    Raises BadOption for what is no version, CacheUnwritable when the disk refuses.
    """
    lists = {release: _list(folder, release) for release in keep}
    used: set[str] = set()
    for place in lists.values():
        try:
            used.update(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return []
    kept, gone = set(), []
    with writing(folder):
        for path in sorted(folder.glob("*.json")):
            if _stem(path) in used:
                kept.add(path.stem)
                continue
            path.unlink()  # the description first: a plan without one is not loaded
            gone.append(path.stem)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != TIMING_CACHE and path.suffix != ".json" and path.stem not in kept:
                path.unlink()  # plans, and what a build that was killed has left
        for path in (folder / LISTS).glob("*.json"):
            if path not in lists.values():
                path.unlink()
    return gone


def _stem(description: Path) -> str:
    """The name that a plan has in a list, whatever its file is called."""
    try:
        return described(description).key.stem
    except PlanRefused:
        return description.stem


def _list(folder: Path, release: str) -> Path:
    if not _RELEASE.fullmatch(release):
        raise BadOption(f"{release!r} is no version of a release")
    return folder / LISTS / f"{release}.json"
