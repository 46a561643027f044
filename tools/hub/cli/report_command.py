"""`lfr report`: the deployment report from a hub's counts and its devices' signed audit logs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.hub.report.audit_counts import ChainCounts
    from tools.hub.report.deployment_report import Report
    from tools.hub.report.home_office import Details
    from tools.hub.storage.folder import HubFolder

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add `report`."""
    parser = subparsers.add_parser("report", help="the deployment report from a hub's counts and signed audit logs")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `lfr hub init`")
    parser.add_argument("--deployment", metavar="ID", help="only this deployment")
    parser.add_argument(
        "--audit",
        action="append",
        default=[],
        metavar="DEVICE=LOG",
        help="a device's audit log (its folder or a copy): counts come from it, once it verifies; repeat for more",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object with a list of reports")
    form.add_argument("--csv", action="store_true", help="one line a deployment, with the Home Office's columns")
    form.add_argument("--html", action="store_true", help="a page that prints, with the Home Office's columns")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from device.errors import BadData, Unavailable
    from tools.hub.report import home_office
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
    logs = _logs(args.audit)
    rows = [home_office.row_of(report, _details(hub, report), _chain(hub, report, logs)) for report in reports]
    if args.json:
        both = [
            {**as_builtins(r), "home_office": home_office.as_json(row)} for r, row in zip(reports, rows, strict=True)
        ]
        print(json.dumps({"reports": both}, indent=1, ensure_ascii=False))
    elif args.csv:
        print(home_office.as_csv(rows), end="")
    elif args.html:
        print(home_office.as_html(rows, {report.deployment_id: report.remarks for report in reports}))
    else:
        print("\n\n".join(as_text(r) for r in reports) or "nothing was reported to this hub yet")
    return 0


def _logs(given: list[str]) -> dict[str, Path]:
    from device.errors import UsageError

    logs: dict[str, Path] = {}
    for text in given:
        device, cut, place = text.partition("=")
        if not cut or not Path(place).is_dir():
            raise UsageError(f"--audit {text}: give DEVICE=LOG, LOG being the folder of that device's audit log")
        logs[device] = Path(place)
    return logs


def _chain(hub: HubFolder, report: Report, logs: dict[str, Path]) -> ChainCounts | None:
    """The counts of the given logs; None without any. BadData when a device of the deployment is missing."""
    from device.errors import BadData
    from tools.hub.report.audit_counts import ChainCounts, count_chain

    if not logs:
        return None
    missing = [device for device in report.devices if device not in logs]
    if missing:
        raise BadData(f"{report.deployment_id}: give the audit log of {', '.join(missing)}, too (--audit DEVICE=LOG)")
    counts = ChainCounts()
    for device in report.devices:
        count_chain(hub.root, device, logs[device], report.deployment_id, counts)
    return counts


def _details(hub: HubFolder, report: Report) -> Details:
    """The signed deployment's own fields, while this hub still has it."""
    from device.errors import LfrError
    from tools.hub.cli.options import now
    from tools.hub.publishing.publisher import Publisher
    from tools.hub.report.home_office import Details

    try:
        publisher = Publisher(hub.root, now)
        signed = publisher.deployment(publisher.records.get(report.deployment_id))
    except (LfrError, OSError):
        return Details()
    return Details(signed.place, signed.purpose, signed.controller, signed.owner, signed.devices)
