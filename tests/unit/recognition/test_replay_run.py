"""`lfr replay` from inside: one thread at a time per engine, rows of alerts, statistics of stages, refusal."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.cli.main import main
from device.domain.finding import Candidate, Counters, Mode
from device.domain.sight import Face, Frame
from device.edges.camera.capture_buffer import CaptureBuffer
from device.edges.camera.fake import FakeSource, Show
from device.errors import EvidenceDamaged, RefusedByCondition, SourceUnreadable
from device.evidence import artefact
from device.recognition import replay as replaying
from device.recognition.detect_ahead import AHEAD_FULL, DetectAhead, Pressed, Stopwatch, frames_held
from device.sync import root
from engines.cards.model_card import RECOGNISER_DEFAULT

WITHIN_S = 60.0
DEVICE = """
site: a
device: b
cameras:
  - {id: c, source: clip.mp4, zone: {name: z, polygon: [[0, 0], [1, 0], [1, 1]]}}
mqtt: {host: localhost, ca: ca.pem, cert: device.pem, key: device.key}
lines: {driver: simulated}
trust: {roots: trust, usb: stick}
"""


def candidate(passage: int, revision: int, *, entry: str = "ann", score: float = 0.6, frame: int = 10) -> Candidate:
    return Candidate(
        passage=passage,
        revision=revision,
        entry_ref=entry,
        score=score,
        threshold=0.5,
        margin=score - 0.5,
        second_gap=0.1,
        faces_used=1,
        box_in_frame=(0.0, 0.0, 1.0, 1.0),
        frame_size=(10, 10),
        inter_eye_px=10.0,
        yaw=0.0,
        quality=1.0,
        frame=frame,
        media_ns=frame * 40_000_000,
        first_seen_ns=0,
        last_seen_ns=0,
        capture_to_decision_ms=1.0,
    )


class ScriptedPipeline:
    """Looks and judges by script; notices when it is finished while a look is still going on."""

    def __init__(self, *, fail_at: int | None = None, stated: dict[int, list[Candidate]] | None = None) -> None:
        self.counters, self.times = Counters(), Stopwatch()
        self._fail_at, self._stated = fail_at, stated or {}
        self._looking_ahead, self._finishing = threading.Event(), threading.Event()
        self.overlapped = False
        self.judged: list[int] = []

    def look(self, frame: Frame, pressed: Pressed) -> list[Face]:
        if self._fail_at is not None and frame.index == self._fail_at + 1:
            self._looking_ahead.set()
            self.overlapped |= self._finishing.wait(0.6)
        return []

    def process(self, frame: Frame, faces: list[Face]) -> list[Candidate]:
        if frame.index == self._fail_at:
            assert self._looking_ahead.wait(WITHIN_S)
            raise KeyboardInterrupt
        self.judged.append(frame.index)
        return self._stated.get(frame.index, [])

    def end_of_source(self, frame: Frame) -> list[Candidate]:
        return self._stated.get(-1, [])

    def finish(self) -> None:
        self._finishing.set()


def merge() -> None:
    """A checkpoint that breaks nothing off."""


def run(pipeline: Any, frames: int = 12, checkpoint: Callable[[], None] = merge) -> Any:
    source: Any = FakeSource([Show()] * frames)
    feed = CaptureBuffer(source, pace="full", frames_held=frames_held(AHEAD_FULL))
    return replaying._run(pipeline, feed, DetectAhead(feed, pipeline.look, ahead=AHEAD_FULL), merge, checkpoint)


def test_after_an_interruption_no_look_runs_while_the_engines_are_wiped() -> None:
    """Two threads in one runner end in a crash instead of exit 130."""
    pipeline = ScriptedPipeline(fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        run(pipeline)
    assert pipeline._finishing.is_set()
    assert not pipeline.overlapped


def test_a_checkpoint_breaks_off_between_two_frames_and_the_engines_are_wiped() -> None:
    pipeline = ScriptedPipeline()

    def interrupted_after_five() -> None:
        if len(pipeline.judged) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pipeline, checkpoint=interrupted_after_five)
    assert pipeline.judged == list(range(5))
    assert pipeline._finishing.is_set()


def test_every_frame_is_assessed_in_order_and_the_last_revisions_are_kept() -> None:
    pipeline = ScriptedPipeline(stated={4: [candidate(1, 0)], -1: [candidate(2, 0)]})
    ran = run(pipeline)
    assert pipeline.judged == list(range(12))
    assert ran.seconds > 0
    assert ran.processor_s > 0
    assert [c.passage for c in ran.stated] == [1, 2]


def test_a_row_is_an_alert_as_first_raised_with_its_last_revision() -> None:
    rows = replaying._rows(
        [
            candidate(3, 0, score=0.51, frame=7),
            candidate(5, 0, entry="bob", frame=8),
            candidate(3, 1, entry="eve", score=0.71234, frame=20),
        ]
    )
    beside = {"picture_damaged": False, "contradicted_by": []}
    assert rows == [
        {"entry": "eve", "score": 0.7123, "frame": 7, "t_ms": 280.0, "track": 3, **beside},
        {"entry": "bob", "score": 0.6, "frame": 8, "t_ms": 320.0, "track": 5, **beside},
    ]


def test_rows_of_one_entry_on_two_people_at_once_name_each_other_while_both_still_say_so() -> None:
    first = [candidate(3, 0), msgspec.structs.replace(candidate(5, 0, frame=12), rivals=(3,))]
    assert [row["contradicted_by"] for row in replaying._rows(first)] == [[5], [3]]
    later = [*first, candidate(3, 1, entry="eve", score=0.8, frame=20)]
    assert [row["contradicted_by"] for row in replaying._rows(later)] == [[], []]


def test_a_row_says_that_a_picture_was_damaged() -> None:
    (row,) = replaying._rows([candidate(3, 0), msgspec.structs.replace(candidate(3, 1), picture_damaged=True)])
    assert row["picture_damaged"] is True


def test_a_stage_that_never_ran_has_no_percentiles() -> None:
    stages = replaying._stages({"detect": [1.0, 2.0, 3.0], "unknown": [9.0]})
    assert list(stages) == ["decode", "detect", "track", "align", "embed", "match"]
    assert stages["detect"] == {"p50": 2.0, "p95": 2.9, "n": 3}
    assert stages["embed"] == {"p50": None, "p95": None, "n": 0}


def a_device(folder: Path, mode: Mode) -> Path:
    """The configuration of a device whose root of trust stands for `mode`, with the root where a device keeps it."""
    file = folder / "trust" / mode.value / "root.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    config = folder / "device.yaml"
    config.write_text(DEVICE)
    return config


def test_a_device_with_an_operational_root_replays_nothing(tmp_path: Path) -> None:
    config = a_device(tmp_path, Mode.OPERATIONAL)
    request = replaying.Request("missing.mp4", tmp_path, config=config)
    with pytest.raises(RefusedByCondition, match=r"trust/operational/root.json") as refused:
        replaying.replay(request, cache=None, progress=lambda done, total: None, talk=False)
    assert refused.value.exit_status == 77


@pytest.mark.parametrize("mode", [Mode.TEST, Mode.DEMO])
def test_a_test_device_replays(tmp_path: Path, mode: Mode) -> None:
    request = replaying.Request("missing.mp4", tmp_path, config=a_device(tmp_path, mode))
    with pytest.raises(SourceUnreadable):
        replaying.replay(request, cache=None, progress=lambda done, total: None, talk=False)


def test_lfr_replay_on_an_operational_device_ends_with_77(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = a_device(tmp_path, Mode.OPERATIONAL)
    command = ["replay", "missing.mp4", "--watchlist", str(tmp_path), "--no-cache", "--config", str(config)]
    assert main(command) == 77
    assert "operational root of trust" in capsys.readouterr().err


def test_the_roots_where_an_installed_device_keeps_them_are_searched_without_a_configuration(
    tmp_path: Path,
) -> None:
    assert root._roots_of(tmp_path / "no-device.yaml") == (Path("/etc/lfr/trust"),)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_a_replay_does_not_measure_past_evidence_that_ships_and_was_changed(
    threshold: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = artefact.shipped(RECOGNISER_DEFAULT).read_text()
    changed, count = re.subn(r'"largest_list": \d+', '"largest_list": 99999', text)
    assert count > 0
    (tmp_path / f"{RECOGNISER_DEFAULT}.json").write_text(changed)
    monkeypatch.setattr(artefact, "FOLDER", tmp_path)
    request = replaying.Request("no-such.mp4", tmp_path, "onnxruntime", threshold)
    with pytest.raises(EvidenceDamaged, match="the shipped evidence is damaged") as fault:
        replaying.replay(request, cache=None, progress=lambda *_: None, talk=False)
    assert fault.value.exit_status == 65
