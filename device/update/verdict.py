"""What is wrong with a release, and whether the release itself is the cause.

1. Broken: a try again gives the same; the version is refused from then on.
2. Passing: this machine, at this moment, may be the cause (a full disk, a sign that is not sensed, a power cut, memory
   that ran out). The version is tried again after the next start of the machine, TRIES_MOST times in all.
3. In doubt a cause is passing where a try changes nothing (self-test, plans), and broken where it does (the trial).
"""

from __future__ import annotations

from dataclasses import dataclass

TRIES_MOST = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: empty when nothing is wrong."""

    reason: str = ""
    passing: bool = False

    def __bool__(self) -> bool:
        return bool(self.reason)


GOOD = Verdict()
