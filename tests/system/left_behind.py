"""What personal data whoever takes the disks can read: pieces of it in files, and in everything that keys there open.

1. Every file below the given folders is read, whoever wrote it: the hub's, the devices', the broker's, and all logs.
2. What is looked for: pieces of pictures and of templates, whole names and entry references, each as it is, in
   hexadecimal, in base64 at each of its three alignments, and names also in UTF-16 and as JSON writes them.
3. Every age identity and every key of a database row that lies in a file is tried on everything encrypted that lies
   there, and again on what that opened. So ciphertext counts as long as its key is on a disk, too.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyrage

from device.outbox.sealing import open_sealed

COPIES = 20
PIECE = 32
"""Bytes of noise that must be equal: of a picture's or a template's, no other data has as many."""
AGE = b"age-encryption.org/v1"
IDENTITY = re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{40,80}")


@dataclass(frozen=True)
class Trace:
    """Something of a person that lies on a disk. opened: it had to be decrypted, with keys that lie there."""

    what: str
    whose: str
    place: str
    opened: bool


@dataclass(frozen=True)
class Wanted:
    """One thing to look for, in all its forms (rule 2)."""

    what: str
    whose: str
    forms: tuple[bytes, ...]


def picture(what: str, whose: str, content: bytes) -> Wanted:
    """Pieces out of the last three quarters of an encoded picture, where its own data is."""
    starts = [len(content) * quarter // 4 - PIECE for quarter in (2, 3, 4)]
    pieces = [content[start - 16 : start - 16 + PIECE] for start in starts]
    return Wanted(what, whose, tuple(form for piece in pieces for form in forms_of(piece)))


def template(whose: str, row: bytes) -> Wanted:
    """Pieces of a float32 template."""
    pieces = [row[start : start + PIECE] for start in range(0, len(row), 4 * PIECE)]
    return Wanted("template", whose, tuple(form for piece in pieces for form in forms_of(piece)))


def text(what: str, words: str) -> Wanted:
    """A name or a reference."""
    escaped = json.dumps(words)[1:-1].encode()
    return Wanted(what, words, (*forms_of(words.encode()), words.encode("utf-16-le"), escaped))


def forms_of(content: bytes) -> tuple[bytes, ...]:
    """As it is, hexadecimal, and base64 at each alignment without what its neighbours would change."""
    in_base64 = []
    for shift in range(3):
        whole = (len(content) - shift) // 3 * 3
        in_base64.append(base64.b64encode(content[shift : shift + whole]))
    return (content, content.hex().encode(), *in_base64)


def search(folders: Iterable[Path], wanted: Iterable[Wanted]) -> list[Trace]:
    """Everything that is found, once a thing and place."""
    everything = tuple(wanted)
    found: dict[Trace, None] = {}
    for place, content, opened in _contents(folders):
        for one in everything:
            if any(form in content for form in one.forms):
                found[Trace(one.what, one.whose, place, opened)] = None
    return list(found)


def _contents(folders: Iterable[Path]) -> Iterator[tuple[str, bytes, bool]]:
    """Place, bytes, and whether they were encrypted: of every file, and of what opens (rule 3)."""
    files, pending = [], []
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        with contextlib.suppress(FileNotFoundError):  # a running program has put it in another one's place
            pending.append((str(path), path.read_bytes()))
            files.append(path)
    yield from ((place, content, False) for place, content in pending)
    for path in files:
        if path.suffix in (".sqlite", ".db"):
            pending += _rows_of(path)
    identities: set[bytes] = set()
    sealed = []
    yielded = len(files)
    while pending:
        for place, content in pending:
            identities |= set(IDENTITY.findall(content))
            if content.startswith(AGE):
                sealed.append((place, content))
        yield from ((place, content, True) for place, content in pending[yielded:])
        yielded, pending, locked = 0, [], []
        keys = [pyrage.x25519.Identity.from_str(each.decode()) for each in identities]
        for place, content in sealed:
            opened = _opened(content, keys)
            if opened is None:
                locked.append((place, content))
            else:
                pending.append((f"{place}, opened", opened))
        sealed = locked


def _opened(content: bytes, keys: list[pyrage.x25519.Identity]) -> bytes | None:
    for key in keys:
        try:
            return bytes(pyrage.decrypt(content, [key]))
        except pyrage.DecryptError:
            continue
    return None


def _rows_of(path: Path) -> list[tuple[str, bytes]]:
    """Every row of a database of the hub or a device that is sealed with a key in the same database, opened.

    Copied again where a running program wrote into it meanwhile.
    """
    for _ in range(COPIES - 1):
        with contextlib.suppress(sqlite3.DatabaseError, FileNotFoundError):
            return _rows_of_a_copy(path)
    return _rows_of_a_copy(path)


def _rows_of_a_copy(path: Path) -> list[tuple[str, bytes]]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for each in path.parent.glob(f"{path.name}*"):
            shutil.copy(each, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as sql:
            sql.row_factory = sqlite3.Row
            tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
            if "keys" not in tables:
                return []
            keys = {row["alert_id"]: row["key"] for row in sql.execute("SELECT * FROM keys")}
            for table in tables:
                for row in sql.execute(f'SELECT * FROM "{table}"'):
                    names = row.keys()
                    if "body" not in names:
                        continue
                    contexts = [str(row[name]).encode() for name in ("alert_id", "id") if name in names]
                    key = keys.get(row["alert_id"]) if "alert_id" in names else None
                    opened = [open_sealed(key, row["body"], context) for context in contexts] if key else [row["body"]]
                    found += [(f"{path}, {table}", content) for content in opened if content is not None]
    return found
