"""A worker that writes what it sees into every text of its messages: journal, status and hub get nothing of it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from device.supervisor.timing import Budget
from device.wire.plain_text import WITHHELD
from tests.sim.rig import MakeRig, Rig
from tests.worker_texts import BASE64, PLACES, SEEN, traces_of, with_text

SHOWN = ("camera", "entry_ref", "image_source", "text", "error", "reason")
"""Names of the fields that reach a person: one of each kind is enough here, tests/contract has them all."""


@pytest.mark.slow
def test_journal_status_and_hub_get_nothing_that_the_worker_sees(
    rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    """Each such field in turn, the self-test of the next worker last; a worker is restarted when its text ends it."""
    caplog.set_level("DEBUG")
    contents = itertools.cycle((SEEN["a template's numbers"], BASE64))

    async def scene(r: Rig) -> str:
        written = []
        for message, place in (one for one in PLACES if one[1][-1] in SHOWN):
            await r.recognising()
            r.worker.say(with_text(message, place, next(contents)))
            await asyncio.sleep(1.5)
            written.append((r.config.run_dir / "status.json").read_text(encoding="utf-8"))
        await r.recognising()
        r.launcher.script.self_test = BASE64
        r.worker.crash()
        await r.until(lambda: WITHHELD in r.reasons)
        await asyncio.sleep(1.5)
        written.append((r.config.run_dir / "status.json").read_text(encoding="utf-8"))
        return "\n".join(written)

    device = rig(live=True, budget=Budget(restarts=1000), window_s=36_000)
    status = device.play(scene)
    hub = "\n".join(payload.decode() for topic, payload in device.hub.received if not topic.endswith("/probe"))
    for kept in (status, caplog.text, hub):
        assert WITHHELD in kept
        assert "the worker sent a message that protocol" in kept
        assert traces_of(kept) == []
    assert max(len(record.getMessage()) for record in caplog.records) < 1_000
