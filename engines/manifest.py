"""The manifest beside the prepared models: what each file is made from, and its hash."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.cards import ModelCard
from engines.errors import ModelMismatch, ModelMissing

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prepared file. `recipe` names the rewrite and its version: another one means preparing again."""

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


def read(models: Path) -> dict[str, Prepared]:
    """Entries by card name; none when there is no manifest, or one of another format, or a damaged one."""
    try:
        document = json.loads((models / MANIFEST).read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            return {}
        return {name: Prepared(**entry) for name, entry in document["models"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(models: Path, entries: dict[str, Prepared]) -> None:
    """Replace the manifest at once, so that a reader sees the old or the new one."""
    document = {"format": FORMAT, "models": {name: asdict(entry) for name, entry in sorted(entries.items())}}
    target, staged = models / MANIFEST, models / f".{MANIFEST}.{os.getpid()}"
    staged.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    staged.replace(target)


def verified(card: ModelCard, models: Path) -> tuple[Path, Prepared]:
    """Path and entry of the card's prepared file, hash checked now. Raises ModelMissing or ModelMismatch."""
    path = models / card.file_name
    entry = read(models).get(card.name)
    if entry is None or not path.is_file():
        raise ModelMissing(path)
    found = sha256_of(path)
    if found != entry.sha256:
        raise ModelMismatch(path, entry.sha256, found)
    return path, entry
