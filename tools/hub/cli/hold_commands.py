"""`lfr hub hold|release|complaint|holds`: ask the running hub, over its console's address and key."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tools.hub.cli.options import with_password

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

WAIT_S = 10.0
REFUSED = 409


def add_hold_commands(verbs: Subparsers) -> None:
    """Add the four verbs."""
    from device.domain.judgement import HoldKind, HoldReason

    parser = verbs.add_parser("hold", help="keep one case longer, as evidence or for a complaint")
    with_console(parser)
    parser.add_argument("alert", metavar="ALERT", help="id of the alert, as its card shows it")
    parser.add_argument("--kind", choices=get_args(HoldKind), required=True)
    parser.add_argument("--reason", choices=get_args(HoldReason), required=True)
    parser.add_argument("--owner", required=True, metavar="REF", help="reference of who answers for it")
    parser.add_argument(
        "--review", required=True, metavar="YYYY-MM-DD", help="the device erases it then unless renewed"
    )
    parser.add_argument("--complaint", metavar="REF", help="of a complaint hold: its recorded complaint")
    parser.set_defaults(run=_run_hold)
    parser = verbs.add_parser("release", help="release a hold into deletion")
    with_console(parser)
    parser.add_argument("alert", metavar="ALERT")
    parser.set_defaults(run=lambda args: ask_console(args, "POST", f"/holds/{args.alert}/release"))
    parser = verbs.add_parser("complaint", help="record that a complaint was received")
    with_console(parser)
    parser.add_argument("reference", metavar="REF")
    parser.set_defaults(run=lambda args: ask_console(args, "POST", f"/complaints/{args.reference}"))
    parser = verbs.add_parser("holds", help="list holds, those whose review is due marked")
    with_console(parser)
    parser.set_defaults(run=lambda args: ask_console(args, "GET", "/holds"))


def with_console(parser: argparse.ArgumentParser) -> None:
    """Options of a command that asks the running hub."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the hub that runs")
    parser.add_argument("--console-key", type=Path, metavar="FILE", help="as `lfr hub serve` was given it")
    parser.add_argument("--by", metavar="REF", help="where the hub has users: a supervisor's reference")
    with_password(parser)
    parser.add_argument("--port", type=int, help="of its console, when it was started with another than console.yaml's")


def _run_hold(args: argparse.Namespace) -> int:
    from datetime import datetime, timezone

    from device.domain.time import rfc3339, wall
    from device.errors import UsageError

    try:
        review = wall(datetime.strptime(args.review, "%Y-%m-%d").replace(tzinfo=timezone.utc))
    except ValueError as fault:
        raise UsageError(f"--review {args.review!r}: write it as YYYY-MM-DD") from fault
    asked = {"kind": args.kind, "reason": args.reason, "owner": args.owner, "review_by": rfc3339(review)}
    return ask_console(args, "POST", f"/holds/{args.alert}", {**asked, "complaint": args.complaint})


def ask_console(args: argparse.Namespace, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """One request to the running console; its answer on stdout, its refusal as our error."""
    from device.errors import BadData, RefusedByCondition, Unavailable
    from device.hub_api.topics import level
    from tools.hub.console.access import COOKIE, csrf_token
    from tools.hub.storage.folder import HubFolder
    from tools.hub.storage.users import Users

    for part in path.split("/")[2:]:
        level(part, "reference")
    hub = HubFolder(args.folder)
    key, port = hub.console_key(args.console_key), args.port or hub.settings().console_port
    headers = {"Cookie": f"{COOKIE}={key}", "Origin": f"http://127.0.0.1:{port}", "X-CSRF-Token": csrf_token(key)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        if Users(hub.root).all():
            headers["Cookie"] += f"; {_logged_in(args, connection, headers)}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except OSError as fault:
        raise Unavailable(f"no hub of {args.folder} answers on port {port}: {fault}; start `lfr hub serve`") from fault
    finally:
        connection.close()
    if answer.status == REFUSED:
        condition, _, reason = text.partition(": ")
        raise RefusedByCondition(*((condition, reason) if path.startswith("/bluelist/") else ("hold", text)))
    if answer.status >= http.client.INTERNAL_SERVER_ERROR:
        raise Unavailable(text)
    if answer.status != http.client.OK:
        raise BadData(text)
    sys.stdout.write(text + "\n")
    return 0


def _logged_in(args: argparse.Namespace, connection: http.client.HTTPConnection, headers: dict[str, str]) -> str:
    """The cookie of a session of --by; it is locked when idle, as any."""
    import getpass

    from device.errors import RefusedByCondition, UsageError
    from tools.hub.publishing.signing_keys import read_passphrase

    if args.by is None:
        raise UsageError("this hub has users: give --by REF, a supervisor's reference")
    if args.password_file is not None:
        password = (read_passphrase(args.password_file) or b"").decode()
    else:
        password = getpass.getpass(f"password of {args.by}: ")
    connection.request("POST", "/login", json.dumps({"ref": args.by, "password": password}), headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    if answer.status != http.client.OK:
        raise RefusedByCondition("login", text)
    return str(answer.getheader("Set-Cookie")).split(";", 1)[0]
