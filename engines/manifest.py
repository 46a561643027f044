"""The manifest of prepared models: the sources and the hash of each file, by card and precision."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.cards.model_card import ModelCard, file_precision
from engines.errors import ModelMismatch, ModelMissing
from engines.places import placing

MANIFEST = "manifest.json"
FORMAT = 2


Entries = dict[str, dict[str, "Prepared"]]
"""By card name, then by file precision."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prepared file. `recipe` names rewrites, their versions and the table: another one means preparing again."""

    file: str
    sha256: str
    source_sha256: str
    recipe: str


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read(models: Path) -> Entries:
    """All entries; none when the manifest is missing, damaged or of another format."""
    try:
        document = json.loads((models / MANIFEST).read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            return {}
        return {
            name: {precision: Prepared(**entry) for precision, entry in files.items()}
            for name, files in document["models"].items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def with_entry(entries: Entries, card: ModelCard, precision: str, entry: Prepared) -> Entries:
    """A copy with one entry added or replaced."""
    return {**entries, card.name: {**entries.get(card.name, {}), precision: entry}}


def text_of(entries: Entries) -> str:
    """The file's text."""
    rows = {n: {p: asdict(entry) for p, entry in sorted(files.items())} for n, files in sorted(entries.items())}
    document = {"format": FORMAT, "models": rows}
    return json.dumps(document, indent=2) + "\n"


def write(models: Path, entries: Entries) -> None:
    """Replace the manifest at once, so that a reader sees the old or the new one."""
    with placing(models / MANIFEST) as (staged,):
        staged.write_text(text_of(entries), encoding="utf-8")


def verified(card: ModelCard, models: Path, precision: str = "fp32") -> tuple[Path, Prepared]:
    """Path and entry of the file that `precision` is computed from, hash checked now.

    Raises ModelMissing or ModelMismatch.
    """
    wanted = file_precision(precision)
    path = models / card.file_name(wanted)
    entry = read(models).get(card.name, {}).get(wanted)
    if entry is None or not path.is_file():
        raise ModelMissing(path, card.name if card.optional else "")
    found = sha256_of(path)
    if found != entry.sha256:
        raise ModelMismatch(path, entry.sha256, found)
    return path, entry
