"""`lfr watchlist`: build a list for one deployment, inspect it, verify it, withdraw entries."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from device.domain.recognisers import Recognisers
    from engines.cards.model_card import ModelCard

LARGE = 24  # from this number of photos a second set of engines is worth its start


def register(subparsers: Subparsers) -> None:
    """Add `watchlist build|inspect|verify|withdraw`."""
    noun = subparsers.add_parser("watchlist", help="build, inspect and check lists; withdraw an entry")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    _build(verbs.add_parser("build", help="from a folder or CSV of people to two sealed payloads"))
    _inspect(verbs.add_parser("inspect", help="what a built list holds; with --hub, entry by entry"))
    _verify(verbs.add_parser("verify", help="open a built list at its hub and check everything"))
    _withdraw(verbs.add_parser("withdraw", help="withdraw a found or mistaken entry from every device"))


def _build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER|CSV")
    parser.add_argument("--deployment", type=Path, required=True, metavar="PLAN", help="made by `lfr deployment new`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    parser.add_argument("--category", default="", help="of everybody who does not say otherwise")
    parser.add_argument("--image-source", default="", metavar="TEXT", help="likewise")
    parser.add_argument("--random-refs", action="store_true", help="folder names are no references: make random ones")
    parser.add_argument(
        "--recogniser",
        metavar="NAME|SHA256",
        help="the one that the devices run: a model of `lfr engines list` (default: the default recogniser)",
    )
    parser.add_argument("--screen", metavar="NAME", help="the devices' screening recogniser, if they run a pair (none)")
    parser.add_argument("--detector", metavar="NAME", help="likewise: other boxes and points make other templates")
    parser.add_argument("--backend", default="auto", help="runtime of the models (default: %(default)s)")
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
    from tools.hub.watchlist.people import Defaults, read_people

    if args.out.exists():
        raise UsageError(f"{args.out} exists; a list is built into a folder of its own")
    plan = read_plan(args.deployment)
    detector, recogniser = models(args)
    _remark(detector, recogniser)
    defaults = Defaults(args.category, args.image_source, args.random_refs)
    people = read_people(args.source, defaults, plan.categories, now().date())
    photos = sum(len(person.photos) for person in people.people)
    rooms, readers = readers_for(args.backend, photos, detector.name, recogniser)
    try:
        hashes = {"recogniser_sha256": recogniser.source_sha256, "detector_sha256": detector.source_sha256}
        report, files = build(people, plan, readers, now=now(), progress=not args.json, **hashes)
    finally:
        for room in rooms:
            room.close()
    written = files is not None and not args.dry_run
    if files is not None and written:
        write(args.out, files)
    _print_report(args, report, written, recogniser)
    return 65 if files is None else 0


def _print_report(args: argparse.Namespace, report: Any, written: bool, recogniser: Recognisers) -> None:
    for problem in report.problems:
        print(f"problem: {problem}", file=sys.stderr)
    for kind, remarks in (("rejected", report.rejected), ("warning", report.warnings)):
        for remark in remarks:
            print(f"{kind}: {remark['file']}: {remark['reason']}", file=sys.stderr)
    values = {
        "list": str(args.out) if written else None,
        "recogniser": {"name": recogniser.name, "sha256": recogniser.source_sha256},
        "subjects": report.subjects,
        "images": report.images,
        "problems": report.problems,
        "rejected": report.rejected,
        "warnings": report.warnings,
        "entries": report.entries,
    }
    counted = f"{report.subjects} people, {report.images} photos, {len(report.rejected)} rejected"
    print_result(
        args,
        values,
        f"{args.out}: {counted}, templates of {recogniser.name}" if written else f"no list was written: {counted}",
    )


def models(args: argparse.Namespace) -> tuple[ModelCard, Recognisers]:
    """Detector and recogniser that templates are made with; UsageError for one that this machine does not have."""
    from device.enrolment.model_sessions import chosen_card, chosen_recognisers
    from device.errors import UsageError
    from engines.cards.catalogue import cards

    wanted = args.recogniser
    if wanted is not None and re.fullmatch(r"[0-9a-f]{64}", wanted):
        ours = {one.source_sha256: one.name for one in cards() if one.role == "recogniser"}
        if wanted not in ours:
            there = ", ".join(f"{name} ({sha})" for sha, name in ours.items())
            raise UsageError(
                f"--recogniser {wanted}: no model of this machine, which has {there}; see `lfr engines add`"
            )
        wanted = ours[wanted]
    return chosen_card(args.detector, "detector"), chosen_recognisers(wanted, args.screen)


def _remark(detector: ModelCard, recogniser: Recognisers) -> None:
    """What a device lacks that runs custom models."""
    from engines.cards.model_card import FileSource

    for one in (detector, *recogniser.cards):
        if isinstance(one.source, FileSource):
            print(
                f"note: {one.name} is a model of your own: devices arm with this list only where vision.{one.role} "
                "names it and vision.evidence covers it",
                file=sys.stderr,
            )


def readers_for(backend: str, photos: int, detector: str, recogniser: Recognisers) -> tuple[list[Any], list[Any]]:
    """Engines and readers: a second set for a long list, where there is a second core."""
    from device.enrolment.engine_photo_reader import EnginePhotoReader
    from device.enrolment.model_sessions import ModelSessions

    def room(runtime: str | None) -> ModelSessions:
        screen = None if recogniser.screen is None else recogniser.screen.name
        return ModelSessions(runtime, threads=1, detector=detector, recogniser=recogniser.main.name, screen=screen)

    rooms = [room(None if backend == "auto" else backend)]
    if photos >= LARGE and (os.cpu_count() or 1) > 1 and not rooms[0].one_thread:
        rooms.append(room(rooms[0].backend))
    return rooms, [EnginePhotoReader(room) for room in rooms]


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
