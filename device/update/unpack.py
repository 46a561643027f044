"""Unpack a verified release into a new slot, and compile it. What is not a slot's file is refused.

1. Only folders, regular files, and links named bin/python* that lead to /usr/bin or beside themselves; no absolute
   path, no `..`, nothing outside the folder; everything is root's.
2. No more bytes than the manifest states; the manifest is the first entry and is read before anything is written.
3. Byte-compiling is done here, by the slot's own Python, since nothing may write to it later.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from device.config.release import MANIFEST, MANIFEST_MAX_BYTES, ReleaseManifest, parse_manifest
from device.errors import BadData

COMPILED = "compiled"
"""A mark in the slot."""
ENTRIES_MOST = 200_000
COMPILE_WITHIN_S = 900
_PYTHON = re.compile(r"bin/python[0-9.]*")
_PYTHON_AT = re.compile(r"(/usr/bin/)?python[0-9.]*")


def manifest_of(bundle: Path) -> ReleaseManifest:
    """What a release states (rule 2). BadData when it is none."""
    with _opened(bundle) as archive:
        first = archive.next()
        if first is None or first.name != MANIFEST or not first.isfile() or first.size > MANIFEST_MAX_BYTES:
            raise BadData(f"{bundle.name} is no release: it does not begin with {MANIFEST}")
        file = archive.extractfile(first)
        return parse_manifest(b"" if file is None else file.read(MANIFEST_MAX_BYTES))


def unpack(bundle: Path, folder: Path, most_bytes: int) -> None:
    """Write the release's files into an empty folder (rules 1 and 2). BadData or OSError; then remove the folder."""
    left = most_bytes
    with _opened(bundle) as archive:
        for number, entry in enumerate(archive):
            place = folder / _inside(entry)
            left -= entry.size if entry.isfile() else 0
            if left < 0 or number > ENTRIES_MOST:
                raise BadData(f"{bundle.name} unpacks to more than the {most_bytes} bytes that it states")
            try:
                _write(archive, entry, place)
            except (FileExistsError, NotADirectoryError) as fault:
                raise BadData(f"{entry.name!r} is there twice, or below a file; this is no release") from fault


def compile_slot(folder: Path) -> None:
    """Rule 3. A file for another Python, which some packages carry, does not compile, and nothing imports it."""
    command = [str(folder / "bin" / "python"), "-I", "-m", "compileall", "-q", "-j", "0", str(folder / "lib")]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMPILE_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise BadData(f"the slot's Python could not compile it: {fault}") from fault
    (folder / COMPILED).touch()


@contextmanager
def _opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    """The archive; what is wrong with its bytes is BadData."""
    try:
        with tarfile.open(bundle, mode="r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise BadData(f"{bundle.name} is cut off or damaged ({fault}); copy it again") from fault


def _inside(entry: tarfile.TarInfo) -> PurePosixPath:
    """The entry's path below the slot (rule 1)."""
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadData(f"{entry.name!r} leads out of the slot; this is no release")
    return path


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if entry.isdir():
        place.mkdir(mode=0o755, exist_ok=True)
    elif entry.issym() and _PYTHON.fullmatch(entry.name) and _PYTHON_AT.fullmatch(entry.linkname):
        place.symlink_to(entry.linkname)
    elif entry.isfile() and (content := archive.extractfile(entry)) is not None:
        with place.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        place.chmod(0o755 if entry.mode & 0o100 else 0o644)
    else:
        raise BadData(f"{entry.name!r} is no file of a slot (a link or a device); this is no release")
