"""The verification, python-tuf's: signatures by threshold, expiry, rollback and freeze, lengths and hashes.

The only module that knows python-tuf. It adds a bound for every file and error texts: which role's file is at fault
and how (unsigned, signed by another key, by too few keys, expired, frozen, rolled back, malformed, too long).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from device.domain.time import WallTime, wall
from device.errors import Unavailable
from device.sync.refusal import SIGNED, Refused
from device.sync.source import Missing, Source

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, TargetFile, Targets, Timestamp
    from tuf.ngclient import FetcherInterface, Updater

ROOT_MAX_BYTES = 131_072
TIMESTAMP_MAX_BYTES = 16_384
SNAPSHOT_MAX_BYTES = 524_288
TARGETS_MAX_BYTES = 2_000_000
ROOT_ROTATIONS_MOST = 64
DELEGATIONS_MOST = 8
TIMESTAMP = "metadata/timestamp.json"
_Result = TypeVar("_Result")
Progress = Callable[[str, int, int], None]
"""What is being fetched, bytes so far, bytes in all (0: not known)."""


@dataclass(frozen=True, slots=True)
class Found:
    """A signed target: its name, its length and its SHA-256."""

    name: str
    length: int
    sha256: str


class Trusted:
    """One check of a repository. `metadata` holds the last verified set and is written to."""

    def __init__(self, metadata: Path, root: bytes, source: Source, progress: Progress) -> None:
        from tuf.ngclient import Updater, UpdaterConfig

        self._metadata = metadata
        self._reading = _Reading(source, progress)
        bounds = UpdaterConfig(
            max_root_rotations=ROOT_ROTATIONS_MOST,
            max_delegations=DELEGATIONS_MOST,
            root_max_length=ROOT_MAX_BYTES,
            timestamp_max_length=TIMESTAMP_MAX_BYTES,
            snapshot_max_length=SNAPSHOT_MAX_BYTES,
            targets_max_length=TARGETS_MAX_BYTES,
        )
        metadata.mkdir(parents=True, exist_ok=True)

        def begin() -> Updater:
            fetcher = _fetcher(self._reading)
            return Updater(str(metadata), "metadata/", None, "targets/", fetcher, bounds, bootstrap=root)

        self._updater = self._verified(begin)
        self._targets: dict[str, TargetFile] = {}

    def refresh(self) -> None:
        """Verify the repository's newest metadata. Raises Refused or Unavailable; then nothing new is trusted."""
        self._verified(self._updater.refresh)

    def find(self, name: str, most_bytes: int) -> Found | None:
        """A target by its name, None when none is signed. Refused when it is longer than such a target may be."""
        target = self._verified(lambda: self._updater.get_targetinfo(name))
        if target is None:
            return None
        if target.length > most_bytes:
            text = f"{name} is signed with {target.length} bytes; such a file has at most {most_bytes}"
            raise Refused(SIGNED, "oversized", text)
        self._targets[name] = target
        return Found(name, target.length, target.hashes.get("sha256", ""))

    def download(self, found: Found, file: Path) -> None:
        """Fetch and verify; `file` is written only with the content that was signed."""
        self._reading.expected = found.length
        self._verified(lambda: self._updater.download_target(self._targets[found.name], str(file)))
        self._reading.expected = 0

    def holds(self, found: Found, file: Path) -> bool:
        """Whether `file` is that target, byte for byte."""
        return self._updater.find_cached_target(self._targets[found.name], str(file)) is not None

    def timestamp_expires(self) -> WallTime:
        """Until when the newest verified timestamp is good: after that the repository counts as frozen."""
        return wall(_expiry(self._metadata / "timestamp.json"))

    def good_until(self) -> WallTime:
        """When the first of all verified files expires."""
        return wall(min(_expiry(file) for file in self._metadata.glob("*.json")))

    def _verified(self, step: Callable[[], _Result]) -> _Result:
        """The result of a step, with python-tuf's errors translated into ours."""
        from tuf.api import exceptions

        try:
            return step()
        except (Refused, Unavailable):
            raise
        except exceptions.DownloadLengthMismatchError as fault:
            raise Refused(
                SIGNED, "oversized", f"{self._reading.path} is longer than its signed length or bound"
            ) from fault
        except exceptions.DownloadHTTPError as fault:
            raise Unavailable(f"the repository is incomplete: {fault}") from fault
        except exceptions.DownloadError as fault:
            raise Unavailable(f"{self._reading.path} cannot be fetched: {fault.__cause__ or fault}") from fault
        except exceptions.UnsignedMetadataError as fault:
            raise self._signature() from fault
        except exceptions.ExpiredMetadataError as fault:
            raise _expired(str(fault)) from fault
        except exceptions.BadVersionNumberError as fault:
            text = f"{self._reading.path} is older than what was verified before ({fault}): an old copy is offered"
            raise Refused(SIGNED, "rolled back", text) from fault
        except exceptions.LengthOrHashMismatchError as fault:
            raise Refused(SIGNED, "changed", f"{self._reading.path} is not what was signed ({fault})") from fault
        except (exceptions.RepositoryError, ValueError, KeyError, RecursionError) as fault:
            words = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
            raise Refused(SIGNED, "malformed", f"{self._reading.path} is malformed ({words[:160]})") from fault

    def _signature(self) -> Refused:
        """Why the last file's signatures are not enough."""
        from tuf.api.metadata import Metadata

        path, role = self._reading.path, self._reading.role
        signed: Metadata[Targets] = Metadata.from_bytes(bytes(self._reading.content))
        signatures = {key: s for key, s in signed.signatures.items() if s.signature}
        if not signatures:
            return Refused(SIGNED, "unsigned", f"{path} has no signature")
        parent = "root" if role in ("root", "timestamp", "snapshot", "targets") else "targets"
        delegator = Metadata.from_file(str(self._metadata / f"{parent}.json")).signed
        entitled = set(delegator.get_delegated_role(role).keyids)
        result = delegator.get_verification_result(role, signed.signed_bytes, signed.signatures)
        if result.signed:
            text = f"{path} is signed by {len(result.signed)} of the {result.threshold} that are needed"
            return Refused(SIGNED, "below threshold", text)
        if entitled & set(signatures):
            return Refused(SIGNED, "changed", f"{path} was changed after it was signed")
        return Refused(SIGNED, "wrong signer", f"{path} is signed by no key that may sign it")


