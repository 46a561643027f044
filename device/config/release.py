"""What a release of this program states of itself, and how the hub offers one: structure and bounds.

releases/<target>.json                    which release is offered to boards of a target (`ReleaseIndex`)
releases/<target>-<version>.tar.gz        the release: a whole slot, `release.json` (`ReleaseManifest`) first

`<target>` is release and processor, as ubuntu-22.04-aarch64. Both are targets of the TUF role `releases`.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from device.config.installed import TOP
from device.config.model import Section, WholeNumber, matching
from device.errors import BadData

INDEX_MAX_BYTES = 4_096
MANIFEST_MAX_BYTES = 65_536
BUNDLE_MAX_BYTES = 600_000_000  # the kits' wheels are 132 to 224 MB (tools/flash/README.md)
UNPACKED_MAX_BYTES = 3_000_000_000
MANIFEST = "release.json"
_Document = TypeVar("_Document", bound=Section)
LINKS_BELOW = ("/etc/systemd/system/", "/usr/lib/tmpfiles.d/", "/usr/lib/systemd/catalog/", "/etc/udev/rules.d/")
CURRENT_UNITS, COMMITTED_UNITS = f"{TOP}/current/systemd/", f"{TOP}/committed/systemd/"


def version_key(version: str) -> tuple[int, ...]:
    """A version for comparison: 0.10.0 is later than 0.9.2, and 0.10 is 0.10.0."""
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _link(place: str) -> str:
    if ".." in place.split("/") or not place.startswith(LINKS_BELOW):
        raise ValueError(f"must lie below {', '.join(LINKS_BELOW)}")
    return place


def _unit(place: str) -> str:
    if ".." in place.split("/") or not place.startswith((CURRENT_UNITS, COMMITTED_UNITS, LINKS_BELOW[0])):
        raise ValueError(f"must lie below {CURRENT_UNITS}, {COMMITTED_UNITS} or {LINKS_BELOW[0]}")
    return place


VERSION = r"\d{1,6}(\.\d{1,6}){1,3}"
Version = Annotated[str, matching(VERSION, "a version: two to four numbers with dots between them")]
TargetName = Annotated[str, matching(r"[a-z0-9.-]{3,40}-(aarch64|x86_64)", "release and processor")]
BundleTarget = Annotated[str, matching(rf"releases/[a-z0-9._-]{{3,60}}-{VERSION}\.tar\.gz", "a release's file")]
UnpackedBytes = Annotated[WholeNumber, Field(gt=0, le=UNPACKED_MAX_BYTES)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class StateSchema(Section):
    """Numbers of the state folder's format. A number grows when older programs could not read what is written.

    writes       what this release writes
    reads_from   the oldest that it reads (and converts)
    rollback_to  the oldest whose own release still reads what this one writes
    """

    writes: Count
    reads_from: Count
    rollback_to: Count

    @model_validator(mode="after")
    def _in_order(self) -> StateSchema:
        if not max(self.reads_from, self.rollback_to) <= self.writes:
            raise ValueError("reads_from and rollback_to are at most writes")
        return self


STATE = StateSchema(writes=1, reads_from=1, rollback_to=1)
"""Of this program. Outbox, audit log, orders and trust folder; a change that an older release cannot read raises it."""


class ReleaseManifest(Section):
    """`release.json` of a slot. links: units and configuration that are linked on the board, place to target."""

    format: Literal[1]
    version: Version
    target: TargetName
    python: Annotated[str, matching(r"3\.\d{1,2}", "a Python's version, as 3.10")]
    made: str
    state: StateSchema
    unpacked_bytes: UnpackedBytes
    links: dict[Annotated[str, AfterValidator(_link)], Annotated[str, AfterValidator(_unit)]] = Field(
        default_factory=dict, max_length=100
    )


class ReleaseIndex(Section):
    """The offer for one target. unpacked_bytes: as in the manifest, so that room is looked for before a download."""

    version: Version
    bundle: BundleTarget
    unpacked_bytes: UnpackedBytes


def slot_bytes(unpacked_bytes: int) -> int:
    """What a slot takes on the disk, with the byte-compiled files beside their sources."""
    return int(unpacked_bytes * 1.5)


def index_target(target: str) -> str:
    """The only fixed name of a target's offer."""
    return f"releases/{target}.json"


def bundle_target(target: str, version: str) -> str:
    """The name of a release's file."""
    return f"releases/{target}-{version}.tar.gz"


def parse_manifest(content: bytes) -> ReleaseManifest:
    """A manifest. BadData with the reason."""
    return _parsed(ReleaseManifest, content, MANIFEST)


def parse_index(content: bytes) -> ReleaseIndex:
    """An offer. BadData with the reason."""
    return _parsed(ReleaseIndex, content, "the offer of a release")


def text_of(document: ReleaseManifest | ReleaseIndex) -> bytes:
    """What the two functions above read."""
    return json.dumps(document.model_dump(mode="json"), indent=1, sort_keys=True).encode() + b"\n"


def _parsed(model: type[_Document], content: bytes, what: str) -> _Document:
    try:
        return model.model_validate(json.loads(content))
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "whole file"
        raise BadData(f"{what} is malformed: {place}: {first['msg'].removeprefix('Value error, ')}") from fault
    except (ValueError, RecursionError) as fault:
        raise BadData(f"{what} is not JSON") from fault
