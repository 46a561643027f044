"""What the hub's commands share: options, the hub's publisher, keys, and how plans and results are printed."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.domain.time import WallTime, wall

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from tools.hub.publishing.publisher import Publisher

Subparsers = Any  # argparse._SubParsersAction has no public name


def now() -> WallTime:
    """The wall clock."""
    return wall(datetime.now(timezone.utc))


def with_hub(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hub", type=Path, required=True, metavar="DIR", help="the hub's folder")


def with_folder(parser: argparse.ArgumentParser) -> None:
    """The hub's folder as the first argument, as the commands of `lfr hub` take it."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `lfr hub init`")


def with_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def with_usb(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--usb", type=Path, metavar="DIR", help="copy the repository there too")


def with_password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its first line (default: asked for)")


def with_plan(parser: argparse.ArgumentParser, *, json_too: bool = True) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    if json_too:
        with_json(parser)


def with_keys(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--key",
        action="append",
        type=Path,
        default=[],
        required=required,
        metavar="FILE",
        help="an officer's private key; repeat for more officers",
    )
    with_passphrase(parser)


def with_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="its first line opens the key files")


def publisher_of(args: argparse.Namespace) -> Publisher:
    """The publisher of --hub; expired pending changes are discarded first. Unavailable when that is no hub's folder."""
    from device.errors import Unavailable
    from tools.hub.publishing.operations import finish_erasures
    from tools.hub.publishing.pending_changes import sweep
    from tools.hub.publishing.publisher import Publisher
    from tools.hub.publishing.rehearsals import end_rehearsals

    if not (args.hub / "console.yaml").exists():
        raise Unavailable(f"{args.hub} is no hub folder; make one with `lfr hub init {args.hub}`")
    publisher = Publisher(args.hub, now)
    if not getattr(args, "dry_run", False):
        for line in (*finish_erasures(publisher), *end_rehearsals(publisher), *sweep(publisher)):
            print(f"expired, deleted: {line}", file=sys.stderr)
    return publisher


def moment_of(text: str, option: str) -> datetime:
    """A time with its zone, in UTC; UsageError for anything else."""
    from device.errors import UsageError

    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as fault:
        raise UsageError(f"{option} {text!r} is no time; write it as 2026-12-31T18:00:00+00:00") from fault
    if found.tzinfo is None:
        raise UsageError(f"{option} {text!r} needs its time zone: 2026-12-31T18:00:00+00:00")
    return found.astimezone(timezone.utc)


def signers_of(args: argparse.Namespace) -> list[CryptoSigner]:
    """The keys of --key, none of which may lie in the hub's folder."""
    from tools.hub.publishing.signing_keys import open_key, read_passphrase, require_outside

    passphrase = read_passphrase(args.passphrase_file)
    for file in args.key:
        if getattr(args, "hub", None) is not None:
            require_outside(args.hub, file)
    return [open_key(file, passphrase) for file in args.key]


def announce_plan(args: argparse.Namespace, lines: list[str]) -> bool:
    """Print the plan on stderr; True when it is to be carried out (no --dry-run)."""
    print("would do:" if args.dry_run else "doing:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)
    return not args.dry_run


def print_result(args: argparse.Namespace, values: dict[str, Any], text: str) -> None:
    """The result: JSON when it was asked for, else a line or some."""
    print(json.dumps(values, ensure_ascii=False, default=str) if getattr(args, "json", False) else text)
