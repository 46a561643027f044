"""`lfr watchlist`: build a list for one deployment, inspect it, verify it, withdraw entries."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.hub.cli import rehearsal_commands
from tools.hub.cli.enrolling import defaults_of, models, print_report, readers_of, warn_of_own_models, with_people
from tools.hub.cli.options import (
    Subparsers,
    announce_plan,
    now,
    print_result,
    publisher_of,
    signers_of,
    with_hub,
    with_json,
    with_keys,
    with_plan,
)

if TYPE_CHECKING:
    pass


def register(subparsers: Subparsers) -> None:
    """Add `watchlist build|inspect|verify|withdraw`, and `keep|kept|forget` of rehearsal lists."""
    noun = subparsers.add_parser("watchlist", help="build, inspect and check lists; withdraw an entry")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    _build(verbs.add_parser("build", help="from a folder or CSV of people to two sealed payloads"))
    _inspect(verbs.add_parser("inspect", help="what a built list holds; with --hub, entry by entry"))
    _verify(verbs.add_parser("verify", help="open a built list at its hub and check everything"))
    _withdraw(verbs.add_parser("withdraw", help="withdraw a found or mistaken entry from every device"))
    rehearsal_commands.add(verbs)


def _build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER|CSV", nargs="?")
    parser.add_argument("--rehearsal", metavar="NAME", help="instead: a copy of a list of `lfr watchlist keep`")
    parser.add_argument("--hub", type=Path, metavar="DIR", help="with --rehearsal: the hub that keeps it")
    parser.add_argument("--deployment", type=Path, required=True, metavar="PLAN", help="made by `lfr deployment new`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    with_people(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_build)


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--hub", type=Path, metavar="DIR", help="open the photos' payload there and name each entry")
    with_json(parser)
    parser.set_defaults(run=_run_inspect)


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR")
    with_hub(parser)
    parser.add_argument("--deployment", type=Path, metavar="PLAN", help="check it against this plan too")
    with_json(parser)
    parser.set_defaults(run=_run_verify)


def _withdraw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("entry", nargs="+", metavar="ENTRY", help="entry references")
    with_hub(parser)
    parser.add_argument("--deployment", metavar="ID", help="needed when several run")
    with_keys(parser, required=True)
    with_plan(parser)
    parser.set_defaults(run=_run_withdraw)


def _run_build(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing.operations import read_plan
    from tools.hub.watchlist.build import build, write
    from tools.hub.watchlist.people import read_people

    if args.out.exists():
        raise UsageError(f"{args.out} exists; a list is built into a folder of its own")
    plan = read_plan(args.deployment)
    if args.rehearsal is not None:
        return rehearsal_commands.build_copy(args, plan)
    if args.source is None:
        raise UsageError("name the people's FOLDER or CSV, or a kept list with --rehearsal NAME --hub DIR")
    detector, recogniser = models(args)
    warn_of_own_models(detector, recogniser)
    people = read_people(args.source, defaults_of(args), plan.categories, now().date())
    with readers_of(args, people, detector.name, recogniser) as readers:
        hashes = {"recogniser_sha256": recogniser.source_sha256, "detector_sha256": detector.source_sha256}
        report, files = build(people, plan, readers, now=now(), progress=not args.json, **hashes)
    written = files is not None and not args.dry_run
    if files is not None and written:
        write(args.out, files)
    print_report(args, report, str(args.out), recogniser, written=written)
    return 65 if files is None else 0


def _run_inspect(args: argparse.Namespace) -> int:
    from tools.hub.publishing.operations import photos_of
    from tools.hub.storage.folder import HubFolder
    from tools.hub.watchlist.build import read_built

    built, payload = read_built(args.folder)
    values: dict[str, Any] = {**built.model_dump(mode="json"), "payload_bytes": len(payload)}
    listed = built.watchlist
    lines = [
        f"list {listed.id} for deployment {built.deployment_id}",
        f"{listed.subjects} people, {listed.images} photos: "
        + ", ".join(f"{count} {name}" for name, count in sorted(built.categories.items())),
        f"made {listed.created_at}, expires {listed.expires}",
        *(f"templates of recogniser {sha}" for sha in listed.recognisers),
    ]
    if args.hub is not None:
        entries = photos_of(HubFolder(args.hub), args.folder).entries
        values["entries"] = [
            {
                "ref": e.ref,
                "category": e.category,
                "response_code": e.response_code,
                "image_source": e.image_source,
                "image_date": None if e.image_date is None else e.image_date.isoformat(),
                "under_18": e.under_18,
                "rationale": e.rationale,
            }
            for e in entries
        ]
        lines += [
            f"{e.ref}: {e.category}, {e.image_source}, {e.image_date or 'date unknown'}"
            + (f", UNDER 18: {e.rationale}" if e.under_18 else "")
            for e in entries
        ]
    print_result(args, values, "\n".join(lines))
    return 0


def _run_verify(args: argparse.Namespace) -> int:
    from tools.hub.publishing.list_check import verify
    from tools.hub.publishing.operations import read_plan

    plan = None if args.deployment is None else read_plan(args.deployment)
    checked = verify(args.folder, args.hub, plan, now())
    print_result(args, {"checks": checked}, "\n".join(f"ok  {line}" for line in checked))
    return 0


def _run_withdraw(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing import operations
    from tools.hub.publishing.admission import require_signed

    publisher, signers = publisher_of(args), signers_of(args)
    running = publisher.records.running()
    if args.deployment is None and len(running) != 1:
        there = ", ".join(record.id for record in running) or "none"
        raise UsageError(f"name the deployment with --deployment; running: {there}")
    deployment = args.deployment or running[0].id
    lines = [f"{ref}: off the list of {deployment} at every device; the photo leaves this hub" for ref in args.entry]
    if set(publisher.records.get(deployment).refs) <= set(args.entry):
        lines.append(f"that list is then empty: {deployment} ends, and this hub's keys of it are deleted")
    if not announce_plan(args, lines):
        return 0
    change = operations.propose_withdrawal(publisher, deployment, args.entry, now())
    change.sign(signers)
    require_signed(change, publisher.targets(), publisher.places)
    record = operations.publish(publisher, change)
    print_result(
        args,
        {"withdrawn": args.entry, "deployment": deployment, "total": None if record is None else record.withdrawn},
        f"{', '.join(args.entry)}: withdrawn from {deployment}",
    )
    return 0
