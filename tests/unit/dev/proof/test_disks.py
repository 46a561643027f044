"""Disks are searched whole: new and changed files, other file systems below, long files in parts, odd addresses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tools.dev.proof import disks
from tools.dev.proof.disks import Disks, at_any_byte, below, parts_of, with_mounts
from tools.dev.proof.process_memory import Region
from tools.dev.proof.search import Pattern, Piece, Pieces, find_alike

FACE = Piece("first", "luma", np.random.default_rng(3).integers(0, 256, 24, dtype=np.uint8).tobytes())


def found(regions: Iterable[Region]) -> list[tuple[str, int]]:
    return [(Path(hit.region).name, hit.address) for hit in Pieces([FACE]).find(regions)]


def test_what_is_new_or_changed_is_read_and_what_was_there_is_not(tmp_path: Path) -> None:
    for name in ("old", "changed", "recording"):
        (tmp_path / name).write_bytes(FACE.content)
    places = Disks([tmp_path], but=[tmp_path / "recording"])
    assert found(places.written()) == []
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "new").write_bytes(b"abc" + FACE.content)
    (tmp_path / "changed").write_bytes(b"abcdefgh" + FACE.content)
    (tmp_path / "recording").write_bytes(b"again" + FACE.content)
    assert sorted(found(places.written())) == [("changed", 8), ("new", 3)]
    assert sorted(found(below(tmp_path, but=[tmp_path / "recording"]))) == [("changed", 8), ("new", 3), ("old", 0)]


@pytest.mark.parametrize("at", [0, 90, 100, 150, 195, 900])
def test_a_file_longer_than_a_part_hides_nothing_between_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(disks, "PART", 128)
    monkeypatch.setattr(disks, "OVERLAP", 32)
    (tmp_path / "long").write_bytes(bytes(at) + FACE.content + bytes(1000 - at))
    assert ("long", at) in found(parts_of(tmp_path / "long"))


def test_a_template_is_found_at_any_byte_of_a_file(tmp_path: Path) -> None:
    template = np.random.default_rng(5).standard_normal(128).astype(np.float32)
    (tmp_path / "log").write_bytes(b"z" * 77 + template.tobytes() + b"z" * 50)
    pattern = Pattern("first", "template", "f32", template, 0.75)
    assert find_alike(below(tmp_path), [pattern]) == [], "77 is no address that memory would have"
    assert [hit.address for hit in find_alike(at_any_byte(below(tmp_path)), [pattern])] == [77]


def test_file_systems_that_are_mounted_below_a_place_are_places_too(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"tmpfs {tmp_path}/run/lock tmpfs rw 0 0\ntmpfs /elsewhere tmpfs rw 0 0\n")
    (tmp_path / "run" / "lock").mkdir(parents=True)
    wanted = (tmp_path / "run", tmp_path / "run" / "lock")
    assert with_mounts([tmp_path / "run", tmp_path / "nowhere"], mounts) == wanted


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Disks([tmp_path])
    (tmp_path / "closed").write_bytes(b"x")

    def closed(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(disks, "parts_of", closed)
    assert list(places.written()) == []
    assert places.unread == [f"{tmp_path}/closed: Permission denied"]
