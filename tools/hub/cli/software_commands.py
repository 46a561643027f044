"""`lfr hub software`: offer a release of the software to devices."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tools.hub.cli.options import announce_plan, print_result, publisher_of, signers_of, with_keys, with_plan


def add_software_commands(verbs: Any) -> None:
    """Add `hub software publish`."""
    software = verbs.add_parser("software", help="offer releases of the software to devices")
    parser = software.add_subparsers(metavar="VERB", required=True).add_parser(
        "publish", help="sign files of `lfr flash release` and offer them; idle devices take them by themselves"
    )
    parser.add_argument("hub", type=Path, metavar="DIR", help="a folder made by `lfr hub init`")
    parser.add_argument("bundle", type=Path, nargs="+", metavar="FILE", help="made by `lfr flash release`")
    parser.add_argument("--usb", type=Path, metavar="DIR", help="copy the repository to a stick as well")
    with_keys(parser, required=True)
    with_plan(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tools.hub.publishing.operations import copy_to_usb
    from tools.hub.publishing.releases import publish_releases, read_bundle

    publisher, signers = publisher_of(args), signers_of(args)
    bundles = [read_bundle(file) for file in args.bundle]
    lines = [
        f"{one.manifest.version} for {one.manifest.target} ({one.file.stat().st_size / 1e6:.1f} MB)" for one in bundles
    ]
    if not announce_plan(args, [*lines, "each idle device of a target takes it and keeps it, or goes back"]):
        return 0
    publish_releases(publisher, bundles, signers)
    if args.usb is not None:
        copy_to_usb(publisher, args.usb)
    offered = [{"version": one.manifest.version, "target": one.manifest.target} for one in bundles]
    print_result(args, {"releases": offered}, "\n".join(lines))
    return 0
