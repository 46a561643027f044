"""What is measured: drawn clips, and folders of clips with labels and a list.

1. A person is listed in all clips of a run or in none, and appears in one drawn clip at most.
2. Who is listed is enrolled with the first photo and shown with the second, where there are two; the packaged portraits
   have one each, so that there the same photo is enrolled and shown: such a run tells what the loop misses, and nothing
   of the recogniser.
3. Pairs whose photos are alike by PAIR_COSINE play the scenes for two; one of each pair is listed.
4. A shape is a scene of tools/dev/clip/scenes.py or, of WALKS, people who walk by as in the clips of `lfr bench`; those
   of a near walk have faces of NEAR_PX and above in seven of eight frames, and hardly smaller ones.
5. In a clear walk everybody comes nearer, from CLEAR_PX[0] to CLEAR_PX[1], in 2 to 4 s, in daylight and in a camera's
   main stream: a walk and a near walk have the blur of 1/167 s and the bit rate of a second stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from device.domain.sight import F32
from device.errors import BadData, UsageError
from tools.dev.bench import variants
from tools.dev.bench.naive import Naive
from tools.dev.bench.recall.labels import Label, by_eye, drawn, listed_by_eye
from tools.dev.bench.variants import PICTURES, central
from tools.dev.clip.cutout import FaceFinder
from tools.dev.clip.make import read_truth, ready_clip, shown_in, truth_file
from tools.dev.clip.scenes import Cast, scene_of
from tools.dev.clip.spec import ClipSpec, Passer, default_spec
from tools.dev.clip.walks import COMES_TO
from tools.dev.samples.extract import distinct_avatars

People = dict[str, list[Path]]

SHAPES: dict[str, tuple[int, int]] = {"720p": (1280, 720), "1080p": (1920, 1080), "portrait": (720, 1280)}
NEAR_PX = 48.0
"""Face height from which a search is advised; a walk is drawn between it and the shape's largest face."""

WALKS = {
    "walk-720p": "hd",
    "walk-1080p": "fullhd",
    "walk-portrait": "portrait",
    "near-720p": "hd",
    "near-1080p": "fullhd",
    "near-portrait": "portrait",
    "clear-720p": "hd",
    "clear-1080p": "fullhd",
    "clear-portrait": "portrait",
}
"""Crowds that walk by (rules 4 and 5), by the shapes of tools/dev/bench/variants.py."""

CLEAR_PX = (80.0, 120.0)
CLEAR_EVERY_S, CLEAR_S = 0.4, 3.0
"""Of a clear walk: the time between two people who appear, and how long before the clip's end the last one does."""

CLEAR_SHUTTER = 0.05
"""Share of the frame time: 1/500 s at 25 Hz."""

CLEAR_CRF = 18
"""3.4 Mbit/s in 720p; 22 gives .9 there and 1.4 in 1080p, which costs the best look of a person .03 (ACCURACY.md)."""

PER_CLIP = 34
"""People who are kept ready for a drawn clip of 15 s; a scene takes about 26."""

PER_WALK = 60
"""The same for a crowd that walks by."""

PAIRS_PER_CLIP = 7
PAIR_COSINE = (0.2, 0.4)
LABELS = "truth.json"


@dataclass(frozen=True, slots=True)
class Case:
    """One clip with its labels."""

    name: str
    clip: Path
    labels: tuple[Label, ...]


