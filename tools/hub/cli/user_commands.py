"""`lfr hub user add|remove|list`: who may use the page, and as what."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tools.hub.cli.options import with_folder, with_password

if TYPE_CHECKING:
    from tools.hub.storage.users import Users


def add_user_commands(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add = verbs.add_parser("add", help="add a user, or give one a new password or role")
    with_folder(add)
    add.add_argument("ref", metavar="REF", help="the officer's number; goes into every judgement; no name")
    add.add_argument("--role", required=True, choices=("operator", "supervisor", "auditor", "engineer"))
    with_password(add)
    add.set_defaults(run=_run_add)
    remove = verbs.add_parser("remove", help="remove a user; sessions end within seconds")
    with_folder(remove)
    remove.add_argument("ref", metavar="REF")
    remove.set_defaults(run=_run_remove)
    listed = verbs.add_parser("list", help="references and roles")
    with_folder(listed)
    listed.set_defaults(run=_run_list)


def _run_add(args: argparse.Namespace) -> int:
    import getpass

    from tools.hub.publishing.signing_keys import read_passphrase

    _require_hub(args)
    if args.password_file is not None:
        password = (read_passphrase(args.password_file) or b"").decode()
    else:
        password = getpass.getpass(f"new password of {args.ref}: ")
    _users(args).put(args.ref, args.role, password)
    print(f"{args.ref}: {args.role}")
    return 0


def _run_remove(args: argparse.Namespace) -> int:
    from device.domain.finding import Mode
    from tools.hub.storage.folder import HubFolder

    _require_hub(args)
    operational = HubFolder(args.folder).settings().mode is Mode.OPERATIONAL
    _users(args).remove(args.ref, not_the_last=operational)
    print(f"removed {args.ref}")
    return 0


def _run_list(args: argparse.Namespace) -> int:
    _require_hub(args)
    for ref, user in sorted(_users(args).all().items()):
        print(f"{ref}: {user.role}")
    return 0


def _users(args: argparse.Namespace) -> Users:
    from tools.hub.storage.users import Users

    return Users(args.folder)


def _require_hub(args: argparse.Namespace) -> None:
    from device.errors import Unavailable

    if not (args.folder / "console.yaml").exists():
        raise Unavailable(f"{args.folder} is no hub folder; make one with `lfr hub init {args.folder}`")
