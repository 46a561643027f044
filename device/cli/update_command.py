"""`lfr update`: which releases this device has; install one, go back, and what lfr-update.service runs."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.config.installed import CONFIG, OFFERED, TOP, UPDATES

if TYPE_CHECKING:
    from device.cli.main import Subparsers
    from device.update.updater import Updater

LOCK = Path("/run/lfr-update.lock")
BOOT = Path("/proc/sys/kernel/random/boot_id")


def register(commands: Subparsers) -> None:
    update = commands.add_parser("update", help="releases on this device: install, commit, go back")
    verbs = update.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="which release runs, which one is on trial, which ones failed")
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(run=run_status)
    apply = verbs.add_parser("apply", help="install the release on a stick: verify, test, swap, watch, commit")
    apply.add_argument("source", type=Path, metavar="DIR", help="a copy of the hub's repository")
    apply.add_argument("--dry-run", action="store_true", help="verify only, and say which release it is")
    service = verbs.add_parser("run", help="finish an interrupted update, then take what the hub sent (the service)")
    for parser, handler in ((apply, run_apply), (service, run_service)):
        parser.add_argument("--healthy-s", type=float, metavar="S", help="how long it must stay healthy (default 300)")
        parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE")
        parser.set_defaults(run=handler)
    back = verbs.add_parser("rollback", help="go back to the release before; the present one is not tried again")
    forget = verbs.add_parser("forget", help="let a version that failed be tried again")
    forget.add_argument("version", metavar="VERSION")
    for parser, handler in ((back, run_rollback), (forget, run_forget)):
        parser.set_defaults(run=handler, healthy_s=None, config=CONFIG)
    test = verbs.add_parser("self-test", help="what a new slot must pass before it is used: imports, config, engines")
    test.add_argument("--config", type=Path, default=CONFIG, metavar="FILE")
    test.set_defaults(run=run_self_test)


def run_status(args: argparse.Namespace) -> int:
    """Slots, trial and failed releases; anybody may ask."""
    from device.update.record import read, trial
    from device.update.slots import COMMITTED, CURRENT, Slots
    from device.update.verdict import TRIES_MOST

    slots, record, on_trial = Slots(TOP), read(UPDATES), trial(UPDATES)
    found: dict[str, Any] = {
        "current": slots.named(CURRENT),
        "committed": slots.named(COMMITTED),
        "slots": slots.versions(),
        "trial": None if on_trial is None else on_trial.version,
        "refused": record.refused,
        "tries": {one: f"{tried.count} of {TRIES_MOST}: {tried.reason}" for one, tried in record.tries.items()},
        "last": record.last,
    }
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"current     {found['current'] or 'no slot (not made by lfr flash)'}")
    print(f"committed   {found['committed'] or 'none'}")
    print(f"slots       {', '.join(found['slots']) or 'none'}")
    if found["trial"]:
        print(f"on trial    {found['trial']}")
    for version, reason in record.refused.items():
        print(f"refused     {version}: {reason}")
    for version, tries in found["tries"].items():
        print(f"tried       {version}: {tries}")
    print(f"last        {record.last or 'no update yet'}")
    return 0


def run_apply(args: argparse.Namespace) -> int:
    """By hand, from a stick."""
    from device import logs
    from device.sync.release_chain import signed_release
    from device.update.record import read

    logs.configure(verbose=args.verbose)
    updater = _updater(args)
    if args.dry_run:
        seen = read(UPDATES).seen
        found = signed_release(args.source, updater.root(), updater.machine.target, updater.now(), seen)
        print(f"{found.index.version}  {found.length / 1e6:.1f} MB  {found.sha256}")
        return 0
    with _alone():
        print(f"{updater.apply(args.source)} is committed")
    return 0


def run_service(args: argparse.Namespace) -> int:
    """lfr-update.service."""
    from device import logs
    from device.config.loader import load_config
    from device.update.updater import attempt

    logs.configure(verbose=args.verbose)
    with _alone():
        updater = _updater(args)
        updater.resume()  # first: a configuration that cannot be read keeps no bad release
        attempt(updater, load_config(args.config).state_dir / OFFERED)
    return 0


def run_rollback(args: argparse.Namespace) -> int:
    with _alone():
        print(f"{_updater(args).rollback()} runs again")
    return 0


def run_forget(args: argparse.Namespace) -> int:
    from device.errors import UsageError

    with _alone():
        if not _updater(args).forget(args.version):
            raise UsageError(f"{args.version} has not failed on this device; `lfr update status` names what has")
    return 0


def run_self_test(args: argparse.Namespace) -> int:
    """Imports of supervisor and worker, the configuration, and the engines' answers against the golden tensors."""
    import importlib

    from device.config.loader import load_config
    from device.enrolment.model_sessions import ModelSessions
    from device.errors import BadData, Unavailable

    for module in ("device.supervisor.main", "device.worker.main", "device.eraser", "systemd.daemon"):
        importlib.import_module(module)
    config = load_config(args.config)
    vision = config.vision
    sessions = ModelSessions(
        vision.backend,
        threads=1,
        models=vision.models_dir,
        detector=vision.detector,
        recogniser=vision.recogniser,
        screen=vision.screen,
    )
    try:
        problem = sessions.self_test()
    except (OSError, MemoryError) as fault:  # 69: a full disk, memory, a GPU that resets may pass
        raise Unavailable(str(fault) or type(fault).__name__) from fault
    if problem:
        raise BadData(problem)
    print("agrees")
    return 0


def _updater(args: argparse.Namespace) -> Updater:
    """This device's updater, over its own root of trust."""
    from datetime import datetime, timezone

    from device.config.loader import load_config
    from device.domain.time import wall
    from device.edges.service.systemctl import SystemctlService
    from device.errors import UsageError
    from device.sync.root import trusted_root
    from device.update.gate import Gate
    from device.update.machine import this_machine
    from device.update.slot_programs import InstalledPrograms
    from device.update.slots import Slots
    from device.update.updater import Updater

    if os.geteuid() != 0:
        raise UsageError("an update changes /opt/lfr: run it as root (sudo)")
    return Updater(
        slots=Slots(TOP),
        folder=UPDATES,
        machine=this_machine(),
        service=SystemctlService(),
        programs=InstalledPrograms(args.config),
        boot=BOOT.read_text(encoding="ascii").strip(),
        root=lambda: trusted_root(load_config(args.config).trust.roots)[1],
        now=lambda: wall(datetime.now(timezone.utc)),
        gate=Gate() if args.healthy_s is None else Gate(healthy_s=args.healthy_s),
    )


@contextmanager
def _alone() -> Iterator[None]:
    """One updater at a time. Unavailable while another one works."""
    import fcntl

    from device.errors import Unavailable

    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise Unavailable("another update is in progress: `lfr update status`, journalctl -u lfr-update") from fault
        yield
