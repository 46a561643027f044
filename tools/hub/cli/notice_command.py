"""`lfr deployment notice`: the page before an event and its leaflet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tools.hub.cli.options import print_result, publisher_of, with_hub, with_json

if TYPE_CHECKING:
    from device.config.deployment import DeploymentPlan


def add_notice(parser: argparse.ArgumentParser) -> None:
    """Options of `notice`."""
    parser.add_argument("what", metavar="PLAN|ID", help="a plan (YAML), or the id of a published deployment")
    with_hub(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for notice.html and leaflet.html")
    parser.add_argument(
        "--alternative-route", metavar="TEXT", help="how people pass without being recognised (default: the plan's)"
    )
    parser.add_argument("--alternative-route-cy", metavar="TEXT", help="the same in Welsh")
    parser.add_argument("--url", metavar="ADDRESS", help="where notice.html will be; the leaflet gets its QR code")
    with_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.language.words import draft_mark
    from tools.hub.publishing.public_notice import PublicNotice
    from tools.hub.storage.files import PUBLIC, write_file

    if args.url is not None and not args.url.startswith(("https://", "http://")):
        raise UsageError(f"--url {args.url}: give the page's whole address, https://…")
    plan = _plan(args)
    signed = plan.alternative_route or {}
    routes = {"en": args.alternative_route or signed.get("en", "")}
    routes["cy"] = args.alternative_route_cy or ("" if args.alternative_route else signed.get("cy", ""))
    if not routes["en"]:
        raise UsageError(f"{args.what} names no alternative route: give --alternative-route TEXT")
    notice = PublicNotice(plan, routes, args.url, draft_mark(args.hub))
    files = {"notice.html": notice.page(), "leaflet.html": notice.leaflet()}
    for name, content in files.items():
        write_file(args.out / name, content, mode=PUBLIC)
    written = [str(args.out / name) for name in files]
    print_result(args, {"written": written, "welsh_is_draft": bool(notice.draft)}, "\n".join(written))
    return 0


def _plan(args: argparse.Namespace) -> DeploymentPlan:
    """The plan in a file, or the published deployment of that id."""
    from device.config.deployment import DeploymentPlan
    from device.config.document import load

    publisher, file = publisher_of(args), Path(args.what)
    if file.is_file():
        return load(file, DeploymentPlan)
    return publisher.deployment(publisher.records.get(args.what))
