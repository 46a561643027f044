"""The evidence artefact: measurements of one recogniser, in one signed JSON document.

1. The signature is Ed25519 over the canonical bytes of the document without its member `signature`: JSON with sorted
   keys, no blanks, ASCII only, numbers as Python writes them. One changed digit anywhere invalidates it.
2. Trusted keys: those in `trusted.json` beside this file, and every public key (PEM) in a folder that the
   configuration names. An artefact never brings its own key.
3. Evidence is for one `Engine`: recogniser and detector by hash, the version of the code that cuts a face out between
   them, and one precision. An engine that differs in one of them has no evidence.

No personal data is in it: numbers about comparisons, and text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from device.domain.operating_point import Evidence, Tail
from device.errors import EvidenceDamaged, EvidenceUnusable
from engines.error_text import error_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = 2
FOLDER = Path(__file__).resolve().parent
TRUSTED_FILE = FOLDER / "trusted.json"
MAX_BYTES = 8_000_000
REMEDY = (
    "make evidence for it with `lfr calibrate operating-point --recogniser NAME --detector NAME` (of a pair: "
    "`--screen NAME`, too) and name it as vision.evidence (`lfr replay --evidence`)"
)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: everything that determines templates, and so scores.

    recogniser, sha256         name, and hash of its weights;  precision: of everything that is computed
    detector, detector_sha256  whose boxes and points faces are cut out by
    reader                     version of the code that cuts them out and aligns them
    rule                       name and version of the decision rule, which combines looks
    """

    recogniser: str
    sha256: str
    precision: str
    detector: str
    detector_sha256: str
    reader: str
    rule: str


class TailRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """device.domain.operating_point.Tail as it is written; `shape` above 0 has no highest score."""

    start: float
    rate: float
    shape: float
    scale: float
    shift: tuple[float, ...]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table for readers: one photo an entry; rates a face.

    found        share of listed people found with one look, with its 95 % interval;  found_fused  with three looks
    fused extrapolated whether the list is longer than the data
    """

    subjects: int
    threshold: float
    predicted: float
    bound: float
    found: float
    found_low: float
    found_high: float
    found_fused: float | None
    extrapolated: bool


class Precision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Measurements at one precision.

    how         text: which runtime, on which machine; whether the precision was computed or emulated
    replicates  rate, shape, scale and the shifts of resampled people, a row each
    fit         goodness of fit: names and numbers, explained in calibration/README.md
    """

    precision: str
    how: str
    tail: TailRow
    replicates: tuple[tuple[float, ...], ...]
    confidence: float
    smallest_list: int
    largest_list: int
    band: tuple[float, float]
    fit: dict[str, float]
    table: tuple[Point, ...]


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data: whose faces, how many, and their limits. `sources` and `limits` are sentences."""

    sources: tuple[str, ...]
    people: int
    people_with_two_photos: int
    photos: int
    pairs: int
    limits: tuple[str, ...]


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two recognisers with one score: main_weight of the main one's cosine and the rest of the screen's.

    gate  the screen's own cosine under which the main one is not run. Rates of false alerts are without it, which
          can only be more; `found` is with it
    """

    main: str
    main_sha256: str
    screen: str
    screen_sha256: str
    main_weight: float
    gate: float


