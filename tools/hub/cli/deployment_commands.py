"""`lfr deployment`: plan one, have officers sign it, publish it to devices, end it."""

from __future__ import annotations

import argparse
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
    with_usb,
)

if TYPE_CHECKING:
    from tools.hub.publishing.change import Change


def register(subparsers: Subparsers) -> None:
    """Add `deployment new|notice|sign|publish|discard|end|list`."""
    noun = subparsers.add_parser("deployment", help="plan, sign, publish and end deployments")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    from tools.hub.cli.notice_command import add_notice
    from tools.hub.cli.plan_command import add_new

    add_new(verbs.add_parser("new", help="write a plan: everything an officer decides, before there is a list"))
    add_notice(verbs.add_parser("notice", help="the page before an event, and a leaflet with its QR code"))
    _sign(verbs.add_parser("sign", help="put officers' signatures on a plan and its list, or on a waiting change"))
    _publish(verbs.add_parser("publish", help="publish a signed change to the hub's repository, and to a USB stick"))
    _discard(verbs.add_parser("discard", help="discard a change or a plan that was not published, with its keys"))
    _end(verbs.add_parser("end", help="end a deployment: its keys, list and photos are erased"))
    _list(verbs.add_parser("list", help="deployments of this hub: running, ended, waiting for signatures, planned"))


def _sign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="PLAN|CHANGE", help="a plan (YAML), the name of a waiting change, or a copy of its folder"
    )
    parser.add_argument("--watchlist", type=Path, metavar="DIR", help="with a plan: the list that was built for it")
    parser.add_argument("--blue-list", type=Path, metavar="DIR", help="volunteers, made by `lfr bluelist build`")
    parser.add_argument("--hub", type=Path, metavar="DIR", help="the hub's folder; not needed for a copy of a change")
    with_keys(parser, required=True)
    with_plan(parser)
    parser.set_defaults(run=_run_sign)


def _publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="CHANGE", nargs="?", help="a waiting change; none: only copy to --usb")
    with_hub(parser)
    parser.add_argument(
        "--signed", action="append", type=Path, default=[], metavar="DIR", help="a copy signed elsewhere"
    )
    with_usb(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_publish)


def _discard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="CHANGE", help="a waiting change, or the id of a plan (`lfr deployment list`)")
    with_hub(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_discard)


