"""`lfr status` and `lfr why`: the running device's state and conditions, read from its status file.

1. Both exit 69 when no supervisor answers: no file, its process gone, or its last update older than STALE_S. Nothing is
   printed on stdout then; stderr states the last update, so that old data is not taken for current.
2. `lfr why` answers "may this device recognise now?": exit 0 when every required condition holds, 77 when one fails or
   is not known yet. `lfr status` exits 0 whatever the state is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from device.cli.main import Subparsers

RUN_DIR = Path("/run/lfr")
STALE_S = 5.0  # the supervisor writes each second
MARKS = {"holds": "ok  ", "fails": "NO  ", "pending": "wait"}
LATE = {"pending": " (not known yet)"}
REFUSED = 77  # RefusedByCondition, the same answer as an exit status


def register(commands: Subparsers) -> None:
    for noun, text, handler in (
        ("status", "what the device is doing", run_status),
        ("why", "which conditions hold; exit 77 while one does not", run_why),
    ):
        parser = commands.add_parser(noun, help=text)
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--config", type=Path, metavar="FILE", help="find the run folder in this configuration")
        where.add_argument("--run-dir", type=Path, metavar="DIR", help=f"the run folder itself (default {RUN_DIR})")
        parser.add_argument("--json", action="store_true", help="the whole status as one JSON object")
        parser.set_defaults(run=handler)


def run_status(args: argparse.Namespace) -> int:
    """State, cameras, sign, counters; exit 69 when no supervisor runs."""
    status = _read(args)
    if args.json:
        print(json.dumps(status, ensure_ascii=False))
        return 0
    counters, sign = status["counters"], status["sign"]
    lit = "lit" if sign["sensed"] else "dark"
    print(f"{status['state']} since {status['since']}, read {status['age_s']:.1f} s ago (pid {status['pid']})")
    print(f"device      {status['site']}/{status['device']}, mode {status['mode'] or 'none'}")
    print(f"deployment  {status['deployment'] or 'none'}")
    print(f"sign        {lit}{', simulated' if sign['simulated'] else ''}{_proof(sign)}")
    slowed = ", slowed down" if status["temperature"]["throttled"] else ""
    print(f"temperature {status['temperature']['finding']}{slowed}")
    print(f"board       {_board(status['board'])}")
    print(f"certificate {_certificates(status['certificates'])}")
    if slower := [f"{name} {one['p95_start_ms']:.1f} -> {one['p95_ms']:.1f} ms" for name, one in _slower(status)]:
        print(f"slower      {', '.join(slower)}")
    print(f"lamps       {', '.join(lamp for lamp, on in status['lamps'].items() if on) or 'all off'}")
    print(f"tower lamp  {status['tower']['code']}: {status['tower']['meaning']}")
    print(f"broker      {status['broker']}, {status['outbox_waiting']} waiting")
    for name, camera in status["cameras"].items():
        fps = "" if camera["fps"] is None else f", {camera['fps']} frames/s"
        print(f"camera      {name}: {camera['status']}{fps}{'  ' + camera['problem'] if camera['problem'] else ''}")
    if (shown := status["live_view"])["until"] is not None:
        print(f"live view   pixelated, until {shown['until']}, asked for by {shown['given_by']}")
    for text in status["warnings"]:
        print(f"warning     {text}")
    if memory := _memory(status["cameras"]):
        print(f"memory      {memory}")
    lost = f" + {status['lost']} lost with a worker" if status["lost"] else ""
    print(
        f"people      {counters['faces_seen']} seen = {counters['discarded']} discarded + {status['alerts']} alerted"
        f"{lost} + {counters['open_passages']} still in view"
    )
    return 0


def _board(board: dict[str, Any]) -> str:
    """GPU load, power mode, what limits it, memory; `unknown` where this machine has no such reading."""
    load, left, limited = board["gpu_load"], board["memory_available_bytes"], board["limited_by"]
    return ", ".join(
        (
            f"GPU {'load unknown' if load is None else f'{load:.0%} busy'}",
            f"power mode {board['power_mode'] or 'unknown'}",
            f"supply {'unknown' if limited is None else ', '.join(limited) or 'ok'}",
            f"memory {'unknown' if left is None else f'{left // 10**6} MB left'}",
        )
    )


def _certificates(certificates: dict[str, Any]) -> str:
    """Days left of the one that ends first, and why none was renewed."""
    left = certificates["days_left"]
    ends = min(filter(None, (certificates["own_ends"], certificates["authority_ends"])), default=None)
    text = "unknown" if left is None else f"ENDED at {ends}" if left < 0 else f"{left} days left, until {ends}"
    why, since = certificates["not_renewed"], certificates["not_renewed_since"]
    return f"{text}; not renewed since {since}: {why}" if why else text


def _slower(status: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    return [(name, one) for name, one in status["stages"].items() if one["slower"]]


def _memory(cameras: dict[str, Any]) -> str:
    """Memory of each worker's process and of the GPU: how many cameras more a board can have."""
    taken = [f"{name} {one['rss_bytes'] // 10**6} MB" for name, one in cameras.items() if one["rss_bytes"] is not None]
    left = [one["gpu_free_bytes"] for one in cameras.values() if one["gpu_free_bytes"] is not None]
    free = [f"GPU memory free {min(left) // 10**6} MB, all programs together"] if left else []
    return "; ".join([", ".join(taken), *free]) if taken else ""


