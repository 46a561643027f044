"""What commands that enrol people share: their options, models, readers, and how a build's report is printed."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tools.hub.cli.options import print_result

if TYPE_CHECKING:
    from device.domain.recognisers import Recognisers
    from engines.cards.model_card import ModelCard
    from tools.hub.watchlist.build import Report
    from tools.hub.watchlist.people import Defaults, People

LARGE = 24  # from this number of photos a second set of engines is worth its start


def with_people(parser: argparse.ArgumentParser) -> None:
    """Options of what enrols people."""
    parser.add_argument("--category", default="", help="of everybody who does not say otherwise")
    parser.add_argument("--image-source", default="", metavar="TEXT", help="likewise")
    parser.add_argument("--random-refs", action="store_true", help="folder names are no references: make random ones")
    parser.add_argument(
        "--recogniser",
        metavar="NAME|SHA256",
        help="the one that the devices run: a model of `lfr engines list` (default: the default recogniser)",
    )
    parser.add_argument("--screen", metavar="NAME", help="the devices' screening recogniser, if they run a pair (none)")
    parser.add_argument("--detector", metavar="NAME", help="likewise: other boxes and points make other templates")
    parser.add_argument("--backend", default="auto", help="runtime of the models (default: %(default)s)")


def defaults_of(args: argparse.Namespace) -> Defaults:
    """What holds for everybody who does not say otherwise."""
    from tools.hub.watchlist.people import Defaults

    return Defaults(args.category, args.image_source, args.random_refs)


@contextlib.contextmanager
def readers_of(args: argparse.Namespace, people: People, detector: str, recogniser: Recognisers) -> Iterator[list[Any]]:
    """Photo readers for these people; their engines are closed afterwards."""
    photos = sum(len(person.photos) for person in people.people)
    rooms, readers = readers_for(args.backend, photos, detector, recogniser)
    try:
        yield readers
    finally:
        for room in rooms:
            room.close()


def models(args: argparse.Namespace) -> tuple[ModelCard, Recognisers]:
    """Detector and recogniser that templates are made with; UsageError for one that this machine does not have."""
    from device.enrolment.model_sessions import chosen_card, chosen_recognisers
    from device.errors import UsageError
    from engines.cards.catalogue import cards

    wanted = args.recogniser
    if wanted is not None and re.fullmatch(r"[0-9a-f]{64}", wanted):
        ours = {one.source_sha256: one.name for one in cards() if one.role == "recogniser"}
        if wanted not in ours:
            there = ", ".join(f"{name} ({sha})" for sha, name in ours.items())
            raise UsageError(
                f"--recogniser {wanted}: no model of this machine, which has {there}; see `lfr engines add`"
            )
        wanted = ours[wanted]
    return chosen_card(args.detector, "detector"), chosen_recognisers(wanted, args.screen)


def warn_of_own_models(detector: ModelCard, recogniser: Recognisers) -> None:
    """What a device lacks that runs custom models."""
    from engines.cards.model_card import FileSource

    for one in (detector, *recogniser.cards):
        if isinstance(one.source, FileSource):
            print(
                f"note: {one.name} is a model of your own: devices arm with this list only where vision.{one.role} "
                "names it and vision.evidence covers it",
                file=sys.stderr,
            )


def readers_for(backend: str, photos: int, detector: str, recogniser: Recognisers) -> tuple[list[Any], list[Any]]:
    """Engines and readers: a second set for a long list, where there is a second core."""
    from device.enrolment.engine_photo_reader import EnginePhotoReader
    from device.enrolment.model_sessions import ModelSessions

    def room(runtime: str | None) -> ModelSessions:
        screen = None if recogniser.screen is None else recogniser.screen.name
        return ModelSessions(runtime, threads=1, detector=detector, recogniser=recogniser.main.name, screen=screen)

    rooms = [room(None if backend == "auto" else backend)]
    if photos >= LARGE and (os.cpu_count() or 1) > 1 and not rooms[0].one_thread:
        rooms.append(room(rooms[0].backend))
    return rooms, [EnginePhotoReader(room) for room in rooms]


def print_report(
    args: argparse.Namespace, report: Report, name: str, recogniser: Recognisers, *, written: bool
) -> None:
    """Problems and remarks on stderr, the result on stdout. name: of the list."""
    for problem in report.problems:
        print(f"problem: {problem}", file=sys.stderr)
    for kind, remarks in (("rejected", report.rejected), ("warning", report.warnings)):
        for remark in remarks:
            print(f"{kind}: {remark['file']}: {remark['reason']}", file=sys.stderr)
    values = {
        "list": name if written else None,
        "recogniser": {"name": recogniser.name, "sha256": recogniser.source_sha256},
        "subjects": report.subjects,
        "images": report.images,
        "problems": report.problems,
        "rejected": report.rejected,
        "warnings": report.warnings,
        "entries": report.entries,
    }
    counted = f"{report.subjects} people, {report.images} photos, {len(report.rejected)} rejected"
    print_result(
        args,
        values,
        f"{name}: {counted}, templates of {recogniser.name}" if written else f"no list was written: {counted}",
    )
