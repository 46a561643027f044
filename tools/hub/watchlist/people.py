"""Who is to be on a list: a CSV or a folder, read whole, with every problem at once and no name in it.

CSV, one row a photo: `entry_ref, photo, category, image_source, image_date, under_18, rationale, face, label,
look_alike`
    entry_ref   opaque; empty: a random one. Rows of one reference are one person
    photo       path from the CSV's own folder
    image_date  YYYY-MM-DD; empty: unknown
    under_18    yes or no (empty: no); yes needs a rationale
    label       how the operator's card calls the entry, at most LABEL_MOST letters; empty: the reference. It is
                sealed for the hub with the photos, reaches no device, no report and no log, and goes with the list
    look_alike  who resembles this person, for the card: "brother, no beard"; at most LABEL_MOST letters, sealed and
                erased as the label is; no name
    face        x;y or left;top;width;height in fractions of the photo, where it shows several faces
Folder: one sub-folder an entry, photos in it, and `entry.yaml` with `category`, `image_source`, `image_date`,
`under_18`, `rationale`, `label`, `look_alike`, `faces: {photo: "x;y"}`; what is the same for everybody comes from the
command line.

1. A reference without a digit is refused: it may be a name. References are the hub's to resolve, never this list's.
2. What one person's rows say differently, but for the photo, its date and its source, is a problem.
"""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from device.enrolment.folder import shown
from device.errors import WatchlistUnusable
from device.hub_api.topics import LEVEL

TEXTS = ("label", "look_alike")
COLUMNS = ("entry_ref", "photo", "category", "image_source", "image_date", "under_18", "rationale", "face", *TEXTS)
LABEL_MOST = 60
NEEDED = ("category", "image_source")
DETAILS = "entry.yaml"
YES, NO = frozenset({"yes", "true", "1"}), frozenset({"", "no", "false", "0"})
_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a person. `name` is how reports call it; `at` the chosen face's point, fractions."""

    path: Path
    name: str
    source: str
    taken_on: date | None
    at: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Person:
    """One entry before its photos were looked at."""

    ref: str
    category: str
    under_18: bool
    rationale: str
    photos: tuple[Photo, ...]
    label: str = ""
    look_alike: str = ""


