"""`lfr replay` as the bench runs it: its object, or an error with its stderr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev.bench import product
from tools.dev.bench.product import ReplayFailed, replay


@pytest.fixture
def stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of `lfr`."""

    def use(script: str) -> None:
        path = tmp_path / "lfr"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(product, "lfr", lambda: str(path))

    return use


def test_object_on_stdout_is_returned_and_options_are_passed_on(
    stands_in: Callable[[str], None], tmp_path: Path
) -> None:
    stands_in("""echo progress >&2; echo "{\\"said\\": \\"$*\\"}" """)
    output = replay(Path("clip.mp4"), Path("people"), ("--fill", "9"))["said"]
    assert output == "replay clip.mp4 --watchlist people --json --fill 9"


def test_failure_carries_status_and_last_lines(stands_in: Callable[[str], None]) -> None:
    stands_in("echo no such clip >&2; exit 65")
    with pytest.raises(ReplayFailed, match=r"exit status 65[\s\S]*no such clip"):
        replay(Path("clip.mp4"), Path("people"))


def test_anything_else_on_stdout_is_a_failure(stands_in: Callable[[str], None]) -> None:
    stands_in("echo hello; echo '{}'")
    with pytest.raises(ReplayFailed, match="not one JSON object"):
        replay(Path("clip.mp4"), Path("people"))
