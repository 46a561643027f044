"""Sources of a repository: a hub over HTTPS, or a folder on a USB stick. Both are untrusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from device.errors import Unavailable


class Missing(Unavailable):
    """The repository has no such file."""


class Source(Protocol):
    """Delivers the bytes of one file of the repository, `metadata/…` or `targets/…`, in pieces.

    Raises Missing, Unavailable, or Refused for what a correct repository does not send. The reader counts the bytes and
    stops when there are too many. `close` may be called from another thread: a read in progress ends with Unavailable.
    """

    @property
    def name(self) -> str: ...

    def read(self, path: str) -> Iterator[bytes]: ...

    def close(self) -> None: ...
