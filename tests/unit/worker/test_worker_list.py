"""The worker's list as the deployment rules it: withdrawn entries, categories and their thresholds, incomplete
entries, a recogniser without evidence.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from device.wire.link import CandidateRaised, Finished, Hello, Stop, WatchlistLoaded, Withdraw, Withdrawn
from engines.cards.model_card import ModelCard
from tools.dev.proof.worker import Given, WorkerProcess, given

pytestmark = pytest.mark.slow


@pytest.fixture
def listed(deployment: Given) -> str:
    """The reference of the one person on the list: the folder's name."""
    (folder,) = (path.name for path in (deployment.place / "watchlist").iterdir() if path.is_dir())
    return folder


def test_an_entry_withdrawn_before_the_start_is_never_raised(
    worker: WorkerProcess, deployment: Given, listed: str
) -> None:
    worker.send(structs.replace(deployment.task, withdrawn=(listed, "e-unknown")))
    assert worker.to_the_end() == 0
    assert worker.of(CandidateRaised) == []
    assert [message.entries for message in worker.of(Withdrawn)] == [1]
    assert worker.of(WatchlistLoaded)[0].subjects == 1
    (finished,) = worker.of(Finished)
    assert finished.counters.faces_seen == finished.counters.discarded > 0


def test_an_entry_withdrawn_while_the_worker_starts_is_never_raised(
    worker: WorkerProcess, deployment: Given, listed: str
) -> None:
    worker.send(deployment.task)
    worker.send(Withdraw(refs=(listed,)))
    assert worker.to_the_end() == 0
    assert worker.of(CandidateRaised) == []
    assert [message.entries for message in worker.of(Withdrawn)] == [1]


def test_a_category_may_ask_for_more_than_the_threshold(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(structs.replace(deployment.task, categories={"missing": 0.02}))
    assert worker.to_the_end() == 0
    (loaded,) = worker.of(WatchlistLoaded)
    assert loaded.incomplete == 0
    raised = [message.candidate for message in worker.of(CandidateRaised)]
    assert raised
    for candidate in raised:
        assert candidate.threshold == pytest.approx(loaded.threshold + 0.02)
        assert candidate.margin == pytest.approx(candidate.score - candidate.threshold)
        assert candidate.score >= candidate.threshold


def test_an_entry_of_no_category_of_the_deployment_is_reported(worker: WorkerProcess, deployment: Given) -> None:
    worker.send(structs.replace(deployment.task, categories={"wanted": 0.0}))
    assert worker.until(WatchlistLoaded).incomplete == 1
    worker.send(Stop(reason="over"))
    worker.until(Finished)


def test_a_custom_recogniser_without_evidence_opens_no_camera_and_gives_the_reason(
    own_recogniser: ModelCard, tmp_path: Path, deployment: Given
) -> None:
    mine = given(tmp_path, deployment.task.camera.source, backend="onnxruntime", recogniser="tiny")
    with WorkerProcess(tmp_path) as one:
        one.send(mine.task)
        loaded = one.until(WatchlistLoaded)
        assert "no evidence is shipped for recogniser 'tiny'" in loaded.outside_evidence
        assert "lfr calibrate operating-point --recogniser NAME" in loaded.outside_evidence
        assert loaded.threshold_source.startswith("provisional")
        (hello,) = one.of(Hello)
        assert (hello.recogniser, hello.recogniser_sha256) == ("tiny", own_recogniser.source_sha256)
        one.send(Stop(reason="over"))
        assert one.until(Finished).counters.frames == 0
