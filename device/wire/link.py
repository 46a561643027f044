"""The worker link: every message that may cross between the vision worker and the supervisor.

Transport: a Unix stream socketpair made before exec (its file descriptor number is the worker's only argument),
each message a 4-byte big-endian length and a MessagePack body. End-of-file means stop, on either side.

1. The first message to the worker is `Assignment`; the first from it is `Hello`, then `WatchlistLoaded`. With
   `Commission` instead there is no list, and beats follow `Hello`. `Prepare` may come before either.
2. Nothing but these types crosses. None can hold a picture or a template in the clear: `CandidateRaised.probe` and
   `ViewPicture.sealed` are encrypted in the worker to the hub, and the supervisor has no key to open them.
3. A body over MAX_BODY_BYTES or one that does not decode is LinkBroken: the reader closes the link. Its text quotes
   nothing of the body.
4. The worker holds a lease: any message renews it, and the supervisor's loop sends `Lease` when there is no other. A
   worker whose lease has run out wipes and ends (device/worker/lease.py).
5. No text of a worker reaches the supervisor as it was sent (decision record 0035). One that must be right has a
   pattern and a length, and any other breaks the link; one that a person reads (TEXTS) becomes `plain_text`. What
   grows with its sender (lists, mappings) has a length, too.
"""

from __future__ import annotations

import re
import struct
from enum import Enum
from typing import Annotated, TypeVar

import msgspec

from device import errors
from device.domain.camera_fault import CameraFault
from device.domain.finding import Candidate, Counters, Mode, Reference, VolunteerFinding
from device.domain.operating_point import LIMIT
from device.errors import InternalError, LfrError, LinkBroken
from device.wire.plain_text import plain_text

PROTOCOL = 6
MAX_BODY_BYTES = 1_000_000
JOURNAL_CHARS = 240
VIEW_MAX_BYTES = 4_000
HEADER = struct.Struct(">I")
CAMERA_FAULTS = "|".join(fault.value for fault in CameraFault)
ERRORS = frozenset(name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, LfrError))

Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9:._+-]{0,99}\Z", max_length=100)]
"""A backend with its precision, a model, or both models of a pair."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{64})?\Z", max_length=64)]
CameraState = Annotated[str, msgspec.Meta(pattern=rf"\A(?:online|offline|ended|{CAMERA_FAULTS})\Z", max_length=16)]
CameraWarning = Annotated[str, msgspec.Meta(pattern=rf"\A(?:{CAMERA_FAULTS})?\Z", max_length=16)]
Stage = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,16}\Z", max_length=16)]
Protection = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_]{1,32}\Z", max_length=32)]


class CameraAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """The camera of one worker. `zone` is a polygon in 0..1 of the frame; `pace` only matters for a recording.

    size  width and height that are configured, or that its pictures had in an earlier run; None: those of the first
          picture are right
    """

    camera_id: str
    source: str
    pace: str
    zone: tuple[tuple[float, float], ...]
    size: tuple[int, int] | None = None


class VisionAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """The vision section of the configuration, values only; a model that is None is the default one."""

    backend: str
    min_face_px: float
    threshold: float | None
    models_dir: str
    evidence: str | None = None
    evidence_keys: str | None = None
    false_alert_limit: float = LIMIT
    detector: str | None = None
    recogniser: str | None = None
    screen: str | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True, tag="assignment"):
    """Supervisor to worker, once. `identity` is the age secret of this deployment: memory only, never a file.

    watchlist      path of the sealed watchlist (age, to `identity`)
    categories     threshold offset (never negative) by category of the deployment; empty: any category, no offset
    withdrawn      entries that were withdrawn since the list was sealed
    volunteers     paths of the blue list's sealed volunteers (age, to `identity`), one a file
    hub_recipient  age public key that probes are encrypted to
    lease_s        how long the supervisor may be silent once the camera is open; None: until end-of-file (a worker
                   that a test or a tool drives by hand)
    """

    protocol: int
    mode: Mode
    deployment_id: str
    camera: CameraAssignment
    vision: VisionAssignment
    watchlist: str
    identity: str
    hub_recipient: str
    categories: dict[str, float] = msgspec.field(default_factory=dict)
    withdrawn: tuple[str, ...] = ()
    volunteers: tuple[str, ...] = ()
    lease_s: float | None = None


class Commission(msgspec.Struct, frozen=True, kw_only=True, tag="commission"):
    """Supervisor to worker, once, instead of Assignment: no list, no recogniser; faces are detected and their heights
    shown in the view.
    """

    protocol: int
    camera: CameraAssignment
    vision: VisionAssignment
    lease_s: float | None = None


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Supervisor to worker, before there is a deployment: open the engines, then wait for Assignment or Commission."""

    protocol: int
    vision: VisionAssignment


