"""A real process on a real socketpair: starting, hearing, stopping, killing. Waits for processes, never for time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from device.domain.finding import Mode
from device.edges.clock.system import SystemClock
from device.errors import InternalError, LinkBroken
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.timing import Budget
from device.supervisor.workers.process import ProcessLauncher, WorkerLink
from device.supervisor.workers.supervisor import WorkerRun, WorkerSupervisor
from device.wire.link import Assignment, Beat, CameraAssignment, Hello, Stop, VisionAssignment

PROGRAM = "tests.unit.supervisor.scripted_worker"
WITHIN_S = 60.0
PATIENT = Budget(grace_s=WITHIN_S, gone_s=WITHIN_S, exit_s=WITHIN_S)
"""For processes that do what they are asked, however long a busy machine needs for it."""
ASSIGNMENT = Assignment(
    protocol=1,
    mode=Mode.TEST,
    deployment_id="d-1",
    camera=CameraAssignment(camera_id="front", source="x.mp4", pace="full", zone=((0, 0), (1, 0), (1, 1))),
    vision=VisionAssignment(backend="auto", min_face_px=32, threshold=None, models_dir="m"),
    watchlist="w",
    identity="i",
    hub_recipient="r",
)


def launcher(manner: str) -> ProcessLauncher:
    return ProcessLauncher((sys.executable, "-m", PROGRAM, manner))


async def started(manner: str) -> WorkerLink:
    link = await launcher(manner)("front")
    link.send(ASSIGNMENT)
    return link


def worker(manner: str, runs: list[WorkerRun], budget: Budget) -> WorkerSupervisor:
    return WorkerSupervisor(
        "front",
        assignment=lambda: ASSIGNMENT,
        launcher=launcher(manner),
        clock=SystemClock(),
        on_message=lambda run, message: None,
        on_end=runs.append,
        budget=budget,
    )


async def until(what: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not what():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), WITHIN_S)


def test_messages_of_a_real_process_arrive_and_stop_is_obeyed() -> None:
    async def scene() -> int:
        link = await started("well")
        assert isinstance(await link.receive(), Hello)
        link.send(Stop(reason="test"))
        while await link.receive() is not None:
            pass
        return await asyncio.wait_for(link.ended(), WITHIN_S)

    assert asyncio.run(scene()) == 0


def test_end_of_file_means_stop() -> None:
    async def scene() -> int:
        link = await started("well")
        while not isinstance(await link.receive(), Beat):
            pass
        return await asyncio.wait_for(link.ended(), WITHIN_S)

    assert asyncio.run(scene()) == 0


def test_a_segfault_is_an_end_of_file_and_a_signal() -> None:
    async def scene() -> int:
        link = await started("segfault")
        assert await link.receive() is None
        return await asyncio.wait_for(link.ended(), WITHIN_S)

    assert asyncio.run(scene()) == -11


@pytest.mark.parametrize(("manner", "text"), [("babble", "does not know"), ("cut short", "truncated")])
def test_what_is_no_message_breaks_the_link(manner: str, text: str) -> None:
    async def scene() -> None:
        link = await started(manner)
        try:
            while await link.receive() is not None:
                pass
        finally:
            link.kill()
            await asyncio.wait_for(link.ended(), WITHIN_S)

    with pytest.raises(LinkBroken, match=text):
        asyncio.run(scene())


def test_a_program_that_does_not_exist_is_an_error_of_ours() -> None:
    with pytest.raises(InternalError, match="cannot be started"):
        asyncio.run(ProcessLauncher(("/nowhere/python",))("front"))


# ── workers that are started ahead ────────────────────────────────────────────────────────────────────────────────────
async def process_of(link: WorkerLink) -> int:
    """Process id of a worker that is given an assignment."""
    link.send(ASSIGNMENT)
    hello = await asyncio.wait_for(link.receive(), WITHIN_S)
    assert isinstance(hello, Hello)
    return hello.pid


async def end(*links: WorkerLink) -> None:
    for link in links:
        link.kill()
        await asyncio.wait_for(link.ended(), WITHIN_S)


def test_the_first_assignment_goes_to_the_worker_that_was_prepared_and_the_next_to_a_new_one() -> None:
    async def scene() -> None:
        starts, others = launcher("well"), children()
        await starts.prepare(["front"], ASSIGNMENT.vision)
        ahead = children() - others
        assert len(ahead) == 1
        first, second = await starts("front"), await starts("front")
        assert {await process_of(first)} == ahead
        assert await process_of(second) not in ahead
        await end(first, second)
        await starts.close()

    asyncio.run(scene())


def test_a_prepared_worker_that_died_is_replaced_by_a_new_one() -> None:
    async def scene() -> None:
        starts = launcher("dies prepared")
        await starts.prepare(["front"], ASSIGNMENT.vision)
        await until(lambda: not starts.waiting)
        link = await starts("front")
        assert await process_of(link) in children()
        await end(link)
        await starts.close()

    asyncio.run(scene())


def test_a_worker_that_was_prepared_in_vain_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(after: Callable[[ProcessLauncher], Awaitable[None]]) -> None:
        starts = launcher("well")
        await starts.prepare(["front", "rear"], ASSIGNMENT.vision)
        assert len(children() - others) == 2
        await after(starts)
        assert children() <= others
        await starts.close()

    others = children()
    asyncio.run(scene(ProcessLauncher.close))
    monkeypatch.setattr("device.supervisor.workers.process.PREPARED_S", 0.05)
    asyncio.run(scene(lambda _: until(lambda: children() <= others)))


def children() -> set[int]:
    """Process ids of this process's children that have not been reaped; another test's may be among them."""
    found = Path("/proc/thread-self/children").read_text().split()
    return {int(pid) for pid in found}


def test_a_kept_worker_stops_with_its_final_counters() -> None:
    async def scene() -> list[WorkerRun]:
        runs: list[WorkerRun] = []
        kept = worker("well", runs, PATIENT)
        kept.set_wanted(True)
        await until(lambda: kept.view is CameraView.ONLINE)
        kept.set_wanted(False, "test")
        await until(lambda: not kept.alive)
        await kept.close()
        return runs

    runs = asyncio.run(scene())
    assert len(runs) == 1
    assert runs[0].finished is not None
    assert runs[0].finished.counters.faces_seen == 4
    assert runs[0].exit_status == 0


def test_a_worker_that_has_wiped_and_does_not_leave_is_gone_all_the_same() -> None:
    async def scene() -> tuple[list[WorkerRun], float]:
        runs: list[WorkerRun] = []
        kept = worker("slow to leave", runs, Budget(grace_s=WITHIN_S, exit_s=WITHIN_S))
        kept.set_wanted(True)
        await until(lambda: kept.view is CameraView.ONLINE)
        begun = asyncio.get_running_loop().time()
        kept.set_wanted(False, "test")
        await until(lambda: not kept.alive)
        took_s = asyncio.get_running_loop().time() - begun
        await kept.close()
        return runs, took_s

    (run,), took_s = asyncio.run(scene())
    assert run.finished is not None
    assert run.exit_status == -9
    assert took_s < WITHIN_S, "it was given gone_s, not exit_s"


def test_a_worker_that_ignores_stop_is_killed() -> None:
    async def scene() -> list[WorkerRun]:
        runs: list[WorkerRun] = []
        kept = worker("deaf", runs, Budget(grace_s=0.1))
        kept.set_wanted(True)
        await until(lambda: kept.view is CameraView.ONLINE)
        await kept.close()
        return runs

    runs = asyncio.run(scene())
    assert runs[0].finished is None
    assert runs[0].exit_status == -9


def test_a_worker_that_keeps_crashing_ends_up_disabled_with_its_reason() -> None:
    async def scene() -> tuple[WorkerSupervisor, list[WorkerRun]]:
        runs: list[WorkerRun] = []
        kept = worker("segfault", runs, Budget(restarts=1, first_wait_s=0.01))
        kept.set_wanted(True)
        await until(lambda: kept.view is CameraView.DISABLED)
        await kept.close()
        return kept, runs

    kept, runs = asyncio.run(scene())
    assert len(runs) == 2
    assert kept.problem == "the worker ended without a message (signal 11) (restart budget exhausted)"


def test_an_internal_error_ends_the_worker_and_is_reported() -> None:
    async def scene() -> WorkerSupervisor:
        def broken(run: WorkerRun, message: object) -> None:
            raise ZeroDivisionError("ours")

        kept = WorkerSupervisor(
            "front",
            assignment=lambda: ASSIGNMENT,
            launcher=launcher("well"),
            clock=SystemClock(),
            on_message=broken,
            on_end=lambda run: None,
            budget=Budget(),
        )
        kept.set_wanted(True)
        kept.check()
        await until(lambda: kept.run is not None and not kept.alive)
        await kept.close()
        return kept

    kept = asyncio.run(scene())
    with pytest.raises(ZeroDivisionError):
        kept.check()
