"""The service manager's status line: what `systemctl status lfr` shows, on one line of a terminal.

state, frames a second, faces, queue: first failing condition with its remedy; cameras that are away

1. Counts stand while workers may run; in `safe` and `ready` only messages that wait for the hub.
2. The line is at most MOST characters. What does not fit is left out: warnings that stop nothing, then cameras that
   are away, then the end of what a condition found in particular; its text and its remedy stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from device.domain.conditions import ConditionName
from device.supervisor.conditions.condition import Evaluation
from device.supervisor.conditions.evaluation import failing
from device.supervisor.conditions.predicates import camera_warnings, cameras_away
from device.supervisor.conditions.snapshot import CameraView
from device.supervisor.state_machine import State
from device.supervisor.status.view import StatusView, board_warnings

MOST = 240
COUNTED = frozenset({State.ARMED, State.RECOGNISING, State.INHIBITED, State.ENDING})
MORE = "; more: lfr status"
LEAST_FOUND = 16
"""Characters of a finding; with fewer it is left out."""


def status_line(seen: StatusView) -> str:
    """The line (rules 1, 2)."""
    head = ", ".join([seen.state.value, *_counts(seen)])
    wrong = failing(seen.evaluations)
    more = f" (and {len(wrong) - 1} more: lfr why)" if len(wrong) > 1 else ""
    away = [one for one in cameras_away(seen.snapshot) if seen.state in COUNTED and not _waits(seen, one)]
    others = [f"camera {one}" for one in away] + camera_warnings(seen.snapshot)
    certificates = seen.certificates.symptoms(seen.at) if wrong else seen.certificates.warnings(seen.at)
    others += certificates + board_warnings(seen)
    if not wrong:
        return _fitted(head, others)
    if wrong[0].condition.name is ConditionName.CAMERA_LIVE and away:
        return _fitted(head, [f"{others[0]}{more}", *others[1:]])  # it has found these, and each has its own remedy
    room = MOST - len(f"{head}: {more}{MORE if others else ''}")
    return _fitted(head, [_shortened(wrong[0], room) + more, *others])


def release_note(release: str, software: str) -> str:
    """What follows the line while no deployment is loaded, as releases change then: the release that runs, and of one
    that failed here what became of it. The reason may be long; `lfr update status` shows it.
    """
    return f" (release {'; '.join(filter(None, (release, software.partition(': ')[0])))})"


def _waits(seen: StatusView, away: str) -> bool:
    """Whether a camera is away only because recognition has stopped, or has just begun."""
    return seen.snapshot.cameras.get(away.partition(" ")[0]) in (CameraView.STOPPED, CameraView.STARTING)


def _shortened(wrong: Evaluation, most: int) -> str:
    """What fails and what to do, in at most so many characters if its two fixed parts allow that."""
    found = wrong.text.removeprefix(wrong.condition.wrong).removesuffix(f"; {wrong.condition.remedy}")
    left = most - len(wrong.text) + len(found)
    if len(found) > left:
        found = f"{found[: left - 2]}…)" if left >= LEAST_FOUND else ""
    return f"{wrong.condition.wrong}{found}; {wrong.condition.remedy}"


def _counts(seen: StatusView) -> list[str]:
    queued = [f"{seen.waiting} queued"]
    if seen.state not in COUNTED:
        return queued if seen.waiting else []
    return [f"{seen.fps:.0f} frames/s", f"{seen.totals.faces_seen} faces", *queued]


def _fitted(head: str, parts: Sequence[str]) -> str:
    """Head and as many parts as fit; a first part that is too long is cut."""
    line, colon = head, ": "
    for number, part in enumerate(parts):
        longer = f"{line}{colon}{part}"
        left = MORE if number + 1 < len(parts) else ""
        if len(longer) + len(left) > MOST:
            return line + MORE if number else f"{longer[: MOST - len(MORE) - 1]}…{MORE}"
        line, colon = longer, "; "
    return line