@dataclass(slots=True)
class Cases:
    """All clips of a run, the photos to enrol by entry, and the photo that a drawn clip shows of a person."""

    cases: list[Case] = field(default_factory=list)
    enrol: People = field(default_factory=dict)
    shown: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The clips to draw. `people`: a folder with one folder of photos a person; None: the packaged portraits."""

    shapes: tuple[str, ...]
    seeds: tuple[int, ...]
    seconds: float
    people: Path | None = None


def folder_of(people: Path) -> People:
    """Person and photos of a folder in the layout of LFW."""
    if not people.is_dir():
        raise BadData(f"{people}: no such folder; give one with a folder for each person")
    found = {}
    for person in sorted(people.iterdir()):
        files = [f for f in sorted(person.iterdir()) if f.suffix.lower() in PICTURES] if person.is_dir() else []
        if files:
            found[person.name] = files
    return found


def add_folder(cases: Cases, folder: Path) -> None:
    """A folder of clips with `truth.json` or with their own (drawn) truth, or one drawn clip; see the README.

    Raises BadData when there is no label, or what is named is not there.
    """
    if folder.is_file():
        cases.cases.append(_drawn_case(folder))
        return
    clips = [Case(file.stem, file, ()) for file in sorted(folder.glob("*.mp4")) if truth_file(file).is_file()]
    cases.cases += [_drawn_case(case.clip) for case in clips]
    if not clips or (folder / LABELS).exists():
        for name, labels in by_eye(folder / LABELS).items():
            cases.cases.append(Case(f"{folder.name}/{name}", _there(folder, name), tuple(labels)))
    for person, photos in _listed_in(folder).items():
        cases.enrol[person] = list(dict.fromkeys([*cases.enrol.get(person, []), *photos]))


def _listed_in(folder: Path) -> People:
    """Photos by entry: the sub-folders of `list`, and what truth.json names under "list"."""
    listed: People = {}
    for person in sorted((folder / "list").iterdir()) if (folder / "list").is_dir() else []:
        if person.is_dir():
            listed[person.name] = [f for f in sorted(person.iterdir()) if f.is_file() and not f.name.startswith(".")]
    for name, files in (listed_by_eye(folder / LABELS) if (folder / LABELS).exists() else {}).items():
        listed.setdefault(name, []).extend(_there(folder, file) for file in files)
    return listed


def _drawn_case(clip: Path) -> Case:
    if not truth_file(clip).is_file():
        raise BadData(f"{clip}: no {truth_file(clip).name} beside it; give a drawn clip, or a folder with {LABELS}")
    return Case(clip.stem, clip, tuple(drawn(read_truth(clip))))


def _there(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise BadData(f"{folder / name}: named in {LABELS}, but not there")
    return folder / name


def add_drawn(cases: Cases, drawing: Drawing) -> set[str]:
    """Draw the clips, or take them from the cache. Returns who appears in them."""
    known = [*SHAPES, *WALKS]
    unknown = [shape for shape in drawing.shapes if shape not in known]
    if unknown:
        raise UsageError(f"unknown shape {unknown[0]!r}; choose from: {', '.join(known)}")
    shown = _add_scenes(cases, drawing, [shape for shape in drawing.shapes if shape in SHAPES])
    return shown | _add_walks(cases, drawing, [shape for shape in drawing.shapes if shape in WALKS], shown)


def _add_scenes(cases: Cases, drawing: Drawing, shapes: Sequence[str]) -> set[str]:
    specs = [(shape, seed) for seed in drawing.seeds for shape in shapes]
    pool = _pool(drawing, round(PER_CLIP * drawing.seconds / 15) * len(specs))
    pairs, singles = _paired(pool, PAIRS_PER_CLIP * len(specs))
    shown: set[str] = set()
    for number, (shape, seed) in enumerate(specs):
        width, height = SHAPES[shape]
        base = replace(default_spec(seed, drawing.seconds), width=width, height=height)
        cast = Cast(tuple(singles[number :: len(specs)]), tuple(pairs[number :: len(specs)]))
        shown |= _add_clip(cases, f"{shape}-{seed}", scene_of(base, cast))
    cases.enrol.update(_enrolled(drawing, [p for p in (*singles, *itertools.chain(*pairs)) if p.listed]))
    return shown


def _add_walks(cases: Cases, drawing: Drawing, shapes: Sequence[str], taken: set[str]) -> set[str]:
    """Rule 4; nobody of `taken` appears."""
    specs = [(shape, seed) for seed in drawing.seeds for shape in shapes]
    each = round(PER_WALK * drawing.seconds / 15)
    pool = [p for p in _pool(drawing, each * len(specs) + len(taken)) if p.person not in taken]
    shown: set[str] = set()
    for number, (shape, seed) in enumerate(specs):
        crowd = tuple(pool[number * each : (number + 1) * each])
        base = replace(default_spec(seed, drawing.seconds), listed=(), crowd=crowd)
        shown |= _add_clip(cases, f"{shape}-{seed}", walk_of(shape, base))
    cases.enrol.update(_enrolled(drawing, [p for p in pool[: each * len(specs)] if p.listed]))
    return shown


def walk_of(shape: str, base: ClipSpec) -> ClipSpec:
    """Rules 4 and 5; who of `base.crowd` appears, and when."""
    spec = variants.SHAPES[WALKS[shape]](base)
    if shape.startswith("clear-"):
        return _clear(spec)
    return replace(spec, face_px=(NEAR_PX, spec.face_px[1])) if shape.startswith("near-") else spec


def _clear(spec: ClipSpec) -> ClipSpec:
    """Rule 5: as many of the crowd as there is time for, one after the other, on the way of a listed person
    (walks.schedule), who comes nearer from half to the whole of COMES_TO of the largest face."""
    starts = np.arange(0.0, max(CLEAR_EVERY_S, spec.seconds - CLEAR_S), CLEAR_EVERY_S)
    people = tuple(replace(p, start_s=round(float(s), 2)) for p, s in zip(spec.crowd, starts, strict=False))
    largest = CLEAR_PX[1] / COMES_TO
    return replace(spec, listed=people, crowd=(), face_px=(CLEAR_PX[0], largest), shutter=CLEAR_SHUTTER, crf=CLEAR_CRF)


def _add_clip(cases: Cases, name: str, spec: ClipSpec) -> set[str]:
    """Who appears in it."""
    clip, truth = ready_clip(spec)
    cases.cases.append(Case(name, clip, tuple(drawn(truth))))
    people = {passage.person for passage in truth.passages}
    cases.shown.update({p.person: p.photo for p in shown_in(spec) if p.person in people})
    return people


def fill(cases: Cases, wanted: int, sources: Sequence[People], shown: set[str]) -> None:
    """Rule 1: more entries up to `wanted`, of people who are in no clip, with one photo each."""
    seen = shown | {label.person for case in cases.cases for label in case.labels}
    for people in sources:
        for person, photos in people.items():
            if len(cases.enrol) >= wanted:
                return
            if person not in seen and person not in cases.enrol:
                cases.enrol[person] = photos[:1]


def rotated(cases: Cases) -> list[Cases]:
    """The same clips with two lists: on each stands one half of the listed people who are shown; the others of them are
    the strangers of that list. Whoever is not shown stands on both.
    """
    shown = {label.person for case in cases.cases for label in case.labels}
    order = [person for person in sorted(cases.enrol) if person in shown]
    halves = (set(order[::2]), set(order[1::2]))
    if not all(halves):
        raise UsageError("--rotate needs two listed people who are shown")
    return [replace(cases, enrol={p: f for p, f in cases.enrol.items() if p not in left_out}) for left_out in halves]


def avatars() -> People:
    """The packaged portraits as people."""
    return {path.stem: [path] for path in distinct_avatars()}


def _pool(drawing: Drawing, wanted: int) -> list[Passer]:
    """Who may appear, every other one listed; drawn by the first seed."""
    rng = np.random.default_rng([drawing.seeds[0], 11])
    if drawing.people is None:
        photos = distinct_avatars()
        order = [photos[i] for i in rng.permutation(len(photos))]
        return [Passer(path.stem, path, listed=n % 2 == 0) for n, path in enumerate(order[:wanted])]
    people = folder_of(drawing.people)
    finder, names = FaceFinder(), sorted(people)
    order = [names[i] for i in rng.permutation(len(names))]
    several = _usable(finder, people, [name for name in order if len(people[name]) > 1], second=True)
    listed = list(itertools.islice(several, wanted // 2))
    taken = {passer.person for passer in listed}
    rest = _usable(finder, people, [name for name in reversed(order) if name not in taken], second=False)
    others = list(itertools.islice(rest, wanted - len(listed)))
    return [p for p in itertools.chain(*itertools.zip_longest(listed, others)) if p is not None]


def _usable(finder: FaceFinder, people: People, names: Sequence[str], *, second: bool) -> Iterator[Passer]:
    """Whose photos show one face in the middle; those with a second photo are listed and shown with it."""
    for name in names:
        photos = people[name][: 2 if second else 1]
        if all(central(finder, photo) for photo in photos):
            yield Passer(name, photos[-1], listed=second)


def _paired(pool: list[Passer], wanted: int) -> tuple[list[tuple[Passer, Passer]], list[Passer]]:
    """Rule 3: pairs of a listed and an unlisted person, and who is left."""
    naive = Naive(1.0, threads=1)
    templates: list[F32 | None] = [naive.template(passer.photo) for passer in pool]
    pairs: list[tuple[Passer, Passer]] = []
    taken: set[int] = set()
    for one, other in itertools.combinations(range(len(pool)), 2):
        a, b = templates[one], templates[other]
        if len(pairs) == wanted or {one, other} & taken or pool[one].listed == pool[other].listed:
            continue
        if a is not None and b is not None and PAIR_COSINE[0] <= float(a @ b) <= PAIR_COSINE[1]:
            pairs.append((pool[one], pool[other]))
            taken |= {one, other}
    return pairs, [passer for n, passer in enumerate(pool) if n not in taken]


def _enrolled(drawing: Drawing, listed: Sequence[Passer]) -> People:
    """Rule 2."""
    if drawing.people is None:
        return {passer.person: [passer.photo] for passer in listed}
    people = folder_of(drawing.people)
    return {passer.person: people[passer.person][:1] for passer in listed}