@dataclass(slots=True)
class People:
    """What was read, and what is wrong with it, a line each."""

    people: list[Person] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for everybody who does not say otherwise."""

    category: str = ""
    image_source: str = ""
    random_refs: bool = False


def read_people(source: Path, defaults: Defaults, categories: Mapping[str, object] | None, today: date) -> People:
    """People of a CSV or a folder. WatchlistUnusable when it is neither or empty; all else is listed as problems.

    categories  of the deployment; None: any, for a list that is not of one deployment
    """
    if source.is_dir():
        rows = list(_folder_rows(source, defaults))
    elif source.is_file():
        rows = list(_csv_rows(source, defaults))
    else:
        raise WatchlistUnusable(f"{source}: no such folder or CSV")
    if not rows:
        raise WatchlistUnusable(f"{source}: nobody in it; a folder has one sub-folder an entry, a CSV one row a photo")
    found = People()
    grouped: dict[str, list[_Row]] = {}
    for row in rows:
        ref = row.ref or f"e-{secrets.token_hex(6)}"
        if not LEVEL.fullmatch(ref) or not _DIGIT.search(ref):
            found.problems.append(
                f"{row.place}: entry_ref {ref!r} must be opaque: letters, digits, '-', '_', '.', with a digit in it"
                " (a name has none); leave it out for a random one (of a folder: --random-refs)"
            )
        grouped.setdefault(ref, []).append(row)
    for ref, mine in grouped.items():
        person = _person(ref, mine, categories, today, found.problems)
        if person is not None:
            found.people.append(person)
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    ref: str
    path: Path
    name: str
    values: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.values.get(key, "").strip()


def _person(
    ref: str, rows: list[_Row], categories: Mapping[str, object] | None, today: date, problems: list[str]
) -> Person | None:
    before = len(problems)
    first = rows[0]
    for row in rows:
        problems += [f"{row.place}: {key} is missing" for key in NEEDED if not row[key]]
        if row["category"] and categories is not None and row["category"] not in categories:
            known = ", ".join(sorted(categories))
            problems.append(f"{row.place}: category {row['category']!r} is not in the deployment; it has {known}")
        if row["under_18"].lower() not in YES | NO:
            problems.append(f"{row.place}: under_18 must be yes or no; found {row['under_18']!r}")
        for key in TEXTS:
            if len(row[key]) > LABEL_MOST or not row[key].isprintable():
                problems.append(f"{row.place}: {key} must be one line of at most {LABEL_MOST} letters")
        differing = [k for k in ("category", "under_18", "rationale", *TEXTS) if row[k] != first[k]]
        problems += [f"{row.place}: {key} differs from {first.place}, which is the same person" for key in differing]
    under_18 = first["under_18"].lower() in YES
    if under_18 and not first["rationale"]:
        problems.append(f"{first.place}: under_18 needs a rationale: why the risk to a child is justified")
    photos = tuple(photo for row in rows if (photo := _photo(row, today, problems)) is not None)
    if len(problems) > before:
        return None
    return Person(ref, first["category"], under_18, first["rationale"], photos, first["label"], first["look_alike"])


def _photo(row: _Row, today: date, problems: list[str]) -> Photo | None:
    before = len(problems)
    taken: date | None = None
    if row["image_date"]:
        try:
            taken = date.fromisoformat(row["image_date"])
        except ValueError:
            problems.append(f"{row.place}: image_date must be YYYY-MM-DD; found {row['image_date']!r}")
        if taken is not None and taken > today:
            problems.append(f"{row.place}: image_date {taken} is in the future")
    at = None
    if row["face"]:
        at = _point(row["face"])
        if at is None:
            problems.append(f"{row.place}: face must be x;y or left;top;width;height, 0 to 1; found {row['face']!r}")
    return Photo(row.path, row.name, row["image_source"], taken, at) if len(problems) == before else None


def _point(text: str) -> tuple[float, float] | None:
    """The point in `x;y`, the centre of `left;top;width;height`; None when it is neither."""
    try:
        numbers = [float(part) for part in text.split(";")]
    except ValueError:
        return None
    if len(numbers) not in (2, 4) or not all(0 <= n <= 1 for n in numbers):
        return None
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (numbers[0] + numbers[2] / 2, numbers[1] + numbers[3] / 2)


def _csv_rows(file: Path, defaults: Defaults) -> Iterator[_Row]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise WatchlistUnusable(f"{file} cannot be read as UTF-8 text: {fault}") from fault
    reader = csv.DictReader(text.splitlines())
    columns = [name.strip() for name in reader.fieldnames or ()]
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or "photo" not in columns:
        raise WatchlistUnusable(
            f"{file}: columns are {', '.join(COLUMNS)}"
            + (f"; unknown: {', '.join(unknown)} (a list must not contain names)" if unknown else "; photo is missing")
        )
    reader.fieldnames = columns
    for number, row in enumerate(reader, 2):
        values = {key: str(value or "") for key, value in row.items() if key in COLUMNS}
        values["category"] = values.get("category", "") or defaults.category
        values["image_source"] = values.get("image_source", "") or defaults.image_source
        photo = values.get("photo", "").strip()
        yield _Row(f"line {number}", values.get("entry_ref", "").strip(), file.parent / photo, shown(photo), values)


def _folder_rows(folder: Path, defaults: Defaults) -> Iterator[_Row]:
    for person in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        details = _details(person)
        faces = details.pop("faces", None) or {}
        said = {key: "" if value is None else str(value) for key, value in details.items()}
        said["under_18"] = {"True": "yes", "False": "no"}.get(said.get("under_18", ""), said.get("under_18", ""))
        said.setdefault("category", defaults.category)
        said.setdefault("image_source", defaults.image_source)
        ref = f"e-{secrets.token_hex(6)}" if defaults.random_refs else person.name
        for photo in sorted(p for p in person.iterdir() if p.name != DETAILS and not p.name.startswith(".")):
            name = f"{shown(person.name)}/{shown(photo.name)}"
            yield _Row(name, ref, photo, name, {**said, "face": str(faces.get(photo.name, ""))})


def _details(person: Path) -> dict[str, Any]:
    import yaml

    file = person / DETAILS
    if not file.exists():
        return {}
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise WatchlistUnusable(f"{file}: {str(fault).splitlines()[0]}") from fault
    known = {*COLUMNS, "faces"} - {"entry_ref", "photo", "face"}
    if not isinstance(found, dict) or set(map(str, found)) - known:
        raise WatchlistUnusable(f"{file}: keys are {', '.join(sorted(known))}")
    return found
