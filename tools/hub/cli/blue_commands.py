"""`lfr bluelist`: volunteers with their consent, a blue list for one deployment, passes, and what they showed."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from tools.hub.cli.options import Subparsers, moment_of, now, print_result, publisher_of, with_hub


def register(subparsers: Subparsers) -> None:
    """Add `bluelist add|list|build|remove|pass|report`."""
    noun = subparsers.add_parser("bluelist", help="consenting volunteers, to measure recognition in the field")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    _add(verbs.add_parser("add", help="register a volunteer with the consent and photos"))
    listed = verbs.add_parser("list", help="registered volunteers and the end of their consent")
    with_hub(listed)
    listed.set_defaults(run=_run_list)
    _build(verbs.add_parser("build", help="a blue list for one deployment; `deployment sign --blue-list` signs it"))
    remove = verbs.add_parser("remove", help="consent is withdrawn: off the register and every device, at once")
    remove.add_argument("ref", nargs="+", metavar="REF")
    with_hub(remove)
    remove.add_argument("--json", action="store_true")
    remove.set_defaults(run=_run_remove)
    _pass(verbs.add_parser("pass", help="log at the running hub that a volunteer passes now"))
    report = verbs.add_parser("report", help="the true recognition rate of each deployment, with its interval")
    with_hub(report)
    report.set_defaults(run=_run_report)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ref", metavar="REF", help="opaque, with a digit, such as V-1; no name")
    with_hub(parser)
    parser.add_argument("--photo", action="append", type=Path, required=True, metavar="FILE", help="repeat for more")
    parser.add_argument("--consent", required=True, metavar="YYYY-MM-DD", help="when it was given")
    parser.add_argument("--reference", required=True, metavar="TEXT", help="of the consent form")
    parser.add_argument("--until", required=True, metavar="TIME", help="its end, ISO 8601 with its time zone")
    parser.add_argument("--group", metavar="TEXT", help="for rates by group; nothing infers one")
    parser.add_argument("--detector", metavar="NAME", help="finds the face, which alone is kept (the default one)")
    parser.add_argument("--backend", default="auto", help="runtime of the models (default: %(default)s)")
    parser.set_defaults(run=_run_add, recogniser=None, screen=None)


def _build(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    parser.add_argument("--deployment", type=Path, required=True, metavar="PLAN")
    parser.add_argument("--watchlist", type=Path, required=True, metavar="DIR", help="the list built for that plan")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    parser.add_argument("--recogniser", metavar="NAME", help="the devices' (default: the default recogniser)")
    parser.add_argument("--screen", metavar="NAME", help="the devices' screening recogniser, if they run a pair (none)")
    parser.add_argument("--detector", metavar="NAME", help="likewise")
    parser.add_argument("--backend", default="auto", help="runtime of the models (default: %(default)s)")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_build)


def _pass(parser: argparse.ArgumentParser) -> None:
    from tools.hub.cli.hold_commands import with_console

    with_console(parser)
    parser.add_argument("--volunteer", metavar="REF", help="which one, for rates by group")
    parser.set_defaults(run=_run_pass)


def _run_add(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.cli.enrolling import models, readers_for
    from tools.hub.watchlist.volunteers import Consent, VolunteerRegister

    publisher = publisher_of(args)
    try:
        given = date.fromisoformat(args.consent)
    except ValueError as fault:
        raise UsageError(f"--consent YYYY-MM-DD: {fault}") from fault
    until = moment_of(args.until, "--until")
    consent = Consent(ref=args.ref, given_on=given, reference=args.reference, until=until, group=args.group)
    detector, recogniser = models(args)
    rooms, readers = readers_for(args.backend, len(args.photo), detector.name, recogniser)
    try:
        VolunteerRegister(publisher.places.hub).add(consent, args.photo, now(), readers[0].read)
    finally:
        for room in rooms:
            room.close()
    print(f"{args.ref}: {len(args.photo)} photo(s), consent until {until.isoformat()}")
    return 0


def _run_list(args: argparse.Namespace) -> int:
    from tools.hub.watchlist.volunteers import VolunteerRegister

    for ref, each in VolunteerRegister(publisher_of(args).places.hub).all().items():
        print(
            f"{ref}: consent {each.reference} of {each.given_on}, until {each.until.isoformat()}, {each.group or '-'}"
        )
    return 0


def _run_build(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.cli.enrolling import models, readers_for
    from tools.hub.publishing.operations import read_plan
    from tools.hub.watchlist.blue_list import Recogniser, build_blue_list
    from tools.hub.watchlist.build import read_built, require_fresh, write
    from tools.hub.watchlist.volunteers import VolunteerRegister

    if args.out.exists():
        raise UsageError(f"{args.out} exists; a blue list is built into a folder of its own")
    register, plan = VolunteerRegister(publisher_of(args).places.hub), read_plan(args.deployment)
    listed, _ = read_built(args.watchlist)
    require_fresh(listed, plan, now())
    detector, recogniser = models(args)
    rooms, readers = readers_for(args.backend, 1, detector.name, recogniser)
    made_with = Recogniser(recogniser.source_sha256, detector.source_sha256)
    try:
        files = build_blue_list(register, plan, listed, readers, made_with=made_with, now=now())
    finally:
        for room in rooms:
            room.close()
    write(args.out, files)
    count = len(files) - 1
    print_result(args, {"blue_list": str(args.out), "volunteers": count}, f"{args.out}: {count} volunteer(s)")
    return 0


def _run_remove(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing.operations import take_off_volunteers

    gone = take_off_volunteers(publisher_of(args), args.ref)
    if not gone:
        raise UsageError(f"no volunteer {', '.join(args.ref)} is registered or on a running blue list")
    print_result(args, {"removed": gone}, f"removed: {', '.join(gone)}")
    return 0


def _run_pass(args: argparse.Namespace) -> int:
    from tools.hub.cli.hold_commands import ask_console

    return ask_console(args, "POST", "/bluelist/pass", {"ref": args.volunteer})


def _run_report(args: argparse.Namespace) -> int:
    from tools.hub.cli.report_forms import from_hub
    from tools.hub.report.deployment_report import blue_lines
    from tools.hub.storage.folder import HubFolder

    publisher_of(args)
    for report in from_hub(HubFolder(args.hub), argparse.Namespace(deployment=None)).reports:
        if report.blue_list is not None:
            print(report.deployment_id)
            sys.stdout.write("".join(f"{name:<22}{value}\n" for name, value in blue_lines(report.blue_list)))
    return 0
