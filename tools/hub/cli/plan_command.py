"""`lfr deployment new`: the plan as YAML, from options or from an earlier plan; all mistakes are shown together."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from device.domain.time import wall
from tools.hub.cli.options import announce_plan, moment_of, now, print_result, publisher_of, with_hub

DEFAULT_HOURS = 8
UNKNOWN = "age1" + "q" * 58  # stands for the hub's key while it is not made yet: a dry run makes none
_CATEGORY = re.compile(r"([^=:]+)=([^:]+)(?::([0-9.]+))?")
TEXTS = {
    "controller": "who is responsible for the use",
    "owner": "owner of the equipment (default: the controller)",
    "authorising-officer": "whose key signs, such as AO-1",
    "purpose": "what it is for",
    "legal-basis": "legal basis, with the reference of the necessity and proportionality assessment",
    "place": "where",
    "seriousness": "the threshold of harm or offence that it is for",
    "authorising-rank": "rank or grade of the authorising officer",
    "regulator-reference": "reference of a regulator's authorisation",
}


def add_new(parser: argparse.ArgumentParser) -> None:
    """The options of `deployment new`."""
    parser.add_argument("out", type=Path, metavar="FILE", help="the plan; never overwritten")
    with_hub(parser)
    parser.add_argument("--from", dest="base", type=Path, metavar="PLAN", help="an earlier plan; options win over it")
    parser.add_argument("--id", help="of the deployment (default: site and day with random digits)")
    for name, text in TEXTS.items():
        parser.add_argument(f"--{name}", metavar="TEXT", help=text)
    parser.add_argument(
        "--alternative-route",
        action="append",
        default=[],
        metavar="en=TEXT",
        help="how people pass without being recognised; cy=TEXT too",
    )
    parser.add_argument("--zone", action="append", default=[], metavar="NAME", help="zone of recognition; repeat")
    parser.add_argument("--device", action="append", default=[], metavar="NAME", help="default: all of the hub's")
    parser.add_argument("--start", metavar="TIME", help="ISO 8601 with its time zone (default: now)")
    parser.add_argument("--end", metavar="TIME", help=f"likewise (default: {DEFAULT_HOURS} h after the start)")
    parser.add_argument(
        "--category", action="append", default=[], metavar="NAME=CODE[:OFFSET]", help="response code, added threshold"
    )
    parser.add_argument("--max-watchlist-size", type=int, metavar="N")
    parser.add_argument("--alert-hours", type=int, metavar="N", help="alerts are kept so long after the end")
    parser.add_argument("--ceiling-days", type=int, metavar="N")
    parser.add_argument("--notice", action="append", default=[], metavar="en=FILE", help="public notice; cy=FILE too")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import yaml

    from device.config.deployment import DeploymentPlan, plan_problems
    from device.config.document import parse
    from device.errors import ConfigError, UsageError
    from tools.hub.publishing.admission import require_possible
    from tools.hub.storage.files import write_file
    from tools.hub.storage.folder import HubFolder

    if args.out.exists():
        raise UsageError(f"{args.out} exists; a plan is never overwritten")
    keys, document = HubFolder(args.hub).keys, _document(args)
    document["hub_recipient"] = keys.recipient(str(document["id"])) or UNKNOWN
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    plan = parse(text, DeploymentPlan, str(args.out))
    problems = plan_problems(plan)
    if problems:
        raise ConfigError(str(args.out), problems)
    publisher = publisher_of(args)
    if plan.id in {record.id for record in publisher.records.all()}:
        raise UsageError(f"{plan.id} was published before; a deployment's id is used once: choose another --id")
    if publisher.store.published("targets") is not None:  # a plan may be written before there is an authority
        require_possible(plan, publisher.targets(), publisher.places)
    if not announce_plan(args, [*text.splitlines(), f"and make the hub's key of {plan.id}"]):
        return 0
    made = keys.recipient(plan.id) is None
    recipient = keys.recipient_for(plan.id, wall(plan.window.end))
    try:
        write_file(args.out, text.replace(UNKNOWN, recipient).encode())
    except Exception:
        if made:
            keys.drop(plan.id)
        raise
    print_result(args, {"id": plan.id, "plan": str(args.out)}, str(args.out))
    return 0


def _document(args: argparse.Namespace) -> dict[str, Any]:
    import secrets

    from tools.hub.storage.folder import HubFolder

    hub = HubFolder(args.hub)
    settings = hub.settings()
    start = moment_of(args.start, "--start") if args.start else now()
    end = moment_of(args.end, "--end") if args.end else start + timedelta(hours=DEFAULT_HOURS)
    document: dict[str, Any] = {
        "id": f"{settings.site}-{start:%Y-%m-%d}-{secrets.token_hex(3)}",
        "mode": settings.mode.value,
        "window": {"start": start, "end": end},
        "devices": list(settings.devices),
        "notice": dict(settings.notice),
        "retention": {"alert_hours": 24, "ceiling_days": 31},
        "max_watchlist_size": 10,
    }
    if args.base is not None:
        document |= _base(args.base)
    for name in TEXTS:
        value = getattr(args, name.replace("-", "_"))
        if value is not None:
            document[name.replace("-", "_")] = value
    document.setdefault("owner", document.get("controller"))
    if document["owner"] is None:
        del document["owner"]
    given = {
        "id": args.id,
        "zones": args.zone,
        "devices": args.device,
        "categories": _categories(args.category),
        "max_watchlist_size": args.max_watchlist_size,
        "alternative_route": (document.get("alternative_route") or {}) | _routes(args.alternative_route),
        "notice": _notice(args.notice, document["notice"]) if args.notice else None,
    }
    document |= {key: value for key, value in given.items() if value}
    retention = {"alert_hours": args.alert_hours, "ceiling_days": args.ceiling_days}
    document["retention"] = document["retention"] | {k: v for k, v in retention.items() if v is not None}
    return document


def _base(file: Path) -> dict[str, Any]:
    """An earlier plan without the fields of that use: id, window, mode and key are never taken over."""
    import yaml

    from device.config.document import read
    from device.errors import BadData

    try:
        found = yaml.safe_load(read(file))
    except yaml.YAMLError as fault:
        raise BadData(f"{file} is no plan: {str(fault).splitlines()[0]}") from fault
    if not isinstance(found, dict):
        raise BadData(f"{file} is no plan")
    of_that_use = ("id", "window", "mode", "watchlist", "hub_recipient")
    return {key: value for key, value in found.items() if key not in of_that_use}


def _categories(given: list[str]) -> dict[str, Any]:
    from device.errors import UsageError

    categories: dict[str, Any] = {}
    for text in given:
        match = _CATEGORY.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--category {text!r}: NAME=CODE or NAME=CODE:OFFSET, such as missing=R3 or wanted=R1:0.02"
            )
        name, code, offset = match.groups()
        if name in categories:
            raise UsageError(f"--category {name} is given twice; one response code a category")
        categories[name] = {"response_code": code} | ({"threshold_offset": float(offset)} if offset else {})
    return categories


def _routes(given: list[str]) -> dict[str, str]:
    from device.errors import UsageError

    routes: dict[str, str] = {}
    for text in given:
        language, equals, route = text.partition("=")
        if not equals or len(language) != 2 or not route.strip():
            raise UsageError(f"--alternative-route {text!r}: en=TEXT or cy=TEXT")
        routes[language] = route.strip()
    return routes


def _notice(given: list[str], known: dict[str, str]) -> dict[str, str]:
    from device.config.document import read
    from device.errors import UsageError

    notice = dict(known)
    for text in given:
        language, equals, file = text.partition("=")
        if not equals:
            raise UsageError(f"--notice {text!r}: en=FILE or cy=FILE")
        notice[language] = read(Path(file)).strip()
    return notice
