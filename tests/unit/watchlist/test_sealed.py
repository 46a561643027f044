"""A sealed watchlist opens for its device alone, and what opens is sound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

import msgspec
import numpy as np
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.finding import Mode
from device.enrolment.compose import compose
from device.enrolment.folder import Enrolment, Entry
from device.errors import UsageError, WatchlistUnusable
from device.watchlist.gallery import fill
from device.watchlist.sealed import (
    SealedEntry,
    SealedWatchlist,
    require_models,
    seal,
    sha256_of,
    unseal,
)

WHEN = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Keys:
    recipient: str
    identity: str


def new_keys() -> Keys:
    identity = pyrage.x25519.Identity.generate()
    return Keys(str(identity.to_public()), str(identity))


@pytest.fixture(scope="module")
def keys() -> Keys:
    return new_keys()


def entry(ref: str, rows: int = 1, seed: int = 0, **fields: object) -> SealedEntry:
    given_fields: dict[str, Any] = {
        "ref": ref,
        "category": "missing",
        "image_source": "custody",
        "templates": fill(rows, seed, dim=128)[1].astype("<f4").tobytes(),
        "template_dim": 128,
    }
    return SealedEntry(**{**given_fields, **fields})


def watchlist(*entries: SealedEntry, **fields: object) -> SealedWatchlist:
    given_fields: dict[str, Any] = {
        "format": 1,
        "watchlist_id": "wl-1",
        "deployment_id": "demo",
        "mode": Mode.DEMO,
        "created_at": WHEN,
        "recogniser_sha256": "ab" * 32,
        "subjects": len(entries),
        "images": sum(len(e.templates) // 512 for e in entries),
        "entries": entries,
    }
    return SealedWatchlist(**{**given_fields, **fields})


def sealed_unchecked(content: object, keys: Keys) -> bytes:
    """What a faulty or hostile builder might seal."""
    plain = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
    sealed: bytes = pyrage.encrypt(plain, [pyrage.x25519.Recipient.from_str(keys.recipient)])
    return sealed


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    text=st.text(min_size=1, max_size=20),
    under_18=st.booleans(),
    captured=st.one_of(st.none(), st.dates(min_value=date(1900, 1, 1))),
    mode=st.sampled_from(list(Mode)),
)
def test_what_was_sealed_opens_unchanged(
    rows: list[int], text: str, under_18: bool, captured: date | None, mode: Mode
) -> None:
    keys = new_keys()
    entries = [
        entry(f"{text}{n}", k, n, category=text, under_18=under_18, image_captured_on=captured)
        for n, k in enumerate(rows)
    ]
    original = watchlist(*entries, mode=mode)
    assert unseal(seal(original, [keys.recipient]), keys.identity) == original


def test_every_recipient_can_open_it(keys: Keys) -> None:
    other = new_keys()
    data = seal(watchlist(entry("a")), [keys.recipient, other.recipient])
    assert unseal(data, keys.identity) == unseal(data, other.identity + "\n")


def test_another_device_cannot_open_it(keys: Keys) -> None:
    data = seal(watchlist(entry("a")), [keys.recipient])
    with pytest.raises(WatchlistUnusable, match="another device or deployment") as refused:
        unseal(data, new_keys().identity)
    assert refused.value.exit_status == 65


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_cut_off_file_does_not_open(share: float, keys: Keys) -> None:
    data = seal(watchlist(entry("a")), [keys.recipient])
    with pytest.raises(WatchlistUnusable, match="does not open"):
        unseal(data[: int(len(data) * share)], keys.identity)


@given(position=st.floats(0, 0.999), change=st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_a_changed_byte_anywhere_does_not_open(position: float, change: int) -> None:
    keys = new_keys()
    data = bytearray(seal(watchlist(entry("a")), [keys.recipient]))
    data[int(len(data) * position)] ^= change
    with pytest.raises(WatchlistUnusable):
        unseal(bytes(data), keys.identity)


def test_a_bad_age_file_and_a_bad_identity_are_different_errors(keys: Keys) -> None:
    with pytest.raises(WatchlistUnusable, match="no age file"):
        unseal(b"hello", keys.identity)
    with pytest.raises(WatchlistUnusable, match="not an age secret key") as refused:
        unseal(b"hello", "AGE-SECRET-KEY-1NONSENSE")
    assert "NONSENSE" not in str(refused.value)


def test_another_format_is_refused_by_number(keys: Keys) -> None:
    with pytest.raises(WatchlistUnusable, match="format 2 is not known"):
        unseal(sealed_unchecked({"format": 2, "news": 1}, keys), keys.identity)


@pytest.mark.parametrize("content", [b"", b"\xc1", {"a": 1}, {"format": 1}, [1, 2]])
def test_a_file_that_holds_something_else_is_refused(content: object, keys: Keys) -> None:
    with pytest.raises(WatchlistUnusable, match=r"does not hold a watchlist|not of format 1"):
        unseal(sealed_unchecked(content, keys), keys.identity)


def bad_row(value: float) -> bytes:
    row = fill(1, 0, dim=128)[1]
    row[0, 5] = value
    return row.astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (watchlist(), "is empty"),
        (watchlist(entry("a"), entry("a")), r"names 1 reference\(s\) twice"),
        (watchlist(entry("")), "without a reference"),
        (watchlist(entry("a", templates=b"")), "not whole rows"),
        (watchlist(entry("a", templates=bytes(100))), "not whole rows"),
        (watchlist(entry("a", templates=bytes(512))), "not of length 1"),
        (watchlist(entry("a", templates=bad_row(float("nan")))), "not finite"),
        (watchlist(entry("a", templates=bad_row(float("inf")))), "not finite"),
        (watchlist(entry("a", templates=bad_row(3.0))), "not of length 1"),
        (watchlist(entry("a"), subjects=2), "says 2 subjects and 1 images, and holds 1 and 1"),
        (watchlist(entry("a", 2), images=1), "says 1 subjects and 1 images, and holds 1 and 2"),
    ],
)
def test_an_unsound_list_is_neither_sealed_nor_opened(bad: SealedWatchlist, message: str, keys: Keys) -> None:
    with pytest.raises(WatchlistUnusable, match=message):
        seal(bad, [keys.recipient])
    with pytest.raises(WatchlistUnusable, match=message):
        unseal(sealed_unchecked(bad, keys), keys.identity)


def test_a_list_made_with_other_models_is_refused() -> None:
    silent, found = watchlist(entry("a")), watchlist(entry("a"), detector_sha256="ef" * 32)
    require_models(found, "ef" * 32, "ab" * 32)
    require_models(silent, "cd" * 32, "ab" * 32)
    with pytest.raises(WatchlistUnusable, match=r"with recogniser abab.*, this device runs cdcd.*build the watchlist"):
        require_models(found, "ef" * 32, "cd" * 32)
    with pytest.raises(WatchlistUnusable, match=r"with detector efef.*, this device runs cdcd.*build --detector"):
        require_models(found, "cd" * 32, "ab" * 32)


@pytest.mark.parametrize("recipients", [[], ["age1nonsense"], [""]])
def test_sealing_needs_recipients(recipients: list[str]) -> None:
    with pytest.raises(UsageError):
        seal(watchlist(entry("a")), recipients)


def test_an_enrolment_becomes_a_list_that_is_searched_alike(keys: Keys) -> None:
    rows = fill(5, 9, dim=128)[1]
    enrolment = Enrolment((Entry("ann", rows[:2]), Entry("bob", rows[2:])), (), ())
    composed = compose(
        enrolment,
        watchlist_id="wl-1",
        deployment_id="demo",
        mode=Mode.DEMO,
        created_at=WHEN,
        recogniser_sha256="ab" * 32,
        category="missing",
        image_source="custody",
    )
    gallery = unseal(seal(composed, [keys.recipient]), keys.identity).gallery()
    assert (composed.subjects, composed.images, gallery.refs) == (2, 5, ("ann", "bob"))
    mean = rows[2:].sum(axis=0)
    assert gallery.search((mean / np.linalg.norm(mean))[None])[0].score == pytest.approx(1, abs=1e-5)


def test_the_digest_is_of_the_sealed_bytes() -> None:
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
