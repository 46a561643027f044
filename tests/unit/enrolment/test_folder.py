"""Enrolment of a folder: who is listed, what is refused, and what is reported to the enroller."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.domain.sight import F32
from device.enrolment.folder import Enrolment, Remark, enrol
from device.errors import WatchlistUnusable
from tests.unit.enrolment.conftest import Paint

Photo = Callable[..., Path]
Reader = Any


def enrolled(folder: Path, *readers: Reader) -> Enrolment:
    return enrol(folder, readers, progress=False)


def output(remarks: tuple[Remark, ...]) -> dict[str, str]:
    return {remark["file"]: remark["reason"] for remark in remarks}


def test_one_folder_a_person_one_template_a_photo(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / "ann" / "1.jpg", 1)
    photo(tmp_path / "ann" / "2.png", 1, side=120)
    photo(tmp_path / "bob" / "x.bmp", 2)
    found = enrolled(tmp_path, reader)
    assert [(e.ref, e.templates.shape) for e in found.entries] == [("ann", (2, 128)), ("bob", (1, 128))]
    assert (found.subjects, found.images, found.rejected, found.warnings) == (2, 3, (), ())


def test_templates_are_of_length_one_and_the_persons_own(
    tmp_path: Path, photo: Photo, reader: Reader, template_of: Callable[[int], F32]
) -> None:
    photo(tmp_path / "ann" / "1.png", 7)
    (entry,) = enrolled(tmp_path, reader).entries
    assert entry.templates[0] == pytest.approx(template_of(7), abs=1e-6)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_pictures_are_known_by_content_not_by_name(suffix: str, tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / "ann" / f"1{suffix}").rename(tmp_path / "ann" / "photo.dat")
    assert enrolled(tmp_path, reader).images == 1


def test_the_result_does_not_depend_on_the_number_of_readers(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    for n in range(12):
        photo(tmp_path / f"p{n}" / "1.png", n)
    one, three = enrolled(tmp_path, reader), enrolled(tmp_path, reader, type(reader)(), type(reader)())
    assert [e.ref for e in one.entries] == [e.ref for e in three.entries]
    assert np.array_equal([e.templates for e in one.entries], [e.templates for e in three.entries])


def test_a_photo_without_a_face_is_rejected_and_the_person_not_listed(
    tmp_path: Path, photo: Photo, reader: Reader, paint: Paint
) -> None:
    photo(tmp_path / "ann" / "1.jpg")
    photo(tmp_path / "bob" / "1.jpg", picture=paint())
    found = enrolled(tmp_path, reader)
    assert output(found.rejected) == {"bob/1.jpg": "no face found"}
    assert output(found.warnings) == {"bob": "no usable photo: this person is not listed"}
    assert found.subjects == 1


def test_of_several_faces_the_most_central_is_enrolled_with_a_warning(
    tmp_path: Path, photo: Photo, reader: Reader, paint: Paint, template_of: Callable[[int], F32]
) -> None:
    group = paint((1, (0, 0, 110, 110)), (2, (120, 90, 180, 150)), (3, (190, 190, 250, 250)))
    photo(tmp_path / "ann" / "1.png", picture=group)
    found = enrolled(tmp_path, reader)
    assert found.entries[0].templates[0] @ template_of(2) == pytest.approx(1, abs=1e-5)
    assert output(found.warnings) == {"ann/1.png": "3 faces found: the most central one is enrolled"}


def test_a_tiny_face_is_rejected_and_a_small_one_warned_of(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / "ann" / "31.png", side=31)
    photo(tmp_path / "ann" / "32.png", side=32)
    photo(tmp_path / "ann" / "48.png", side=48)
    found = enrolled(tmp_path, reader)
    assert output(found.rejected) == {"ann/31.png": "face too small: 31 px high, at least 32 are needed"}
    assert list(output(found.warnings)) == ["ann/32.png"]
    assert found.images == 2


@pytest.mark.parametrize(("blue", "reason"), [(120, "face too blurred"), (200, "usable template")])
def test_a_face_that_cannot_be_used_is_rejected(
    blue: int, reason: str, tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    photo(tmp_path / "ann" / "1.png", blue=blue)
    photo(tmp_path / "bob" / "1.png", 2)
    assert reason in output(enrolled(tmp_path, reader).rejected)["ann/1.png"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"not a picture", "not a picture"),
        (b"GIF89a" + bytes(100), "not a picture"),
        (b"\xff\xd8\xff\xe0", "cut off in its header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\xff\xff\0\0\xff\xff" + bytes(9), "too large: at most 50 megapixels"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\x10\0\0\0\x10" + bytes(9), "a PNG that does not decode"),
    ],
)
def test_an_unreadable_file_is_rejected_with_its_reason(
    content: bytes, reason: str, tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    photo(tmp_path / "ann" / "1.png")
    (tmp_path / "ann" / "2.jpg").write_bytes(content)
    found = enrolled(tmp_path, reader)
    assert reason in output(found.rejected)["ann/2.jpg"]
    assert found.images == 1


def test_a_jpeg_that_is_cut_off_is_rejected_although_a_decoder_would_fill_it(
    tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    whole = photo(tmp_path / "ann" / "1.jpg").read_bytes()
    (tmp_path / "ann" / "2.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    assert "cut off" in output(enrolled(tmp_path, reader).rejected)["ann/2.jpg"]


def test_the_same_photo_twice_in_one_folder_counts_once(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    first = photo(tmp_path / "ann" / "1.png")
    (tmp_path / "ann" / "2.png").write_bytes(first.read_bytes())
    found = enrolled(tmp_path, reader)
    assert found.images == 1
    assert output(found.warnings) == {"ann/2.png": "the same photo as ann/1.png: counted once"}


def test_the_same_photo_for_two_people_warns_of_both(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    first = photo(tmp_path / "ann" / "1.png")
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "1.png").write_bytes(first.read_bytes())
    found = enrolled(tmp_path, reader)
    assert found.subjects == 2
    warned = output(found.warnings)
    assert warned["ann/1.png"] == "the same photo is also listed as bob"
    assert warned["bob/1.png"] == "the same photo is also listed as ann"


def test_two_entries_that_look_like_one_person_are_named_together(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / "ann" / "1.png", 1)
    photo(tmp_path / "bob" / "1.png", 2)
    photo(tmp_path / "robert" / "1.png", 2, side=90)
    found = enrolled(tmp_path, reader)
    assert output(found.warnings) == {"bob": "looks like the same person as robert (cosine 1.00)"}
    assert found.subjects == 3


def test_names_with_spaces_and_letters_of_any_script_are_kept_in_nfc(
    tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    for n, name in enumerate(("Siân O'Neill-Ŵyn", "王 小明", "عمر")):
        photo(tmp_path / unicodedata.normalize("NFD", name) / "ein Foto ü.png", n)
    refs = [e.ref for e in enrolled(tmp_path, reader).entries]
    assert sorted(refs) == sorted(unicodedata.normalize("NFC", n) for n in ("Siân O'Neill-Ŵyn", "王 小明", "عمر"))


def test_a_name_in_two_encodings_is_one_person_with_a_warning(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / unicodedata.normalize("NFD", "Siân") / "1.png", 1)
    photo(tmp_path / unicodedata.normalize("NFC", "Siân") / "2.png", 1, side=90)
    found = enrolled(tmp_path, reader)
    assert [(e.ref, len(e.templates)) for e in found.entries] == [("Siân", 2)]
    assert "taken as one person" in output(found.warnings)["Siân"]


def test_a_name_that_is_no_utf8_can_still_be_printed(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    photo(tmp_path / os.fsdecode(b"jos\xe9") / "1.png")
    (entry,) = enrolled(tmp_path, reader).entries
    assert entry.ref.encode("utf-8").decode() == "jos�"


def test_hidden_files_are_passed_over_and_misplaced_ones_are_named(
    tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    photo(tmp_path / "ann" / "1.png")
    photo(tmp_path / "ann" / ".thumb.png", 2)
    photo(tmp_path / ".cache" / "1.png", 3)
    photo(tmp_path / "ann" / "older" / "1.png", 4)
    photo(tmp_path / "stray.png", 5)
    (tmp_path / "carl").mkdir()
    found = enrolled(tmp_path, reader)
    assert (found.subjects, found.images, found.rejected) == (1, 1, ())
    assert output(found.warnings) == {
        "ann/older": "a folder inside a person's folder: ignored",
        "carl": "empty folder: this person is not listed",
        "stray.png": "not in a person's folder: ignored",
    }


def test_a_pipe_or_a_dangling_link_is_rejected_and_waits_for_nobody(
    tmp_path: Path, photo: Photo, reader: Reader
) -> None:
    photo(tmp_path / "ann" / "1.png")
    os.mkfifo(tmp_path / "ann" / "pipe")
    (tmp_path / "ann" / "link.png").symlink_to(tmp_path / "nowhere.png")
    rejected = output(enrolled(tmp_path, reader).rejected)
    assert rejected["ann/pipe"] == "not a file"
    assert rejected["ann/link.png"].startswith("cannot be read")


def test_a_list_without_one_usable_photo_is_unusable(
    tmp_path: Path, photo: Photo, reader: Reader, paint: Paint
) -> None:
    photo(tmp_path / "ann" / "1.png", picture=paint())
    with pytest.raises(
        WatchlistUnusable, match=r"none of 1 photo\(s\) is usable; the first, ann/1\.png: no face"
    ) as bad:
        enrolled(tmp_path, reader)
    assert bad.value.exit_status == 65


def test_an_empty_a_missing_and_a_non_folder_are_unusable(tmp_path: Path, photo: Photo, reader: Reader) -> None:
    with pytest.raises(WatchlistUnusable, match="no photos"):
        enrolled(tmp_path, reader)
    with pytest.raises(WatchlistUnusable, match="no such folder"):
        enrolled(tmp_path / "gone", reader)
    with pytest.raises(WatchlistUnusable, match="not a folder"):
        enrolled(photo(tmp_path / "a.png"), reader)


def test_a_large_photo_is_searched_reduced_first(tmp_path: Path, photo: Photo, reader: Reader, paint: Paint) -> None:
    photo(tmp_path / "ann" / "1.jpg", picture=paint((1, (1000, 800, 2000, 1800)), size=(3000, 2600)))
    assert enrolled(tmp_path, reader).images == 1
    assert reader.photos_read == 1


def test_a_small_face_in_a_large_photo_is_searched_at_full_size(
    tmp_path: Path, photo: Photo, reader: Reader, paint: Paint
) -> None:
    photo(tmp_path / "ann" / "1.jpg", picture=paint((1, (1400, 1200, 1456, 1256)), size=(3000, 2600)))
    found = enrolled(tmp_path, reader)
    assert (found.images, found.warnings) == (1, ())
    assert reader.photos_read == 2


def test_progress_goes_to_stderr_alone(
    tmp_path: Path, photo: Photo, reader: Reader, capfd: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "ann" / "1.png")
    enrol(tmp_path, [reader], progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "enrolling" in err
