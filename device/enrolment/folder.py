"""Enrolment of a folder: one sub-folder a person, one or more photos in each; the sub-folder's name is the entry.

1. Names are compared and reported in Unicode NFC. Hidden files are ignored silently.
2. What is not a person's photo (files in the root, folders inside a person's folder) is named in a warning.
3. The same bytes twice in one person's folder count once; in two people's folders both are enrolled, both warned of.
4. Two entries whose templates look alike are enrolled, and one warning names both.
5. A single photo is rejected, never raised. Only a list without one usable photo is WatchlistUnusable.
"""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol, TypedDict, TypeVar

import numpy as np
from tqdm import tqdm

from device.domain.sight import F32
from device.enrolment.photo_file import MAX_FILE_BYTES, outcome_of
from device.enrolment.photo_reader import PhotoReader
from device.enrolment.rules import LENIENT, Demands, Outcome
from device.errors import WatchlistUnusable, reason_of
from device.watchlist.look_alikes import alike

Item = TypeVar("Item")
Result = TypeVar("Result")
STRANGERS = 0.25
"""Cosine of two photos of one entry below which they hardly show one person (1 of 1,221 such pairs of LFW)."""


class Remark(TypedDict):
    """One line about a file or a folder, as `lfr replay` prints it; `file` is relative to the watchlist folder."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One person: opaque reference and (k, 128) float32 templates, unit rows, one a usable photo."""

    ref: str
    templates: F32


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The result of a folder. `images` counts the photos that were enrolled."""

    entries: tuple[Entry, ...]
    rejected: tuple[Remark, ...]
    warnings: tuple[Remark, ...]

    @property
    def subjects(self) -> int:
        return len(self.entries)

    @property
    def images(self) -> int:
        return sum(len(entry.templates) for entry in self.entries)


class OutcomeCache(Protocol):
    """Keeps outcomes by the photo's bytes. Calls come from several threads."""

    def get(self, encoded: bytes, digest: bytes) -> Outcome | None: ...

    def put(self, encoded: bytes, digest: bytes, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class SubjectPhoto:
    """A photo to enrol: its file, its person, its name in remarks, and the demands on it."""

    path: Path
    ref: str
    name: str
    demands: Demands = LENIENT


@dataclass(slots=True)
class Remarks:
    """Rejections and warnings, in order."""

    rejected: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)

    def reject(self, file: str, reason: str) -> None:
        self.rejected.append({"file": file, "reason": reason})

    def warn(self, file: str, reason: str) -> None:
        self.warnings.append({"file": file, "reason": reason})


def enrol(
    folder: Path, readers: Sequence[PhotoReader], *, cache: OutcomeCache | None = None, progress: bool = True
) -> Enrolment:
    """Enrol every photo of `folder`, one thread a reader; the result does not depend on their number.

    Raises WatchlistUnusable when `folder` is no folder, is empty, or holds no usable photo.
    """
    notes = Remarks()
    photos = _scan(folder, notes)
    if not photos:
        raise WatchlistUnusable(f"{folder}: no photos; a watchlist has one sub-folder a person with photos in it")
    enrolled = enrol_photos(photos, readers, notes, cache=cache, progress=progress)
    entries = tuple(Entry(ref, stacked(usable)) for ref, usable in enrolled.items() if usable)
    for ref in (ref for ref, usable in enrolled.items() if not usable):
        notes.warn(ref, "no usable photo: this person is not listed")
    if not entries:
        first = notes.rejected[0]
        raise WatchlistUnusable(
            f"{folder}: none of {len(notes.rejected)} photo(s) is usable; the first, {first['file']}: {first['reason']}"
        )
    warn_of_likeness(entries, notes)
    return Enrolment(entries, tuple(notes.rejected), tuple(notes.warnings))


def enrol_photos(
    photos: Sequence[SubjectPhoto],
    readers: Sequence[PhotoReader],
    notes: Remarks,
    *,
    cache: OutcomeCache | None = None,
    progress: bool = True,
) -> dict[str, list[tuple[SubjectPhoto, Outcome]]]:
    """The usable photos of each person, in order, each with its template; rules 3 and 5.

    The one enrolment of `lfr replay` and `lfr watchlist build`. `cache` holds outcomes of lenient demands only.
    """
    people: dict[str, list[tuple[SubjectPhoto, Outcome]]] = {photo.ref: [] for photo in photos}
    seen: dict[bytes, list[SubjectPhoto]] = defaultdict(list)

    def read(photo: SubjectPhoto, reader: PhotoReader) -> tuple[bytes, Outcome]:
        return read_photo(photo.path, reader, cache if photo.demands is LENIENT else None, photo.demands)

    for photo, (digest, outcome) in zip(photos, through(photos, read, readers, progress), strict=True):
        if outcome.template is None:
            notes.reject(photo.name, outcome.rejected or "")
            continue
        twin = next((p for p in seen[digest] if p.ref == photo.ref), None)
        seen[digest].append(photo)
        if twin is not None:
            notes.warn(photo.name, f"the same photo as {twin.name}: counted once")
            continue
        for warning in outcome.warnings:
            notes.warn(photo.name, warning)
        people[photo.ref].append((photo, outcome))
    _warn_of_shared(seen, notes)
    return people


