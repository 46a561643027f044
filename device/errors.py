"""Every error that the device raises on purpose.

    LfrError                       exit  whose fault                     does a restart help
    ├── UsageError                   64  the caller of the command       no
    ├── BadData                      65  a file, frame, packet or photo  no
    │   ├── SourceUnreadable         65  a recording                     no
    │   ├── WatchlistUnusable        65  a watchlist                     no
    │   └── EvidenceUnusable         65  evidence, or data to make it    no
    │       └── EvidenceDamaged      65  the evidence that ships         after installing again
    ├── Unavailable                  69  hardware, a service, a network  yes
    │   ├── SourceLost               69  a live camera                   yes
    │   ├── BrokerUnavailable        69  the broker or the way to it     yes
    │   ├── GpioUnavailable         69  GPIO                            perhaps
    │   └── EngineUnavailable        69  a model or its runtime          after `lfr engines prepare`
    ├── InternalError                70  us                              perhaps
    │   └── LinkBroken               70  the other process               yes
    ├── RefusedByCondition           77  none: a condition is not met    when the condition holds
    └── ConfigError                  78  who wrote the configuration     no

Each class fixes the exit status of the command (DESIGN: sysexits). The message names what was found, where, which
rule it breaks and what to do next; fields carry the same for machines. `engines` has its own tree.
"""

from __future__ import annotations


def reason_of(fault: OSError) -> str:
    """What the operating system reported, for a message; never empty.

    `strerror` alone is None for errors that Python's own libraries raise: `shutil.Error` holds (from, to, text) of each
    file that failed, others only a text.
    """
    if fault.strerror:
        return fault.strerror
    files = fault.args[0] if fault.args and isinstance(fault.args[0], list) else []
    texts = [str(entry[-1]) for entry in files if entry]
    return texts[0] if texts else str(fault) or type(fault).__name__


class LfrError(Exception):
    """Root of the tree; `exit_status` is what a command returns when it ends with this error."""

    exit_status = 70


class UsageError(LfrError):
    """The command line asks for something that does not exist."""

    exit_status = 64


class BadData(LfrError):
    """Input that is invalid in itself; a retry gives the same."""

    exit_status = 65


class SourceUnreadable(BadData):
    """A recording that cannot be decoded: missing, empty, truncated before the first picture, not a video."""


class WatchlistUnusable(BadData):
    """A watchlist that cannot be loaded as a whole (single photos are rejected, not raised)."""


class EvidenceUnusable(BadData):
    """An operating point's evidence that is damaged, unsigned, for another engine, or data that can give none."""


class EvidenceDamaged(EvidenceUnusable):
    """The shipped evidence does not match its signature: the installation is damaged or was changed."""


class Unavailable(LfrError):
    """Hardware, a service or a network that is unavailable now; waiting or a restart may help."""

    exit_status = 69


class SourceLost(Unavailable):
    """A live camera stopped delivering: gone, frozen or past its deadline."""


class BrokerUnavailable(Unavailable):
    """No MQTT session: refused, unreachable, or the certificate is not accepted."""


class GpioUnavailable(Unavailable):
    """A GPIO line cannot be claimed, driven or read."""


class EngineUnavailable(Unavailable):
    """A model file or its runtime is missing or does not load."""


class InternalError(LfrError):
    """A defect of this program."""

    exit_status = 70


class LinkBroken(InternalError):
    """The other end of the worker link sent an unknown message, or is gone."""


class RefusedByCondition(LfrError):
    """A condition is not met; `rule` names it and the text states what would satisfy it."""

    exit_status = 77

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.text = text


class ConfigError(LfrError):
    """The configuration is wrong; `problems` holds one line for each error, all found in one go."""

    exit_status = 78

    def __init__(self, place: str, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join((f"{place}: {len(problems)} error(s)", *(f"  {p}" for p in problems))))
        self.place = place
        self.problems = problems