class _Reading:
    """Reads files for python-tuf, and keeps the name of the last one."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.path = ""
        self.content = bytearray()
        self.expected = 0
        self._source = source
        self._progress = progress

    @property
    def role(self) -> str:
        """The role whose metadata the last file is."""
        name = unquote(self.path.rsplit("/", 1)[-1].removesuffix(".json"))
        number, dot, rest = name.partition(".")
        return rest if dot and number.isdigit() else name

    def pieces(self, path: str) -> Iterator[bytes]:
        self.path, received = path, 0
        self.content.clear()
        for piece in self._source.read(path):
            if path.startswith("metadata/"):
                self.content += piece
            received += len(piece)
            self._progress(path, received, self.expected)
            yield piece


def _fetcher(reading: _Reading) -> FetcherInterface:
    """The source as python-tuf's fetcher."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface

    class Fetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                yield from reading.pieces(url)
            except Missing as fault:
                raise DownloadHTTPError(str(fault), 404) from fault

    return Fetcher()


def _expired(found: str) -> Refused:
    if "timestamp" in found:
        text = "the newest timestamp has expired: the hub no longer refreshes it, or new metadata is being withheld"
        return Refused(SIGNED, "frozen", text)
    return Refused(SIGNED, "expired", f"{found}: it must be signed again")


def timestamp_expiry(metadata: Path) -> WallTime | None:
    """When a verified timestamp expires; None when it cannot be read."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata

    try:
        signed: Metadata[Timestamp] = Metadata.from_bytes((metadata / "timestamp.json").read_bytes())
        return wall(signed.signed.expires)
    except (OSError, ValueError, RepositoryError):
        return None


def _expiry(file: Path) -> datetime:
    from tuf.api.metadata import Metadata

    expires: datetime = Metadata.from_file(str(file)).signed.expires
    return expires
