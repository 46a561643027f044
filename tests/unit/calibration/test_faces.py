"""Data sets as people hand them over: whatever is wrong is named, and nothing wrong is measured."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.cli.evaluate_command import read_groups
from calibration.data import reading
from calibration.data.faces import Faces, Listed, gathered, scan, without_twins
from calibration.data.pairs import read_pairs, verified
from calibration.evidence.signing import load_key, new_key, public_hex, signed
from device.cli.main import main
from device.enrolment.photo_file import defect_of
from device.enrolment.rules import Outcome
from device.errors import EvidenceUnusable, UsageError
from device.evidence.artefact import Artefact, Data, key_id, read


def photo(folder: Path, name: str, content: bytes = b"x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def picture(seed: int) -> bytes:
    """A whole JPEG of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def face(seed: int) -> Outcome:
    row = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
    return Outcome(row / np.linalg.norm(row), None, (), 90.0)


def test_photos_are_found_by_person_and_what_is_odd_is_noted(tmp_path: Path) -> None:
    photo(tmp_path, "Ann/Ann_0002.jpg")
    photo(tmp_path, "Ann/Ann_0001.jpg")
    photo(tmp_path, "Bob/notes.txt")
    photo(tmp_path, "readme.md")
    photo(tmp_path, ".hidden/x.jpg")
    photos, notes = scan(tmp_path)
    assert [each.name for each in photos] == ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg"]
    assert notes == [
        "Bob: empty folder, this person is not in the data",
        "readme.md: not in a person's folder, passed over",
    ]


NO_SETS = [("none", "no such folder"), ("file", "not a folder"), ("empty", "no photos")]


@pytest.mark.parametrize(("place", "says"), NO_SETS)
def test_what_is_no_data_set_is_refused(place: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "Ann").mkdir(parents=True)
    with pytest.raises(EvidenceUnusable, match=says):
        scan(tmp_path / place)


def test_the_same_photo_counts_once_and_under_two_names_not_at_all(tmp_path: Path) -> None:
    one, other = picture(1), picture(2)
    photo(tmp_path, "Ann/1.jpg", one)
    photo(tmp_path, "Ann/2.jpg", one)
    photo(tmp_path, "Bob/1.jpg", other)
    photo(tmp_path, "Cid/1.jpg", other)
    kept, dropped = without_twins(scan(tmp_path)[0])
    assert [each.name for each in kept] == ["Ann/1.jpg"]
    assert dict(dropped) == {
        "Ann/2.jpg": "the same photo as Ann/1.jpg",
        "Bob/1.jpg": "the same photo is listed under several people (Bob, Cid)",
        "Cid/1.jpg": "the same photo is listed under several people (Bob, Cid)",
    }


@pytest.mark.parametrize("broken", [b"", b"no picture", "cut off"])
def test_a_broken_file_is_nobodys_photo_however_often_it_is_there(broken: bytes | str, tmp_path: Path) -> None:
    encoded = picture(1)[:-40] if isinstance(broken, str) else broken
    for name in ("Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg"):
        photo(tmp_path, name, encoded)
    kept, dropped = without_twins(scan(tmp_path)[0])
    assert ([each.name for each in kept], dropped) == (["Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg"], [])
    assert defect_of(encoded), "they are left out for that, each of them"


def listed(name: str) -> Listed:
    return Listed(Path(name), name.partition("/")[0], name)


def test_photos_that_give_no_template_are_left_out_with_their_reason() -> None:
    photos = [listed(name) for name in ("Ann/1", "Ann/2", "Bob/1")]
    outcomes = {"Ann/1": face(1), "Ann/2": Outcome(None, "a JPEG that does not decode"), "Bob/1": face(2)}
    faces = gathered(photos, outcomes)
    assert faces.people == ("Ann", "Bob")
    assert faces.rejected == (("Ann/2", "a JPEG that does not decode"),)
    assert faces.with_two == 0
    assert [rows.tolist() for rows in faces.rows()] == [[0], [1]]


