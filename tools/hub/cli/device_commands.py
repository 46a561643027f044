"""`lfr device`: revoke a lost device: no key envelope, no index, no certificate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.hub.cli.options import (
    Subparsers,
    announce_plan,
    now,
    print_result,
    publisher_of,
    with_hub,
    with_passphrase,
    with_plan,
)


def register(subparsers: Subparsers) -> None:
    """Add `device revoke`."""
    noun = subparsers.add_parser("device", help="revoke a lost device")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    parser = verbs.add_parser("revoke", help="no envelope, index, certificate or topic for this device any more")
    parser.add_argument("name", metavar="NAME")
    with_hub(parser)
    parser.add_argument(
        "--ceremony", type=Path, metavar="DIR", help="with the targets key: take its delegation away too"
    )
    with_passphrase(parser)
    with_plan(parser)
    parser.set_defaults(run=_run)
    parser = verbs.add_parser("replaced", help="record that a device's state folder, and so its key, was replaced")
    parser.add_argument("name", metavar="NAME")
    with_hub(parser)
    parser.add_argument("--officer", required=True, metavar="REF", help="reference of who records it")
    parser.set_defaults(run=_run_replaced)


def _run_replaced(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from device.hub_api.topics import level
    from tools.hub.report.audit_heads import FOLDER, Heads

    publisher_of(args)
    if not Heads(args.hub / FOLDER).replaced(level(args.name, "device"), now(), level(args.officer, "officer")):
        raise UsageError(f"this hub has no audit head of {args.name}; there is nothing to replace")
    print(f"{args.name}: its next audit head begins another log, under another key", file=sys.stderr)
    return 0


def _run(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing.ceremony import Ceremony, delegations
    from tools.hub.publishing.roles import devices_in
    from tools.hub.publishing.signing_keys import read_passphrase
    from tools.hub.site import revoke_device
    from tools.hub.storage.folder import HubFolder

    publisher, hub = publisher_of(args), HubFolder(args.hub)
    known = (*hub.settings().devices, *devices_in(publisher.targets()), *publisher.places.revoked_devices())
    if args.name not in known:
        raise UsageError(
            f"no device {args.name!r} at this hub; devices are {', '.join(hub.settings().devices) or 'none'}"
        )
    lines = [
        f"{args.name}: its envelope and index are withdrawn; it gets none again",
        "its certificate goes on the hub's revocation list; the running broker and server take that at once",
        "a new device needs another name",
        "its delegation is taken away" if args.ceremony else "its delegation stays until --ceremony (it holds nothing)",
    ]
    if not announce_plan(args, lines):
        return 0
    publisher.revoke(args.name)
    revoke_device(hub, args.name)
    if args.ceremony is not None and args.name in devices_in(publisher.targets()):
        ceremony = Ceremony(args.ceremony, read_passphrase(args.passphrase_file))
        left = [d for d in devices_in(publisher.targets()) if d != args.name]
        publisher.change_delegations(delegations(publisher, ceremony, now(), devices=left))
    if args.ceremony is None:
        print(f"bring the targets key: `lfr device revoke {args.name} --ceremony DIR`", file=sys.stderr)
    print_result(
        args, {"revoked": args.name, "delegated": args.name in devices_in(publisher.targets())}, f"{args.name}: revoked"
    )
    return 0