class Artefact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document without its signature. `limit` is the rate that the table's thresholds were made for.

    recogniser, recogniser_sha256  of a pair: both names, and the hash of both and their weights (`pair` has the rest)
    """

    format: int
    id: str
    made_at: str
    recogniser: str
    recogniser_sha256: str
    detector: str
    detector_sha256: str
    reader_version: str
    decision_rule: str
    limit: float
    statement: tuple[str, ...]
    data: Data
    precisions: tuple[Precision, ...]
    pair: Pair | None = None

    def evidence(self, engine: Engine) -> Evidence:
        """For one engine (rule 3). Raises EvidenceUnusable."""
        difference = self._difference(engine)
        if difference:
            raise EvidenceUnusable(f"evidence {self.id} {difference}; {REMEDY}")
        row = next((row for row in self.precisions if row.precision == engine.precision), None)
        if row is None:
            known = ", ".join(row.precision for row in self.precisions)
            raise EvidenceUnusable(f"evidence {self.id} covers {known}, this device runs {engine.precision}; {REMEDY}")
        start, most = row.tail.start, len(row.tail.shift)
        return Evidence(
            name=f"{self.id} {engine.precision}",
            tail=Tail(start, row.tail.rate, row.tail.shape, row.tail.scale, row.tail.shift),
            replicates=tuple(Tail(start, r[0], r[1], r[2], tuple(r[3 : 3 + most])) for r in row.replicates),
            confidence=row.confidence,
            smallest_list=row.smallest_list,
            largest_list=row.largest_list,
            band=row.band,
        )

    def _difference(self, engine: Engine) -> str:
        """What makes different templates here than at the measurement; empty when nothing does."""
        if engine.sha256 != self.recogniser_sha256:
            return f"is for recogniser {self.recogniser_sha256[:12]}…, this device runs {engine.sha256[:12]}…"
        if engine.detector_sha256 != self.detector_sha256:
            return (
                f"was measured behind detector {self.detector} ({self.detector_sha256[:12]}…), this device runs "
                f"{engine.detector} ({engine.detector_sha256[:12]}…): other boxes and points make other templates"
            )
        if engine.reader != self.reader_version:
            return (
                f"was measured with reader {self.reader_version}, this device aligns and cuts out faces as reader "
                f"{engine.reader} does, which makes other templates"
            )
        if engine.rule != self.decision_rule:
            return (
                f"was measured for the decision rule {self.decision_rule!r}, this device decides by {engine.rule!r}: "
                "scores of several looks are combined in another way"
            )
        return ""


def read(path: Path, keys: Mapping[str, Ed25519PublicKey]) -> Artefact:
    """The artefact in `path` if one of `keys` signed it. Raises EvidenceUnusable."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EvidenceUnusable(f"{path}: larger than {MAX_BYTES // 1_000_000} MB; that is no evidence artefact")
        document = json.loads(path.read_bytes())
    except OSError as fault:
        raise EvidenceUnusable(f"{path}: {error_text(fault)}; name an evidence artefact") from fault
    except (ValueError, RecursionError) as fault:
        raise EvidenceUnusable(
            f"{path}: not JSON, or cut off ({error_text(fault)}); copy the artefact again"
        ) from fault
    _require_signature(path, document, keys)
    try:
        unsigned = {name: value for name, value in document.items() if name != "signature"}
        artefact = msgspec.convert(unsigned, Artefact)
    except msgspec.ValidationError as fault:
        raise EvidenceUnusable(f"{path}: signed, but not an artefact of format {FORMAT}: {fault}") from fault
    _require_sound(path, artefact)
    return artefact


def shipped(recogniser: str) -> Path:
    """Where the package's own artefact for a recogniser lies. EvidenceUnusable when it ships none."""
    path = FOLDER / f"{recogniser}.json"
    if "/" in recogniser or not path.is_file():
        raise EvidenceUnusable(f"no evidence is shipped for recogniser {recogniser!r}; {REMEDY}")
    return path


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed (rule 1)."""
    unsigned = {key: value for key, value in document.items() if key != "signature"}
    try:
        return json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode(
            "ascii"
        )
    except ValueError as fault:
        raise EvidenceUnusable(f"the document holds a number that JSON cannot write: {fault}") from fault


def trusted_keys(folder: Path | None = None) -> dict[str, Ed25519PublicKey]:
    """Public keys by id: those of the package, and every *.pem of `folder` (rule 2). Raises EvidenceUnusable."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        rows = json.loads(TRUSTED_FILE.read_text(encoding="ascii"))["keys"]
        keys = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(row["ed25519"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise EvidenceDamaged(f"{TRUSTED_FILE}: missing or changed; install the program again") from fault
    if folder is not None and not folder.is_dir():
        raise EvidenceUnusable(f"{folder}: no folder of public keys (PEM) of who may sign evidence")
    for path in sorted(folder.glob("*.pem")) if folder is not None else ():
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as fault:
            raise EvidenceUnusable(f"{path}: {error_text(fault)}; a public key in PEM is needed there") from fault
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise EvidenceUnusable(f"{path}: not a public key in PEM; take it out of the folder of keys") from fault
        if not isinstance(key, Ed25519PublicKey):
            raise EvidenceUnusable(f"{path}: not an Ed25519 public key")
        keys.append(key)
    return {key_id(key): key for key in keys}


def key_id(key: Ed25519PublicKey) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _require_signature(path: Path, document: Any, keys: Mapping[str, Ed25519PublicKey]) -> None:
    from cryptography.exceptions import InvalidSignature

    signature = document.get("signature") if isinstance(document, dict) else None
    if not isinstance(signature, dict) or not all(isinstance(signature.get(k), str) for k in ("key", "ed25519")):
        raise EvidenceUnusable(f"{path}: not signed; an operating point needs signed evidence")
    key = keys.get(signature["key"])
    if key is None:
        raise EvidenceUnusable(
            f"{path}: signed with key {signature['key'][:16]}, which is not trusted here "
            f"(trusted: {', '.join(sorted(keys)) or 'none'}); put its public key into the folder vision.evidence_keys"
        )
    try:
        key.verify(base64.b64decode(signature["ed25519"], validate=True), canonical(document))
    except (InvalidSignature, ValueError) as fault:
        raise EvidenceUnusable(f"{path}: changed after it was signed; copy the artefact again") from fault


def _require_sound(path: Path, artefact: Artefact) -> None:
    """Refuse numbers that make no sense, whoever signed them: thresholds are computed from them."""
    if artefact.format != FORMAT:
        raise EvidenceUnusable(f"{path}: format {artefact.format} is not known here (this version reads {FORMAT})")
    for row in artefact.precisions:
        most = len(row.tail.shift)
        numbers = [(row.tail.rate, row.tail.shape, row.tail.scale, *row.tail.shift), *row.replicates]
        if not row.replicates or most < 1 or any(not _sound(values, most) for values in numbers):
            raise EvidenceUnusable(f"{path}: {row.precision}: a tail is not numbers of a distribution")
        in_order = row.tail.start < row.band[0] < row.band[1] <= 1 and 1 <= row.smallest_list <= row.largest_list
        if not in_order or not 0.5 <= row.confidence < 1:
            raise EvidenceUnusable(f"{path}: {row.precision}: band, list sizes or confidence make no sense")


def _sound(values: Sequence[float], most: int) -> bool:
    """rate in 0..1, finite shape, positive scale, shifts from 0 up."""
    if len(values) != 3 + most or not all(map(math.isfinite, values)):
        return False
    rate, _, scale, *shift = values
    return 0 <= rate <= 1 and scale > 0 and all(0 <= s < 0.5 for s in shift)