class Lease(msgspec.Struct, frozen=True, kw_only=True, tag="lease"):
    """Supervisor to worker, four times a second: its loop evaluates the conditions, and the worker may go on."""


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, tag="withdraw"):
    """Supervisor to worker: zero the templates of these entries at once."""

    refs: tuple[str, ...]


class View(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    """Supervisor to worker, once a second while the live view is shown: the hub's recipient, None to end it."""

    recipient: str | None


class WithdrawVolunteers(msgspec.Struct, frozen=True, kw_only=True, tag="withdraw_volunteers"):
    """Supervisor to worker: zero the templates of these volunteers of the blue list at once."""

    refs: tuple[str, ...]


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Supervisor to worker: wipe, send Finished, exit 0."""

    reason: str


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Worker to supervisor, first: its engines and the protections that the kernel granted.

    self_test  how its engines differ from the golden tensors; empty when they agree
    """

    protocol: int
    pid: int
    backend: Name
    detector: Name
    recogniser: Name
    detector_sha256: Sha256
    recogniser_sha256: Sha256
    self_test: str
    protections: Annotated[dict[Protection, bool], msgspec.Meta(max_length=32)]


class WatchlistLoaded(msgspec.Struct, frozen=True, kw_only=True, tag="watchlist_loaded"):
    """Worker to supervisor: the sealed watchlist is open in the worker's memory, and this is its operating point.

    predicted_far, predicted_far_bound   false alerts a face, estimate and 95 % upper bound; None without evidence
    outside_evidence  why recognition must not start with this list; empty when the evidence covers it
    incomplete  entries without a category of the deployment or without the source of their image
    """

    watchlist_id: Reference
    sha256: Sha256
    subjects: int
    images: int
    threshold: float
    threshold_source: str
    predicted_far: float | None
    predicted_far_bound: float | None = None
    false_alert_limit: float = LIMIT
    outside_evidence: str = ""
    incomplete: int = 0


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True, tag="withdrawn"):
    """Worker to supervisor: the number of entries of its list that it has zeroed since it was opened."""

    entries: int


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag="beat"):
    """Worker to supervisor, four times a second: it is alive, and the state of its camera.

    camera   online | offline | ended, or the value of a domain.camera_fault.CameraFault that stops it
    warning  the value of a CameraFault that does not stop it; empty when there is none
    size     width and height that its pictures should have; None before the first
    damaged_share  of the camera's last pictures, 0..1, that lost data or were predicted from one that had
    fps      frames decoded a second since the last beat;  stage_p95_ms  of the last looks, by stage name
    rss_bytes       resident memory of the worker's process, as the kernel counts it; 0 without /proc
    gpu_free_bytes  free GPU memory, shared by all programs; None on a CPU. A worker's GPU memory is not part of
                    rss_bytes, not even on a Jetson, where both are the same memory (to be confirmed on a board)
    """

    seq: int
    camera: CameraState
    fps: float
    counters: Counters
    stage_p95_ms: Annotated[dict[Stage, float], msgspec.Meta(max_length=16)]
    rss_bytes: int
    gpu_free_bytes: int | None = None
    damaged_share: float = 0.0
    warning: CameraWarning = ""
    size: tuple[int, int] | None = None


class CandidateRaised(msgspec.Struct, frozen=True, kw_only=True, tag="candidate"):
    """Worker to supervisor: a possible match, new (revision 0) or revised.

    probe  the best shot of its passage, JPEG inside age ciphertext to the hub; None when the passage has ended
    """

    candidate: Candidate
    probe: bytes | None = None


