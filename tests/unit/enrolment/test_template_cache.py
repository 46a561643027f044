"""The template cache keeps entries for a day, reveals nothing without the photo, and never stops an enrolment."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.enrolment.folder import enrol
from device.enrolment.rules import Outcome
from device.enrolment.template_cache import KEPT_S, TemplateCache
from tests.unit.enrolment.conftest import PaintedReader

PHOTO = b"the bytes of a photo"
DIGEST = hashlib.sha256(PHOTO).digest()
TEMPLATE = np.linspace(-1, 1, 128, dtype=np.float32)


class Clock:
    """Wall time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


def cache_at(folder: Path, models: str = "m1", now: Callable[[], float] | None = None) -> TemplateCache:
    place = folder / "cache" / "templates.sqlite"
    return TemplateCache(place, models=models) if now is None else TemplateCache(place, models=models, now=now)


def kept(folder: Path, **how: Any) -> Outcome | None:
    with cache_at(folder, **how) as cache:
        return cache.get(PHOTO, DIGEST)


def keep(folder: Path, outcome: Outcome | None = None, **how: Any) -> None:
    with cache_at(folder, **how) as cache:
        cache.put(PHOTO, DIGEST, outcome or Outcome(TEMPLATE, None, ("small face",), 40.0))


@settings(max_examples=25, deadline=None)
@given(
    photo=st.binary(min_size=1, max_size=50),
    rejected=st.one_of(st.none(), st.text(min_size=1, max_size=60)),
    warnings=st.lists(st.text(max_size=40), max_size=3),
    seed=st.integers(0, 99),
)
def test_what_was_put_comes_back(
    tmp_path_factory: pytest.TempPathFactory, photo: bytes, rejected: str | None, warnings: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    digest = hashlib.sha256(photo).digest()
    template = None if rejected else np.random.default_rng(seed).standard_normal(128).astype(np.float32)
    with cache_at(folder) as cache:
        cache.put(photo, digest, Outcome(template, rejected, tuple(warnings), 77.0))
    with cache_at(folder) as cache:
        found = cache.get(photo, digest)
    assert found is not None
    assert (found.rejected, found.warnings, found.face_px) == (rejected, tuple(warnings), 77.0)
    if template is None:
        assert found.template is None
    else:
        assert found.template is not None
        assert np.array_equal(found.template, template)


def test_another_photo_another_model_and_another_salt_find_nothing(tmp_path: Path) -> None:
    keep(tmp_path)
    with cache_at(tmp_path) as cache:
        assert cache.get(b"other", hashlib.sha256(b"other").digest()) is None
    assert kept(tmp_path, models="m2") is None
    (tmp_path / "cache" / "templates.sqlite.salt").write_bytes(bytes(32))
    assert kept(tmp_path) is None


def test_neither_template_nor_reason_nor_photo_is_in_the_files(tmp_path: Path) -> None:
    keep(tmp_path, Outcome(TEMPLATE, None, ("small face of somebody",), 40.0))
    everything = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    for secret in (TEMPLATE.tobytes()[:32], b"small face of somebody", PHOTO, DIGEST):
        assert secret not in everything


def test_a_rejection_is_as_long_as_a_template(tmp_path: Path) -> None:
    with cache_at(tmp_path) as cache:
        cache.put(b"a", hashlib.sha256(b"a").digest(), Outcome(None, "no face found"))
        cache.put(PHOTO, DIGEST, Outcome(TEMPLATE, None, ("w" * 100,)))
    rows = sqlite3.connect(tmp_path / "cache" / "templates.sqlite")
    assert len({length for (length,) in rows.execute("SELECT length(sealed) FROM outcome")}) == 1


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    keep(tmp_path)
    for path in (tmp_path / "cache").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


def test_a_row_lives_a_day_and_not_longer(tmp_path: Path) -> None:
    clock = Clock()
    keep(tmp_path, now=clock)
    clock.now_s += KEPT_S - 1
    assert kept(tmp_path, now=clock) is not None
    clock.now_s += 2
    assert kept(tmp_path, now=clock) is None
    clock.now_s -= KEPT_S
    assert kept(tmp_path, now=clock) is None  # it is gone, not hidden


def test_a_clock_that_moves_back_does_not_keep_rows(tmp_path: Path) -> None:
    clock = Clock()
    keep(tmp_path, now=clock)
    clock.now_s -= 3600
    assert kept(tmp_path, now=clock) is None


@pytest.mark.parametrize("damage", [b"not a database at all, and long enough to be looked at" * 4, b"\0" * 5000])
def test_a_damaged_cache_is_made_anew_with_a_warning(damage: bytes, tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "cache" / "templates.sqlite").write_bytes(damage)
    with cache_at(tmp_path) as cache:
        assert cache.get(PHOTO, DIGEST) is None
        assert "damaged" in cache.warnings[0]
        cache.put(PHOTO, DIGEST, Outcome(TEMPLATE))
    assert kept(tmp_path) is not None


def test_damage_inside_the_file_is_found(tmp_path: Path) -> None:
    with cache_at(tmp_path) as cache:
        for n in range(100):
            photo = bytes([n])
            cache.put(photo, hashlib.sha256(photo).digest(), Outcome(TEMPLATE))
    place = tmp_path / "cache" / "templates.sqlite"
    data = bytearray(place.read_bytes())
    data[4096:12288] = os.urandom(8192)
    place.write_bytes(bytes(data))
    with cache_at(tmp_path) as cache:
        assert any("damaged" in warning for warning in cache.warnings)
        cache.put(PHOTO, DIGEST, Outcome(TEMPLATE))
    assert kept(tmp_path) is not None


def test_a_row_that_was_tampered_with_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    keep(tmp_path)
    rows = sqlite3.connect(tmp_path / "cache" / "templates.sqlite")
    rows.execute("UPDATE outcome SET sealed = zeroblob(200)")
    rows.commit()
    rows.close()
    assert kept(tmp_path) is None


def test_a_place_that_cannot_be_written_is_gone_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with cache_at(tmp_path) as cache:
        cache.put(PHOTO, DIGEST, Outcome(TEMPLATE))
        assert cache.get(PHOTO, DIGEST) is None
        assert "continuing without" in cache.warnings[0]


def test_a_salt_that_is_no_salt_is_made_anew(tmp_path: Path) -> None:
    keep(tmp_path)
    salt = tmp_path / "cache" / "templates.sqlite.salt"
    salt.write_bytes(b"short")
    assert kept(tmp_path) is None
    assert len(salt.read_bytes()) == 32


def test_threads_and_a_second_process_may_share_it(tmp_path: Path) -> None:
    def work(cache: TemplateCache, base: int) -> None:
        for n in range(base, base + 300):
            photo = n.to_bytes(4, "big")
            cache.put(photo, hashlib.sha256(photo).digest(), Outcome(TEMPLATE))
            cache.get(photo, hashlib.sha256(photo).digest())

    with cache_at(tmp_path) as one, cache_at(tmp_path) as other:
        threads = [threading.Thread(target=work, args=(c, n * 300)) for n, c in enumerate((one, one, other, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert one.warnings == other.warnings == []
    with cache_at(tmp_path) as cache:
        for n in range(1200):
            photo = n.to_bytes(4, "big")
            assert cache.get(photo, hashlib.sha256(photo).digest()) is not None


def test_a_second_enrolment_reads_no_photo_and_gives_the_same_remarks(
    tmp_path: Path, photo: Callable[..., Path], reader: PaintedReader
) -> None:
    photo(tmp_path / "list" / "ann" / "1.png", side=40)
    photo(tmp_path / "list" / "bob" / "1.png", side=20)
    photo(tmp_path / "list" / "bob" / "2.png", 2)
    found = []
    for _ in range(2):
        with cache_at(tmp_path) as cache:
            found.append(enrol(tmp_path / "list", [reader], cache=cache, progress=False))
    assert reader.photos_read == 3
    assert (found[0].rejected, found[0].warnings) == (found[1].rejected, found[1].warnings)
    for one, other in zip(found[0].entries, found[1].entries, strict=True):
        assert (one.ref, one.templates.tobytes()) == (other.ref, other.templates.tobytes())