def _end(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    with_hub(parser)
    with_usb(parser)
    with_plan(parser)
    parser.set_defaults(run=_run_end)


def _list(parser: argparse.ArgumentParser) -> None:
    with_hub(parser)
    with_json(parser)
    parser.set_defaults(run=_run_list)


def _run_sign(args: argparse.Namespace) -> int:
    from tools.hub.publishing.admission import require_officers

    signers = signers_of(args)
    plan_file = Path(args.what)
    if args.dry_run:
        announce_plan(args, [*_what_is_signed(args, plan_file), f"{len(signers)} signature(s)"])
        return 0
    change = _change_to_sign(args, plan_file)
    announce_plan(args, [*_described(change), f"{len(signers)} signature(s)"])
    publisher = None if args.hub is None else publisher_of(args)
    delegations = change.delegations()
    if publisher is not None:
        targets = publisher.targets() if delegations is None else delegations.signed
        require_officers(signers, targets, publisher.places)
    change.sign(signers)
    counted: dict[str, Any] = {"change": change.name, "folder": str(change.folder)}
    text = f"{change.folder}: signed"
    if publisher is not None:
        who, needed = change.signed_by(targets)
        counted |= {"signed": len(who), "needed": needed}
        text = f"{change.name}: signed by {len(who)} of the {needed} officers needed"
    print_result(args, counted, text)
    return 0


def _change_to_sign(args: argparse.Namespace, plan_file: Path) -> Change:
    from device.errors import UsageError
    from tools.hub.publishing.change import Change
    from tools.hub.publishing.operations import propose_deployment, read_plan
    from tools.hub.publishing.pending_changes import pending

    if plan_file.is_dir():
        return Change(plan_file)
    if args.hub is None:
        raise UsageError(f"{args.what} is no folder of a change; name the hub with --hub")
    if not plan_file.is_file():
        return pending(publisher_of(args), args.what)
    if args.watchlist is None:
        raise UsageError("a plan is signed together with its list: --watchlist DIR, made by `lfr watchlist build`")
    plan = read_plan(plan_file)
    return propose_deployment(publisher_of(args), plan, args.watchlist, now(), blue_folder=args.blue_list)


def _what_is_signed(args: argparse.Namespace, plan_file: Path) -> list[str]:
    """The same without writing anything."""
    from tools.hub.publishing.operations import read_plan
    from tools.hub.watchlist.blue_list import read_blue_list
    from tools.hub.watchlist.build import read_built, require_fresh

    if plan_file.is_file() and args.watchlist is not None:
        plan = read_plan(plan_file)
        built, _ = read_built(args.watchlist)
        require_fresh(built, plan, now())
        lines = [*document_lines(plan), f"list {built.watchlist.id}: {built.watchlist.subjects} people"]
        if args.blue_list is not None:
            blue, _ = read_blue_list(args.blue_list, plan, built.watchlist.id)
            lines.append(f"blue list {blue.id}: {len(blue.volunteers)} volunteers")
        return lines
    return _described(_change_to_sign(args, plan_file))


def _described(change: Change) -> list[str]:
    from tools.hub.publishing.operations import deployment_of

    deployment = deployment_of(change)
    lines = [change.description().says]
    if deployment is not None:
        lines += document_lines(deployment)
        lines.append(f"list {deployment.watchlist.id}, sha256 {deployment.watchlist.sha256}")
        rehearsal = deployment.watchlist.rehearsal
        if rehearsal is not None:
            lines.append(f"a copy of rehearsal list {rehearsal.name}, which ends at {rehearsal.until.isoformat()}")
        if deployment.blue_list is not None:
            lines.append(f"blue list {deployment.blue_list.id}: {len(deployment.blue_list.volunteers)} volunteers")
    return lines


def document_lines(plan: Any) -> list[str]:
    """What an officer has to read before signing."""
    authorised = {name: getattr(plan, name) for name in ("seriousness", "authorising_rank", "regulator_reference")}
    return [
        f"{plan.mode.value} deployment {plan.id}, authorised by {plan.authorising_officer}",
        f"purpose: {plan.purpose}",
        *(f"{name.replace('_', ' ')}: {value}" for name, value in authorised.items() if value is not None),
        f"legal basis: {plan.legal_basis}",
        f"controller {plan.controller}, owner {plan.owner}",
        f"place: {plan.place}; zones {', '.join(plan.zones)}",
        f"window: {plan.window.start.isoformat()} to {plan.window.end.isoformat()}",
        f"devices: {', '.join(plan.devices)}",
        *(
            f"category {name}: response {each.response_code}, threshold offset +{each.threshold_offset:g}"
            for name, each in plan.categories.items()
        ),
        f"at most {plan.max_watchlist_size} people; alerts kept {plan.retention.alert_hours} h after the end",
    ]


def _run_publish(args: argparse.Namespace) -> int:
    from device.errors import UsageError
    from tools.hub.publishing import operations
    from tools.hub.publishing.admission import require_signed
    from tools.hub.publishing.change import Change
    from tools.hub.publishing.pending_changes import pending

    publisher = publisher_of(args)
    if args.what is None and args.usb is None:
        raise UsageError("name a change to publish, or a stick to copy to with --usb")
    result: dict[str, Any] = {}
    text = []
    if args.what is not None:
        change = pending(publisher, args.what)
        delegations, copies = change.delegations(), [Change(folder) for folder in args.signed]
        targets = publisher.targets() if delegations is None else delegations.signed
        require_signed(change, targets, publisher.places, *copies)
        if announce_plan(args, _described(change)):
            change.merge(*copies)
            record = operations.publish(publisher, change)
            result |= {"published": args.what, "version": publisher.store.timestamp().signed.version}
            result |= {"deployment": None if record is None else record.id}
            text.append(f"{args.what}: published")
    if args.usb is not None and announce_plan(args, [f"copy the repository to {args.usb}"]):
        result["usb_files"] = operations.copy_to_usb(publisher, args.usb)
        text.append(f"{args.usb}: {result['usb_files']} files")
    if not args.dry_run:
        print_result(args, result, "\n".join(text))
    return 0


def _run_discard(args: argparse.Namespace) -> int:
    from tools.hub.publishing import pending_changes

    publisher = publisher_of(args)
    lines = [f"the plan of {args.what}: nothing was signed for it"]
    if args.what not in pending_changes.planned(publisher):
        change = pending_changes.pending(publisher, args.what)
        lines = [*_described(change), "it is deleted, with the signatures and everything sealed in it"]
    if args.what in publisher.keys.deployments():
        lines.append("the hub's key of it is deleted first: a list that was built for it cannot be opened afterwards")
    if not announce_plan(args, lines):
        return 0
    gone = pending_changes.discard(publisher, args.what)
    print_result(args, {"discarded": args.what, "deleted": gone}, f"{args.what}: discarded")
    return 0


def _run_end(args: argparse.Namespace) -> int:
    from tools.hub.publishing import operations

    publisher = publisher_of(args)
    record = publisher.records.get(args.id)
    if not announce_plan(
        args,
        [
            f"{record.id}: this hub's key of it is deleted, then the key of its list",
            f"envelopes and index are withdrawn from {', '.join(record.devices)}, the payload is deleted",
            f"{len(record.refs)} reference photo(s) are deleted",
            "this cannot be undone; a new deployment needs a new list",
            "the folder that the list was built in and copies of the change cannot be opened afterwards; the photos it"
            " was built from are not here: delete them",
        ],
    ):
        return 0
    if not record.running:
        print(f"{record.id} had ended at {record.ended_at}; checked again", file=sys.stderr)
    record = operations.end(publisher, args.id)
    if args.usb is not None:
        operations.copy_to_usb(publisher, args.usb)
    print_result(args, {"ended": record.id, "at": record.ended_at}, f"{record.id}: ended")
    return 0


def _run_list(args: argparse.Namespace) -> int:
    from device.domain.time import rfc3339
    from tools.hub.publishing import pending_changes
    from tools.hub.publishing.repository_status import waiting_lines, waiting_rows

    publisher = publisher_of(args)
    records, pending = publisher.records.all(), waiting_rows(publisher)
    plans = {
        name: None if until is None else rfc3339(until) for name, until in pending_changes.planned(publisher).items()
    }
    rows = [
        {
            "id": r.id,
            "running": r.running,
            "devices": r.devices,
            "ends": r.ends,
            "ended_at": r.ended_at,
            "envelopes": sorted(r.envelopes),
            "withdrawn": r.withdrawn,
        }
        for r in records
    ]
    lines = [f"{r.id}: {'running to ' + r.ends.isoformat() if r.running else 'ended'}" for r in records]
    lines += waiting_lines(pending)
    lines += [f"planned: {name}: no list was signed yet, until {until}" for name, until in plans.items()]
    values = {"deployments": rows, "pending": pending, "planned": plans}
    print_result(args, values, "\n".join(lines) or "nothing was planned or published by this hub yet")
    return 0
