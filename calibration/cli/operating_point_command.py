"""`lfr calibrate operating-point`, `lfr calibrate key`: thresholds from evidence, and the keys that sign it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from engines.cli.compare_command import seed

if TYPE_CHECKING:
    from calibration.data.faces import Faces
    from calibration.data.reading import How
    from calibration.evidence.operating_point import Measured, Models

Verbs = argparse._SubParsersAction
EX_OK = 0


def add(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verbs `operating-point` and `key`."""
    point = verbs.add_parser("operating-point", help="measure strangers' scores and write the signed evidence artefact")
    point.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="folder in LFW's layout; one a source")
    point.add_argument("--key", type=Path, required=True, help="private key (PEM) that signs; see `lfr calibrate key`")
    point.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the artefact is written")
    point.add_argument(
        "--source", action="append", default=[], metavar="TEXT", help="a sentence on a data set's origin"
    )
    add_data(point)
    point.add_argument("--rule", metavar="NAME", help="the decision rule that the evidence is for (this program's)")
    point.add_argument("--id", help="name of the artefact (recogniser and date)")
    point.add_argument("--backend", action="append", metavar="NAME:PRECISION", help="one or more (auto)")
    add_models(point)
    point.add_argument("--limit", type=_rate, default=0.001, help="false alerts a face (0.001)")
    point.add_argument("--seed", type=seed, default=0, help="of every random draw (0)")
    point.add_argument("--json", action="store_true", help="the artefact on stdout, too")
    point.add_argument("--no-cache", action="store_true", help="keep no templates, not even encrypted")
    point.set_defaults(run=run_operating_point)

    key = verbs.add_parser("key", help="make a private key that signs evidence, and its public half")
    key.add_argument("file", type=Path, help="a new file; the public half is written beside it")
    key.set_defaults(run=run_key)


def run_key(args: argparse.Namespace) -> int:
    """Make a key; print the public half in the form of trusted.json and vision.evidence_keys."""
    from calibration.evidence.signing import new_key, public_hex
    from device.evidence.artefact import key_id

    key = new_key(args.file)
    print(f"{args.file}: private, keep it off devices and hubs")
    print(f"{args.file}.pub.pem: public, for the folder vision.evidence_keys")
    print(f"key {key_id(key.public_key())}  ed25519 {public_hex(key)}")
    return EX_OK


def run_operating_point(args: argparse.Namespace) -> int:
    """Read, measure, sign, write; each backend is one precision of the artefact."""
    from calibration.evidence.operating_point import artefact, measured
    from calibration.evidence.signing import load_key, signed
    from calibration.report.output_paths import require_place
    from calibration.statistics.decision_rules import rule as decision_rule
    from calibration.statistics.mates import Gate
    from device.domain.decision_rule import DECISION_RULE
    from device.enrolment.model_sessions import resolved
    from device.errors import UsageError
    from device.recognition.operating_point import EMULATED

    key = load_key(args.key)
    require_place(args.out.parent, "--out")
    if args.out.is_dir():
        raise UsageError(f"{args.out} is a folder; name a file with --out")
    if args.out.exists() and args.out.samefile(args.key):
        raise UsageError(f"{args.out} is the key that signs and would be overwritten; name another file with --out")
    models, rule = chosen_models(args), decision_rule(args.rule or DECISION_RULE)
    rows: list[Measured] = []
    first: Faces | None = None
    for backend in dict.fromkeys(resolved(name) for name in args.backend or ["auto"]):
        faces = read(args, backend)
        first = first or faces
        runtime, _, precision = backend.partition(":")
        kept = precision.removesuffix(EMULATED)
        how = (
            f"computed by {runtime}" if kept == precision else f"{kept} emulated in {runtime}, not computed by hardware"
        )
        rows.append(
            measured(faces, kept, how, rule=rule, limit=args.limit, seed=args.seed, gate=Gate.of(models.recogniser))
        )
    assert first is not None  # there is at least one backend
    now = datetime.now(timezone.utc)
    document = artefact(
        args.id or f"{models.recogniser.name}/{now:%Y-%m-%d}",
        f"{now:%Y-%m-%dT%H:%M:%SZ}",
        first,
        [each.row for each in rows],
        args.source or _sources(args),
        models=models,
        rule=rule,
        limit=args.limit,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    staged = args.out.with_name(f".{args.out.name}.{os.getpid()}")
    staged.write_bytes(signed(document, key))
    staged.replace(args.out)
    if args.json:
        sys.stdout.write(args.out.read_text(encoding="ascii"))
    else:
        from calibration.report.text_tables import artefact_table

        print(artefact_table(document))
        print(f"written to {args.out}")
    return EX_OK


def add_data(parser: argparse.ArgumentParser) -> None:
    """Options for combining several data sets, and for leaving people out."""
    parser.add_argument(
        "--merged", action="store_true", help="the data sets label people from one register: compare across them"
    )
    parser.add_argument(
        "--leave-out",
        type=Path,
        metavar="FILE|FOLDER",
        help="people who are not to be in the data, such as those in test clips: names, one a line, or a data set",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """Options that name models; also of `lfr evaluate`."""
    parser.add_argument("--recogniser", metavar="NAME", help="of `lfr engines list` (the default recogniser)")
    parser.add_argument("--screen", metavar="NAME", help="a second recogniser that runs first: evidence for the pair")
    parser.add_argument("--detector", metavar="NAME", help="likewise; other boxes and points make other templates")


def chosen_models(args: argparse.Namespace) -> Models:
    """The cards that the options name. UsageError for an unknown one, or one of another role."""
    from calibration.evidence.operating_point import Models
    from device.enrolment.model_sessions import chosen_card, chosen_recognisers

    return Models(chosen_card(args.detector, "detector"), chosen_recognisers(args.recogniser, args.screen))


def how_to_read(args: argparse.Namespace, backend: str, kept: ExitStack) -> How:
    """The reader settings: one backend, the models that the options name, the encrypted cache unless `--no-cache`."""
    from calibration.data.reading import How
    from device.cli.replay_command import cache_file
    from device.recognition.replay import cache_at

    names = {"detector": args.detector, "recogniser": args.recogniser, "screen": args.screen}
    store = (
        None if args.no_cache else cache_at(cache_file().with_name("evaluation.sqlite"), backend, looks=True, **names)
    )
    return How(backend, None, store if store is None else kept.enter_context(store), talk=True, **names)


def read(args: argparse.Namespace, backend: str) -> Faces:
    """Templates of the data sets on one backend."""
    from calibration.data.reading import read_sets
    from device.edges.sandbox.hardening import forbid_dumps

    forbid_dumps()  # templates of people are in this process
    with ExitStack() as kept:
        how = how_to_read(args, backend, kept)
        return read_sets(args.datasets, how, merged=args.merged, left_out=_names(args.leave_out))


def _names(path: Path | None) -> frozenset[str]:
    """Names of people, one a line. Raises EvidenceUnusable for a file that cannot be read."""
    from device.errors import EvidenceUnusable
    from engines.error_text import error_text

    if path is None:
        return frozenset()
    if path.is_dir():
        return frozenset(one.name for one in path.iterdir() if one.is_dir())
    try:
        return frozenset(filter(None, (line.strip() for line in path.read_text(encoding="utf-8").splitlines())))
    except (OSError, UnicodeDecodeError) as fault:
        raise EvidenceUnusable(f"{path}: cannot be read as names of people: {error_text(fault)}") from fault


def _sources(args: argparse.Namespace) -> list[str]:
    return [f"data set {folder.resolve().name}" for folder in args.datasets]


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no rate: a number between 0 and 1 is needed")
    return value
