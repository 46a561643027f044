"""Verification of a log: every row in its place, every head signed, nothing missing at its end; else the first break.

What is found, and by what:
changed, even by one bit        its own hash; with a hash made to fit: the next row's `prev`, or a head's signature
dropped, reordered, duplicated  row numbers and `prev`
rewritten with hashes to fit    the next head's signature
cut at its end                  a signed head of a later row: `head.json` beside the log, or one from the hub
cut at its beginning            row 0, or the row `room` that states which rows were dropped
emptied, or without signatures  a log without a signed head, or without its `head.json`, does not verify,
                                nor does one whose `head.json` cannot be read

What cannot be found: rows after the newest head that the verifier has (of ten seconds; `unsigned_tail` counts them)
dropped from the end, or changed together with their hashes. With write access to the disk the log can also be cut at an
older head and put that one into `head.json`, and a holder of the device's key can sign another past: only a head of
the hub's finds that. That is why heads are published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from device.audit.log import FILE, lines_of, older_parts, read_head
from device.audit.rows import GENESIS, BadRow, Head, Row, genuine, read, vouched
from device.errors import BadData

HEAD_LOST = "head file lost"
"""The condition in a row `fault` that the log's own opening writes (device/supervisor/audit/writer.py)."""
Line = tuple[str, int, bytes]
"""File name, line number from 1, the line with its line feed."""


@dataclass(frozen=True, slots=True)
class Break:
    """The first break. row: the number of the row that is wrong or missing."""

    kind: str
    row: int
    file: str
    line: int
    text: str


@dataclass(slots=True)
class Verdict:
    """The result of verification. key_given: the key came from outside and not from beside the log."""

    rows: int = 0
    first: int | None = None
    last: int | None = None
    heads: int = 0
    signed_upto: int | None = None
    unsigned_tail: int = 0
    counts: int = 0
    unbalanced: list[int] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)
    broken: Break | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.broken is None and not self.unbalanced


def verify(place: Path, key: str, heads: Iterable[Head] = ()) -> Verdict:
    """Check a log's folder, or one part of it. heads: signed heads from elsewhere; the folder's own is always used."""
    folder = place.is_dir()
    files = [*older_parts(place), place / FILE] if folder else [place]
    lines = [(f.name, n, line) for f in files if f.exists() for n, line in enumerate(lines_of(f), 1)]
    check = _Check(key, lines, partial=not folder)
    check.run()
    elsewhere, own, unreadable = list(heads), None, ""
    try:
        own = read_head(place) if folder else None
    except BadData as fault:
        unreadable = str(fault)
    for head in (*elsewhere, *([own] if own is not None else [])):
        check.against(head)
    if folder:
        check.vouched_for(own is not None or bool(elsewhere), unreadable)
    return check.verdict