def stacked(usable: Sequence[tuple[SubjectPhoto, Outcome]]) -> F32:
    """Templates of one person's usable photos, (k, dim) float32."""
    return np.stack([outcome.template for _, outcome in usable if outcome.template is not None])


def warn_of_likeness(entries: Sequence[Entry], notes: Remarks) -> None:
    """Warn of photos of one entry that differ too much, and of two entries that look alike (rule 4)."""
    for entry in entries:
        if len(entry.templates) > 1 and float((entry.templates @ entry.templates.T).min()) < STRANGERS:
            notes.warn(entry.ref, "the photos look like different people: compare them before this list is used")
    for one, other, score in alike([entry.templates for entry in entries]):
        notes.warn(entries[one].ref, f"looks like the same person as {entries[other].ref} (cosine {score:.2f})")


def _scan(folder: Path, notes: Remarks) -> list[SubjectPhoto]:
    """Photos in the order of their NFC names; rules 1 and 2."""
    if not folder.is_dir():
        raise WatchlistUnusable(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    photos: list[SubjectPhoto] = []
    spelled: dict[str, Path] = {}
    for person in _listed(folder):
        ref = shown(person.name)
        if not person.is_dir():
            notes.warn(ref, "not in a person's folder: ignored")
            continue
        if ref in spelled:
            notes.warn(ref, "two folders whose names differ only in how they are encoded: taken as one person")
        spelled[ref] = person
        try:
            inside = _listed(person)
        except WatchlistUnusable as fault:
            notes.warn(ref, f"cannot be listed: {fault}")
            continue
        if not inside:
            notes.warn(ref, "empty folder: this person is not listed")
        for path in inside:
            name = f"{ref}/{shown(path.name)}"
            if path.is_dir():
                notes.warn(name, "a folder inside a person's folder: ignored")
            else:
                photos.append(SubjectPhoto(path, ref, name))
    return photos


def shown(name: str) -> str:
    """A file name as text: NFC, and bytes that are no UTF-8 replaced, so that it can be printed and sent."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _listed(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as fault:
        raise WatchlistUnusable(f"{folder}: {reason_of(fault)}") from fault
    return sorted(found, key=lambda path: (shown(path.name), os.fsencode(path.name)))


def through(
    items: Sequence[Item], work: Callable[[Item, PhotoReader], Result], readers: Sequence[PhotoReader], progress: bool
) -> Iterator[Result]:
    """The results of `work` for each item, in order, with a bar on stderr.

    Several readers get a thread each; a single one stays in the caller's, because on a GPU it belongs there.
    """
    idle: SimpleQueue[PhotoReader] = SimpleQueue()
    for reader in readers:
        idle.put(reader)

    def with_a_reader(item: Item) -> Result:
        reader = idle.get()
        try:
            return work(item, reader)
        finally:
            idle.put(reader)

    # A bar that nobody redraws in place (a log file) is written every few seconds only.
    pace_s = 0.2 if sys.stderr.isatty() else 5.0
    pool = ThreadPoolExecutor(len(readers), thread_name_prefix="enrol") if len(readers) > 1 else None
    try:
        done = map(with_a_reader, items) if pool is None else pool.map(with_a_reader, items)
        yield from tqdm(
            done, total=len(items), desc="enrolling", unit="photo", mininterval=pace_s, disable=not progress
        )
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def read_photo(
    path: Path, reader: PhotoReader, cache: OutcomeCache | None = None, demands: Demands = LENIENT
) -> tuple[bytes, Outcome]:
    """SHA-256 and outcome of one photo; every defect is a rejection. `cache` holds outcomes of lenient demands."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return b"", Outcome(None, f"larger than {MAX_FILE_BYTES // 2**20} MiB")
        if not path.is_file():
            return b"", Outcome(None, "not a file")
        encoded = path.read_bytes()
    except OSError as fault:
        return b"", Outcome(None, f"cannot be read: {reason_of(fault)}")
    digest = hashlib.sha256(encoded).digest()
    known = cache.get(encoded, digest) if cache is not None else None
    if known is not None:
        return digest, known
    outcome = outcome_of(encoded, reader, demands)
    if cache is not None:
        cache.put(encoded, digest, outcome)
    return digest, outcome


def _warn_of_shared(seen: dict[bytes, list[SubjectPhoto]], notes: Remarks) -> None:
    """Warn of one photo in the folders of several people (rule 3)."""
    for photos in seen.values():
        refs = list(dict.fromkeys(photo.ref for photo in photos))
        if len(refs) > 1:
            for photo in photos:
                others = ", ".join(ref for ref in refs if ref != photo.ref)
                notes.warn(photo.name, f"the same photo is also listed as {others}")