def test_one_person_is_not_enough_and_the_first_reason_is_given() -> None:
    photos = [listed(name) for name in ("Ann/1", "Bob/1")]
    with pytest.raises(EvidenceUnusable, match=r"1 usable person\(s\).*Bob/1: empty file"):
        gathered(photos, {"Ann/1": face(1), "Bob/1": Outcome(None, "empty file (0 bytes)")})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "columns person and group"),
        ("name,kind\na,b\n", "columns person and group"),
        ("person,group\nAnn,\n", "line 2: a person and a group are needed"),
        ("person,group\nAnn,x\nAnn,y\n", "line 3: a person in two groups"),
    ],
)
def test_a_groups_file_that_is_wrong_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(EvidenceUnusable, match=says):
        read_groups(path)
    with pytest.raises(EvidenceUnusable, match="cannot be read"):
        read_groups(tmp_path / "none.csv")


def test_groups_are_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("\ufeffperson,group,remark\nAnn,x,\nBob,y,z\nAnn,x,again\n", encoding="utf-8")
    assert read_groups(path) == {"Ann": "x", "Bob": "y"}


def pairs_faces() -> Faces:
    rng = np.random.default_rng(0)
    own = np.repeat(rng.standard_normal((8, 64)), 2, axis=0) + 0.2 * rng.standard_normal((16, 64))
    rows = (own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32)
    names = tuple(f"p{k}/p{k}_{j:04d}.jpg" for k in range(8) for j in (1, 2))
    owner = np.repeat(np.arange(8), 2)
    people, source = tuple(f"p{k}" for k in range(8)), np.zeros(8, np.intp)
    ones = np.ones(16, np.float32)
    return Faces(people, source, rows, rows, ones, owner, names, ones, (), ())


def test_a_pairs_file_gives_the_accuracy_over_its_folds(tmp_path: Path) -> None:
    same = [f"p{k}\t1\t2" for k in range(8)]
    other = [f"p{k}\t1\tp{(k + 3) % 8}\t2" for k in range(8)]
    lines = [line for k in range(4) for line in (*same[2 * k : 2 * k + 2], *other[2 * k : 2 * k + 2])]
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(["4\t2", *lines]) + "\n")
    result = verified(read_pairs(path, set(pairs_faces().files)), pairs_faces())
    assert (result["accuracy"], result["folds"], result["pairs"], result["missing"]) == (1.0, 4, 16, 0)
    path.write_text("\n".join(["4\t2", *lines[:-1], "p1\t1\tnobody\t1"]) + "\n")
    assert verified(read_pairs(path, set(pairs_faces().files)), pairs_faces())["missing"] == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"pairs.txt, line 1: folds and pairs of each kind are needed, such as `10 300`"),
        ("ten\n", "line 1: folds and pairs"),
        ("4\t2\np1\t1\t2\n", "4 folds of 2 x 2 pairs announced, 1 pairs found"),
        ("2\t0\n", "2 folds of 2 x 0 pairs announced"),
        ("2\t1\na b\nc d\ne f\ng h\n", "line 2: `name i j` or `name i other j` is needed; found 'a b'"),
        ("2\t1\np1\t1\t2\np1\tone\tp2\t1\n", r"line 3: .* found 'p1\\tone\\tp2"),
        (
            "2 1\np1 1 2\np1 1 p2 2\nq 1 2\nq 1 r 2\n",
            "fold 2 of 2 has no pair whose photos are both in the data set, such as q/q_0001.jpg and q/q_0002.jpg",
        ),
    ],
)
def test_a_pairs_file_that_is_none_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(EvidenceUnusable, match=says):
        read_pairs(path, set(pairs_faces().files))


