"""`lfr rehearsal`: one whole deployment with real parts: signed, synced, armed, stopped by its sign, ended, erased."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.dev.demo.run import Hub
    from tools.dev.demo.stage import Stage

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add `rehearsal`."""
    parser = subparsers.add_parser(
        "rehearsal", help="one whole deployment with real parts, from two signatures to the erased list; prints its log"
    )
    parser.add_argument("--clip", type=Path, metavar="FILE", help="a clip of `lfr clip make` (default: draws one)")
    parser.add_argument("--json", action="store_true", help="the log as one JSON object at the end")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tools.dev.demo.processes import Processes
    from tools.dev.demo.run import quieten_vendors, start_hub
    from tools.dev.demo.scratch import scratch_folder
    from tools.dev.demo.stage import build_hub, write_device_config
    from tools.dev.rehearsal.acts import sign_and_publish, sync_from_stick
    from tools.dev.rehearsal.stand import Log

    quieten_vendors()
    log = Log()
    with scratch_folder() as folder, ExitStack() as stack:
        stage = build_hub(folder, 0, 0)
        listed, other = _bring(args.clip, stage)
        hub = start_hub(stack.enter_context(Processes(stage.logs)), stage, operator=True)
        play = sign_and_publish(stage, log, listed, other)
        write_device_config(stage, hub.broker_port, realtime=True, repository_port=hub.repository_port)
        sync_from_stick(play)
        left = asyncio.run(_device(play, hub))
    log.say("ERASED     nothing is left of keys, lists and photos" if not left else f"LEFT       {', '.join(left)}")
    if args.json:
        print(json.dumps({"ok": not left, "log": log.lines}))
    return 1 if left else 0


def _bring(clip: Path | None, stage: Stage) -> tuple[list[Path], Path]:
    """The recording; photos of the person who passes in it, and of one who does not."""
    from tools.dev.clip.make import ready_clip
    from tools.dev.clip.spec import SHORTEST_S, default_spec, watchlist_photos
    from tools.dev.samples.extract import sample_files

    shutil.copy(clip or ready_clip(default_spec(seconds=SHORTEST_S))[0], stage.clip)
    listed = next(iter(watchlist_photos().values()))
    return listed, next(p for p in sample_files("public") if p not in listed)


async def _device(play: object, hub: Hub) -> list[str]:
    from tools.dev.rehearsal import acts
    from tools.dev.rehearsal.stand import assembled
    from tools.hub.broker.listener import Listener

    assert isinstance(play, acts.Play)
    (record,) = play.publisher.records.running()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(Listener(play.stage.hub, hub.broker_port))
        device = await assembled(play.stage, play.lines, stack)
        running: asyncio.Task[object] = asyncio.create_task(device.run())
        try:
            await acts.recognise(play, device, listener)
            await acts.lose_the_sign(play, device)
            await acts.withdraw(play, device, listener, record.id)
            await acts.end(play, device, running, record.id)
        finally:
            if not running.done():
                device.supervisor.leave(0)
                await running
    return acts.erased(play)
