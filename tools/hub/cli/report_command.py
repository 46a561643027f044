"""`lfr report`: the deployment report from a hub's counts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add `report`."""
    parser = subparsers.add_parser("report", help="the deployment report from a hub's counts")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `lfr hub init`")
    parser.add_argument("--deployment", metavar="ID", help="only this deployment")
    parser.add_argument("--json", action="store_true", help="one JSON object with a list of reports")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from device.errors import BadData, Unavailable
    from tools.hub.report.deployment_report import as_builtins, as_text, report_of
    from tools.hub.report.tallies import read_book
    from tools.hub.storage.folder import HubFolder

    hub = HubFolder(args.folder)
    if not hub.console_file.exists():
        raise Unavailable(f"{args.folder} is no hub folder; make one with `lfr hub init {args.folder}`")
    found = read_book(hub.report_file).deployments
    if args.deployment is not None and args.deployment not in found:
        raise BadData(f"no deployment {args.deployment!r} in {hub.report_file}; known: {', '.join(found) or 'none'}")
    wanted = [found[args.deployment]] if args.deployment is not None else list(found.values())
    reports = [report_of(tally) for tally in wanted]
    if args.json:
        print(json.dumps({"reports": [as_builtins(r) for r in reports]}, indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(as_text(r) for r in reports) or "nothing was reported to this hub yet")
    return 0
