"""Whatever a hub publishes or a broker delivers is read or refused: no other exception, whatever the bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.audit.rows import BadRow
from device.audit.rows import read as read_row
from device.config.deployment import Deployment, parse_signed
from device.config.document import load
from device.config.model import DeviceConfig
from device.config.publication import parse_index, parse_withdrawn
from device.domain.time import MonotonicNs, rfc3339, wall
from device.errors import LfrError
from device.hub_api import events
from device.supervisor.deployment.deadlines import Deadline
from device.sync.offer import over, require_usable
from device.wire.link import HEADER, Lease, Stop, Withdraw, pack, unpack_from_worker, unpack_to_worker

pytestmark = pytest.mark.slow

NOON = wall(datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc))
LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DEEP = 100_000

SIGNED = (
    """
id: d-1
mode: demo
controller: C
owner: O
authorising_officer: AO-1
purpose: p
legal_basis: l
place: here
zones: [gate]
window: {start: 2026-11-30T09:00:00Z, end: 2026-11-30T18:00:00Z}
devices: [cam-1]
categories: {missing: {response_code: R3, threshold_offset: 0.1}}
max_watchlist_size: 10
watchlist: {id: wl-1, sha256: SHA, subjects: 3, images: 3, payload: deployments/HEX.payload,
  created_at: 2026-11-30T08:00:00Z, expires: 2026-12-01T08:00:00Z, recognisers: [SHA]}
hub_recipient: RECIPIENT
notice: {en: text, cy: testun}
""".replace("SHA", "a" * 64)
    .replace("HEX", "0123456789abcdef" * 2)
    .replace("RECIPIENT", "age1" + "q" * 58)
)

TAGS = ("timestamp", "int", "float", "bool", "binary", "null", "set", "omap", "pairs", "seq", "map", "str", "merge")
ODD_TIMES = ("2026-02-30", "2026-13-45 99:99:99", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00")
ODD_NUMBERS = ("0x" + "f" * 100_000, "1" * 5_000, "1e999", ".nan", ".inf", "190:20:30", "0b", "._")
ODD_YAML = ("<<", "=", "{? [a]: b}", "{1: 2}", "{2026-01-01: x}", "{null: x}", "&a [*a]", "!!str")
ODD_TEXTS = ('"\\0"', '"\\ud800"', "\0", "\x07")
NESTED = ("[" * 3_000, "{a: " * 3_000, "- " * 3_000, "? " * 3_000)
ODD = (*ODD_TIMES, *ODD_NUMBERS, *ODD_YAML, *ODD_TEXTS, *NESTED)
TAGGED = ("foo", "''", "[]", "{}", "[[1, 2]]", *ODD[:6])
values = st.one_of(
    st.sampled_from(ODD),
    st.builds("!!{} {}".format, st.sampled_from(TAGS), st.sampled_from(TAGGED)),
    st.text(max_size=30),
)


def encoded(text: str) -> bytes:
    """As bytes, half characters included."""
    return text.encode("utf-8", "surrogatepass")


def judged(content: bytes) -> Deployment | None:
    """A deployment as the device reads, judges and counts it down; None when it is refused."""
    try:
        deployment = parse_signed(content, "deployments/x.yaml")
        require_usable(deployment, NOON, running=False)
    except LfrError:
        return None
    over(deployment, NOON)
    window = deployment.window
    for trusted in (True, False):
        Deadline(wall(window.start), wall(window.end)).past(NOON, MonotonicNs(1), trusted=trusted)
    rfc3339(wall(window.end))
    return deployment


def test_the_text_that_the_laws_change_is_accepted() -> None:
    assert judged(SIGNED.encode()) is not None


LINES = [line for line in SIGNED.strip().splitlines() if not line.startswith(" ")]


@LAW
@given(line=st.sampled_from(LINES), value=values)
def test_any_value_of_any_key_is_read_or_refused(line: str, value: str) -> None:
    judged(encoded(SIGNED.replace(line, f"{line.partition(':')[0]}: {value}")))


@LAW
@given(value=values, key=st.sampled_from(["start", "end", "created_at", "expires", "subjects", "threshold_offset"]))
def test_any_value_of_a_time_or_a_number_is_read_or_refused(value: str, key: str) -> None:
    begin = SIGNED.index(f"{key}:")
    end = min(place for place in (SIGNED.find(mark, begin) for mark in ",}") if place > 0)
    judged(encoded(f"{SIGNED[:begin]}{key}: {value}{SIGNED[end:]}"))


@LAW
@given(place=st.integers(0, len(SIGNED)), text=st.binary(max_size=12) | values.map(encoded))
def test_anything_put_anywhere_is_read_or_refused(place: int, text: bytes) -> None:
    signed = SIGNED.encode()
    judged(signed[:place] + text + signed[place:])


@pytest.mark.parametrize(
    "text", ["controller: \0", "controller: !!timestamp x", "purpose: !!bool x", "place: !!int ''"]
)
def test_text_that_once_ended_every_supervisor_is_refused_with_a_reason(text: str) -> None:
    assert judged(SIGNED.replace("id: d-1", f"id: d-1\n{text}").encode()) is None
    with pytest.raises(LfrError, match=r"not YAML|a tag"):
        parse_signed(SIGNED.replace("id: d-1", f"id: d-1\n{text}").encode(), "x")


def test_a_device_configuration_is_read_the_same_way(tmp_path: Path) -> None:
    for number, value in enumerate(ODD):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(f"site: {value}\n".encode())
        with pytest.raises(LfrError):
            load(file, DeviceConfig)


JSON_DEEP = (b"[" * DEEP, b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"type":' + b"[" * DEEP)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
READERS: dict[str, Callable[[bytes], Any]] = {
    "index": parse_index,
    "withdrawn list": parse_withdrawn,
    "message": events.decode,
    "audit row": read_row,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [*JSON_DEEP, b"1" * 10_000, b'"\\ud800"', b"\xff", b"\xef\xbb\xbf{}", b"NaN"])
def test_deep_and_odd_json_is_refused(reader: str, content: bytes) -> None:
    if content == b"null":
        return
    with pytest.raises((LfrError, BadRow)) as refused:
        READERS[reader](content)
    assert len(str(refused.value)) < 2_000


@LAW
@given(content=st.one_of(st.binary(max_size=60), json_like), reader=st.sampled_from(list(READERS)))
def test_any_json_is_read_or_refused(content: bytes, reader: str) -> None:
    try:
        READERS[reader](content)
    except (LfrError, BadRow):
        return


LINK = [pack(message)[HEADER.size :] for message in (Stop(reason="over"), Withdraw(refs=("e-1", "e-2")), Lease())]


@LAW
@given(message=st.sampled_from(LINK), place=st.integers(0, 40), put=st.binary(max_size=8), deep=st.booleans())
def test_anything_on_the_worker_link_is_a_message_or_a_broken_link(
    message: bytes, place: int, put: bytes, deep: bool
) -> None:
    body = message[:place] + put + (b"\x91" * DEEP if deep else b"") + message[place:]
    for unpack in (unpack_to_worker, unpack_from_worker):
        try:
            unpack(body)
        except LfrError:
            continue


def test_yaml_itself_would_fail_on_these() -> None:
    """What the loader is for: PyYAML's own one raises errors that are not its own."""
    with pytest.raises(AttributeError):
        yaml.safe_load("!!timestamp foo")
    with pytest.raises(KeyError):
        yaml.safe_load("!!bool foo")
