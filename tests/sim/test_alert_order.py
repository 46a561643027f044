"""An alert is stored, then logged, then published; whenever the program dies, what was stored is logged and published.

The program dies at the n-th write that follows a candidate, for every n: nothing reaches the disk or the broker from
then on. Then it starts again in the same folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from device.audit.log import Log, lines_of
from device.audit.rows import read
from device.edges.broker.fake import FakeBroker
from device.errors import Unavailable
from device.outbox.store import Outbox
from tests.sim.rig import MakeRig, Rig

pytestmark = pytest.mark.slow

WRITES: tuple[tuple[type, str], ...] = (
    (Outbox, "put"),
    (Outbox, "logged"),
    (Outbox, "report"),
    (Log, "append"),
    (Log, "keep_head"),
    (FakeBroker, "publish"),
)
STEPS = 12


class Killed(BaseException):
    """Nothing catches it."""


class Death:
    """Dies at the n-th write after `armed`. steps: the names of those that were done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.armed = False
        self.steps: list[str] = []
        self._at = at
        self._hub: Any = None
        for kind, name in WRITES:
            monkeypatch.setattr(kind, name, self._guarded(getattr(kind, name), f"{kind.__name__}.{name}"))

    def of(self, r: Rig) -> None:
        """The hub's own session goes on."""
        self._hub = r.hub.broker

    def _guarded(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        def guarded(one: Any, *given: Any, **named: Any) -> Any:
            if self.armed and one is not self._hub:
                if len(self.steps) + 1 >= self._at:
                    raise Killed(name)
                self.steps.append(name)
            return work(one, *given, **named)

        return guarded


def logged(r: Rig) -> list[str]:
    """Alerts in the audit log, in order."""
    found = [read(line[:-1]).record for line in lines_of(r.folder / "state" / "audit" / "audit.jsonl")]
    return [str(row.alert) for row in found if row.what == "alert"]


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_whenever_it_dies_a_stored_alert_is_logged_and_published(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    with monkeypatch.context() as patched:
        death = Death(patched, at)

        async def first(r: Rig) -> None:
            await r.recognising()
            await asyncio.sleep(11.5)
            death.of(r)
            death.armed = True
            r.worker.raise_candidate(1)
            await asyncio.sleep(0.5)
            assert r.task is not None
            r.task.cancel()

        one = rig(live=True, alert_hours=1)
        one.play(first)
        published = {alert.alert_id for alert in one.hub.alerts()}
        before = logged(one)
        assert published <= set(before), "published before it was logged"
    stored = "Outbox.put" in death.steps

    async def second(r: Rig) -> None:
        await asyncio.sleep(30)

    two = rig(live=True, alert_hours=1, again=True)
    two.play(second)
    after = published | {alert.alert_id for alert in two.hub.alerts()}
    assert after == set(logged(two))
    assert len(after) == (1 if stored else 0), death.steps
    assert {topic.split("/")[-2] for r in (one, two) for topic, _ in r.hub.probes()} == after, "without its picture"
    assert len(before) <= len(after)


def test_the_steps_come_in_this_order(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        death = Death(patched, 10**6)

        async def scene(r: Rig) -> None:
            await r.recognising()
            await asyncio.sleep(11.5)
            death.of(r)
            death.armed = True
            r.worker.raise_candidate(1)
            await r.until(lambda: len(r.hub.alerts()) == 1)
            death.armed = False

        rig(live=True).play(scene)
    steps = [step for step in death.steps if step != "FakeBroker.publish"]
    assert steps[:3] == ["Outbox.put", "Log.append", "Outbox.logged"], "the probe is put with its alert"


def test_a_log_that_refuses_holds_up_no_alert_and_has_it_when_it_works_again(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(r: Rig) -> list[str]:
        await r.recognising()
        with monkeypatch.context() as broken:

            def refuse(log: Log, lines: bytes) -> None:
                raise Unavailable("No space left on device")

            broken.setattr(Log, "append", refuse)
            r.worker.raise_candidate(1)
            await r.until(lambda: len(r.hub.alerts()) >= 1, within_s=5.0)
        await r.recognising()
        await asyncio.sleep(5)
        assert r.outbox.unlogged() == []
        return logged(r)

    r = rig(live=True)
    assert r.play(scene) == [r.hub.alerts()[0].alert_id]
