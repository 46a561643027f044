"""The fields of an audit row: a closed set, none of which can hold personal data.

1. No free text, no names, no entry references, no pictures: fields are numbers, words of fixed vocabularies, times,
   hashes, and identifiers that this program, the deployment or (`officer`) the force made.
2. A `Term` is a short lower-case phrase of the program's own (a condition's name, a refusal's name), never input.
3. An unknown field is a defect of the caller and a TypeError. A value that does not fit its field (an identifier out
   of a malformed file) is left out, and the field's name is listed in `left_out`: noting never fails on data.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec

from device.domain.finding import Mode
from device.domain.judgement import AdjudicationOutcome, DispositionOutcome, EngagementOutcome, HoldKind

What = Literal[
    "began",  # the first row of a chain
    "started",  # the supervisor runs; engine, watchlist and counts follow
    "stopped",
    "state",
    "condition",  # a row of the condition tables starts to fail
    "refused",  # a request that a rule forbids
    "loaded",  # a deployment
    "ended",  # a deployment
    "watchlist",
    "engine",
    "hub",  # the hub or its operator connected or disconnected
    "sign",  # a fault of the sign
    "stop",
    "resume",
    "sync",  # the hub asked for a look at the repository
    "view",  # the live view began or ended; `until` when it ends at the latest
    "zone",  # the hub set a camera's zone; `sha256` of its corners, `count` how many
    "tamper",
    "alert",
    "judged",
    "engagement",  # what came of speaking to the person; a later row of the same alert corrects it
    "disposition",  # how it ended; likewise
    "hold",  # a case is kept longer than its time; `until` when, unless renewed
    "released",
    "erased",
    "counts",
    "worker",  # a vision worker started, stopped or died
    "clock",
    "key",
    "head",  # signed: everything up to here
    "room",  # old rows were dropped: the log has a bound
    "shortened",  # the log was shorter than its own signed head when it was opened
    "torn",  # half a row at the end was cut off: a power cut
    "lost",  # rows that the disk refused for so long that memory ran out
    "fault",
    "request",  # at the hub: a person asked what is kept about them
    "session",  # at the hub: somebody logged in or out, or was refused
    "blue",  # at the hub: totals of a deployment's blue list
]
State = Literal["safe", "ready", "armed", "recognising", "inhibited", "ending"]
Result = Literal["holds", "fails", "pending"]
Term = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9 ,_-]{0,47}\Z")]
Rule = Annotated[str, msgspec.Meta(pattern=r"\A(R[0-9]{2}(, ?R[0-9]{2})*|[a-z][a-z0-9 ,_-]{0,47})\Z")]
Identifier = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")]
Officer = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Moment = Annotated[str, msgspec.Meta(pattern=r"\A\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z\Z")]
Version = Annotated[str, msgspec.Meta(pattern=r"\A[0-9][0-9A-Za-z.+-]{0,31}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Cosine = Annotated[float, msgspec.Meta(ge=-1.001, le=1.001)]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One event. Only `what` is always present.

    rule, condition, reason  which rule of the field requirements or condition decided, and why, as a fixed term
    was, now, event          a change of state;  result: the evaluation of a condition
    deployment, watchlist, camera, alert, receipt   identifiers
    hold, owner, until       of a hold: its kind, reference of who answers for it, its end on this device (or a view's)
    officer                  reference of who judged or commanded, as the hub states it; `hub` for the hub itself
    what_gone, count, method  of an erasure
    faces_seen … settled     of `counts`; see `balanced`
    sign_dark_ms             of `counts`: while somebody could be recognised, since the start
    passes, recognised, without_pass  of `blue`: passes of volunteers, those recognised, recognitions without a pass
    upto                     row number: everything before it (room), or up to it (shortened)
    """

    what: What
    rule: Rule | None = None
    condition: Term | None = None
    reason: Term | None = None
    was: State | None = None
    now: State | None = None
    event: Term | None = None
    result: Result | None = None
    mode: Mode | None = None
    deployment: Identifier | None = None
    watchlist: Identifier | None = None
    camera: Identifier | None = None
    alert: Identifier | None = None
    receipt: Identifier | None = None
    officer: Officer | None = None
    outcome: AdjudicationOutcome | None = None
    engagement: EngagementOutcome | None = None
    disposition: DispositionOutcome | None = None
    hold: HoldKind | None = None
    owner: Officer | None = None
    until: Moment | None = None
    operator: Literal["present", "simulated", "absent"] | None = None
    online: bool | None = None
    what_gone: Literal["alert", "probe", "watchlist", "template", "outbox", "identity", "envelope"] | None = None
    method: Literal["key_destroyed", "zeroed", "unlinked", "process_ended"] | None = None
    count: Count | None = None
    subjects: Count | None = None
    images: Count | None = None
    threshold: Cosine | None = None
    sha256: Digest | None = None
    detector_sha256: Digest | None = None
    recogniser_sha256: Digest | None = None
    key: Digest | None = None
    backend: Term | None = None
    version: Version | None = None
    exit_status: int | None = None
    since: Moment | None = None
    faces_seen: Count | None = None
    discarded: Count | None = None
    lost: Count | None = None
    alerted: Count | None = None
    alerted_by_worker: Count | None = None
    open: Count | None = None
    settled: bool | None = None
    sign_dark_ms: Count | None = None
    passes: Count | None = None
    recognised: Count | None = None
    without_pass: Count | None = None
    upto: Count | None = None
    left_out: tuple[Term, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether the people of a `counts` row add up: faces seen = discarded + lost + alerted + in view."""
        gone = (self.discarded or 0) + (self.lost or 0) + (self.open or 0)
        return self.faces_seen == gone + (self.alerted or 0) and self.alerted == self.alerted_by_worker


FIELDS = frozenset(Record.__struct_fields__)
WHATS = frozenset(get_args(What))


def record(what: str, rule: str | None = None, **fields: Any) -> Record:
    """A record of the closed set (rule 3). Raises TypeError for an unknown `what` or field."""
    unknown = sorted(set(fields) - FIELDS)
    if what not in WHATS or unknown:
        raise TypeError(f"an audit row has no field {', '.join(unknown) if what in WHATS else what!r}")
    given = {name: value for name, value in {"rule": rule, **fields}.items() if value is not None}
    try:
        return msgspec.convert({"what": what, **given}, Record)
    except msgspec.ValidationError:
        fits = {name: value for name, value in given.items() if _fits(name, value)}
        return msgspec.convert({"what": what, **fits, "left_out": tuple(sorted(set(given) - set(fits)))}, Record)


def _fits(name: str, value: Any) -> bool:
    try:
        msgspec.convert({"what": "began", name: value}, Record)
    except msgspec.ValidationError:
        return False
    return True
