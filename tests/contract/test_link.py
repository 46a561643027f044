"""The worker link: what may cross, and what both of its readers do with what is no message."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from types import SimpleNamespace, UnionType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.finding import Candidate, Counters, Mode, VolunteerFinding
from device.errors import LinkBroken
from device.supervisor.workers.process import ProcessLink
from device.wire.link import (
    HEADER,
    JOURNAL_CHARS,
    MAX_BODY_BYTES,
    Assignment,
    CameraAssignment,
    Fault,
    Finished,
    FromWorker,
    JournalLine,
    Level,
    Stop,
    ToWorker,
    VisionAssignment,
    VolunteerRecognised,
    Withdraw,
    WithdrawVolunteers,
    pack,
    unpack_from_worker,
    unpack_to_worker,
)
from device.worker.link_end import LinkEnd

WITHIN_S = 25.0  # below the half minute that a reader waits for a first message
PLAIN = (int, float, str, bool, type(None))
TO_WORKER = (Stop(reason="over"), Withdraw(refs=("e-1",)), WithdrawVolunteers(refs=("V-1",)))
FROM_WORKER = (
    Finished(reason="over", counters=Counters(faces_seen=2, discarded=2)),
    Fault(error="BadData", text="…", exit_status=65),
    VolunteerRecognised(finding=VolunteerFinding(ref="V-1", score=0.7, threshold=0.5, decoded_ns=1)),
    JournalLine(level=Level.INFO, text="fast enough again"),
)


def fields_of(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf type that a message may hold, with its place."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for name, hint in typing.get_type_hints(kind).items():
            yield from fields_of(hint, f"{path}.{name}")
    elif typing.get_origin(kind) in (UnionType, typing.Union, tuple, list, dict):
        for part in typing.get_args(kind):
            if part is not Ellipsis:
                yield from fields_of(part, path)
    else:
        yield path, kind


def test_nothing_that_crosses_can_hold_a_picture_or_a_template() -> None:
    """Numbers, texts and two places for bytes, which are ciphertext; no field is named after what it must not be."""
    leaves = [
        leaf
        for message in typing.get_args(ToWorker) + typing.get_args(FromWorker)
        for leaf in fields_of(message, message.__name__)
    ]
    assert [path for path, kind in leaves if kind is bytes] == ["CandidateRaised.probe", "ViewPicture.sealed"]
    assert [
        (path, kind) for path, kind in leaves if kind is not bytes and kind not in PLAIN and not issubclass(kind, Enum)
    ] == []
    floats_in_a_row = [path for path, kind in leaves if kind is float and "template" in path.lower()]
    assert floats_in_a_row == []


@pytest.mark.parametrize("message", TO_WORKER)
def test_what_the_worker_must_read_comes_back_equal(message: ToWorker) -> None:
    assert unpack_to_worker(pack(message)[HEADER.size :]) == message


@pytest.mark.parametrize("message", FROM_WORKER)
def test_what_the_supervisor_must_read_comes_back_equal(message: FromWorker) -> None:
    assert unpack_from_worker(pack(message)[HEADER.size :]) == message


def test_an_assignment_comes_back_equal_zone_and_all() -> None:
    task = Assignment(
        protocol=1,
        mode=Mode.DEMO,
        deployment_id="d",
        camera=CameraAssignment(
            camera_id="c", source="/å b.mp4", pace="full", zone=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
        ),
        vision=VisionAssignment(backend="auto", min_face_px=32.0, threshold=None, models_dir="/m"),
        watchlist="/w.age",
        identity="AGE-SECRET-KEY-1X",
        hub_recipient="age1x",
    )
    assert unpack_to_worker(pack(task)[HEADER.size :]) == task


@pytest.mark.slow
@given(
    passage=st.integers(0, 2**40),
    score=st.floats(-1, 1),
    box=st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4),
    text=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z"),
)
def test_a_candidate_comes_back_equal(
    passage: int, score: float, box: tuple[float, float, float, float], text: str
) -> None:
    candidate = Candidate(
        passage=passage,
        revision=0,
        entry_ref=text,
        category=None,
        score=score,
        threshold=0.5,
        margin=score - 0.5,
        second_gap=0.2,
        faces_used=1,
        box_in_frame=box,
        frame_size=(1280, 720),
        inter_eye_px=20.0,
        yaw=0.0,
        quality=1.0,
        frame=3,
        media_ns=120,
        first_seen_ns=0,
        last_seen_ns=120,
        capture_to_decision_ms=3.5,
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(candidate), type=Candidate) == candidate


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"hello",
        msgspec.msgpack.encode({"type": "no such message"}),
        msgspec.msgpack.encode({"type": "stop"}),
        msgspec.msgpack.encode({"type": "withdraw", "refs": 3}),
        msgspec.msgpack.encode([1, 2, 3]),
        pack(FROM_WORKER[0])[HEADER.size :],
    ],
)
def test_a_body_that_is_no_message_to_the_worker_is_a_broken_link(body: bytes) -> None:
    with pytest.raises(LinkBroken):
        unpack_to_worker(body)


@pytest.mark.parametrize("message", TO_WORKER)
def test_the_supervisor_does_not_take_messages_that_go_the_other_way(message: ToWorker) -> None:
    with pytest.raises(LinkBroken):
        unpack_from_worker(pack(message)[HEADER.size :])


@settings(deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_either_decode_or_break_the_link(body: bytes) -> None:
    for unpack in (unpack_to_worker, unpack_from_worker):
        try:
            message = unpack(body)
        except LinkBroken:
            continue
        assert isinstance(message, msgspec.Struct)


@pytest.mark.parametrize("text", ["", "x" * (JOURNAL_CHARS + 1)])
def test_a_line_for_the_journal_is_short_and_not_empty(text: str) -> None:
    with pytest.raises(LinkBroken):
        unpack_from_worker(pack(JournalLine(level=Level.INFO, text=text))[HEADER.size :])


def test_a_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LinkBroken, match="exceeds"):
        pack(JournalLine(level=Level.INFO, text="x" * (MAX_BODY_BYTES + 1)))


# ── one suite for both readers ────────────────────────────────────────────────────────────────────────────────────────
Outcome = list[object]
Read = Callable[[list[bytes]], Outcome]
"""CaptureBuffer chunks of bytes and then end-of-file: the messages that came out, "broken" where the link was."""


def read_by_the_worker(chunks: list[bytes]) -> Outcome:
    ours, theirs = socket.socketpair()
    end = LinkEnd(theirs)
    for chunk in chunks:
        ours.sendall(chunk)
    ours.shutdown(socket.SHUT_WR)
    assert end.gone.wait(WITHIN_S)
    found: Outcome = []
    while (message := end.receive(0.0)) is not None:
        found.append(message)
    ours.close()
    return found + (["broken"] if end.fault is not None else [])


def read_by_the_supervisor(chunks: list[bytes]) -> Outcome:
    async def read() -> Outcome:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        process: Any = SimpleNamespace(pid=os.getpid())
        link = ProcessLink(process, reader, writer)
        found: Outcome = []
        for chunk in chunks:  # not on this thread: a socket holds few pieces, and nobody would read meanwhile
            await asyncio.to_thread(ours.sendall, chunk)
        ours.shutdown(socket.SHUT_WR)
        try:
            while (message := await asyncio.wait_for(link.receive(), WITHIN_S)) is not None:
                found.append(message)
        except LinkBroken:
            found.append("broken")
        writer.close()
        ours.close()
        return found

    return asyncio.run(read())


@pytest.fixture(params=["worker", "supervisor"])
def reader(request: pytest.FixtureRequest) -> tuple[Read, tuple[Any, ...]]:
    """A reader and the messages that go its way."""
    if request.param == "worker":
        return read_by_the_worker, TO_WORKER
    return read_by_the_supervisor, FROM_WORKER


def test_messages_come_out_whole_and_in_order_however_they_are_cut(reader: tuple[Read, tuple[Any, ...]]) -> None:
    read, messages = reader
    stream = b"".join(pack(message) for message in messages)
    for size in (1, 3, 7, len(stream)):
        assert read([stream[n : n + size] for n in range(0, len(stream), size)]) == list(messages)


def test_end_of_file_between_messages_is_no_fault(reader: tuple[Read, tuple[Any, ...]]) -> None:
    read, messages = reader
    assert read([]) == []
    assert read([pack(messages[0])]) == [messages[0]]


@pytest.mark.parametrize(
    "garbage",
    [
        HEADER.pack(5) + b"hello",
        HEADER.pack(MAX_BODY_BYTES + 1),
        HEADER.pack(2**32 - 1) + b"x" * 1000,
        HEADER.pack(0),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_garbage_breaks_the_link_after_the_messages_before_it(
    garbage: bytes, reader: tuple[Read, tuple[Any, ...]]
) -> None:
    read, messages = reader
    assert read([pack(messages[0]), garbage, pack(messages[1])]) == [messages[0], "broken"]


@pytest.mark.parametrize("kept", [1, 3, HEADER.size + 2])
def test_a_message_that_is_cut_short_breaks_the_link(kept: int, reader: tuple[Read, tuple[Any, ...]]) -> None:
    read, messages = reader
    assert read([pack(messages[0]), pack(messages[1])[:kept]]) == [messages[0], "broken"]


# ── the worker's end alone ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_reader_that_waits_gets_an_error_at_once_when_the_other_end_is_gone() -> None:
    """A supervisor that dies before its first message must not leave a worker waiting for half a minute."""
    ours, theirs = socket.socketpair()
    end = LinkEnd(theirs)
    ours.close()
    since = time.monotonic()
    assert end.receive(30.0) is None
    assert time.monotonic() - since < WITHIN_S
    assert end.gone.is_set()


def test_sending_to_nobody_is_noticed_and_not_raised() -> None:
    ours, theirs = socket.socketpair()
    end = LinkEnd(theirs)
    ours.close()
    for _ in range(3):
        end.send(FROM_WORKER[0])
    assert end.gone.is_set()


def test_what_the_worker_sends_arrives_whole() -> None:
    ours, theirs = socket.socketpair()
    end = LinkEnd(theirs)
    for message in FROM_WORKER:
        end.send(message)
    for message in FROM_WORKER:
        (length,) = HEADER.unpack(ours.recv(HEADER.size, socket.MSG_WAITALL))
        assert unpack_from_worker(ours.recv(length, socket.MSG_WAITALL)) == message
    ours.close()
    assert end.receive(WITHIN_S) is None
