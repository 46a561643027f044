"""The search for personal leftovers finds what is there and nothing else."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tools.dev.demo import leftovers
from tools.dev.demo.leftovers import JFIF, Needle, changed, listing, picture, search


def test_a_picture_hidden_in_the_middle_of_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "state.db").write_bytes(secrets.token_bytes(5000) + JFIF + secrets.token_bytes(5000))
    assert search([tmp_path], [picture()]) == [(tmp_path / "deep" / "state.db", "a JPEG picture")]


def test_ciphertext_is_not_mistaken_for_a_picture(tmp_path: Path) -> None:
    (tmp_path / "probe.age").write_bytes(b"age-encryption.org/v1\n" + secrets.token_bytes(100_000))
    assert search([tmp_path], [picture()]) == []


def test_a_needle_across_two_reads_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "CHUNK_BYTES", 16)
    (tmp_path / "f").write_bytes(b"x" * 12 + JFIF + b"y" * 30)
    assert search([tmp_path], [picture()])


def test_a_piece_of_the_reference_photo_is_found_without_its_header(tmp_path: Path) -> None:
    photo = tmp_path / "reference.jpg"
    photo.write_bytes(secrets.token_bytes(9000))
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "cropped").write_bytes(photo.read_bytes()[2000:7000])
    assert [what for _, what in search([disk], [leftovers.photo_piece(photo)])] == ["the reference photo"]


def test_a_needle_that_chance_would_find_is_refused() -> None:
    with pytest.raises(ValueError, match="by chance"):
        Needle("a JPEG", b"\xff\xd8\xff")


def test_new_and_rewritten_files_are_changes_and_untouched_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("a")
    (tmp_path / "edited").write_text("a")
    (tmp_path / ".git").mkdir()
    before = listing([tmp_path], frozenset({".git"}))
    (tmp_path / "edited").write_text("longer")
    (tmp_path / "new").write_text("b")
    (tmp_path / ".git" / "index").write_text("ignored")
    after = listing([tmp_path], frozenset({".git"}))
    assert changed(before, after) == [tmp_path / "edited", tmp_path / "new"]
