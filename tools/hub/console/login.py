"""Sessions of people at the page: roles, idle lock, an end after a shift.

1. Where the hub has users, somebody must log in; the session's reference is in every judgement and command. A hub that
   is operational, or had users since its start, lets nobody in when their file is empty or missing.
2. A session is locked after IDLE_S without a key, a click or a touch, and ends LONGEST_S after its login, with the
   removal of its user or a new password or role, and with the program. A locked or ended session gets nothing: its
   page shows the login.
3. After TRIES wrong passwords a reference waits WAIT_S for each further try. Unknown references count as one, so the
   table is no longer than the list of users; a try counts before its password is looked at, one at a time. Every
   refusal has the same words, so that a flood does not tell which references there are.
4. Logins, refusals, locks and ends are rows of the hub's own log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from device.errors import RefusedByCondition
from tools.hub.storage.users import Role, Users

IDLE_S = 900.0
LONGEST_S = 12 * 3600.0
TRIES = 5
WAIT_S = 60.0
UNKNOWN = "unknown"  # no user's reference: it has no digit
REFUSED = "this reference and password do not fit; after 5 tries, wait a minute before the next"
COOKIE = "lfr_session"
JUDGES: frozenset[Role] = frozenset({"operator", "supervisor"})
Event = Literal["login", "logout", "refused", "locked", "ended"]
Note = Callable[[Event, str], None]


@dataclass(slots=True)
class Session:
    """One person at the page. began_s, active_s: monotonic; hash: of the password that opened it."""

    ref: str
    role: Role
    began_s: float
    active_s: float
    hash: str = ""

    def may(self, method: str, path: str) -> bool:
        """Whether this role may ask for this: cases are for those who judge, commands and holds for fewer."""
        if path.startswith("/devices/"):
            if path.endswith("/zone"):
                return self.role in ("supervisor", "engineer")
            return self.role == "supervisor" or (not path.endswith("/resume") and self.role != "auditor")
        if path.startswith(("/holds", "/complaints")):
            return self.role == "supervisor" or (method == "GET" and self.role != "engineer")
        return self.role in JUDGES if path.startswith(("/cases/", "/bluelist/")) else True


NOBODY = Session("", "supervisor", 0.0, 0.0)
"""Of a hub without users: the address alone admits, and `lfr hub serve --operator` gives the reference."""
acting: ContextVar[Session] = ContextVar("acting", default=NOBODY)
"""The session of the request that is being answered."""


class Sessions:
    """Everybody who is logged in; on the console's loop. now_s: a monotonic clock."""

    def __init__(self, users: Users, now_s: Callable[[], float], note: Note, *, operational: bool = False) -> None:
        self._users = users
        self._now_s = now_s
        self._note = note
        self._required = operational
        self._open: dict[str, Session] = {}
        self._wrong: dict[str, tuple[int, float]] = {}
        self._checking = asyncio.Lock()

    @property
    def required(self) -> bool:
        """Whether somebody must log in; once so, it stays so (rule 1)."""
        self._required = bool(self._users.all()) or self._required
        return self._required

    async def login(self, ref: str, password: str) -> str:
        """The new session's cookie. RefusedByCondition: wrong, or too many tries (rule 3)."""
        named = self._named(ref)
        tries, last_s = self._wrong.get(named, (0, 0.0))
        if tries >= TRIES and self._now_s() - last_s < WAIT_S:
            self._note("refused", named)
            raise RefusedByCondition("login", REFUSED)
        self._wrong[named] = (tries + 1, self._now_s())
        async with self._checking:
            user = await asyncio.to_thread(self._users.check, ref, password)
        if user is None:
            self._note("refused", named)
            raise RefusedByCondition("login", REFUSED)
        self._wrong.pop(named, None)
        key, now_s = secrets.token_urlsafe(24), self._now_s()
        self._open[key] = Session(ref, user.role, now_s, now_s, user.hash)
        self._note("login", ref)
        return key

    def of(self, cookie: str) -> Session | None:
        """The session of a request; None when it is locked, has ended, or there is none (rule 2)."""
        if not self.required:
            return NOBODY
        session = self._open.get(cookie)
        if session is None:
            return None
        now_s = self._now_s()
        if now_s - session.active_s > IDLE_S:
            self._end(cookie, "locked")
        elif now_s - session.began_s > LONGEST_S or not self._still(session):
            self._end(cookie, "ended")
        return session if cookie in self._open else None

    def _still(self, session: Session) -> bool:
        """Whether its user is there, in the same role and with the same password (rule 2)."""
        user = self._users.all().get(session.ref)
        return user is not None and (user.role, user.hash) == (session.role, session.hash)

    def touch(self, session: Session) -> None:
        """A key, a click or a touch."""
        session.active_s = self._now_s()

    def logout(self, cookie: str) -> None:
        """End a session."""
        if cookie in self._open:
            self._end(cookie, "logout")

    def left_s(self, session: Session) -> float | None:
        """Seconds until the lock; None in a hub without users."""
        return None if session is NOBODY else max(0.0, IDLE_S - (self._now_s() - session.active_s))

    def _named(self, ref: str) -> str:
        """The reference for the log; what was typed is nobody's, and may be a password."""
        return ref if self._users.role(ref) is not None else UNKNOWN

    def _end(self, cookie: str, how: Event) -> None:
        self._note(how, self._open.pop(cookie).ref)
