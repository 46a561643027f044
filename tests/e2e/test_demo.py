"""`lfr demo --headless` with the real broker, models and processes keeps every promise, and breaks off cleanly."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]


@pytest.fixture(scope="session")
def whole_clip(samples: Callable[[str], list[Path]], models_ready: Path) -> Path:
    """The recording that `make demo` draws, from the cache once it was drawn."""
    from tools.dev.clip.make import ready_clip
    from tools.dev.clip.spec import default_spec

    return ready_clip(default_spec())[0]


def test_headless_demo_keeps_every_promise(demo: Start, clip: Path) -> None:
    every_promise_is_kept(demo, clip)


@pytest.mark.long
def test_headless_demo_keeps_every_promise_on_the_clip_that_make_demo_shows(demo: Start, whole_clip: Path) -> None:
    every_promise_is_kept(demo, whole_clip)


def every_promise_is_kept(demo: Start, clip: Path) -> None:
    running = demo("--headless", "--json", "--clip", str(clip))
    running.wait_for("private folder removed")
    status = running.end()
    verdict = json.loads(running.out)
    failed = [check for check in verdict["checks"] if not check["holds"]]
    assert failed == [], f"{failed}\n{running.text}"
    assert (status, verdict["ok"], len(verdict["checks"])) == (0, True, 12)
    assert running.leftovers() == []


@pytest.mark.long
@pytest.mark.parametrize("moment", ["private folder", "hub and broker are up", "device is recognising"])
def test_ctrl_c_stops_cleanly_at_any_moment_and_leaves_nothing(demo: Start, clip: Path, moment: str) -> None:
    running = demo("--headless", "--clip", str(clip))
    running.wait_for(moment)
    running.interrupt()
    assert running.end() == 130, running.text
    assert running.leftovers() == []
    assert running.out == ""


def test_ctrl_c_while_recognising_leaves_nothing_and_a_second_one_does_not_cut_the_cleaning_short(
    demo: Start, clip: Path
) -> None:
    running = demo("--headless", "--clip", str(clip))
    running.wait_for("device is recognising")
    running.interrupt()
    running.wait_for("stopping and erasing")
    running.interrupt()
    assert running.end() == 130, running.text
    assert running.leftovers() == []
    assert running.out == ""


@pytest.mark.long
def test_a_closed_terminal_leaves_nothing_either(demo: Start, clip: Path) -> None:
    running = demo("--headless", "--clip", str(clip))
    running.wait_for("device is recognising")
    running.process.terminate()
    assert running.end() == 143, running.text
    assert running.leftovers() == []


@pytest.mark.long
def test_a_broker_port_in_use_is_named_with_what_to_do(demo: Start, clip: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = demo("--headless", "--clip", str(clip), "--broker-port", str(port))
        running.wait_for("private folder")
        assert running.end() == 69, running.text
    assert f"port {port} is in use" in running.text
    assert "Traceback" not in running.text
    assert running.leftovers() == []


def test_a_clip_without_ground_truth_is_refused(demo: Start, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"")
    running = demo("--headless", "--clip", str(clip))
    running.wait_for("private folder")
    assert running.end() == 65, running.text
    assert "no ground truth beside it" in running.text
