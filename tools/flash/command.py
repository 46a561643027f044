"""`lfr flash`: make a device of a board's root file system, without a network."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.flash.plan import Plan
    from tools.flash.root import Root

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
EX_NOT_READY = 69


def register(subparsers: Subparsers) -> None:
    """Add `flash kit`, `release`, `plan`, `apply`, `verify`, `undo`, `request` and `certify`."""
    flash = subparsers.add_parser("flash", help="make a device of a board's root file system, without a network")
    verbs = flash.add_subparsers(metavar="VERB", required=True)
    _kit(verbs.add_parser("kit", help="make a kit for one or many boards, signed by the hub"))
    _release(verbs.add_parser("release", help="make one file of this checkout that updates boards of one target"))
    for name, text, run in (
        ("plan", "print every step for one board; writes nothing", _run_plan),
        ("apply", "take the steps; goes on where it was interrupted", _run_apply),
        ("verify", "check a flashed root file system, or this board", _run_verify),
        ("undo", "take the steps back", _run_undo),
    ):
        parser = verbs.add_parser(name, help=text)
        parser.add_argument("kit", type=Path, metavar="KIT", help="the folder that `lfr flash kit` made")
        parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="mounted root file system; / on it")
        parser.add_argument("--serial", metavar="NUMBER", help="of the board, from its label; asked for otherwise")
        parser.add_argument("--authority", metavar="CODE", help="on paper, from `lfr flash kit`; asked for otherwise")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object")
        parser.set_defaults(run=run)
    for name, text, run in (
        ("request", "on the board: put its certificate request on the stick", _run_request),
        ("certify", "on the board: take its certificate from the stick and start the device", _run_certify),
    ):
        parser = verbs.add_parser(name, help=text)
        parser.add_argument("stick", type=Path, metavar="STICK", help="the mounted kit")
        parser.set_defaults(run=run)


def _kit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fleet", type=Path, metavar="FLEET", help="which boards (tools/flash/README.md)")
    parser.add_argument("--hub", type=Path, required=True, metavar="DIR", help="a folder made by `lfr hub init`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder, or an empty stick")
    parser.add_argument("--wheel", type=Path, action="append", default=[], metavar="FILE", help="built once on a board")
    parser.add_argument("--packages", type=Path, metavar="DIR", help=".deb files of the boards' release")
    parser.add_argument("--dry-run", action="store_true", help="check the fleet's file and print what would be made")
    parser.set_defaults(run=_run_kit)


def _release(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("release", metavar="RELEASE", help="ubuntu-22.04, ubuntu-24.04 or debian-12")
    parser.add_argument("machine", choices=("aarch64", "x86_64"), metavar="MACHINE", help="aarch64 or x86_64")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the file is written")
    parser.add_argument("--wheel", type=Path, action="append", default=[], metavar="FILE", help="built once on a board")
    parser.set_defaults(run=_run_release)


def _run_release(args: argparse.Namespace) -> int:
    from tools.flash.manifest import now
    from tools.flash.release import make_release
    from tools.flash.targets import Target, release_named

    print(make_release(Target(release_named(args.release), args.machine), args.wheel, args.out, now()))
    return 0


def _run_kit(args: argparse.Namespace) -> int:
    from tools.flash.fleet import read_fleet
    from tools.flash.kit import Given, make_kit
    from tools.flash.manifest import now
    from tools.hub.storage.folder import HubFolder

    fleet = read_fleet(args.fleet)
    for device in fleet.devices:
        print(f"{device.serial}  {device.name}  {device.board}", file=sys.stderr)
    if args.dry_run:
        return 0
    given = Given(fleet, args.fleet.parent, HubFolder(args.hub), tuple(args.wheel), args.packages)
    code = make_kit(given, args.out, now())
    print("write this on paper, beside the serial numbers; it never travels on the stick:", file=sys.stderr)
    print(f"authority code {' '.join(code[at : at + 4] for at in range(0, len(code), 4))}")
    return 0


def _planned(args: argparse.Namespace, *, writes: bool = True) -> tuple[Plan, Root]:
    """Read the kit, ask for what was not given, and plan; `writes` as in `make_plan`."""
    from device.errors import UsageError
    from tools.flash.manifest import now, read_kit
    from tools.flash.plan import make_plan
    from tools.flash.root import Root

    if not args.root.is_dir():
        raise UsageError(f"{args.root} is no folder: mount the card, or name the root file system's folder")
    code = args.authority if args.authority is not None else _asked("authority code on paper")
    manifest = read_kit(args.kit, code)
    serial = args.serial if args.serial is not None else _asked("serial number on the board's label")
    root = Root(args.root)
    return make_plan(manifest, root, serial, now(), writes=writes), root


def _asked(what: str) -> str:
    from device.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"give the {what}: --authority CODE --serial NUMBER")
    print(f"{what}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _run_plan(args: argparse.Namespace) -> int:
    plan, root = _planned(args)
    steps = [{"step": step.name, "there": step.check(root), "line": step.line} for step in plan.steps]
    if args.json:
        print(json.dumps({"device": plan.device, "serial": plan.serial, "notes": plan.notes, "steps": steps}))
        return 0
    for step in steps:
        print(f"{'there' if step['there'] else 'to do'}  {step['line']}")
    _say_notes(plan)
    return 0


def _run_apply(args: argparse.Namespace) -> int:
    from tools.flash.apply import apply

    plan, root = _planned(args)
    print(f"{root.path}: {plan.manifest.target} becomes {plan.device}, serial number {plan.serial}", file=sys.stderr)
    _say_notes(plan)
    changed = apply(plan, root, lambda word, line: print(f"{word:5}  {line}", file=sys.stderr))
    result = {"device": plan.device, "serial": plan.serial, "steps": len(plan.steps), "changed": changed}
    print(json.dumps(result) if args.json else f"{plan.device}: {len(plan.steps)} steps, {changed} done now")
    return 0


def _run_undo(args: argparse.Namespace) -> int:
    from tools.flash.apply import undo

    plan, root = _planned(args)
    taken = undo(plan, root, lambda word, line: print(f"{word}  {line}", file=sys.stderr))
    print(json.dumps({"undone": taken}) if args.json else f"{taken} steps undone")
    return 0


def _run_verify(args: argparse.Namespace) -> int:
    from tools.flash.verify import rows

    plan, root = _planned(args, writes=False)
    found = list(rows(plan, root))
    failed = any(row.level == "fail" for row in found)
    if args.json:
        table = [{"what": row.what, "level": row.level, "text": row.text} for row in found]
        print(json.dumps({"ok": not failed, "rows": table}))
    else:
        for row in found:
            print(f"{'FAIL' if row.level == 'fail' else row.level:8}{row.what:28}{row.text}")
    return EX_NOT_READY if failed else 0


def _run_request(args: argparse.Namespace) -> int:
    from tools.flash.exchange import put_request
    from tools.flash.root import Root

    print(put_request(Root(Path("/")), args.stick))
    return 0


def _run_certify(args: argparse.Namespace) -> int:
    import subprocess

    from device.errors import Unavailable
    from tools.flash.exchange import take_certificate
    from tools.flash.manifest import now
    from tools.flash.root import Root

    print(f"certificate installed, good until {take_certificate(Root(Path('/')), args.stick, now())}")
    if subprocess.run(["systemctl", "restart", "lfr.service"], check=False).returncode != 0:
        raise Unavailable("lfr.service did not start; systemctl status lfr says why")
    subprocess.run(["systemctl", "start", "--no-block", "lfr.target"], check=False)  # the rest of it: the self-test
    return 0


def _say_notes(plan: Plan) -> None:
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
