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
    from tools.dev.demo.workspace import Workspace

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
    from tools.dev.demo.workspace import build_hub, write_device_config
    from tools.dev.rehearsal.device import Log
    from tools.dev.rehearsal.steps import sign_and_publish, sync_from_stick

    quieten_vendors()
    log = Log()
    with scratch_folder() as folder, ExitStack() as stack:
        workspace = build_hub(folder, 0, 0)
        listed, other = _bring(args.clip, workspace)
        hub = start_hub(stack.enter_context(Processes(workspace.logs)), workspace, operator=True)
        rehearsal = sign_and_publish(workspace, log, listed, other)
        write_device_config(workspace, hub.broker_port, realtime=True, repository_port=hub.repository_port)
        sync_from_stick(rehearsal)
        left = asyncio.run(_device(rehearsal, hub))
    log.say("ERASED     nothing is left of keys, lists and photos" if not left else f"LEFT       {', '.join(left)}")
    if args.json:
        print(json.dumps({"ok": not left, "log": log.lines}))
    return 1 if left else 0


def _bring(clip: Path | None, workspace: Workspace) -> tuple[list[Path], Path]:
    """The recording; photos of the person who passes in it, and of one who does not."""
    from tools.dev.clip.make import ready_clip
    from tools.dev.clip.spec import SHORTEST_S, default_spec, watchlist_photos
    from tools.dev.samples.extract import sample_files

    shutil.copy(clip or ready_clip(default_spec(seconds=SHORTEST_S))[0], workspace.clip)
    listed = next(iter(watchlist_photos().values()))
    return listed, next(p for p in sample_files("public") if p not in listed)


async def _device(rehearsal: object, hub: Hub) -> list[str]:
    from tools.dev.rehearsal import steps
    from tools.dev.rehearsal.device import assembled
    from tools.hub.broker.listener import Listener

    assert isinstance(rehearsal, steps.Rehearsal)
    (record,) = rehearsal.publisher.records.running()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(Listener(rehearsal.workspace.hub, hub.broker_port))
        device = await assembled(rehearsal.workspace, rehearsal.lines, stack)
        running: asyncio.Task[object] = asyncio.create_task(device.run())
        try:
            await steps.recognise(rehearsal, device, listener)
            await steps.lose_the_sign(rehearsal, device)
            await steps.withdraw(rehearsal, device, listener, record.id)
            await steps.end(rehearsal, device, running, record.id)
        finally:
            if not running.done():
                device.supervisor.leave(0)
                await running
    return steps.erased(rehearsal)
