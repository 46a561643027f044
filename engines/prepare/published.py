"""Files that no package carries: from their publisher's address, or from a local folder; pinned by hash.

1. Nothing is fetched unless a person names the model: `lfr engines fetch NAME` or `--from FOLDER`.
2. A file is kept only when size, SHA-256 and SHA-384 are those of the card; all files of a model, or none.
3. Only https, and no redirect to another scheme; at most the stated number of bytes are read.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from engines.cards.model_card import ModelCard, PublishedFile, PublishedSource
from engines.error_text import error_text
from engines.errors import BadOption, FetchFailed, PublishedMismatch, WeightsMissing
from engines.manifest import sha256_of
from engines.places import placing, published_dir, writing

TIMEOUT_S = 60.0
Download = Callable[[str, int], bytes]


def source_of(card: ModelCard) -> PublishedSource:
    """The card's publisher. Raises BadOption for a model that a package carries or that was added."""
    if not isinstance(card.source, PublishedSource):
        raise BadOption(f"{card.name} does not come as files of a publisher; run `lfr engines fetch {card.name}`")
    return card.source


def fetched(card: ModelCard) -> Path:
    """The first file of a published model, all of them checked now. Raises WeightsMissing, PublishedMismatch."""
    source, folder = source_of(card), published_dir() / card.name
    for one in source.files:
        path = folder / one.name
        if not path.is_file():
            raise WeightsMissing(card.name, source.address)
        _check(one, path.read_bytes(), str(path))
    return folder / source.files[0].name


def fetch(card: ModelCard, *, folder: Path | None = None, download: Download | None = None) -> Path:
    """Bring the files here, unless they are here, and return the first one's path.

    folder    a local folder (`--from`), searched in it and one level deeper; None: the publisher's address
    download  (address, most bytes) -> content; the default uses https
    Raises FetchFailed, PublishedMismatch, CacheUnwritable.
    """
    source, target = source_of(card), published_dir() / card.name
    try:
        return fetched(card)
    except (WeightsMissing, PublishedMismatch):
        pass
    get = download or _download
    contents = []
    for one in source.files:
        address = f"{source.address}/{one.name}"
        content = get(address, one.size_bytes) if folder is None else _from_folder(one, folder)
        _check(one, content, address if folder is None else str(folder / one.name))
        contents.append(content)
    with writing(target), placing(*(target / one.name for one in source.files)) as staged:
        for place, content in zip(staged, contents, strict=True):
            place.write_bytes(content)
    return target / source.files[0].name


def weights_sha256(card: ModelCard, weights: Path) -> str:
    """Hash of the weights as delivered: of the file, or of a published model's files together."""
    if not isinstance(card.source, PublishedSource):
        return sha256_of(weights)
    rows = [sha256_of(weights.with_name(one.name)) for one in card.source.files]
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _from_folder(one: PublishedFile, folder: Path) -> bytes:
    """The right file of that name if there is one, else any of that name, for the message of the check."""
    places = [path for path in (folder / one.name, *sorted(folder.glob(f"*/{one.name}"))) if path.is_file()]
    if not places:
        raise FetchFailed(f"{folder}: holds no {one.name}, nor does a folder in it; name the folder with the files")
    right = next((path for path in places if path.stat().st_size == one.size_bytes and _right(one, path)), places[0])
    return right.read_bytes()


def _right(one: PublishedFile, path: Path) -> bool:
    return sha256_of(path) == one.sha256


def _check(one: PublishedFile, content: bytes, place: str) -> None:
    """Whether size and hashes are those of the card (rule 2)."""
    found = hashlib.sha256(content).hexdigest()
    if len(content) != one.size_bytes or found != one.sha256 or hashlib.sha384(content).hexdigest() != one.sha384:
        raise PublishedMismatch(place, one.sha256, found)


def _download(address: str, most: int) -> bytes:
    """Download one file (rule 3)."""
    if urllib.parse.urlsplit(address).scheme != "https":
        raise FetchFailed(f"{address}: only https is used")
    opener = urllib.request.build_opener(_HttpsOnly())
    try:
        with opener.open(address, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(most + 1)
    except (urllib.error.URLError, OSError, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        raise FetchFailed(
            f"{address}: cannot be fetched ({error_text(reason) if isinstance(reason, Exception) else reason}); check "
            "the network, or give files that you have with `--from FOLDER`"
        ) from fault
    return content


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """See urllib.request.HTTPRedirectHandler."""
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"redirected to {newurl}: only https is used")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
