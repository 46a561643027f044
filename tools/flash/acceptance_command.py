"""`lfr acceptance`: measure this board and print a signed sheet, or check one."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.installed import CONFIG

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
EX_NOT_READY = 69


def register(subparsers: Subparsers) -> None:
    """Add `acceptance run` and `acceptance verify`."""
    noun = subparsers.add_parser("acceptance", help="measure this board and print a signed sheet")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    run = verbs.add_parser("run", help="on the board, with the service stopped: systemctl stop lfr")
    run.add_argument("--config", type=Path, default=CONFIG, metavar="FILE")
    run.add_argument(
        "--bridge",
        action="append",
        default=[],
        metavar="OUTPUT=INPUT",
        help="the housing is unplugged and this bridge is in place: the loop-back of `lfr doctor gpio`; asks for the "
        "housing afterwards",
    )
    run.add_argument("--json", action="store_true", help="the sheet as JSON, to be kept and checked later")
    run.set_defaults(run=_run)
    verify = verbs.add_parser("verify", help="check the signature of a sheet")
    verify.add_argument("sheet", type=Path, metavar="FILE", help="what `lfr acceptance run --json` printed")
    verify.add_argument("--key", required=True, metavar="KEY", help="the device's public key, as the hub knows it")
    verify.set_defaults(run=_verify)


def _run(args: argparse.Namespace) -> int:
    from device.audit.key import FILE, device_key
    from device.config.loader import load_config
    from device.supervisor.status.file import InstanceLock
    from tools.flash.acceptance import printed, rows, sheet
    from tools.flash.acceptance_parts import board_parts
    from tools.flash.first_boot import flash_facts
    from tools.flash.manifest import now
    from tools.flash.root import Root

    config = load_config(args.config)
    _as_the_service(config.state_dir / FILE)
    facts = flash_facts(Root(Path("/")))
    with InstanceLock(config.run_dir):
        found = list(rows(config, board_parts(config, args.config, args.bridge)))
    document = sheet(facts, found, now(), device_key(config.state_dir))
    print(json.dumps(document, sort_keys=True) if args.json else printed(document))
    return 0 if document["passed"] else EX_NOT_READY


def _as_the_service(key: Path) -> None:
    """Refuse what would leave files that the service cannot read. Raises Unavailable or UsageError."""
    from device.errors import Unavailable, UsageError

    if not key.exists():
        raise Unavailable(f"{key} is not there: start the service once, which makes it, then stop it")
    if key.stat().st_uid != os.geteuid():
        raise UsageError("run it as the service's user: runuser -u lfr -- lfr acceptance run")


def _verify(args: argparse.Namespace) -> int:
    from device.audit.key import read_public
    from tools.flash.acceptance import check_sheet, printed

    print(printed(check_sheet(args.sheet.read_text(encoding="utf-8"), read_public(args.key))))
    return 0
