"""`lfr report`: the deployment report from a hub's counts or, signed, from its devices' audit logs alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

VERIFY = "verify"


def register(subparsers: Subparsers) -> None:
    """Add `report` and `report verify`."""
    parser = subparsers.add_parser(
        "report",
        help="the deployment report, from a hub's counts or signed audit logs; `report verify FILE` checks one",
        usage="lfr report DIR [options] | lfr report verify FILE [--ca FILE] [--hub DIR] [--audit DEVICE=LOG]",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `lfr hub init`; or `verify`")
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="with `verify`: a signed report")
    parser.add_argument("--deployment", metavar="ID", help="only this deployment")
    parser.add_argument("--foi", type=int, nargs="+", default=[], metavar="YEAR", help="by calendar year, with totals")
    parser.add_argument(
        "--audit",
        action="append",
        default=[],
        metavar="DEVICE=LOG",
        help="a device's audit log (its folder or a copy): counts come from it, once it verifies; repeat for more",
    )
    parser.add_argument("--public", action="store_true", help="for the public, in English and Welsh; needs --audit")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write HTML, CSV and JSON there, each with its signature beside it (FILE.sig); needs --audit",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object with a list of reports")
    form.add_argument("--csv", action="store_true", help="one line a deployment, with the Home Office's columns")
    form.add_argument("--html", action="store_true", help="a page that prints, with the Home Office's columns")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="verify: the site's ca.pem, from elsewhere")
    parser.add_argument(
        "--hub", type=Path, metavar="DIR", help="verify: a hub's folder, whose heads must be the report's"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from device.errors import Unavailable, UsageError
    from tools.hub.cli import report_forms
    from tools.hub.storage.folder import HubFolder

    if str(args.folder) == VERIFY and args.file is not None:
        return _verify(args)
    if args.file is not None:
        raise UsageError(f"{args.file}: one folder only; to check a report: lfr report verify {args.file}")
    hub = HubFolder(args.folder)
    if not hub.console_file.exists():
        raise Unavailable(f"{args.folder} is no hub folder; make one with `lfr hub init {args.folder}`")
    logs = _logs(args.audit)
    if not logs and (args.public or args.out or args.foi):
        wanted = "--public" if args.public else "--out" if args.out else "--foi"
        raise UsageError(f"{wanted} counts from signed audit logs alone: give --audit DEVICE=LOG for every device")
    made = report_forms.make(hub, args, logs) if logs else report_forms.from_hub(hub, args)
    if args.out is not None:
        for file in made.write(hub, args.out):
            print(file)
        return 0
    print(made.json() if args.json else made.csv() if args.csv else made.html() if args.html else made.text(), end="")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from tools.hub.report.signed_report import verify_report

    found = verify_report(args.file, args.ca, args.hub, _logs(args.audit))
    print(f"{args.file}: signed by the hub under {found.signed_by!r} at {found.at}, and not changed since")
    for device, head in sorted(found.heads.items()):
        print(f"audit log of {device}: counted up to row {head.seq}, signed at {head.at}")
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
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
