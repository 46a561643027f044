"""`lfr clock recover`: after a clock that was far ahead, have the device accept the right time again."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.installed import CONFIG

if TYPE_CHECKING:
    from device.cli.main import Subparsers
    from device.config.model import DeviceConfig
    from device.domain.time import WallTime
    from device.ports.clock import Clock
    from device.sync.client import Client


def register(commands: Subparsers) -> None:
    verbs = commands.add_parser("clock", help="mend what a wrong clock left behind")
    recover = verbs.add_subparsers(metavar="VERB", required=True).add_parser(
        "recover",
        help="set the times that the device keeps to the clock, once it is right; stop the service first",
    )
    recover.add_argument("--config", type=Path, default=CONFIG, metavar="FILE")
    recover.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    recover.set_defaults(run=run_recover)


def run_recover(args: argparse.Namespace) -> int:
    """Print the plan, then carry it out. Refused (77) while the clock is not synchronised or the hub disproves it."""
    from device.config.loader import load_config
    from device.edges.clock.system import SystemClock
    from device.supervisor.main import repository_of

    config, clock = load_config(args.config), SystemClock()
    return recover(config, clock, repository_of(config, clock), dry_run=args.dry_run)


def recover(config: DeviceConfig, clock: Clock, repository: Client, *, dry_run: bool) -> int:
    """`run_recover` over a configuration, a clock and the hub's repository.

    Raises RefusedByCondition; Unavailable while the device runs.
    """
    from device.domain.time import rfc3339
    from device.edges.host.owner_rights import rights_of
    from device.errors import RefusedByCondition
    from device.supervisor.deployment.clock_recovery import ClockRecovery
    from device.supervisor.main import OUTBOX
    from device.supervisor.status.file import InstanceLock
    from device.sync.refusal import CLOCK

    with rights_of(config.state_dir), InstanceLock(config.run_dir):  # what it writes is the service's, too
        now = clock.wall()
        if not clock.synchronised():
            raise RefusedByCondition(CLOCK.value, "the clock is not synchronised; start the time service and wait")
        recovery = ClockRecovery(config.state_dir, config.state_dir / OUTBOX, now)
        recovery.require_plausible(repository.hub_signed_after)
        ahead = recovery.ahead()
        for kept in ahead:
            print(f"{kept.place}: keeps {rfc3339(kept.at)}; the clock shows {rfc3339(now)}", file=sys.stderr)
        if not ahead:
            print("nothing to recover: no time that the device keeps is later than the clock", file=sys.stderr)
            return 0
        plan = "what is past its time by the latest of these is erased first; then all are set to the clock"
        print(plan, file=sys.stderr)
        if not dry_run:
            erased = recovery.recover()
            asyncio.run(_note(config.state_dir, clock, max(kept.at for kept in ahead)))
            print(f"recovered; {erased} lists and alerts were erased", file=sys.stderr)
    return 0


async def _note(state_dir: Path, clock: Clock, given_up: WallTime) -> None:
    """A row in the audit log, signed."""
    from device.audit.key import device_key
    from device.audit.log import FOLDER, Log
    from device.domain.time import rfc3339
    from device.hub_api.identifiers import new_boot_id
    from device.supervisor.audit.writer import AuditWriter
    from device.supervisor.runtime.executor import DiskInline

    writer = AuditWriter(
        lambda: (device_key(state_dir), Log(state_dir / FOLDER)),
        DiskInline(),
        clock,
        new_boot_id(),
        on_head=lambda _: None,
    )
    await writer.open()
    writer.note("clock", "R02", reason="recovered", since=rfc3339(given_up))
    await writer.close()
