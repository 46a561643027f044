"""The sealed watchlist: one MessagePack struct inside one age file, encrypted to a device's identity of one deployment.

A watchlist that opens is valid: it passed every rule of `_require_sound`. Any other is WatchlistUnusable, with the
problem and without content. Whether the list may be used (its deployment, its window, how many subjects a demo may
hold) is decided by the caller's conditions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import numpy as np

from device.domain.finding import Mode
from device.domain.sight import F32
from device.errors import UsageError, WatchlistUnusable
from device.watchlist.gallery import Gallery

FORMAT = 1
UNIT_WITHIN = 1e-3
"""How far a stored template's length may be from 1 (rounding of float32 is a thousand times smaller)."""


class SealedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One person. `templates`: k rows of `template_dim` float32, little-endian; `under_18` requires greater care."""

    ref: str
    category: str
    image_source: str
    image_captured_on: date | None = None
    under_18: bool = False
    templates: bytes
    template_dim: int

    @property
    def rows(self) -> F32:
        """(k, template_dim) float32 view of `templates`, read-only."""
        view: F32 = np.frombuffer(self.templates, "<f4").astype(np.float32, copy=False).reshape(-1, self.template_dim)
        return view


class SealedWatchlist(msgspec.Struct, frozen=True, kw_only=True):
    """A watchlist for one deployment, made with one recogniser behind one detector (empty: not stated).

    rehearsal  name of the kept list that it was copied from; empty: made for this deployment alone
    """

    format: int
    watchlist_id: str
    deployment_id: str
    mode: Mode
    created_at: datetime
    recogniser_sha256: str
    subjects: int
    images: int
    entries: tuple[SealedEntry, ...]
    detector_sha256: str = ""
    rehearsal: str = ""

    def gallery(self, *, screen_dim: int = 0) -> Gallery:
        """Everything that is searched, in memory that can be wiped; `screen_dim` as Gallery takes it."""
        owner = np.repeat(np.arange(len(self.entries)), [len(e.rows) for e in self.entries])
        rows = np.concatenate([e.rows for e in self.entries])
        return Gallery([e.ref for e in self.entries], rows, owner, screen_dim=screen_dim)


def seal(watchlist: SealedWatchlist, recipients: Sequence[str]) -> bytes:
    """Encrypt to age recipients (age1…); the caller writes the bytes. UsageError for an invalid recipient.

    Raises WatchlistUnusable for a list that would not open.
    """
    import pyrage

    _require_sound(watchlist)
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError as fault:
        raise UsageError(f"not an age recipient (age1…): {fault}") from fault
    if not keys:
        raise UsageError("a watchlist is sealed to at least one recipient")
    sealed: bytes = pyrage.encrypt(msgspec.msgpack.encode(watchlist), keys)
    return sealed


def unseal(data: bytes, identity: str) -> SealedWatchlist:
    """Decrypt with an age identity (AGE-SECRET-KEY-1…) and check. Raises WatchlistUnusable."""
    import pyrage

    try:
        key = pyrage.x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError as fault:
        raise WatchlistUnusable("the identity for the watchlist is not an age secret key") from fault
    try:
        plain = pyrage.decrypt(data, [key])
    except pyrage.DecryptError as fault:
        raise WatchlistUnusable(
            f"the sealed watchlist ({len(data)} bytes) does not open: {fault}; "
            "it is cut off or changed, no age file, or sealed to another device or deployment"
        ) from fault
    _require_known_format(plain)
    try:
        watchlist = msgspec.msgpack.decode(plain, type=SealedWatchlist)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WatchlistUnusable(f"the sealed watchlist is not of format {FORMAT}: {fault}") from fault
    _require_sound(watchlist)
    return watchlist


def require_mode(watchlist: SealedWatchlist, mode: Mode) -> None:
    """WatchlistUnusable for a list that was sealed for another mode than the deployment's."""
    if watchlist.mode is not mode:
        raise WatchlistUnusable(
            f"watchlist {watchlist.watchlist_id} was sealed for {watchlist.mode.value} use, the deployment is"
            f" {mode.value}: build a list for this deployment, with `lfr watchlist build`"
        )


def require_models(watchlist: SealedWatchlist, detector_sha256: str, recogniser_sha256: str) -> None:
    """WatchlistUnusable unless the list was made with these models.

    Templates of different recognisers are not comparable; another detector's points cut other faces out, and
    evidence is of one detector on both sides.
    """
    for kind, theirs, ours in (
        ("recogniser", watchlist.recogniser_sha256, recogniser_sha256),
        ("detector", watchlist.detector_sha256 or detector_sha256, detector_sha256),
    ):
        if theirs != ours:
            raise WatchlistUnusable(
                f"watchlist {watchlist.watchlist_id} was made with {kind} {theirs[:12]}…, this device runs "
                f"{ours[:12]}…: build the watchlist again, with `lfr watchlist build --{kind}`"
            )


def sha256_of(sealed: bytes) -> str:
    """Digest of a sealed file as the deployment names it."""
    return hashlib.sha256(sealed).hexdigest()


class _Versioned(msgspec.Struct):
    format: int


def _require_known_format(plain: Any) -> None:
    try:
        stated = msgspec.msgpack.decode(plain, type=_Versioned).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WatchlistUnusable("the age file does not hold a watchlist") from fault
    if stated != FORMAT:
        raise WatchlistUnusable(f"watchlist format {stated} is not known here (this version reads {FORMAT})")


def _require_sound(watchlist: SealedWatchlist) -> None:
    """References are unique, counts are true, templates are whole, finite and of length 1."""
    name = watchlist.watchlist_id
    if watchlist.rehearsal and watchlist.mode is Mode.OPERATIONAL:
        raise WatchlistUnusable(f"watchlist {name} is a copy of a rehearsal list, which no operational use may have")
    if not watchlist.entries:
        raise WatchlistUnusable(f"watchlist {name} is empty")
    refs = [entry.ref for entry in watchlist.entries]
    if len(set(refs)) != len(refs):
        raise WatchlistUnusable(f"watchlist {name} names {len(refs) - len(set(refs))} reference(s) twice")
    if not all(refs):
        raise WatchlistUnusable(f"watchlist {name} holds an entry without a reference")
    dim = watchlist.entries[0].template_dim
    if dim < 1 or any(entry.template_dim != dim for entry in watchlist.entries):
        raise WatchlistUnusable(f"watchlist {name} mixes templates of different lengths, of different recognisers")
    row_bytes = dim * 4
    if any(not entry.templates or len(entry.templates) % row_bytes for entry in watchlist.entries):
        raise WatchlistUnusable(f"watchlist {name} holds templates that are not whole rows of {dim} numbers")
    images = sum(len(entry.templates) // row_bytes for entry in watchlist.entries)
    if (watchlist.subjects, watchlist.images) != (len(refs), images):
        raise WatchlistUnusable(
            f"watchlist {name} says {watchlist.subjects} subjects and {watchlist.images} images, "
            f"and holds {len(refs)} and {images}"
        )
    rows = np.frombuffer(b"".join(entry.templates for entry in watchlist.entries), "<f4").reshape(-1, dim)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not np.isfinite(lengths).all() or (np.abs(lengths - 1) > UNIT_WITHIN).any():
        raise WatchlistUnusable(f"watchlist {name} holds templates that are not finite or not of length 1")
    if watchlist.created_at.tzinfo is None:
        raise WatchlistUnusable(f"watchlist {name} states its time without a time zone")
