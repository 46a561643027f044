"""Commands of the hub: `stop`, `resume`, `sync`, `view`, `end-view`, `zone`, each obeyed once and answered.

1. Signed by the hub's key for this device (hub_api/command_check.py), or refused.
2. A retained command, or one whose id was obeyed before, changes nothing.
3. All but `stop` count until they expire, by this device's clock, and for this run of the device alone. A `stop`
   is obeyed whenever it arrives: one that waited in the broker while the device was away stops it then.
4. Who gave it is in the audit log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from device.domain.time import rfc3339
from device.errors import BadData
from device.hub_api import events
from device.hub_api.command_check import STOP, CommandCheck
from device.hub_api.messages import Command, CommandReply, moment
from device.logs import event
from device.ports.audit import Audit
from device.ports.clock import Clock

REMEMBERED = 1000
CLOCKS_APART = timedelta(seconds=30)
_log = logging.getLogger(__name__)
Result = Literal["done", "repeated", "refused"]


class Commands:
    """Decides which commands are obeyed. act: carries one out; reply: sends the answer to the hub."""

    def __init__(
        self,
        check: CommandCheck,
        boot_id: str,
        clock: Clock,
        audit: Audit,
        *,
        act: Callable[[Command], None],
        reply: Callable[[CommandReply], None],
        objection: Callable[[Command], str],
    ) -> None:
        """objection: why this device does not carry out a command now; empty when it does."""
        self._objection = objection
        self._check = check
        self._boot_id = boot_id
        self._clock = clock
        self._audit = audit
        self._act = act
        self._reply = reply
        self._obeyed: dict[str, None] = {}

    def arrived(self, name: str, payload: bytes, *, retained: bool = False) -> None:
        """Take a message of `cmd/<name>`; name: the last level of its topic."""
        try:
            command = self._read(name, payload)
        except BadData as fault:
            self._refused(str(fault))
            return
        if retained:
            self._refused("a retained command")
        elif command.command_id in self._obeyed:
            self._answer(command, "repeated")
        elif problem := self._problem(command):
            self._refused(problem)
            self._answer(command, "refused", problem)
        else:
            self._obeyed[command.command_id] = None
            if len(self._obeyed) > REMEMBERED:
                del self._obeyed[next(iter(self._obeyed))]
            self._act(command)
            self._answer(command, "done")

    def _read(self, name: str, payload: bytes) -> Command:
        """Rule 1."""
        command = events.decode(payload).data
        if not isinstance(command, Command) or command.name != name:
            raise BadData(f"no command {name[:20]!r}")
        self._check.require_signed(command, self._clock.wall())
        return command

    def _problem(self, command: Command) -> str:
        """Rule 3."""
        now = self._clock.wall()
        if command.name == STOP:
            return ""
        if now > moment(command.expires_at):
            return f"it expired at {command.expires_at}; the clock here says {rfc3339(now)}"
        if moment(command.at) > now + CLOCKS_APART:
            return f"it is of {command.at}, which is to come; the clock here says {rfc3339(now)}"
        if command.boot_id != self._boot_id:
            return "it is for another run of this device"
        return self._objection(command)

    def _refused(self, problem: str) -> None:
        event(_log, "command.refused", level=logging.WARNING, problem=problem)
        self._audit.note("refused", "command", reason="not obeyed")

    def _answer(self, command: Command, result: Result, reason: str = "") -> None:
        self._reply(
            CommandReply(
                mode=command.mode,
                command_id=command.command_id,
                name=command.name,
                result=result,
                reason=reason[:200],
                at=rfc3339(self._clock.wall()),
            )
        )
