"""`lfr watchlist keep|kept|forget`: lists of consenting people for several tests and demonstrations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.hub.cli.enrolling import defaults_of, models, print_report, readers_of, warn_of_own_models, with_people
from tools.hub.cli.options import (
    announce_plan,
    moment_of,
    now,
    print_result,
    publisher_of,
    with_hub,
    with_json,
    with_plan,
)

if TYPE_CHECKING:
    from device.config.deployment import DeploymentPlan


def add(verbs: Any) -> None:
    """Add the three verbs to `lfr watchlist`."""
    _keep(verbs.add_parser("keep", help="a rehearsal list: consenting people, for several tests or demonstrations"))
    kept = verbs.add_parser("kept", help="rehearsal lists: owner, consent, end, deployments")
    with_hub(kept)
    with_json(kept)
    kept.set_defaults(run=_run_kept)
    forget = verbs.add_parser("forget", help="delete a rehearsal list, and end every deployment that has a copy of it")
    forget.add_argument("name", metavar="NAME")
    with_hub(forget)
    with_plan(forget)
    forget.set_defaults(run=_run_forget)


def _keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="small letters, digits, hyphens")
    parser.add_argument("source", type=Path, metavar="FOLDER|CSV", help="people as for `lfr watchlist build`")
    with_hub(parser)
    parser.add_argument("--owner", required=True, metavar="REF", help="who answers for the list; with a digit, no name")
    parser.add_argument("--consent", required=True, metavar="TEXT", help="reference of the people's written consent")
    parser.add_argument("--until", required=True, metavar="TIME", help="its end, ISO 8601 with its time zone")
    with_people(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_keep)


def _run_keep(args: argparse.Namespace) -> int:
    from device.domain.finding import Mode
    from device.errors import RefusedByCondition
    from tools.hub.storage.folder import HubFolder
    from tools.hub.watchlist.build import enrol
    from tools.hub.watchlist.people import read_people
    from tools.hub.watchlist.rehearsal import RULE, Rehearsal, RehearsalLists, require_description

    publisher = publisher_of(args)
    if HubFolder(args.hub).settings().mode is Mode.OPERATIONAL:
        raise RefusedByCondition(RULE, f"{args.hub} is an operational hub; a list for tests is kept at a test hub")
    lists = RehearsalLists(args.hub)
    lists.require_new(args.name)
    detector, recogniser = models(args)
    rehearsal = Rehearsal(
        name=args.name,
        owner=args.owner,
        consent=args.consent,
        until=moment_of(args.until, "--until"),
        people=0,
        images=0,
        recogniser_sha256=recogniser.source_sha256,
        detector_sha256=detector.source_sha256,
    )
    require_description(rehearsal, now())
    warn_of_own_models(detector, recogniser)
    people = read_people(args.source, defaults_of(args), None, now().date())
    with readers_of(args, people, detector.name, recogniser) as readers:
        report, members = enrol(people, readers, progress=not args.json)
    written = not report.problems and bool(members) and not args.dry_run
    if written:
        from msgspec.structs import replace

        with publisher.store.locked():
            lists.keep(replace(rehearsal, people=report.subjects, images=report.images), members, now())
    print_report(args, report, f"rehearsal list {args.name}", recogniser, written=written)
    return 65 if report.problems or not members else 0


def _run_kept(args: argparse.Namespace) -> int:
    import msgspec

    from tools.hub.watchlist.rehearsal import RehearsalLists

    publisher_of(args)
    lists = RehearsalLists(args.hub)
    kept = [lists.get(name) for name in lists.names()]
    lines = [
        f"{each.name}: {each.people} people, owner {each.owner}, consent {each.consent},"
        f" until {each.until.isoformat()}, copied for {', '.join(each.copied_for) or 'nothing yet'}"
        for each in kept
    ]
    print_result(args, {"rehearsal_lists": msgspec.to_builtins(kept)}, "\n".join(lines) or "no rehearsal list is kept")
    return 0


def _run_forget(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing.rehearsals import end_rehearsal
    from tools.hub.watchlist.rehearsal import RehearsalLists

    publisher = publisher_of(args)
    names = RehearsalLists(args.hub).names()
    if args.name not in names:
        raise UsageError(f"no rehearsal list {args.name!r} at this hub; there: {', '.join(names) or 'none'}")
    if not announce_plan(args, [f"delete rehearsal list {args.name}, and end every deployment with a copy of it"]):
        return 0
    gone = end_rehearsal(publisher, args.name)
    print_result(args, {"deleted": gone}, "\n".join(gone))
    return 0


def build_copy(args: argparse.Namespace, plan: DeploymentPlan) -> int:
    """`lfr watchlist build --rehearsal`: a plan's own sealed copy of a kept list."""
    from device.config.deployment import rehearsal_problems
    from device.errors import RefusedByCondition, UsageError
    from tools.hub.watchlist.build import files_of, write
    from tools.hub.watchlist.rehearsal import RULE, RehearsalLists

    if args.source is not None or args.hub is None:
        raise UsageError("--rehearsal NAME takes --hub DIR and no people: they are on the list")
    publisher_of(args)
    lists = RehearsalLists(args.hub)
    problems = rehearsal_problems(plan, lists.get(args.rehearsal).reference)
    if problems:
        raise RefusedByCondition(RULE, "; ".join(problems))
    if args.dry_run:
        announce_plan(args, [f"seal a copy of rehearsal list {args.rehearsal} for {plan.id} into {args.out}"])
        return 0
    rehearsal, members = lists.copy_for(args.rehearsal, plan.id, now())
    unknown = sorted({member.sealed.category for member in members} - set(plan.categories))
    if unknown:
        raise UsageError(f"categories {', '.join(unknown)} of rehearsal list {args.rehearsal} are not in the plan")
    if len(members) > plan.max_watchlist_size:
        raise UsageError(f"{len(members)} people are over the {plan.max_watchlist_size} that the plan authorises")
    write(args.out, files_of(members, plan, rehearsal.made_with, now(), rehearsal=rehearsal.reference))
    values = {"list": str(args.out), "rehearsal": rehearsal.name, "subjects": len(members), "images": rehearsal.images}
    print_result(args, values, f"{args.out}: {len(members)} people of rehearsal list {rehearsal.name}")
    return 0
