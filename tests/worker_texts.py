"""Texts that hold what a worker sees, and every place of its messages that could carry one.

BASE64 is a picture's size; TEMPLATE are the numbers of a recogniser's output. Both are random.
"""

from __future__ import annotations

import base64
import random
import re
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

import msgspec

from device.domain.finding import Counters, VolunteerFinding
from device.wire.link import (
    CandidateRaised,
    Fault,
    Finished,
    FromWorker,
    JournalLine,
    Level,
    VolunteerRecognised,
)
from tests.sample_alerts import a_candidate
from tests.sample_worker import a_beat, a_hello, an_open_list

_random = random.Random(7)
TEMPLATE = [_random.gauss(0, 0.09) for _ in range(128)]
BASE64 = base64.b64encode(_random.randbytes(60_000)).decode()
SEEN = {
    "base64": BASE64,
    "base64 in pieces": " ".join(BASE64[n : n + 30] for n in range(0, 3_000, 30)),
    "hexadecimal": _random.randbytes(128).hex(),
    "a template's numbers": str(TEMPLATE),
    "a template's numbers, rounded": " ".join(f"{number:.2f}" for number in TEMPLATE),
    "a line in a line": "lost\nalert.raised entry=e-1 score=0.99",
    "control characters": "lost \x1b[2J\x00\x07‮ \r back",
}
MESSAGES: tuple[FromWorker, ...] = (
    a_hello(),
    an_open_list(),
    a_beat(1, Counters(), stage_p95_ms={"embed": 1.0}),
    CandidateRaised(candidate=a_candidate()),
    VolunteerRecognised(finding=VolunteerFinding(ref="V-1", score=0.7, threshold=0.5, decoded_ns=1)),
    JournalLine(level=Level.INFO, text="fast enough again"),
    Finished(reason="over", counters=Counters()),
    Fault(error="SourceLost", text="front: lost", exit_status=69),
)


def text_places(kind: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every place of a message that holds text, a mapping's keys among them, and its type with its bounds."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for name, hint in typing.get_type_hints(kind, include_extras=True).items():
            yield from text_places(hint, (*place, name))
        return
    bare = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
    if bare is str or (isinstance(bare, type) and issubclass(bare, Enum)):
        yield place, kind
    elif bare is not str:
        for part in typing.get_args(bare):
            yield from text_places(part, (*place, "*") if typing.get_origin(bare) is dict else place)


PLACES = [(message, place) for message in MESSAGES for place, _ in text_places(type(message))]


def with_text(message: Any, place: tuple[str, ...], text: str) -> Any:
    """The message with `text` at a place: what a worker could send whose types are not ours."""
    name, *inside = place
    held = getattr(message, name)
    if inside == ["*"]:
        return msgspec.structs.replace(message, **{name: {**held, text: next(iter(held.values()))}})
    return msgspec.structs.replace(message, **{name: with_text(held, tuple(inside), text) if inside else text})


def traces_of(text: str) -> list[str]:
    """Pieces of SEEN in a text: runs of base64 or hexadecimal, and numbers of the template."""
    runs = re.findall(r"[A-Za-z0-9+/]{20,}", text)
    numbers = [str(number) for number in TEMPLATE]
    return [run for run in runs if run in BASE64 or run in SEEN["hexadecimal"]] + [n for n in numbers if n in text]