def _proof(sign: dict[str, Any]) -> str:
    """The sign's proofs, and the recognition time that they cost."""
    lag = f" within {sign['lag_ms']:.0f} ms" if sign["lag_ms"] is not None else ""
    proof = f", follows its pulse{lag}" if sign["pulses"] else ", cannot pulse: proved every 10 min only"
    follows = {True: proof, False: ", DOES NOT FOLLOW its pulse", None: ""}[sign["follows"]]
    proved = "" if sign["proved"] else ", not proved"
    problem = f" ({sign['problem']})" if sign["problem"] else ""
    stops = f"; stopped recognition {sign['stops']} times" if sign["stops"] else ""
    return f"{proved}{follows}{problem}{stops}"


def run_why(args: argparse.Namespace) -> int:
    """Every condition of both tables: what holds, what does not, and what to do; exit 77 unless all hold."""
    status = _read(args)
    open_rows = [row for row in status["conditions"] if row["result"] != "holds"]
    verdict = REFUSED if open_rows else 0
    if args.json:
        fields = ("state", "since", "written_at", "age_s", "conditions", "warnings")
        print(json.dumps({field: status[field] for field in fields}, ensure_ascii=False))
        return verdict
    print(f"{status['state']} since {status['since']}, read {status['age_s']:.1f} s ago")
    table = None
    for row in status["conditions"]:
        if row["table"] != table:
            table = row["table"]
            print("to arm:" if table == "arm" else "to run:")
        late = LATE.get(row["result"], "")
        print(f"  {MARKS[row['result']]} {row['name']:32}{row['text']}{late} [{row['rule']}]")
    if status["warnings"]:
        print("warnings:")
    for text in status["warnings"]:
        print(f"  !    {text}")
    return verdict


def _read(args: argparse.Namespace) -> dict[str, Any]:
    """The status with its age; Unavailable when it is missing, stale, or its process is gone."""
    from datetime import datetime, timezone

    from device.edges.host.owner_rights import read_regular, rights_of
    from device.errors import Unavailable, reason_of

    file = _run_dir(args) / "status.json"
    try:
        with rights_of(file.parent):
            status: dict[str, Any] = json.loads(read_regular(file))
        written = datetime.fromisoformat(status["written_at"].replace("Z", "+00:00"))
    except FileNotFoundError as fault:
        raise Unavailable(
            f"no supervisor runs here: there is no {file}; systemctl status lfr lfr-failed says why"
        ) from fault
    except OSError as fault:
        raise Unavailable(
            f"{file} cannot be read: {reason_of(fault)}; run this as the supervisor's user, or as root"
        ) from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        text = f"{file} is no status of a supervisor: damaged, or another program's; the supervisor writes it"
        raise Unavailable(f"{text} each second: if this stays, restart it") from fault
    age_s = (datetime.now(timezone.utc) - written).total_seconds()
    status["age_s"] = round(max(0.0, age_s), 1)
    who = f"the supervisor that wrote {file} (pid {status['pid']})"
    last = f"its last update, at {status['written_at']}, was {status['state']}"
    if not Path(f"/proc/{status['pid']}").exists():
        raise Unavailable(f"{who} has ended without a notice; {last}; look at its log and start it again")
    if abs(age_s) > STALE_S:
        when = f"{age_s:.1f} s old" if age_s > 0 else f"{-age_s:.1f} s in the future (the clock was set back)"
        raise Unavailable(f"{who} does not answer: the file is {when}; {last}")
    return status


def _run_dir(args: argparse.Namespace) -> Path:
    if args.run_dir is not None:
        return Path(args.run_dir)
    if args.config is None:
        return RUN_DIR
    from device.config.loader import load_config

    return load_config(args.config).run_dir
