"""`lfr config check FILE`: every error of a configuration file, or a summary."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device.cli.main import Subparsers
    from device.config.model import DeviceConfig, Trust
    from device.edges.gpio.jetson_header import Board

BOARD_NAMES = ("orin-nano-nx", "agx-orin")


def register(commands: Subparsers) -> None:
    verbs = commands.add_parser("config", help="check a configuration file").add_subparsers(
        metavar="VERB", required=True
    )
    check = verbs.add_parser("check", help="read the file and its root of trust; exit 78 with every error at once")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--json", action="store_true", help="the result as one JSON object")
    check.add_argument(
        "--offline", action="store_true", help="the file and its pins alone: no certificates, no files, no network"
    )
    check.add_argument("--board", choices=BOARD_NAMES, help="check the pins against this board (this machine's own)")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Check structure, pins, files, certificates, names and the root of trust; print errors or the summary."""
    from device.cli import config_checks
    from device.config.loader import check_files, load_config
    from device.errors import ConfigError

    problems: list[str] = []
    summary: dict[str, object] = {"file": str(args.file)}
    try:
        config = load_config(args.file)
        summary |= _summary(config)
        problems += map(str, config_checks.pins(config.lines, _board(args.board)))
        if args.offline:
            return _finish(args, summary, problems)
        check_files(config, str(args.file))
    except ConfigError as fault:
        problems += fault.problems
        if "site" not in summary:
            return _finish(args, summary, problems)
    found, warnings = config_checks.certificates(config, datetime.now(timezone.utc))
    named = (f"{problem} (--offline leaves this check out)" for problem in config_checks.names(config))
    problems += [*map(str, found), *named, *_trust(config.trust, summary)]
    if warnings:
        summary["warnings"] = [str(warning) for warning in warnings]
    return _finish(args, summary, problems)


def _board(name: str | None) -> Board | None:
    """The board with this name; None asks for that of this machine."""
    from device.edges.gpio.jetson_header import AGX_ORIN, ORIN_NANO_NX, this_board

    if name is not None:
        return AGX_ORIN if name == "agx-orin" else ORIN_NANO_NX
    try:
        return this_board()
    except OSError:
        return None


def _trust(trust: Trust, summary: dict[str, object]) -> list[str]:
    """The mode of the one root of trust."""
    from device.errors import RefusedByCondition, Unavailable
    from device.sync.root import trusted_root

    try:
        mode, _ = trusted_root(trust.roots)
    except (RefusedByCondition, Unavailable) as fault:
        return [f"trust.roots: {fault}"]
    summary["trust"] = f"{mode.value}, from {trust.url or trust.usb}"
    return []


def _summary(config: DeviceConfig) -> dict[str, object]:
    return {
        "site": config.site,
        "device": config.device,
        "cameras": [f"{c.id}: {'live' if c.live else 'recorded'}, zone {c.zone.name}" for c in config.cameras],
        "broker": f"{config.mqtt.host}:{config.mqtt.port}",
        "lines": config.lines.driver,
    }


def _finish(args: argparse.Namespace, summary: dict[str, object], problems: list[str]) -> int:
    from device.errors import ConfigError

    if args.json:
        print(json.dumps({"ok": not problems, **summary, "problems": problems}, ensure_ascii=False))
        return ConfigError.exit_status if problems else 0
    if problems:
        raise ConfigError(str(args.file), tuple(problems))
    for key, value in summary.items():
        print(f"{key:11}{'; '.join(map(str, value)) if isinstance(value, list) else value}")
    print("ok")
    return 0
