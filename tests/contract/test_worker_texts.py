"""A worker that writes what it sees into its messages gets nothing of it past the supervisor's end of the link."""

from __future__ import annotations

import re
import typing
from enum import Enum
from typing import Any

import msgspec
import numpy as np
import pytest

from device import errors
from device.domain.finding import Candidate, Counters
from device.edges.clock.fake import FakeClock
from device.errors import LinkBroken
from device.supervisor.workers.journal import WorkerJournal
from device.vision import align
from device.wire import link
from device.wire.link import (
    HEADER,
    TEXTS,
    CandidateRaised,
    Fault,
    FromWorker,
    JournalLine,
    pack,
    unpack_from_worker,
)
from device.wire.plain_text import TEXT_CHARS, UNUSUAL_CHARS, WITHHELD, plain_text
from device.worker.defect import defect_text
from tests.sample_alerts import a_candidate
from tests.sample_worker import a_beat, a_hello
from tests.worker_texts import BASE64, PLACES, SEEN, text_places, traces_of, with_text


def test_every_text_of_a_worker_has_a_pattern_and_a_length_or_is_made_plain() -> None:
    """A new field of a message fails here until it is bounded."""
    unbounded = []
    for message in typing.get_args(FromWorker):
        for place, kind in text_places(message):
            bounds = [bound for bound in getattr(kind, "__metadata__", ()) if isinstance(bound, msgspec.Meta)]
            holder = Candidate if "candidate" in place else message
            known = isinstance(kind, type) and issubclass(kind, Enum)
            bounded = any(bound.max_length and bound.pattern for bound in bounds)
            if not (known or bounded or place[-1] in TEXTS.get(holder, ())):
                unbounded.append((message.__name__, place))
    journal_lines_are_matched_when_they_are_printed = [("JournalLine", ("text",))]
    errors_are_matched_to_the_tree = [("Fault", ("error",))]
    assert unbounded == [*journal_lines_are_matched_when_they_are_printed, *errors_are_matched_to_the_tree]


def test_every_list_of_a_worker_has_a_length() -> None:
    too_many = (
        a_beat(1, Counters(), stage_p95_ms={f"s{'abcdefghijklmnopq'[n]}": 1.0 for n in range(17)}),
        a_beat(1, Counters(score_histogram=[1] * 21)),
        a_hello(protections={f"p{n}": True for n in range(33)}),
        CandidateRaised(candidate=a_candidate(rivals=tuple(range(65)))),
    )
    for message in too_many:
        with pytest.raises(LinkBroken):
            unpack_from_worker(pack(message)[HEADER.size :])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(("message", "place"), PLACES, ids=lambda one: ".".join(one) if isinstance(one, tuple) else "")
def test_no_text_of_a_message_holds_what_the_worker_sees(
    message: FromWorker, place: tuple[str, ...], seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = pack(with_text(message, place, SEEN[seen]))[HEADER.size :]
    try:
        decoded = unpack_from_worker(body)
    except LinkBroken as fault:
        kept = f"{fault} {fault.__cause__ or ''}"
    else:
        kept = str(msgspec.to_builtins(decoded))
        if isinstance(decoded, JournalLine):
            WorkerJournal(FakeClock()).log("front", decoded)
            kept = caplog.text
    assert traces_of(kept) == []
    assert all(one.isprintable() for one in kept.rstrip("\n"))
    assert len(kept) < len(str(msgspec.to_builtins(message))) + TEXT_CHARS + 200


def test_a_type_of_message_that_does_not_exist_is_not_quoted() -> None:
    for seen in SEEN.values():
        with pytest.raises(LinkBroken) as caught:
            unpack_from_worker(msgspec.msgpack.encode({"type": seen}))
        assert traces_of(str(caught.value)) == []


# ── what remains readable ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text",
    [
        "/var/lib/lfr/models/face_recognition_sface_2021dec.onnx: no such file; run `lfr engines prepare`",
        "rtsp://camera.example:554/Streaming/Channels/101: cannot be opened (Connection refused)",
        "watchlist wl-2026-11-30 was made with recogniser 0123456789ab…, this device runs ba9876543210…: build the"
        " watchlist again, with `lfr watchlist build --recogniser`",
        "evidence sface bf16: for 1,822 listed 0.4 false alerts in 1,000 faces predicted, at most 1.1",
        "the jetson_utils at /usr/lib/python3/dist-packages/jetson_utils is not NVIDIA's version 2: a package index has"
        " an unrelated package of that name; remove it, and install jetson-utils",
        "",
    ],
)
def test_a_cause_and_its_remedy_come_through_unchanged(text: str) -> None:
    assert plain_text(text) == text


def test_a_library_s_text_loses_its_data_and_the_remedy_stays() -> None:
    text = f"the engine failed on {BASE64[:70]}: run `lfr engines build` and start the device again"
    found = plain_text(text)
    assert "run `lfr engines build` and start the device again" in found
    assert traces_of(found) == []


def test_of_too_many_characters_that_are_no_words_the_longest_are_left_out() -> None:
    text = f"evidence 2026-11-30 was made for recogniser {SEEN['hexadecimal'][:64]}, not this one"
    assert plain_text(text) == "evidence 2026-11-30 was made for recogniser …, not this one"
    many = " ".join(f"the value {number}" for number in range(100, 130))
    kept = re.findall(r"[0-9]", plain_text(many))
    assert len(kept) <= UNUSUAL_CHARS


def test_a_long_text_keeps_its_cause_and_its_remedy() -> None:
    found = plain_text(f"the cause {'of many words ' * 100} the remedy")
    assert found.startswith("the cause of many words")
    assert found.endswith("the remedy")
    assert len(found) <= TEXT_CHARS


def test_no_more_than_the_limit_of_unusual_characters_passes() -> None:
    assert plain_text("a" + "0" * (UNUSUAL_CHARS - 1)) != WITHHELD
    assert plain_text("a" + "0" * UNUSUAL_CHARS) == WITHHELD


def test_every_error_of_the_device_is_named_and_any_other_name_is_not() -> None:
    assert {"SourceLost", "EngineUnavailable", "InternalError"} <= link.ERRORS
    assert "reason_of" not in link.ERRORS
    body = pack(Fault(error="aGVsbG8gd29ybGQ", text="x", exit_status=70))[HEADER.size :]
    fault = unpack_from_worker(body)
    assert isinstance(fault, Fault)
    assert fault.error == errors.InternalError.__name__


def test_a_defect_is_named_by_its_class_and_place_without_its_text() -> None:
    broken: Any = BASE64
    with pytest.raises(AttributeError) as caught:
        align.to_template(np.ones((5, 2), np.float32), broken)
    text = defect_text(caught.value)
    assert re.fullmatch(r"[A-Za-z]+ in device\.vision\.align, line [0-9]+", text)
    assert plain_text(text) == text


def test_a_class_of_nobody_known_is_not_named() -> None:
    assert defect_text(type("QUdFLVNFQ1JFVC1LRVktMQ", (Exception,), {})(BASE64)) == "an exception of a library"
