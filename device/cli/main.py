"""The command `lfr`: parses `noun verb`, runs one handler, turns every ending into an exit status.

A command module offers `register(subparsers)`: it adds its parser or parsers and gives each leaf a handler with
`parser.set_defaults(run=handler)`; `handler(args) -> int | None` is called with the parsed arguments, and None is 0.

1. Only the module that a command line names is imported; heavy imports belong inside handlers.
2. Commands of the upper floors come through the entry-point group `lfr.commands`. One that cannot be imported is
   reported when it is asked for, and never in the way of the others.
3. Exit statuses are DESIGN's: 0 ok, 64 usage, 65 bad data, 69 unavailable, 70 internal, 77 refused, 78 config,
   130 interrupted. Errors go to stderr as text; stdout holds results only.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NoReturn, TypeAlias, cast

from device.cli import extras

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_INTERNAL, EX_INTERRUPTED = 0, 64, 69, 70, 130
GROUP = "lfr.commands"

CORE = {
    "run": ("device.cli.run_command", "run the device: sign, lamps, workers, alerts"),
    "replay": ("device.cli.replay_command", "the vision worker over a recording, as JSON"),
    "status": ("device.cli.status_command", "what the device is doing"),
    "why": ("device.cli.status_command", "which conditions hold and which do not"),
    "doctor": ("device.cli.doctor.command", "check this machine, line by line"),
    "audit": ("device.cli.audit_command", "check the audit log"),
    "clock": ("device.cli.clock_command", "mend what a wrong clock left behind"),
    "update": ("device.cli.update_command", "releases on this device: install, commit, go back"),
    "config": ("device.cli.config_command", "check a configuration file"),
}
"""Nouns of this floor: the module that registers each, and its line in the help."""

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Register = Callable[[Subparsers], None]


class Parser(argparse.ArgumentParser):
    """argparse with exit status 64 for an invalid command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(EX_USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; only SystemExit of argparse's help passes."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:
        sys.stderr = io.StringIO()  # closed by the caller: messages are discarded
    if sys.stdout is None:
        print("lfr: standard output is closed; there is nowhere to put the result", file=sys.stderr)
        return EX_USAGE
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no failure
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EX_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`lfr status | head`): otherwise the interpreter reports it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_OK
    except ModuleNotFoundError as fault:
        return _report_missing(fault, verbose="--verbose" in arguments)
    except OSError as fault:
        if "--verbose" in arguments:
            _trace(fault)
        print(f"lfr: {fault.strerror or fault}{f': {fault.filename}' if fault.filename else ''}", file=sys.stderr)
        return EX_UNAVAILABLE
    except Exception as fault:
        return _report(fault, verbose="--verbose" in arguments)


def _run(arguments: list[str]) -> int:
    noun = next((a for a in arguments if not a.startswith("-")), None)
    args = _parser(noun).parse_args(arguments)
    handler: Callable[[argparse.Namespace], int | None] = args.run
    return handler(args) or EX_OK


def _report(fault: Exception, verbose: bool) -> int:
    """Print an error and return its exit status: ours and the engines' carry one, anything else is a defect."""
    status = getattr(fault, "exit_status", None)
    if isinstance(status, int) and not verbose:
        _complain(f"lfr: {fault}")
        return status
    _trace(fault)
    if not isinstance(status, int):
        _complain(f"lfr: internal error: {type(fault).__name__}: {fault}")
    return status if isinstance(status, int) else EX_INTERNAL


def _report_missing(fault: ModuleNotFoundError, verbose: bool) -> int:
    """A library of an extra that is not installed: 69 with the extra's name. Any other one is a defect."""
    remedy = extras.remedy(fault.name)
    if not remedy:
        return _report(fault, verbose)
    if verbose:
        _trace(fault)
    print(f"lfr: {fault.name} is not installed, which this command needs; {remedy}", file=sys.stderr)
    return EX_UNAVAILABLE


def _trace(fault: Exception) -> None:
    import traceback

    _complain("".join(traceback.format_exception(fault)).rstrip("\n"))


def _complain(text: str) -> None:
    """To stderr; in the journal as one entry with the priority of an error."""
    from device import logs

    print(logs.journal_line(text, logging.ERROR) if logs.is_journal(sys.stderr) else text, file=sys.stderr)


def _parser(noun: str | None) -> Parser:
    """A parser with `noun` in full, and of the others the names."""
    parser = Parser(prog="lfr", description="Overt live facial recognition at the edge.")
    parser.add_argument("--verbose", action="store_true", help="more log lines, and tracebacks with errors")
    commands = cast(Subparsers, parser.add_subparsers(metavar="COMMAND", dest="command", required=True))
    plugins = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if noun in CORE:
        _register_core(CORE[noun][0], commands)
    elif noun in plugins:
        _register_plugin(plugins[noun], commands)
    elif noun is not None:
        _register_whoever_has(noun, plugins, commands)
    _name_the_others(plugins, commands)
    return parser


def _register_core(module: str, commands: Subparsers) -> None:
    register: Register = importlib.import_module(module).register
    register(commands)


def _register_plugin(point: metadata.EntryPoint, commands: Subparsers) -> None:
    """Import one command module of an upper floor; a broken one becomes a parser that reports it (rule 2)."""
    try:
        register: Register = point.load()
    except (ImportError, AttributeError) as fault:
        remedy = extras.remedy(fault.name) if isinstance(fault, ModuleNotFoundError) else ""
        text = f"lfr: the command {point.name!r} ({point.value}) cannot be loaded: {fault}"
        print(f"{text}; {remedy}" if remedy else text, file=sys.stderr)
        raise SystemExit(EX_UNAVAILABLE) from fault
    register(commands)


def _register_whoever_has(noun: str, plugins: dict[str, metadata.EntryPoint], commands: Subparsers) -> None:
    """Look for `noun` in every module that loads: a module may bring several nouns."""
    for point in plugins.values():
        try:
            register: Register = point.load()
        except (ImportError, AttributeError):
            continue
        register(commands)
        if noun in commands.choices:
            return


def _name_the_others(plugins: dict[str, metadata.EntryPoint], commands: Subparsers) -> None:
    """Complete the list of commands for the help and for messages, without importing anything (rule 1)."""
    for name in (*CORE, *plugins):
        if name not in commands.choices:
            commands.add_parser(
                name, help=CORE[name][1] if name in CORE else _first_line(plugins[name]), add_help=False
            )


def _first_line(point: metadata.EntryPoint) -> str:
    """The first line of a command module's docstring, read from its source without running it."""
    import ast
    from importlib.util import find_spec
    from pathlib import Path

    try:
        spec = find_spec(point.module)
        origin = spec.origin if spec is not None else None
        text = ast.get_docstring(ast.parse(Path(origin).read_text(encoding="utf-8"))) if origin else None
    except (ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return f"(cannot be read: {point.value})"
    if origin is None:
        return f"(not installed: {point.value})"
    line = (text or point.value).splitlines()[0]
    return line.rpartition("`: ")[2].rstrip(".").replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