FILES: dict[str, tuple[str, bytes | None, str]] = {
    "no pairs file": ("--pairs", None, "cannot be read as a pairs file: no such file or directory"),
    "binary pairs": ("--pairs", b"\xff\xfe", r"no text in UTF-8 \(byte 0\)"),
    "no groups file": ("--groups", None, "cannot be read as CSV: no such file or directory"),
    "binary groups": ("--groups", b"person,group\n\xff", r"no text in UTF-8 \(byte 13\)"),
    "a file where the report goes": ("--report", b"", "file exists; name another place with --report"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_an_evaluation_is_given_is_checked_before_a_photo_is_read(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> Faces:
        raise AssertionError("photos were read")

    monkeypatch.setattr(reading, "read_sets", read)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photo(tmp_path, "set/Ann/1.jpg", picture(1))
    option, content, says = FILES[case]
    given = tmp_path / "given"
    if content is not None:
        given.write_bytes(content)
    assert main(["evaluate", str(tmp_path / "set"), "--no-cache", option, str(given)]) in (65, 69)
    reported = capsys.readouterr()
    assert re.search(says, reported.err)
    assert not re.search(r"Errno|codec|Traceback", reported.err)
    assert reported.out == ""


def test_an_artefact_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    new_key(tmp_path / "k")
    line = ["calibrate", "operating-point", str(tmp_path / "none"), "--key", str(tmp_path / "k"), "--out"]
    assert main([*line, str(tmp_path / "k" / "e.json")]) == 69
    assert "name another place with --out" in capsys.readouterr().err
    assert main([*line, str(tmp_path)]) == 64
    assert "name a file with --out" in capsys.readouterr().err
    assert main([*line, str(tmp_path / "new" / "deep" / "e.json")]) == 65, "the place is good, the data set is none"
    assert not (tmp_path / "new").exists(), "trying leaves nothing"


@pytest.mark.parametrize(("content", "says"), [(None, "no such file"), (b"", "not a private key in PEM; make one")])
def test_an_invalid_key_is_refused_with_a_message(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "k").write_bytes(content)
    with pytest.raises(UsageError, match=says) as fault:
        load_key(tmp_path / "k")
    assert "Errno" not in str(fault.value)


def test_a_key_is_private_to_its_owner_never_overwritten_and_signs_what_a_device_reads(tmp_path: Path) -> None:
    place = tmp_path / "evidence.key"
    key = new_key(place)
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="never overwritten"):
        new_key(place)
    assert public_hex(load_key(place)) == public_hex(key)
    data = Data((), 2, 0, 2, 1, ())
    document = Artefact(2, "t", "now", "r", "a" * 64, "d", "b" * 64, "1", "rule/1", 0.001, ("ß",), data, ())
    written = tmp_path / "e.json"
    written.write_bytes(signed(document, key))
    assert read(written, {key_id(key.public_key()): key.public_key()}) == document
    assert json.loads(written.read_text())["signature"]["key"] == key_id(key.public_key())
    with pytest.raises(UsageError, match="lfr calibrate key"):
        load_key(tmp_path / "evidence.key.pub.pem")


def test_a_data_set_that_is_none_ends_the_command_with_bad_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["evaluate", str(tmp_path / "none"), "--no-cache"]) == 65
    assert "no such folder" in capsys.readouterr().err
    photo(tmp_path, "set/Ann/1.jpg", b"")
    photo(tmp_path, "set/Bob/1.jpg", b"no picture")
    assert main(["evaluate", str(tmp_path / "set"), "--no-cache"]) == 65
    reported = capsys.readouterr()
    assert "0 usable person(s)" in reported.err
    assert reported.out == ""


def _photo_set(folder: Path, names: Sequence[str]) -> Path:
    """A data set whose photos are no pictures: they are rejected, which is enough to see who is in the data."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}_0001.jpg").write_bytes(f"photo of {name} in {folder.name}".encode())
    return folder


def test_merged_sets_are_one_source_and_people_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Listed] = []

    def outcomes(photos: Sequence[Listed], how: reading.How) -> dict[str, Outcome]:
        seen[:] = photos
        rows = np.random.default_rng(0).standard_normal((len(photos), 17)).astype(np.float32)
        return {photo.name: Outcome(row / np.linalg.norm(row)) for photo, row in zip(photos, rows, strict=True)}

    monkeypatch.setattr(reading, "outcomes_of", outcomes)
    sets = [_photo_set(tmp_path / "a", ["Ann", "Bob"]), _photo_set(tmp_path / "b", ["Bob", "Cid", "Dan"])]
    how = reading.How("onnxruntime:fp32", None, None, False)
    apart = reading.read_sets(sets, how)
    assert (apart.people, apart.source.tolist()) == (("Ann", "Bob", "Bob", "Cid", "Dan"), [0, 0, 1, 1, 1])
    merged = reading.read_sets(sets, how, merged=True, left_out={"Dan"})
    assert (merged.people, merged.source.tolist()) == (("Ann", "Bob", "Cid"), [0, 0, 0])
    assert "Dan" not in {photo.person for photo in seen}
    with pytest.raises(EvidenceUnusable, match="everybody in the data was left out"):
        reading.read_sets(sets, how, merged=True, left_out={"Ann", "Bob", "Cid", "Dan"})
