"""`lfr calibrate …`: makes calibration tables and signed evidence from measurements."""

from __future__ import annotations

import argparse

from calibration.cli import int8_command, operating_point_command


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `calibrate`."""
    noun = commands.add_parser("calibrate", help="int8 tables and operating points, from data sets of faces")
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    int8_command.add(verbs)
    operating_point_command.add(verbs)
