"""What a hub publishes for a device: the shapes of the small targets."""

from __future__ import annotations

import json

import pytest

from device.config.publication import (
    WITHDRAWN_MAX_BYTES,
    WITHDRAWN_MOST,
    Index,
    Withdrawn,
    index_target,
    index_text,
    parse_index,
    parse_withdrawn,
    stem,
    withdrawn_text,
)
from device.errors import BadData

HEX = "0123456789abcdef"
GOOD = {
    "deployment": f"deployments/{HEX}.yaml",
    "payload": f"deployments/{HEX}.payload",
    "withdrawn": f"deployments/{HEX}.withdrawn.json",
    "envelope": f"devices/cam-1/{HEX}.envelope",
    "recipient": "age1" + "q" * 58,
}


def test_an_index_reads_as_it_was_written() -> None:
    index = Index.model_validate(GOOD)
    assert parse_index(index_text(index)) == index
    assert stem(index.withdrawn) == stem(index.payload) == HEX
    assert index_target("cam-1") == "devices/cam-1/index.json"


def test_null_is_an_index_that_offers_nothing() -> None:
    assert parse_index(index_text(None)) is None
    assert parse_index(b"null") is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"payload": f"deployments/{'f' * 16}.payload"}, "belong together"),
        ({"deployment": "deployments/../../etc/passwd.yaml"}, "deployment: must be deployments/<hex>.yaml"),
        ({"envelope": f"devices/../{HEX}.envelope"}, "envelope: must be"),
        ({"recipient": None}, "come together"),
        ({"recipient": "age1"}, "recipient: must be an age recipient"),
        ({"more": 1}, "more"),
    ],
)
def test_a_malformed_index_says_where(changes: dict[str, object], says: str) -> None:
    with pytest.raises(BadData, match=says):
        parse_index(json.dumps({**GOOD, **changes}).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"7"])
def test_what_is_no_index_is_bad_data(content: bytes) -> None:
    with pytest.raises(BadData):
        parse_index(content)


def test_a_withdrawn_list_reads_as_it_was_written_and_at_its_longest_fits_its_bound() -> None:
    longest = Withdrawn(deployment_id="d-1", refs=tuple(f"{n:05d}".rjust(64, "e") for n in range(WITHDRAWN_MOST)))
    text = withdrawn_text(longest)
    assert len(text) < WITHDRAWN_MAX_BYTES
    assert parse_withdrawn(text) == longest


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"refs": []}, "deployment_id"),
        ({"deployment_id": "d-1", "refs": ["a b"]}, "refs.0"),
        ({"deployment_id": "d-1", "refs": ["e"] * (WITHDRAWN_MOST + 1)}, "refs"),
        ({"deployment_id": "d-1", "refs": "e-1"}, "refs"),
    ],
)
def test_a_malformed_withdrawn_list_says_where(content: dict[str, object], says: str) -> None:
    with pytest.raises(BadData, match=says):
        parse_withdrawn(json.dumps(content).encode())
