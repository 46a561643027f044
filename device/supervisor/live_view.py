"""The live view: asked for by the hub's signed `view`, allowed by this device's configuration, off otherwise.

1. It ends at the command's `expires_at`, at most VIEW_MOST_S ahead, with `end-view`, and with this program: nothing of
   it is stored. Beginning and end are in the audit log with the officer; a view that another one replaces has ended.
2. Workers get the recipient once a second, and stop by themselves without it. This program holds ciphertext alone.
3. A picture is published at most once or never: QoS 0, not retained, and not before recognition's own messages.
"""

from __future__ import annotations

from collections.abc import Callable

from device.domain.time import NS_PER_S, rfc3339
from device.hub_api.messages import Command, LiveViewReading, moment
from device.ports.audit import Audit
from device.ports.clock import Clock
from device.supervisor.timing import VIEW_MOST_S, VIEW_PICTURE_S

VIEW, END_VIEW = "view", "end-view"


class LiveView:
    """Who sees the live view, until when.

    show  sends every running worker the recipient, or None;  send  publishes a camera's picture, or drops it
    """

    def __init__(
        self,
        clock: Clock,
        audit: Audit,
        *,
        allowed: bool,
        show: Callable[[str | None], None],
        send: Callable[[str, bytes], None],
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._allowed = allowed
        self._show = show
        self._send = send
        self._command: Command | None = None
        self._until_ns = 0
        self._sent_ns: dict[str, int] = {}

    def objection(self, command: Command) -> str:
        """Why a command about the view is refused; empty for every other one."""
        if command.name != VIEW:
            return ""
        if not self._allowed:
            return "the live view is off in this device's configuration (live_view)"
        if command.recipient is None:
            return "it names no recipient"
        ahead_s = (moment(command.expires_at) - self._clock.wall()).total_seconds()
        return "" if ahead_s <= VIEW_MOST_S else f"it would last {ahead_s:.0f} s, more than {VIEW_MOST_S:.0f} s"

    def command(self, command: Command) -> None:
        """Carry out `view` or `end-view`."""
        if command.name == END_VIEW:
            self._end("ended", command.given_by)
            return
        if self._command is not None:
            self._note_end("replaced", self._command.given_by)
        self._command = command
        ahead_s = (moment(command.expires_at) - self._clock.wall()).total_seconds()
        self._until_ns = int(self._clock.monotonic()) + round(ahead_s * NS_PER_S)
        self._audit.note("view", event="began", officer=command.given_by, until=command.expires_at)
        self.renew()

    @property
    def asked(self) -> bool:
        """Whether it is shown now."""
        return self._command is not None

    def reading(self) -> LiveViewReading:
        """As the state notice and the status file report it."""
        shown = self._command
        if shown is None:
            return LiveViewReading(allowed=self._allowed)
        return LiveViewReading(allowed=True, until=shown.expires_at, given_by=shown.given_by)

    def picture(self, camera: str, sealed: bytes) -> None:
        """A worker's picture: pass it on while the view is shown, at most one a camera in VIEW_PICTURE_S."""
        now = int(self._clock.monotonic())
        if self._command is None or now - self._sent_ns.get(camera, -NS_PER_S) < VIEW_PICTURE_S * NS_PER_S:
            return
        self._sent_ns[camera] = now
        self._send(camera, sealed)

    def renew(self) -> None:
        """Tell the workers, or end a view whose time is over (rules 1, 2)."""
        if self._command is None:
            return
        if self._clock.monotonic() >= self._until_ns:
            self._end("expired", self._command.given_by)
        else:
            self._show(self._command.recipient)

    def _end(self, how: str, officer: str) -> None:
        if self._command is None:
            return
        self._command = None
        self._show(None)
        self._note_end(how, officer)

    def _note_end(self, how: str, officer: str) -> None:
        self._audit.note("view", event=how, officer=officer, until=rfc3339(self._clock.wall()))