@dataclass(slots=True)
class _Check:
    """One verification: goes through the lines until the first break."""

    key: str
    lines: list[Line]
    partial: bool
    verdict: Verdict = field(default_factory=Verdict)
    hashes: dict[int, str] = field(default_factory=dict)
    _prev: str = GENESIS
    _expected: int = 0
    _room: int = 0
    _places: dict[int, Line] = field(default_factory=dict)

    def run(self) -> None:
        """Follow the chain to its end or its first break."""
        for line in self.lines:
            if self.verdict.broken is not None:
                return
            self._follow(line)
        verdict = self.verdict
        last = -1 if verdict.signed_upto is None else verdict.signed_upto
        verdict.unsigned_tail = 0 if verdict.last is None else verdict.last - max(last, (verdict.first or 0) - 1)
        self._beginning()

    def against(self, head: Head) -> None:
        """Compare with a signed head: is that row here, and is it the one that was signed?"""
        if self.verdict.broken is not None:
            return
        if not genuine(head, self.key):
            self._break("head", head.seq, None, f"the head of row {head.seq} is not signed by this key")
        elif head.seq >= self._expected and not self.partial:
            missing = f"rows {self._expected} to {head.seq} are missing" if head.seq > self._expected else "is missing"
            text = f"the log ends before a head that was signed at {head.at}: {missing}"
            self._break("truncated", self._expected, None, text)
        elif self.hashes.get(head.seq, head.hash) != head.hash:
            self._break("rewritten", head.seq, self._places.get(head.seq), f"row {head.seq} is not the one signed then")

    def vouched_for(self, head: bool, unreadable: str) -> None:
        """Fail for a log without a signed head. head: one lies beside it, or came from elsewhere.

        unreadable  why the one beside it cannot be read
        """
        verdict = self.verdict
        if verdict.broken is not None:
            return
        if verdict.rows == 0:
            self._break("dropped", 0, None, "there is no row: a device's log begins with its birth")
        elif verdict.heads == 0:
            text = "no row is signed, and the first rows are written with a head: these may be anybody's"
            self._break("unsigned", verdict.first or 0, self.lines[0], text)
        elif not head and (unreadable or verdict.heads > 1):
            upto = verdict.signed_upto or 0
            found = unreadable or "no signed head lies beside the log"
            text = f"{found}: the log may have been cut after row {upto}"
            self._break("head", upto, self._places.get(upto), text)

    def _follow(self, line: Line) -> None:
        _, _, content = line
        if not content.endswith(b"\n"):
            self._break("torn", self._expected, line, "the last line is cut off in its middle")
            return
        try:
            row = read(content[:-1])
        except BadRow as fault:
            self._break("changed", self._expected, line, f"row {self._expected}: {fault}")
            return
        if self.verdict.first is None:
            self._begin(row, line)
        if row.seq != self._expected or row.prev != self._prev:
            self._misplaced(row, line)
            return
        if row.record.what == "head" and not vouched(content[:-1], row, self.key):
            since = 0 if self.verdict.signed_upto is None else self.verdict.signed_upto + 1
            text = f"the head in row {row.seq} is not signed by this key: rows {since} to {row.seq} may be forged"
            self._break("forged", row.seq, line, text)
            return
        self._accept(row, line)

    def _begin(self, row: Row, line: Line) -> None:
        """The first row: 0, or in a log that dropped old parts (or a part alone) any row with none before it."""
        self.verdict.first = row.seq
        if row.seq > 0 and not any(later.seq < row.seq for later in self._rest(line)):
            self._expected, self._prev = row.seq, row.prev

    def _accept(self, row: Row, line: Line) -> None:
        verdict, record = self.verdict, row.record
        verdict.rows, verdict.last = verdict.rows + 1, row.seq
        self._prev, self._expected = row.hash, row.seq + 1
        self.hashes[row.seq], self._places[row.seq] = row.hash, line
        if record.what == "head":
            verdict.heads, verdict.signed_upto = verdict.heads + 1, row.seq
        elif record.what == "room":
            self._room = max(self._room, record.upto or 0)
        elif record.what == "shortened":
            text = f"when row {row.seq} was written, rows up to {record.upto} had been signed and were missing"
            self._break("truncated", row.seq, line, text)
        elif record.what == "fault" and record.condition == HEAD_LOST:
            text = f"when row {row.seq} was written, the head file was lost or could not be read: rows may be missing"
            self._break("head", row.seq, line, text)
        elif record.what == "began" and record.reason is not None:
            self._break(
                "damaged", row.seq, line, f"a new chain begins here: {record.reason}; the old one was set aside"
            )
        elif record.what == "counts":
            verdict.counts += 1
            if not record.balanced:
                (verdict.unbalanced if record.settled else verdict.unsettled).append(row.seq)
        elif record.what == "lost":
            verdict.notes.append(
                f"before row {row.seq} the disk failed for so long that {record.count} rows were never written"
            )

    def _misplaced(self, row: Row, line: Line) -> None:
        """A row that does not follow the one before it: which of the ways it is."""
        wanted, later = self._expected, {r.seq for r in self._rest(line)}
        if row.seq == wanted:
            before = self._places.get(wanted - 1, line)
            text = f"row {wanted - 1} is not the one that row {wanted} was written after"
            self._break("changed", max(0, wanted - 1), before, text)
        elif row.seq < wanted and self.hashes.get(row.seq) == row.hash:
            self._break("duplicated", row.seq, line, f"row {row.seq} is repeated here")
        elif row.seq < wanted:
            self._break("duplicated", row.seq, line, f"another row {row.seq} stands here")
        elif wanted in later:
            self._break("reordered", wanted, line, f"row {row.seq} is in the place of row {wanted} belongs")
        else:
            missing = f"row {wanted} is" if row.seq == wanted + 1 else f"rows {wanted} to {row.seq - 1} are"
            self._break("dropped", wanted, line, f"{missing} missing")

    def _rest(self, line: Line) -> Iterator[Row]:
        for _, _, content in self.lines[self.lines.index(line) + 1 :]:
            try:
                yield read(content.rstrip(b"\n"))
            except BadRow:
                continue

    def _beginning(self) -> None:
        """Rows missing at the beginning need a `room` row that accounts for them."""
        verdict = self.verdict
        if verdict.broken is not None or not verdict.first:
            return
        if self.partial:
            verdict.notes.append(f"this part begins with row {verdict.first}; the rows before it were not checked")
        elif self._room >= verdict.first:
            verdict.notes.append(f"rows before {verdict.first} were dropped: the log has a bound")
        else:
            self._break("dropped", 0, self.lines[0], f"rows 0 to {verdict.first - 1} are missing at the beginning")

    def _break(self, kind: str, row: int, line: Line | None, text: str) -> None:
        name, number = (line[0], line[1]) if line is not None else ("", 0)
        self.verdict.broken = Break(kind, row, name, number, text)
