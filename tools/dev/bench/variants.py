"""Clips for the sweep: sizes, densities and seeds that the product was not tuned on, from any folder of people.

A folder of people has one folder a person with one or more photos (the layout of LFW, and of `lfr replay`'s DIR).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device.errors import BadData, UsageError
from tools.dev.clip.cutout import FaceFinder
from tools.dev.clip.spec import ClipSpec, Passer, default_spec, watchlist_photos

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Variant:
    """A named clip and whom to enrol for it."""

    name: str
    spec: ClipSpec
    enrol: dict[str, list[Path]]


SHAPES: dict[str, Callable[[ClipSpec], ClipSpec]] = {
    "hd": lambda s: s,
    "fullhd": lambda s: replace(s, width=1920, height=1080, face_px=(40.0, 200.0)),
    "portrait": lambda s: replace(s, width=720, height=1280, in_view=(4, 6)),
    "small": lambda s: replace(s, width=640, height=480, face_px=(28.0, 110.0), in_view=(4, 6)),
    "dense": lambda s: replace(s, in_view=(12, 15), face_px=(30.0, 120.0)),
    "far": lambda s: replace(s, face_px=(26.0, 80.0)),
    "rough": lambda s: replace(s, noise=9.0, shutter=0.4, crf=30, accessories=0.3),
    "slow": lambda s: replace(s, fps=10),
    "sparse": lambda s: replace(s, in_view=(1, 2)),
}
"""What each shape changes of the default clip."""


def variants(names: list[str], seeds: list[int], seconds: float, people: Path | None, listed: int) -> list[Variant]:
    """Every named shape with every seed. With `people`, `listed` of them pass (with another photo than the enrolled
    one) among a crowd of the others; without, it is the demo's cast, placed anew by the seed."""
    unknown = [name for name in names if name not in SHAPES]
    if unknown:
        raise UsageError(f"unknown shape {unknown[0]!r}; choose from: {', '.join(SHAPES)}")
    found = _people(people) if people is not None else {}
    made = []
    for seed in seeds:
        base, enrol = default_spec(seed, seconds), watchlist_photos()
        if found:
            base, enrol = _cast(base, enrol, found, listed)
        made += [Variant(f"{name}-{seed}", SHAPES[name](base), enrol) for name in names]
    return made


def _cast(
    base: ClipSpec, enrol: dict[str, list[Path]], people: dict[str, list[Path]], listed: int
) -> tuple[ClipSpec, dict[str, list[Path]]]:
    """Choose by the spec's seed who is listed and who is the crowd."""
    rng = np.random.default_rng([base.seed, 3])
    several = [name for name, files in people.items() if len(files) >= 2]
    chosen = [several[i] for i in rng.permutation(len(several))[:listed]]
    starts = np.sort(rng.uniform(0.02, 0.85, len(chosen))) * base.seconds
    walkers = [
        Passer(name, people[name][1], listed=True, start_s=float(start), hidden=float(rng.choice([0.0, 0.0, 0.4])))
        for name, start in zip(chosen, starts, strict=True)
    ]
    others = [name for name in people if name not in chosen]
    crowd = [Passer(others[i], people[others[i]][0]) for i in rng.permutation(len(others))[:150]]
    spec = replace(base, listed=(*base.listed, *walkers), crowd=tuple(crowd))
    return spec, {**enrol, **{name: people[name][:1] for name in chosen}}


def _people(folder: Path) -> dict[str, list[Path]]:
    """Person and photos; photos where the largest face is not in the middle may show somebody else and are left out."""
    if not folder.is_dir():
        raise BadData(f"{folder}: no such folder; give one with a folder for each person")
    finder, people = FaceFinder(), {}
    for person in sorted(folder.iterdir())[:MOST_PEOPLE]:
        files = [f for f in sorted(person.iterdir()) if f.suffix.lower() in PICTURES][:3] if person.is_dir() else []
        usable = [file for file in files if central(finder, file)]
        if usable:
            people[person.name] = usable
    if not people:
        raise BadData(f"{folder}: no photo with a face in the middle; give one folder for each person")
    return people


MOST_PEOPLE = 700
"""Of a large folder, the first so many by name: enough for a crowd, and found in seconds."""


def central(finder: FaceFinder, file: Path) -> bool:
    """Whether a photo's largest face is in its middle: otherwise it may show somebody else."""
    try:
        portrait = finder.portrait(file)
    except BadData:
        return False
    left, top, wide, tall = portrait.face
    height, width = portrait.pixels.shape[:2]
    aside, above = abs(left + wide / 2 - width / 2), abs(top + tall / 2 - height / 2)
    return bool(aside < 0.15 * width and above < 0.2 * height)
