"""Data sets as people hand them over: whatever is wrong is named, and nothing wrong is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluate_command import read_groups
from calibration.faces import Faces, Listed, gathered, scan, without_twins
from calibration.pairs import verified
from calibration.signing import load_key, new_key, public_hex, signed
from device.cli.main import main
from device.errors import EvidenceUnusable, UsageError
from device.watchlist.evidence.artefact import Artefact, Data, key_id, read
from device.watchlist.rules import Outcome


def photo(folder: Path, name: str, content: bytes = b"x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


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
    photo(tmp_path, "Ann/1.jpg", b"a")
    photo(tmp_path, "Ann/2.jpg", b"a")
    photo(tmp_path, "Bob/1.jpg", b"b")
    photo(tmp_path, "Cid/1.jpg", b"b")
    kept, dropped = without_twins(scan(tmp_path)[0])
    assert [each.name for each in kept] == ["Ann/1.jpg"]
    assert dict(dropped) == {
        "Ann/2.jpg": "the same photo as Ann/1.jpg",
        "Bob/1.jpg": "the same photo stands under several people (Bob, Cid)",
        "Cid/1.jpg": "the same photo stands under several people (Bob, Cid)",
    }


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


def test_one_person_is_not_enough_and_the_first_reason_is_told() -> None:
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
    return Faces(people, source, rows, owner, names, np.ones(16, np.float32), (), ())


def test_a_pairs_file_gives_the_accuracy_over_its_folds(tmp_path: Path) -> None:
    same = [f"p{k}\t1\t2" for k in range(8)]
    other = [f"p{k}\t1\tp{(k + 3) % 8}\t2" for k in range(8)]
    lines = [line for k in range(4) for line in (*same[2 * k : 2 * k + 2], *other[2 * k : 2 * k + 2])]
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(["4\t2", *lines]) + "\n")
    result = verified(path, pairs_faces())
    assert (result["accuracy"], result["folds"], result["pairs"], result["missing"]) == (1.0, 4, 16, 0)
    path.write_text("\n".join(["4\t2", *lines[:-1], "p1\t1\tnobody\t1"]) + "\n")
    assert verified(path, pairs_faces())["missing"] == 1


@pytest.mark.parametrize("text", ["", "ten\n", "4\t2\np1\t1\t2\n", "2\t1\na b\nc d\ne f\ng h\n"])
def test_a_pairs_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(EvidenceUnusable, match=r"pairs\.txt"):
        verified(path, pairs_faces())


def test_a_key_is_private_to_its_owner_never_overwritten_and_signs_what_a_device_reads(tmp_path: Path) -> None:
    place = tmp_path / "evidence.key"
    key = new_key(place)
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="never overwritten"):
        new_key(place)
    assert public_hex(load_key(place)) == public_hex(key)
    data = Data((), 2, 0, 2, 1, ())
    document = Artefact(1, "t", "now", "r", "a" * 64, "d", "b" * 64, "1", 0.001, ("ß",), data, ())
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
    told = capsys.readouterr()
    assert "0 usable person(s)" in told.err
    assert told.out == ""
