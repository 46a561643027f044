"""`lfr authority`: keys, roots of trust, officers and devices; the commands of the holders of offline keys."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tools.hub.cli.options import (
    Subparsers,
    announce_plan,
    now,
    print_result,
    publisher_of,
    with_hub,
    with_json,
    with_passphrase,
    with_plan,
)


def register(subparsers: Subparsers) -> None:
    """Add `authority init|key|officers|devices|releases|root|status`."""
    noun = subparsers.add_parser("authority", help="keys, roots of trust, officers and devices")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    _init(verbs.add_parser("init", help="make a root of trust for a hub, its keys and an empty repository"))
    _key(verbs.add_parser("key", help="make an officer's key pair; hand over the .pub"))
    _officers(verbs.add_parser("officers", help="add and remove officers, change their threshold"))
    _devices(verbs.add_parser("devices", help="delegate to exactly the devices that the hub knows and has not revoked"))
    _releases(verbs.add_parser("releases", help="who signs releases of the software: these keys, and no others"))
    _root(verbs.add_parser("root", help="replace the root's keys, and with them the hub's or the targets key"))
    _status(verbs.add_parser("status", help="who may sign what, and until when it holds"))


def _with_ceremony(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ceremony", type=Path, required=True, metavar="DIR", help="folder of the offline keys; never in the hub"
    )
    with_passphrase(parser)


def _init(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    _with_ceremony(parser)
    parser.add_argument("--officer", action="append", default=[], metavar="REF", help="make a key for this officer")
    parser.add_argument("--officer-key", action="append", type=Path, default=[], metavar="PUB", help="REF.pub, theirs")
    parser.add_argument("--threshold", type=int, default=1, help="officers who must sign (default: 1)")
    parser.add_argument("--root-keys", type=int, default=1, help="how many root keys (default: 1)")
    parser.add_argument("--root-threshold", type=int, default=1, help="how many must sign a new root (default: 1)")
    with_plan(parser)
    parser.set_defaults(run=_run_init)


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ref", metavar="REF", help="how the officer is called in deployments, such as AO-1")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for both files")
    with_passphrase(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_key)


def _officers(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    _with_ceremony(parser)
    parser.add_argument("--add", action="append", type=Path, default=[], metavar="PUB", help="REF.pub of an officer")
    parser.add_argument("--remove", action="append", default=[], metavar="REF")
    parser.add_argument("--threshold", type=int, help="how many must sign from now on")
    with_plan(parser)
    parser.set_defaults(run=_run_officers)


def _devices(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    _with_ceremony(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_devices)


def _releases(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    _with_ceremony(parser)
    parser.add_argument(
        "--key", action="append", type=Path, required=True, metavar="PUB", help="NAME.pub of `lfr authority key`"
    )
    parser.add_argument("--threshold", type=int, default=1, help="how many must sign a release (default: 1)")
    with_plan(parser)
    parser.set_defaults(run=_run_releases)


def _root(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    _with_ceremony(parser)
    parser.add_argument("--root-keys", type=int, default=1)
    parser.add_argument("--root-threshold", type=int, default=1)
    parser.add_argument("--targets-key", action="store_true", help="replace the targets key too")
    parser.add_argument("--hub-key", action="store_true", help="replace the hub's key too")
    with_plan(parser)
    parser.set_defaults(run=_run_root)


def _status(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    with_json(parser)
    parser.set_defaults(run=_run_status)


def _ceremony(args: argparse.Namespace) -> Any:
    from tools.hub.publishing.ceremony import Ceremony
    from tools.hub.publishing.signing_keys import read_passphrase, require_outside

    require_outside(args.hub, args.ceremony)
    return Ceremony(args.ceremony, read_passphrase(args.passphrase_file))


def _run_init(args: argparse.Namespace) -> int:
    from tools.hub.publishing.ceremony import NewAuthority, begin, officer_key
    from tools.hub.storage.folder import HubFolder

    publisher, ceremony = publisher_of(args), _ceremony(args)
    settings = HubFolder(args.hub).settings()
    plan = NewAuthority(
        mode=settings.mode,
        devices=settings.devices,
        officers=dict(officer_key(file) for file in args.officer_key),
        make_officers=tuple(args.officer),
        threshold=args.threshold,
        root_keys=args.root_keys,
        root_threshold=args.root_threshold,
    )
    officers = ", ".join((*plan.officers, *plan.make_officers)) or "nobody"
    if not announce_plan(
        args,
        [
            f"root of trust of mode {plan.mode.value} for {args.hub}",
            f"{plan.root_threshold} of {plan.root_keys} root key(s) and the targets key in {args.ceremony}",
            f"{plan.threshold} officer(s) of {officers} sign deployments",
            f"devices: {', '.join(plan.devices) or 'none yet'}",
        ],
    ):
        return 0
    for line in begin(publisher, ceremony, plan, now()):
        print(line, file=sys.stderr)
    root = publisher.places.trust(plan.mode)
    print_result(args, {"root": str(root), "mode": plan.mode.value, "devices": plan.devices}, str(root))
    return 0


def _run_key(args: argparse.Namespace) -> int:
    from device.hub_api.topics import level
    from tools.hub.publishing.signing_keys import make_key, read_passphrase

    ref = level(args.ref, "officer")
    if not announce_plan(args, [f"{args.out / ref}.key (keep it) and .pub (hand it over)"]):
        return 0
    key = make_key(args.out, ref, read_passphrase(args.passphrase_file))
    print_result(
        args, {"officer": ref, "keyid": key.keyid, "public": str(args.out / f"{ref}.pub")}, f"{args.out / ref}.pub"
    )
    return 0


def _run_officers(args: argparse.Namespace) -> int:
    from tools.hub.publishing.ceremony import change_officers, officer_key

    publisher, ceremony = publisher_of(args), _ceremony(args)
    add = dict(officer_key(file) for file in args.add)
    lines = [f"{args.hub}: {', '.join(f'+{n}' for n in add)} {', '.join(f'-{n}' for n in args.remove)}".rstrip()]
    lines.append("it takes effect once the officers of then have signed it: `lfr deployment sign officers`, `publish`")
    if not announce_plan(args, lines):
        return 0
    change = change_officers(publisher, ceremony, now(), add=add, remove=args.remove, threshold=args.threshold)
    print_result(args, {"change": str(change.folder)}, str(change.folder))
    return 0


def _run_devices(args: argparse.Namespace) -> int:
    from tools.hub.publishing.ceremony import delegations
    from tools.hub.publishing.roles import devices_in
    from tools.hub.storage.folder import HubFolder

    publisher, ceremony = publisher_of(args), _ceremony(args)
    revoked = publisher.places.revoked_devices()
    wanted = [d for d in HubFolder(args.hub).settings().devices if d not in revoked]
    present = devices_in(publisher.targets())
    lines = [f"{d}: delegated to" for d in wanted if d not in present]
    lines += [f"{d}: no longer delegated to" for d in present if d not in wanted]
    if not announce_plan(args, lines or ["nothing changes but the expiry of the delegations"]):
        return 0
    publisher.change_delegations(delegations(publisher, ceremony, now(), devices=wanted))
    print_result(args, {"devices": wanted}, "\n".join(wanted))
    return 0


def _run_releases(args: argparse.Namespace) -> int:
    from tools.hub.publishing.ceremony import delegations
    from tools.hub.publishing.roles import Holders
    from tools.hub.publishing.signing_keys import read_public

    publisher, ceremony = publisher_of(args), _ceremony(args)
    holders = Holders(tuple(read_public(file) for file in args.key), args.threshold)
    names = ", ".join(file.stem for file in args.key)
    lines = [f"{args.threshold} of {names} sign releases from now on; `lfr hub software publish` offers one"]
    if not announce_plan(args, lines):
        return 0
    publisher.change_delegations(delegations(publisher, ceremony, now(), releases=holders))
    print_result(args, {"releases": [key.keyid for key in holders.keys], "threshold": args.threshold}, names)
    return 0


def _run_root(args: argparse.Namespace) -> int:
    from tools.hub.publishing.ceremony import rotate_root

    publisher, ceremony = publisher_of(args), _ceremony(args)
    lines = [f"a new root for {args.hub}, signed by the old keys and by {args.root_keys} new one(s)"]
    lines += ["a new targets key"] * args.targets_key + ["a new key of the hub"] * args.hub_key
    lines.append("devices take it at their next sync; keys that are replaced must be destroyed by their holders")
    if not announce_plan(args, lines):
        return 0
    version = rotate_root(
        publisher,
        ceremony,
        now(),
        new_keys=args.root_keys,
        threshold=args.root_threshold,
        targets_key=args.targets_key,
        hub_key=args.hub_key,
    )
    print_result(args, {"root_version": version}, f"root version {version}")
    return 0


def _run_status(args: argparse.Namespace) -> int:
    from tools.hub.publishing.repository_status import status_of

    status = status_of(publisher_of(args), now())
    print_result(args, status.values, "\n".join(status.lines))
    return 0
