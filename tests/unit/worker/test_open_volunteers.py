"""The blue list of a worker: files that open and fit the models, one list of all; any other stops nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyrage
import pytest

from device.domain.finding import Mode
from device.domain.recognisers import FUSION, Recognisers
from device.enrolment.model_sessions import ModelSessions
from device.watchlist.gallery import fill
from device.watchlist.sealed import FORMAT, SealedEntry, SealedWatchlist, seal
from device.worker.journal import JournalSender
from device.worker.open_volunteers import open_volunteers
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, SCREEN_0095

DETECTOR, SFACE = card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT)
PAIR = Recognisers(SFACE, card(SCREEN_0095))


@pytest.mark.parametrize("running", [Recognisers(SFACE), PAIR], ids=["alone", "pair"])
def test_volunteers_of_the_recognisers_that_run_are_searched_and_others_are_left_out(
    tmp_path: Path, running: Recognisers
) -> None:
    key = pyrage.x25519.Identity.generate()
    ours, theirs = (_sealed(tmp_path, key, made_by) for made_by in (running, Recognisers(PAIR.cards[1], SFACE)))
    missing = str(tmp_path / "missing.volunteer")
    lines: list[Any] = []
    room = cast(ModelSessions, SimpleNamespace(detector_card=DETECTOR, recognisers=running))
    found = open_volunteers([ours, theirs, missing], str(key), room, JournalSender(lines.append))
    assert found is not None
    assert found.refs == ("V-1",)
    assert any("1 of 3 volunteers" in line.text for line in lines)
    if running.screen is not None:
        screen = running.part(_row(running), 1) / running.scales[1]
        assert found.screen_best(screen) > FUSION.gate, "the gate of a pair knows volunteers"


def _row(made_by: Recognisers) -> Any:
    """A template: each recogniser's unit row times its scale."""
    parts = [fill(1, 5, one.length_of_template)[1][0] for one in made_by.cards]
    return np.concatenate([part * scale for part, scale in zip(parts, made_by.scales, strict=True)]).astype(np.float32)


def _sealed(folder: Path, key: Any, made_by: Recognisers) -> str:
    row = _row(made_by)
    entry = SealedEntry(
        ref="V-1",
        category="volunteer",
        image_source="consent",
        templates=row.astype("<f4").tobytes(),
        template_dim=len(row),
    )
    listed = SealedWatchlist(
        format=FORMAT,
        watchlist_id="blue",
        deployment_id="d",
        mode=Mode.TEST,
        created_at=datetime(2026, 11, 30, tzinfo=timezone.utc),
        recogniser_sha256=made_by.source_sha256,
        subjects=1,
        images=1,
        entries=(entry,),
    )
    file = folder / f"{made_by.source_sha256[:8]}.volunteer"
    file.write_bytes(seal(listed, [str(key.to_public())]))
    return str(file)
