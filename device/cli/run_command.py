"""`lfr run --config FILE`: the device itself, in the foreground; systemd starts it the same way."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.installed import CONFIG

if TYPE_CHECKING:
    from device.cli.main import Subparsers


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("run", help="run the device: sign, lamps, workers, alerts")
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE")
    parser.set_defaults(run=run_device)


def run_device(args: argparse.Namespace) -> int:
    """Run until the deployment is over or a signal comes; the one line on stdout is its summary, if one has ended."""
    from device import logs
    from device.config.loader import check_files, load_config
    from device.config.model import DeviceConfig
    from device.edges.service.systemd import journal_handler
    from device.supervisor.main import supervise
    from engines.places import cache_dir

    def read() -> DeviceConfig:
        config = load_config(args.config)
        check_files(config, str(args.config))
        return config

    logs.configure(verbose=args.verbose, handler=journal_handler())
    outcome = supervise(read(), cache_dir() / "models", read)
    if outcome.summary:
        print(json.dumps(outcome.summary, ensure_ascii=False))
    return outcome.exit_status
