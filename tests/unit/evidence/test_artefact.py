"""Evidence counts when somebody trusted signed it, unchanged, about the engine that runs; else it says why."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from device.enrolment.engine_photo_reader import READER_VERSION
from device.enrolment.rules import RULES
from device.errors import EvidenceUnusable
from device.evidence.artefact import (
    Artefact,
    Data,
    Engine,
    Point,
    Precision,
    TailRow,
    canonical,
    key_id,
    read,
    shipped,
    trusted_keys,
)
from device.recognition.operating_point import engine_of
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KEYS = {key_id(KEY.public_key()): KEY.public_key()}
ROW = Precision(
    precision="fp32",
    how="by hand",
    tail=TailRow(0.38, 6e-4, -0.05, 0.024, (0.01, 0.02, 0.03)),
    replicates=((6e-4, -0.05, 0.024, 0.01, 0.02, 0.03), (7e-4, 0.02, 0.026, 0.02, 0.03, 0.04)),
    confidence=0.95,
    smallest_list=100,
    largest_list=5000,
    band=(0.42, 0.68),
    fit={},
    table=(Point(100, 0.49, 4e-4, 1e-3, 0.9, 0.8, 0.95, 0.99, False),),
)
ENGINE = Engine("sface-2021dec", "a" * 64, "fp32", "yunet-2023mar", "b" * 64, "1", "a rule/1")
ARTEFACT = Artefact(
    format=2,
    id="sface/test",
    made_at="2026-11-24T20:00:00Z",
    recogniser="sface-2021dec",
    recogniser_sha256="a" * 64,
    detector="yunet-2023mar",
    detector_sha256="b" * 64,
    reader_version="1",
    decision_rule="a rule/1",
    limit=0.001,
    statement=("words",),
    data=Data(("a set",), 1000, 300, 1500, 499_500, ("limits",)),
    precisions=(ROW,),
)


def written(
    path: Path, artefact: Artefact = ARTEFACT, key: Ed25519PrivateKey = KEY, change: Callable[[Any], None] | None = None
) -> Path:
    """A signed artefact, changed after it was signed if `change` does so."""
    document = json.loads(msgspec.json.encode(artefact))
    signature = base64.b64encode(key.sign(canonical(document))).decode()
    document["signature"] = {"key": key_id(key.public_key()), "ed25519": signature}
    if change is not None:
        change(document)
    path.write_text(json.dumps(document, indent=3))
    return path


def test_a_signed_artefact_is_read_whatever_its_blanks_and_gives_its_evidence(tmp_path: Path) -> None:
    artefact = read(written(tmp_path / "e.json"), KEYS)
    assert artefact == ARTEFACT
    evidence = artefact.evidence(ENGINE)
    assert evidence.name == "sface/test fp32"
    assert (evidence.smallest_list, evidence.largest_list, evidence.most_photos) == (100, 5000, 3)
    assert evidence.replicates[1].shift == (0.02, 0.03, 0.04)
    assert 0.45 < evidence.threshold_for((400,)) < 0.6


def _rate(document: Any) -> None:
    document["precisions"][0]["tail"]["rate"] = 5.9e-4


def _largest(document: Any) -> None:
    document["precisions"][0]["largest_list"] = 50_000


def _words(document: Any) -> None:
    document["statement"][0] = "better words"


def _more(document: Any) -> None:
    document["note"] = "added"


def _signature(document: Any) -> None:
    document["signature"]["ed25519"] = "no base64!"


@pytest.mark.parametrize("change", [_rate, _largest, _words, _more, _signature])
def test_evidence_with_one_changed_digit_or_word_is_refused(change: Callable[[Any], None], tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable, match="changed after it was signed"):
        read(written(tmp_path / "e.json", change=change), KEYS)


def test_an_unsigned_one_and_one_of_a_stranger_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable, match="not signed"):
        read(written(tmp_path / "e.json", change=lambda d: d.pop("signature")), KEYS)
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    with pytest.raises(EvidenceUnusable, match="not trusted here") as refused:
        read(written(tmp_path / "e.json", key=stranger), KEYS)
    assert "vision.evidence_keys" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not JSON"), (b'{"format": 1', "not JSON"), (b"[]", "not signed"), (b"null", "not signed")],
)
def test_what_is_no_artefact_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_bytes(content)
    with pytest.raises(EvidenceUnusable, match=says):
        read(path, KEYS)
    with pytest.raises(EvidenceUnusable, match="no such file"):
        read(tmp_path / "none.json", KEYS)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (msgspec.structs.replace(ROW, replicates=()), "not numbers of a distribution"),
        (msgspec.structs.replace(ROW, replicates=((6e-4, 0.0, -1.0, 1.0, 1.0, 1.0),)), "not numbers of a distribution"),
        (msgspec.structs.replace(ROW, replicates=((6e-4, 0.0, 1.0),)), "not numbers of a distribution"),
        (msgspec.structs.replace(ROW, band=(0.7, 0.6)), "make no sense"),
        (msgspec.structs.replace(ROW, confidence=1.0), "make no sense"),
        (msgspec.structs.replace(ROW, smallest_list=0), "make no sense"),
    ],
)
def test_signed_nonsense_is_nonsense(row: Precision, says: str, tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable, match=says):
        read(written(tmp_path / "e.json", msgspec.structs.replace(ARTEFACT, precisions=(row,))), KEYS)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable, match="format 3 is not known"):
        read(written(tmp_path / "e.json", msgspec.structs.replace(ARTEFACT, format=3)), KEYS)


def test_other_weights_and_other_precisions_have_no_evidence() -> None:
    with pytest.raises(EvidenceUnusable, match=r"is for recogniser aaaaaaaaaaaa…, this device runs cccccccccccc…"):
        ARTEFACT.evidence(replace(ENGINE, sha256="c" * 64))
    with pytest.raises(EvidenceUnusable, match="covers fp32, this device runs int4"):
        ARTEFACT.evidence(replace(ENGINE, precision="int4"))


def test_another_detector_or_alignment_has_no_evidence() -> None:
    with pytest.raises(
        EvidenceUnusable, match=r"behind detector \S+ \(bbbbbbbbbbbb…\), this device runs other \(cccccc"
    ):
        ARTEFACT.evidence(replace(ENGINE, detector="other", detector_sha256="c" * 64))
    with pytest.raises(EvidenceUnusable, match="with reader 1, this device aligns and cuts out faces as reader 2 does"):
        ARTEFACT.evidence(replace(ENGINE, reader="2"))


def test_another_decision_rule_has_no_evidence() -> None:
    with pytest.raises(EvidenceUnusable, match="for the decision rule 'a rule/1', this device decides by 'a rule/2'"):
        ARTEFACT.evidence(replace(ENGINE, rule="a rule/2"))


def test_a_force_may_add_the_key_of_its_own_evaluator(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "laboratory.pem").write_bytes(pem)
    assert key_id(KEY.public_key()) in trusted_keys(folder)
    assert key_id(KEY.public_key()) not in trusted_keys()
    assert set(trusted_keys()) < set(trusted_keys(folder))


def test_a_key_that_is_none_stops_everything_rather_than_be_passed_over(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable, match="no folder of public keys"):
        trusted_keys(tmp_path / "none")
    (tmp_path / "a.pem").write_text("no key")
    with pytest.raises(EvidenceUnusable, match="not a public key"):
        trusted_keys(tmp_path)
    other = X25519PrivateKey.generate().public_key()
    (tmp_path / "a.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(EvidenceUnusable, match="not an Ed25519"):
        trusted_keys(tmp_path)


def test_the_artefact_that_ships_is_signed_by_a_key_that_ships_and_covers_the_default_engine() -> None:
    recogniser, detector = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
    artefact = read(shipped(recogniser.name), trusted_keys())
    assert artefact.detector_sha256 == detector.source.member_sha256
    assert artefact.reader_version == READER_VERSION, (
        f"photos are read in another way than the evidence was: measure again ({RULES})"
    )
    for precision in ("fp32", "bf16", "fp16"):
        evidence = artefact.evidence(engine_of(detector, recogniser, f"any:{precision}"))
        assert evidence.largest_list >= 1822
        assert len(evidence.replicates) >= 500
        short, long = evidence.threshold_for((100,)), evidence.threshold_for((1822,))
        assert 0.458 < short < long < 0.62


def test_the_table_that_ships_is_what_a_device_computes() -> None:
    artefact = read(shipped(RECOGNISER_DEFAULT), trusted_keys())
    for row in artefact.precisions:
        evidence = artefact.evidence(
            engine_of(card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT), f"any:{row.precision}")
        )
        for point in row.table:
            assert evidence.threshold_for((point.subjects,), artefact.limit) == pytest.approx(point.threshold, abs=1e-5)
            predicted = evidence.predict(point.threshold, (point.subjects,))
            assert predicted.rate == pytest.approx(point.predicted, rel=1e-3)
            assert predicted.bound <= artefact.limit * 1.001
            assert point.found_low <= point.found <= point.found_high


@pytest.mark.parametrize("file", sorted(shipped(RECOGNISER_DEFAULT).parent.glob("sface*.json")), ids=lambda f: f.stem)
def test_the_longest_list_that_the_statement_names_is_that_of_every_precision(file: Path) -> None:
    made = read(file, trusted_keys())
    (longest,) = {row.largest_list for row in made.precisions}
    assert [row.precision for row in made.precisions].count("fp16") == 1
    assert f"every watchlist of up to {longest:,} people" in made.statement[1]
    assert all(row.table[-1].subjects == longest for row in made.precisions)


def test_what_ships_holds_no_name_of_anybody() -> None:
    text = shipped(RECOGNISER_DEFAULT).read_text(encoding="ascii")
    document = json.loads(text)
    strings = [s for s in _strings(document) if s not in document["statement"]]
    assert not [s for s in strings if "_" in s and s[:1].isupper()]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [s for part in parts for s in _strings(part)]


def test_a_recogniser_without_an_artefact_is_refused_with_how_to_make_one() -> None:
    for name in ("my-own", "../trusted"):
        with pytest.raises(EvidenceUnusable, match="lfr calibrate operating-point"):
            shipped(name)
