"""One row of the chain as bytes: how it is hashed, signed, written and read again. Pure.

A line is one JSON object, so that any tool can read it, and it can be checked without this program:

    {"seq":7,"at":"…","boot":"…","prev":"<hash of row 6>","record":{"what":"state",…},"hash":"<hash of row 7>"}

1. `hash` is the SHA-256 of the line as it stands without `,"hash":"…"` (and without the line feed). What is hashed is
   bytes, so the result does not depend on another JSON writer.
2. `prev` is the row before; row 0's is 64 zeros. So a row fixes everything before it.
3. A row `head` also has `,"sig":"…"` before its hash: Ed25519 by the device key over SIGNED_AS and the line
   without both. It vouches for every row before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from device.audit.key import SIGNATURE_BYTES, DeviceKey, signed_by
from device.domain.audit_record import Digest, Identifier, Moment, Record
from device.domain.time import WallTime, rfc3339

GENESIS = "0" * 64
SIGNED_AS = b"uk.lfr.audit.v1\n"
"""Before what is signed, so that no other signature of this key can pass for a head's."""
_HASH_BYTES = len(b',"hash":"') + 64 + len(b'"}')
_SIGNED_BYTES = len(b',"sig":"') + 2 * SIGNATURE_BYTES + len(b'"}')


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A row. seq: counts from 0 over all boots; boot: one run of the program."""

    seq: int
    at: Moment
    boot: Identifier
    prev: Digest
    record: Record
    sig: str | None = None
    hash: str = ""


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest signed row, as it is stored beside the log and published. key: the public half that checks sig."""

    seq: int
    hash: Digest
    at: Moment
    key: Digest
    boot: Identifier
    prev: Digest
    sig: str


class BadRow(ValueError):
    """A line that is no row, or one whose hash is not its own."""


@dataclass(slots=True)
class Links:
    """The end of the chain in memory: makes the next line. seq: of the next row; prev: hash of the last one."""

    boot: str
    seq: int = 0
    prev: str = GENESIS

    def add(self, record: Record, at: WallTime) -> bytes:
        """The next row's line."""
        return self._line(self._body(record, at))

    def head(self, at: WallTime, key: DeviceKey) -> tuple[bytes, Head]:
        """A signed row (rule 3) and what is published of it."""
        seq, prev = self.seq, self.prev
        body = self._body(Record(what="head"), at)
        sig = key.sign(SIGNED_AS + body).hex()
        line = self._line(body[:-1] + b',"sig":"' + sig.encode() + b'"}')
        head = Head(seq=seq, hash=self.prev, at=rfc3339(at), key=key.public, boot=self.boot, prev=prev, sig=sig)
        return line, head

    def _body(self, record: Record, at: WallTime) -> bytes:
        row = Row(seq=self.seq, at=rfc3339(at), boot=self.boot, prev=self.prev, record=record)
        return msgspec.json.encode(row)

    def _line(self, body: bytes) -> bytes:
        self.seq, self.prev = self.seq + 1, hashlib.sha256(body).hexdigest()
        return body[:-1] + b',"hash":"' + self.prev.encode() + b'"}\n'


def head_of(row: Row, key: str) -> Head:
    """What is kept beside the log and published of a signed row. key: the public half that signed it."""
    return Head(seq=row.seq, hash=row.hash, at=row.at, key=key, boot=row.boot, prev=row.prev, sig=row.sig or "")


def read(line: bytes) -> Row:
    """The row in a line (without its line feed) whose hash is right. Raises BadRow with the reason."""
    body = line[:-_HASH_BYTES] + b"}"
    try:
        row = _ROW.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadRow(f"it is no row of this log: {fault}") from fault
    if not line.endswith(f',"hash":"{row.hash}"}}'.encode()) or hashlib.sha256(body).hexdigest() != row.hash:
        raise BadRow("its content does not match its hash")
    return row


def vouched(line: bytes, row: Row, public: str) -> bool:
    """Whether a head's line carries the signature of this key (rule 3)."""
    body = line[:-_HASH_BYTES] + b"}"
    unsigned = body[:-_SIGNED_BYTES] + b"}"
    ours = row.sig is not None and body.endswith(f',"sig":"{row.sig}"}}'.encode())
    return ours and signed_by(public, SIGNED_AS + unsigned, _hex(row.sig or ""))


def genuine(head: Head, public: str) -> bool:
    """Whether that key signed a published head: its line is made again from it, and hashed."""
    links = Links(head.boot, head.seq, head.prev)
    row = Row(seq=head.seq, at=head.at, boot=head.boot, prev=head.prev, record=Record(what="head"))
    body = msgspec.json.encode(row)
    links._line(body[:-1] + b',"sig":"' + head.sig.encode() + b'"}')
    return links.prev == head.hash and signed_by(public, SIGNED_AS + body, _hex(head.sig))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


_ROW = msgspec.json.Decoder(Row)
