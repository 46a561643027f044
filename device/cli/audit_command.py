"""`lfr audit verify`: whether the audit log is whole, and if not, where it was changed, cut or forged."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device.audit.rows import Head
    from device.audit.verify import Verdict
    from device.cli.main import Subparsers

STATE_DIR = Path("/var/lib/lfr")
BROKEN = 65
HUB_HEADS = "the hub's folder has it in audit/<device>.heads.jsonl"


def register(commands: Subparsers) -> None:
    verbs = commands.add_parser("audit", help="check the audit log").add_subparsers(metavar="VERB", required=True)
    verify = verbs.add_parser("verify", help="check every row and every signature; exit 65 with the place if not whole")
    verify.add_argument(
        "log",
        nargs="?",
        type=Path,
        metavar="LOG",
        help=f"the log's folder, or one part of it (default {STATE_DIR / 'audit'})",
    )
    verify.add_argument("--config", type=Path, metavar="FILE", help="find the state folder in this configuration")
    verify.add_argument(
        "--key",
        metavar="PUB",
        help="the device's public key: in hexadecimal, a file with it, or the hub's audit/<device>.heads.jsonl,"
        " whose first valid head holds it",
    )
    verify.add_argument(
        "--head",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a signed head from elsewhere, such as the hub's: finds what was cut or rewritten before it",
    )
    verify.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    verify.set_defaults(run=run_verify)


def run_verify(args: argparse.Namespace) -> int:
    """Print the verdict; 0 when the log is whole and every count balances, 65 when not."""
    from device.audit.verify import verify
    from device.edges.host.owner_rights import rights_of

    log = _log(args)
    if not log.exists():
        from device.errors import BadData

        raise BadData(f"there is no audit log at {log}")
    key, notes = _key(args, log)
    heads = [head for file in args.head for head in _heads(file, key)]
    with rights_of(log if log.is_dir() else log.parent):
        verdict = verify(log, key, heads)
    verdict.notes += notes
    print(json.dumps(as_builtins(verdict)) if args.json else as_text(verdict))
    return 0 if verdict.ok else BROKEN


def as_builtins(verdict: Verdict) -> dict[str, object]:
    """The verdict for machines."""
    from dataclasses import asdict

    return {"ok": verdict.ok, **asdict(verdict)}


def as_text(verdict: Verdict) -> str:
    """The verdict for people."""
    lines = []
    if verdict.broken is not None:
        place = f" ({verdict.broken.file}, line {verdict.broken.line})" if verdict.broken.file else ""
        lines.append(f"BROKEN at row {verdict.broken.row}{place}: {verdict.broken.kind}: {verdict.broken.text}")
        lines.append(f"whole before that: {verdict.rows} rows, {verdict.heads} signed heads")
    else:
        lines.append(f"whole: rows {verdict.first} to {verdict.last}, {verdict.heads} signed heads")
        if verdict.unsigned_tail:
            lines.append(
                f"the last {verdict.unsigned_tail} rows are not signed yet:"
                " nothing shows that they are genuine, or whether more followed"
            )
    if verdict.unbalanced:
        lines.append(f"COUNTS DO NOT BALANCE in rows {', '.join(map(str, verdict.unbalanced[:20]))}")
    elif verdict.counts:
        late = (
            f", {len(verdict.unsettled)} of them read while workers were still reporting" if verdict.unsettled else ""
        )
        lines.append(f"people balance in {verdict.counts} counts{late}")
    return "\n".join((*lines, *(f"note: {note}" for note in verdict.notes)))


def _log(args: argparse.Namespace) -> Path:
    from device.audit.log import FOLDER

    if args.log is not None:
        return Path(args.log)
    if args.config is None:
        return STATE_DIR / FOLDER
    from device.config.loader import load_config

    return load_config(args.config).state_dir / FOLDER


def _key(args: argparse.Namespace, log: Path) -> tuple[str, list[str]]:
    """The key to check with, and notes about where it comes from and about other logs of this device."""
    from device.audit.key import PUBLIC_FILE, read_public
    from device.edges.host.owner_rights import rights_of
    from device.errors import UsageError

    if args.key is not None:
        file = Path(args.key)
        if not file.exists():
            return read_public(args.key), []
        text = file.read_text(encoding="utf-8", errors="replace")
        return _key_of_heads(file, log) if text.lstrip().startswith("{") else (read_public(text), [])
    folder = log if log.is_dir() else log.parent
    beside = [place / PUBLIC_FILE for place in (folder, folder.parent) if (place / PUBLIC_FILE).exists()]
    if not beside:
        raise UsageError(f"there is no {PUBLIC_FILE} beside {log}; give --key: {HUB_HEADS}")
    note = f"the key was taken from beside the log; to know that it is this device's, give --key: {HUB_HEADS}"
    with rights_of(beside[0].parent):
        return read_public(beside[0].read_text(encoding="ascii")), [note]


def _key_of_heads(file: Path, log: Path) -> tuple[str, list[str]]:
    """The key of a device's heads as a hub keeps them. Raises BadData.

    The hub pins the same one; `--head` reports a later head by another key. Where it is recorded that the device's
    state folder was replaced there are several logs: the key is that of the one that this log is, or of the last.
    """
    from device.audit.head_file import read_heads
    from device.audit.verify import verify
    from device.errors import BadData

    logs = [each for each in read_heads(file) if each.key is not None]
    if not logs:
        raise BadData(f"no head in {file} is signed by the key that it names; give the device's key itself")
    mine = next((each for each in logs if verify(log, each.key or "", each.heads).ok), logs[-1])
    notes = [
        f"the state folder was replaced at {each.replaced.replaced}, as {each.replaced.officer} recorded:"
        f" the log before is another one, and had been signed up to row {each.last}"
        for each in logs
        if each.replaced is not None
    ]
    return mine.key or "", notes


def _heads(file: Path, key: str) -> list[Head]:
    """Signed heads in a file: one JSON object a line; of several logs, those of the log of this key. Raises BadData."""
    from device.audit.head_file import read_heads

    logs = read_heads(file)
    return next((each.heads for each in logs if each.key == key), [head for each in logs for head in each.heads])
