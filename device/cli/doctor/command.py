"""`lfr doctor`: this machine, line by line: ok, warn or fail, each with its remedy. Exit 69 if anything fails."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from device.config.installed import CONFIG

if TYPE_CHECKING:
    from device.cli.doctor.finding import Finding
    from device.cli.main import Subparsers

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
LEVELS = {"ok": logging.INFO, "warn": logging.WARNING, "fail": logging.ERROR}


def register(commands: Subparsers) -> None:
    from device.cli.doctor.gpio_command import add_arguments

    parser = commands.add_parser("doctor", help="check this machine, line by line")
    parser.add_argument("part", nargs="?", choices=("gpio",), help="gpio: a loop-back of the header's lines")
    parser.add_argument("--config", type=Path, metavar="FILE", help="also check this configuration and its broker")
    parser.add_argument(
        "--board", action="store_true", help="only the board: nodes, unit, release, JetPack's libraries"
    )
    parser.add_argument(
        "--self-test", action="store_true", help="as lfr-selftest.service: no network, and every engine is run"
    )
    parser.add_argument("--json", action="store_true", help="the findings as one JSON object")
    add_arguments(parser)
    parser.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    """Run every check, print its line as soon as it is known; in the journal with its priority."""
    from device import logs
    from device.cli.doctor.gpio_command import print_codes

    _refuse_mixed(args)
    if args.codes:
        return print_codes()
    in_journal = logs.is_journal(sys.stdout)
    findings: list[Finding] = []
    for finding in _findings(args):
        findings.append(finding)
        if not args.json:
            remedy = f"  -> {finding.remedy}" if finding.remedy and finding.level != "ok" else ""
            line = f"{MARKS[finding.level]} {finding.name:23} {finding.text}{remedy}"
            print(logs.journal_line(line, LEVELS[finding.level]) if in_journal else line, flush=True)
    worst = any(finding.level == "fail" for finding in findings)
    if args.json:
        rows = [_row(finding) for finding in findings]
        print(json.dumps({"ok": not worst, "findings": rows}, ensure_ascii=False))
    if args.self_test:
        from device.cli.doctor.self_test import summary
        from device.edges.service.systemd import service_manager

        service_manager().status(summary(findings))
    return 69 if worst else 0


def _row(finding: Finding) -> dict[str, str]:
    """A finding for machines. symptom: the name of its row in SYMPTOMS.md; both are empty without a remedy."""
    symptom = finding.remedy.symptom if finding.remedy is not None else ""
    found = {"name": finding.name, "level": finding.level, "text": finding.text}
    return found | {"symptom": symptom, "remedy": finding.remedy or ""}


def _refuse_mixed(args: argparse.Namespace) -> None:
    from device.errors import UsageError

    if args.part is None and (args.codes or args.bridge):
        raise UsageError("--codes and --bridge belong to `lfr doctor gpio`")
    if args.part is not None and args.self_test:
        raise UsageError("--self-test claims no line; `lfr doctor gpio` drives them: one at a time")
    if args.part is not None and args.board:
        raise UsageError("--board checks the board; `lfr doctor gpio` bridges its lines: one at a time")


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    from device.cli.doctor import board, checks, self_test
    from device.cli.doctor.gpio_command import loop_back

    if args.self_test:
        return self_test.self_test(args.config or CONFIG)
    if args.part == "gpio":
        return loop_back(args.config or CONFIG, args.bridge)
    return board.board() if args.board else checks.all_checks(args.config)
