"""The search finds what was planted, wherever and in whatever form it lies, and nothing in what was not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tools.dev.proof import process_memory as reading
from tools.dev.proof.process_memory import PAGE, NoView, ProcessMemory, Region, changed_since
from tools.dev.proof.search import PIECE, STEP, Hit, Pattern, Pieces, find_alike, pieces_of

BYTES = 1 << 20


def noise(seed: int, count: int = BYTES) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8)


def row_of(whose: str) -> NDArray[np.uint8]:
    return noise(len(whose) + 100, 48)


def bytewise(memory: NDArray[np.uint8]) -> list[Hit]:
    pieces = [piece for whose in ("first", "second") for piece in pieces_of(whose, "luma", [row_of(whose)])]
    return Pieces(pieces).find([Region(0x1000, "heap", memory)])


@pytest.mark.parametrize("at", [0, 1, 7, 8, 4099, BYTES - 48])
def test_a_row_of_pixels_is_found_at_any_address(at: int) -> None:
    memory = noise(1)
    memory[at : at + 48] = row_of("first")
    (hit,) = bytewise(memory)
    assert (hit.whose, hit.what, hit.region) == ("first", "luma", "heap")
    assert hit.address == 0x1000 + at + (48 - PIECE) // 2


def test_nothing_is_found_in_noise_or_when_a_byte_differs() -> None:
    memory = noise(1)
    memory[100:148] = row_of("first")
    memory[124] ^= 1
    assert bytewise(memory) == []


def test_flat_rows_are_not_looked_for() -> None:
    assert pieces_of("first", "luma", [np.full(64, 90, np.uint8), np.zeros(10, np.uint8)]) == []


def template(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(128).astype(np.float32)


def alike(memory: NDArray[np.uint8], kind: Literal["u8", "f32", "bf16"], least: float = 0.9) -> list[Hit]:
    patterns = [Pattern(f"person {n}", "template", kind, template(n), least) for n in range(3)]
    return find_alike([Region(0, "heap", memory)], patterns)


@pytest.mark.parametrize("scale", [1.0, 12.5, -1.0])
@pytest.mark.parametrize("at", [0, STEP, 77 * STEP, BYTES - 512])
def test_a_template_is_found_whatever_its_length_among_numbers_that_are_none(at: int, scale: float) -> None:
    memory = noise(2)
    memory[at : at + 512] = (template(1) * scale).view(np.uint8)
    found = {(hit.whose, hit.address) for hit in alike(memory, "f32")}
    assert found == ({("person 1", at)} if scale > 0 else set())


def test_a_template_that_is_only_like_it_is_found_too_and_another_persons_is_not() -> None:
    memory = np.zeros(BYTES, np.uint8)
    memory[4096 : 4096 + 512] = (template(1) + 0.3 * template(50)).astype(np.float32).view(np.uint8)
    memory[8192 : 8192 + 512] = template(7).view(np.uint8)
    (hit,) = alike(memory, "f32")
    assert (hit.whose, hit.address) == ("person 1", 4096)
    assert 0.9 < hit.likeness < 1.0


def test_half_precision_is_found() -> None:
    memory = noise(3)
    memory[64 : 64 + 256] = (template(2).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    assert ("person 2", 64) in {(hit.whose, hit.address) for hit in alike(memory, "bf16")}


def test_bytes_that_were_brightened_are_found_by_likeness() -> None:
    crop = noise(9, 192) // 2
    memory = noise(4)
    memory[160 : 160 + 192] = crop + 40
    pattern = Pattern("first", "crop", "u8", crop.astype(np.float32), 0.985)
    assert [hit.address for hit in find_alike([Region(0, "heap", memory)], [pattern])] == [160]


def test_only_pages_that_changed_are_looked_at_again() -> None:
    before = [Region(0, "heap", noise(5, 4 * PAGE))]
    now = [Region(0, "heap", before[0].content.copy()), Region(100 * PAGE, "new", noise(6, PAGE))]
    now[0].content[PAGE + 5] ^= 1
    assert [(r.start, r.name, r.content.size) for r in changed_since(before, now)] == [
        (PAGE, "heap", PAGE),
        (100 * PAGE, "new", PAGE),
    ]


HOLDER = """
import sys
import numpy as np
ballast = np.ones(20_000_000, np.uint8)
held = np.random.default_rng(105).integers(0, 256, 48, dtype=np.uint8)
print("ready", flush=True)
sys.stdin.readline()
held[:] = 0
print("wiped", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_what_a_process_holds_is_found_and_is_gone_when_it_was_overwritten(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    process_memory = ProcessMemory(holder.pid)
    pieces = Pieces(pieces_of("first", "luma", [row_of("first")]))
    assert {hit.whose for hit in pieces.find(process_memory.copy())} == {"first"}
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "wiped\n"
    assert pieces.find(process_memory.copy()) == []
    process_memory.close()


def test_a_memory_that_cannot_be_seen_is_an_error_and_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STILL_WITHIN_S", 0.5)
    with pytest.raises(NoView, match="cannot be opened"):
        ProcessMemory(2**22 + 1)
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process_memory = ProcessMemory(ended.pid)
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(NoView):
        process_memory.copy()
    ended.communicate()
    process_memory.close()