class ViewPicture(msgspec.Struct, frozen=True, kw_only=True, tag="view_picture"):
    """Worker to supervisor: a picture of the live view, encrypted to the hub; dropped before anything else is."""

    sealed: Annotated[bytes, msgspec.Meta(max_length=VIEW_MAX_BYTES)]


class VolunteerRecognised(msgspec.Struct, frozen=True, kw_only=True, tag="volunteer"):
    """Worker to supervisor: a volunteer of the blue list passed. No picture; never an alert."""

    finding: VolunteerFinding


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """Worker to supervisor, last: the source ended or the worker obeyed Stop; every buffer is wiped."""

    reason: str
    counters: Counters


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag="fault"):
    """Worker to supervisor, instead of Finished: it cannot continue.

    error  name of a class of device/errors.py;  text: cause and remedy, or of a defect its class and place alone
    """

    error: str
    text: str
    exit_status: Annotated[int, msgspec.Meta(ge=64, le=78)]


class Level(str, Enum):
    """Priority of a journal line."""

    INFO = "info"
    WARNING = "warning"


class JournalLine(msgspec.Struct, frozen=True, kw_only=True, tag="journal"):
    """Worker to supervisor: a line for the journal, one of the texts of device/wire/journal_texts.py."""

    level: Level
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=JOURNAL_CHARS)]


ToWorker = Prepare | Assignment | Commission | Lease | Withdraw | WithdrawVolunteers | View | Stop
FromWorker = (
    Hello
    | WatchlistLoaded
    | Withdrawn
    | Beat
    | CandidateRaised
    | VolunteerRecognised
    | ViewPicture
    | JournalLine
    | Finished
    | Fault
)

TEXTS: dict[type[msgspec.Struct], tuple[str, ...]] = {
    Hello: ("self_test",),
    WatchlistLoaded: ("threshold_source", "outside_evidence"),
    Candidate: ("category", "image_source"),
    Finished: ("reason",),
    Fault: ("text",),
}
"""Texts of a worker that a person reads (rule 5)."""
Written = TypeVar("Written", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def pack(message: ToWorker | FromWorker) -> bytes:
    """Header and body of one message."""
    body = _encoder.encode(message)
    if len(body) > MAX_BODY_BYTES:
        raise LinkBroken(f"{type(message).__name__} of {len(body)} bytes exceeds {MAX_BODY_BYTES}")
    return HEADER.pack(len(body)) + body


def unpack_to_worker(body: bytes) -> ToWorker:
    """Decode one body at the worker's end; LinkBroken for any type but ToWorker."""
    try:
        return _to_worker.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise LinkBroken(f"the supervisor sent a message that protocol {PROTOCOL} does not know: {fault}") from fault


def unpack_from_worker(body: bytes) -> FromWorker:
    """Decode one body at the supervisor's end (rule 5); LinkBroken for any type but FromWorker."""
    try:
        message = _from_worker.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        place = _PLACE.search(str(fault))
        where = f" ({place[1]})" if place else ""
        # from None: the decoder's error quotes what it could not decode
        raise LinkBroken(f"the worker sent a message that protocol {PROTOCOL} does not know{where}") from None
    if isinstance(message, CandidateRaised):
        return msgspec.structs.replace(message, candidate=_with_plain_texts(message.candidate))
    if isinstance(message, Fault) and message.error not in ERRORS:
        message = msgspec.structs.replace(message, error=InternalError.__name__)
    return _with_plain_texts(message)


_PLACE = re.compile(r" - at (?:`key` in )?`(\$[a-z0-9_.\[\]]{0,60})`\Z")
"""The field that msgspec names at the end of its text: one of this module, none of the sender's."""


def _with_plain_texts(message: Written) -> Written:
    """The message with its texts for people made plain; itself when they are."""
    texts = {name: text for name in TEXTS.get(type(message), ()) if (text := getattr(message, name)) is not None}
    changed = {name: plain for name, text in texts.items() if (plain := plain_text(text)) != text}
    return msgspec.structs.replace(message, **changed) if changed else message
