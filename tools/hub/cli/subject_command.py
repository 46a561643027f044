"""`lfr subject-request`: answers a person who asks what is kept about them, or records that it is withheld."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tools.hub.cli.options import Subparsers, now, print_result, publisher_of, signers_of, with_json, with_keys

if TYPE_CHECKING:
    from device.hub_api.messages import Alert
    from tools.hub.publishing.publisher import Publisher
    from tools.hub.report.subject_request import KnownDeployment, RehearsalAnswer


def register(subparsers: Subparsers) -> None:
    """Add `subject-request`."""
    parser = subparsers.add_parser(
        "subject-request",
        help="answer a person who asks: was I on this list, was I alerted? Without biometrics, logged",
    )
    parser.add_argument("hub", type=Path, metavar="DIR", help="the hub's folder")
    parser.add_argument("--case", required=True, metavar="REF", help="the request's own reference, no name")
    parser.add_argument("--by", required=True, metavar="REF", help="the reference of who answers, no name")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--entry", metavar="REF", help="the person's entry reference")
    who.add_argument(
        "--label",
        action="store_true",
        help="ask for the person's label on the hub, such as a name, or read it from stdin",
    )
    parser.add_argument("--deployment", metavar="ID", help="only this deployment")
    parser.add_argument(
        "--withhold",
        choices=("inquiries", "crime", "public-security", "national-security", "rights-of-others"),
        help="withhold the answer on this ground (DPA 2018, section 45(4)); needs an authorising officer's --key",
    )
    parser.add_argument("--state-ground", action="store_true", help="with --withhold: name the ground in the answer")
    with_keys(parser, required=False)
    with_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import msgspec

    from device.domain.time import rfc3339
    from device.errors import UsageError
    from device.hub_api.topics import level
    from tools.hub.report import subject_request as requests
    from tools.hub.storage.folder import HubFolder
    from tools.hub.storage.hub_log import HubLog
    from tools.hub.storage.sealed_desk import read_cases

    level(args.case, "case")
    level(args.by, "officer reference")
    args.dry_run = True  # a question changes no pending change
    publisher, hub, at = publisher_of(args), HubFolder(args.hub), now()
    log = HubLog(args.hub, at)
    unnamed: tuple[str, ...] = ()
    ground = None if args.withhold is None else args.withhold.replace("-", " ")
    if ground is not None:
        officer = _authorised(args, publisher)
        answer = requests.withheld(args.case, rfc3339(at))
        log.note("request", at, receipt=args.case, event="withheld", reason=ground, officer=officer)
    else:
        if args.key or args.state_ground:
            raise UsageError("--key and --state-ground go with --withhold")
        entries = hub.settings().entries
        asked = "" if args.entry else _label()

        def mine(labels: Mapping[str, str]) -> frozenset[str]:
            return frozenset({args.entry}) & labels.keys() if args.entry else requests.refs_of(asked, labels)

        labels = {ref: entry.label for ref, entry in entries.items()}
        refs = frozenset({args.entry}) if args.entry else mine(labels)
        known, held = _deployments(publisher, args.deployment), _held(args)
        answer = requests.answer_to(
            args.case,
            rfc3339(at),
            refs,
            deployments=known,
            entries=entries,
            cases=read_cases(hub.desk_file),
            held=held,
            rehearsals=[] if args.deployment else _rehearsals(args.hub, mine),
        )
        unnamed = () if args.entry else tuple(a.alert_id for a in held if a.candidate.entry_ref not in entries)
        log.note("request", at, receipt=args.case, event=answer.answer, officer=args.by)
    text = requests.as_text(answer, ground if args.state_ground else None, complete=not unnamed)
    if unnamed:
        print(
            f"note: the label of these held alerts is erased: {', '.join(unnamed)};"
            " if one may be of this person, ask with --entry",
            file=sys.stderr,
        )
    print_result(args, msgspec.to_builtins(answer), text)
    return 0


def _label() -> str:
    """One line from the terminal or stdin: an argument would be in the process list and in the shell's history."""
    from device.errors import UsageError

    if sys.stdin.isatty():
        print("label: ", end="", file=sys.stderr, flush=True)
    label = sys.stdin.readline().strip()
    if not label:
        raise UsageError("--label: no label was given; type it, or give it as the first line of stdin")
    return label


def _authorised(args: argparse.Namespace, publisher: Publisher) -> str:
    """The reference of the officer whose key was given; RefusedByCondition when it is no officer of this hub."""
    from device.errors import RefusedByCondition, UsageError

    if not args.key:
        raise UsageError("--withhold needs --key: only an authorising officer may withhold an answer")
    officers = publisher.places.names()
    for signer in signers_of(args):
        if signer.public_key.keyid in officers:
            return officers[signer.public_key.keyid]
    raise RefusedByCondition("officer authorised", "the key is of no authorising officer of this hub")


def _rehearsals(hub: Path, mine: Callable[[Mapping[str, str]], frozenset[str]]) -> list[RehearsalAnswer]:
    from device.domain.time import rfc3339, wall
    from tools.hub.report.subject_request import RehearsalAnswer
    from tools.hub.watchlist.rehearsal import RehearsalLists

    lists = RehearsalLists(hub)
    wanted = [lists.get(name) for name in lists.names() if mine(lists.labels(name))]
    return [RehearsalAnswer(name=each.name, until=rfc3339(wall(each.until))) for each in wanted]


def _held(args: argparse.Namespace) -> list[Alert]:
    """Every alert under a hold; BadData when one cannot be opened whose key is here. A hold without a key is none."""
    from tools.hub.storage.holds import Holds

    holds = Holds(args.hub)
    wanted = [terms for terms in holds.all() if args.deployment in (None, terms.deployment_id)]
    return [holds.open(terms.alert_id).alert for terms in wanted if holds.has_key(terms.alert_id)]


def _deployments(publisher: Publisher, only: str | None) -> list[KnownDeployment]:
    from device.domain.time import rfc3339, wall
    from device.errors import LfrError
    from tools.hub.report.subject_request import KnownDeployment

    records = [publisher.records.get(only)] if only is not None else list(publisher.records.all())
    found = []
    for record in records:
        place = None
        try:
            place = publisher.deployment(record).place
        except (LfrError, OSError):
            place = None  # its document is not in the repository any more
        ended = record.ended_at
        found.append(
            KnownDeployment(
                id=record.id,
                place=place,
                ended_at=None if ended is None else rfc3339(wall(ended)),
                refs=frozenset(record.refs) if ended is None else frozenset(),
            )
        )
    return found
