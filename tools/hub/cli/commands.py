"""`lfr hub`: set up and run the van's broker and console."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.hub.cli.addresses import hosts
from tools.hub.cli.bridge_command import add_bridge_command
from tools.hub.cli.hold_commands import add_hold_commands
from tools.hub.cli.options import with_folder
from tools.hub.cli.software_commands import add_software_commands
from tools.hub.cli.user_commands import add_user_commands

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add `lfr hub` with its verbs."""
    hub = subparsers.add_parser("hub", help="set up and run the van's broker and console")
    verbs = hub.add_subparsers(metavar="VERB", required=True)
    _init(verbs.add_parser("init", help="make a hub folder: certificates, access list, console.yaml"))
    _renew(verbs.add_parser("renew", help="renew certificates before they end, the site's authority included"))
    _serve(verbs.add_parser("serve", help="run the broker and the console"))
    add_user_commands(verbs.add_parser("user", help="who may use the page, and as what"))
    add_hold_commands(verbs)
    add_bridge_command(verbs.add_parser("bridge", help="carry counts and states of this van to an MQTT 5 cluster"))
    add_software_commands(verbs)
    _sign(verbs.add_parser("sign", help="sign the requests of boards that made their own keys"))
    _welsh(verbs.add_parser("welsh", help="print all texts with their Welsh, or record a translator's approval"))


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="made if it is not there; nothing in it is replaced")
    parser.add_argument("--site", default="demo", help="name of the van or site (default: %(default)s)")
    parser.add_argument("--device", action="append", default=[], metavar="NAME", help="a device; repeat for more")
    parser.add_argument("--mode", choices=("operational", "test", "demo"), help="of a new folder (default: demo)")
    parser.add_argument("--bind", metavar="ADDRESS", help="broker and repository listen there (default: the loopback)")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME|ADDRESS",
        help="what devices dial: goes into the server's certificate; repeat for more",
    )
    parser.set_defaults(run=_run_init)


def _renew(parser: argparse.ArgumentParser) -> None:
    with_folder(parser)
    parser.add_argument("--host", action="append", default=[], metavar="NAME|ADDRESS", help="add to the server's names")
    parser.add_argument("--every", action="store_true", help="all of them, also those that end in more than 14 days")
    parser.add_argument("--dry-run", action="store_true", help="say when each one ends, and do nothing")
    parser.set_defaults(run=_run_renew)


def _sign(parser: argparse.ArgumentParser) -> None:
    with_folder(parser)
    parser.add_argument("stick", type=Path, metavar="STICK", help="the kit: certificates of all its requests go there")
    parser.add_argument("--replace", action="store_true", help="take back the certificate that a name has, if any")
    parser.add_argument("--dry-run", action="store_true", help="only say which requests there are")
    parser.set_defaults(run=_run_sign)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to 65535, 0 for any free one)")
    return int(text)


def _serve(parser: argparse.ArgumentParser) -> None:
    with_folder(parser)
    parser.add_argument("--port", type=_port, default=None, help="of the console; 0 takes any free one")
    parser.add_argument("--broker-port", type=_port, default=None, help="of the broker; 0 takes any free one")
    parser.add_argument(
        "--repository-port", type=_port, default=None, help="of the devices' repository; 0 takes any free"
    )
    parser.add_argument("--no-broker", action="store_true", help="use the broker that runs at --broker-port")
    parser.add_argument("--operator", default="operator-1", metavar="REF", help="the operator (default: %(default)s)")
    parser.add_argument(
        "--operator-present", action="store_true", help="simulate an operator while no page is open (recordings only)"
    )
    parser.add_argument(
        "--console-key", type=Path, metavar="FILE", help="key of the page's address instead of the folder's own"
    )
    parser.add_argument(
        "--metrics", metavar="ADDRESS:PORT", help="counts and states for Prometheus, on the loopback (default: none)"
    )
    parser.add_argument("--open-browser", choices=("yes", "no"), default="no")
    parser.set_defaults(run=_run_serve)


def _welsh(parser: argparse.ArgumentParser) -> None:
    with_folder(parser)
    parser.add_argument(
        "--approved-by", metavar="NAME", help="the translator who approved the Welsh texts as they are now"
    )
    parser.set_defaults(run=_run_welsh)


def _run_welsh(args: argparse.Namespace) -> int:
    from datetime import datetime, timezone

    from device.errors import Unavailable
    from tools.hub.language import words

    if not (args.folder / "console.yaml").exists():
        raise Unavailable(f"{args.folder} is no hub folder; make one with `lfr hub init {args.folder}`")
    if args.approved_by is not None:
        words.approve(args.folder, args.approved_by, datetime.now(timezone.utc).date().isoformat())
    else:
        for english, translated in words.welsh().items():
            print(f"{english}\n    {translated}")
    found = words.approval(args.folder)
    state = "a draft, approved by nobody" if found is None else f"approved by {found.translator} on {found.on}"
    print(f"the Welsh texts are {state}", file=sys.stderr)
    return 0


def _run_init(args: argparse.Namespace) -> int:
    from device.domain.finding import Mode
    from tools.hub.site import init_hub

    mode = Mode(args.mode) if args.mode else None
    made = init_hub(
        args.folder, site=args.site, devices=tuple(args.device), mode=mode, bind=args.bind, hosts=hosts(args.host)
    )
    for line in made:
        print(line, file=sys.stderr)
    print(args.folder)
    return 0


def _run_renew(args: argparse.Namespace) -> int:
    from tools.hub.cli.options import now
    from tools.hub.pki.renewal import endings, renew
    from tools.hub.storage.folder import HubFolder

    hub = HubFolder(args.folder)
    hub.settings()
    if args.dry_run:
        for ending in endings(hub):
            print(f"{ending.name}: ends {ending.ends:%Y-%m-%d %H:%M}Z", file=sys.stderr)
        return 0
    for line in renew(hub, now(), hosts=hosts(args.host), every=args.every):
        print(line, file=sys.stderr)
    print(args.folder)
    return 0


def _run_sign(args: argparse.Namespace) -> int:
    from device.errors import Unavailable
    from tools.hub.enrolment import sign_request
    from tools.hub.storage.files import PUBLIC, write_file
    from tools.hub.storage.folder import HubFolder

    requests = sorted((args.stick / "requests").glob("*.csr"))
    if not requests:
        raise Unavailable(f"{args.stick / 'requests'} holds no request: `lfr flash request STICK` on the board first")
    for file in requests:
        if args.dry_run:
            print(f"{file.name}: would be signed", file=sys.stderr)
            continue
        name, certificate = sign_request(HubFolder(args.folder), file, replace=args.replace)
        place = args.stick / "certificates" / f"{name}.pem"
        write_file(place, certificate, mode=PUBLIC)
        print(place)
    return 0


def _run_serve(args: argparse.Namespace) -> int:
    from device import logs
    from device.edges.service.systemd import journal_handler
    from tools.hub.serve import ServeOptions, serve

    logs.configure(getattr(args, "verbose", False), journal_handler())
    return serve(
        ServeOptions(
            folder=args.folder,
            console_port=args.port,
            broker_port=args.broker_port,
            repository_port=args.repository_port,
            own_broker=not args.no_broker,
            operator_present=args.operator_present,
            officer_ref=args.operator,
            open_browser=args.open_browser == "yes",
            console_key=args.console_key,
            metrics=args.metrics,
        )
    )
