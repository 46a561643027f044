"""Engines that are opened before there is an assignment, so that a restart is recognising again sooner.

1. Models and plans are read, nothing personal: no list, no key, no camera. The lock-down and everything after it come
   with the assignment, in the order of main.py.
2. Engines that cannot be opened are reported with the assignment, which opens them again.
3. A prepared worker has no deadline of its own: it ends with its link, which the supervisor closes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from device.enrolment.model_sessions import ModelSessions
from device.errors import LfrError
from device.wire.link import PROTOCOL, Prepare, ToWorker, VisionAssignment
from device.worker.camera import load_lazy_libraries
from device.worker.link_end import LinkEnd

WAIT_S = 60.0  # then waited for again (rule 3)


def sessions_of(vision: VisionAssignment) -> ModelSessions:
    """The engines of one worker; none is open yet. Raises as ModelSessions does."""
    return ModelSessions(
        vision.backend,
        threads=1,
        models=Path(vision.models_dir),
        detector=vision.detector,
        recogniser=vision.recogniser,
        screen=vision.screen,
    )


class Prepared:
    """What was opened ahead; `take` gives it to the one worker whose assignment has the same vision section."""

    def __init__(self) -> None:
        self._vision: VisionAssignment | None = None
        self._room: ModelSessions | None = None

    def first_message(self, link: LinkEnd, within_s: float) -> ToWorker | None:
        """The first message that is no Prepare, which is carried out; None when the link has ended or none came."""
        message = link.receive(within_s)
        while isinstance(message, Prepare) and message.protocol == PROTOCOL:
            self._open(message.vision)
            message = None
            while message is None and not link.gone.is_set():
                message = link.receive(WAIT_S)
        return message

    def take(self, vision: VisionAssignment) -> ModelSessions:
        """The engines for this vision section, open if they were prepared for it."""
        room, self._room = self._room, None
        if room is not None and vision == self._vision:
            return room
        if room is not None:
            room.close()
        return sessions_of(vision)

    def close(self) -> None:
        """Close engines that nobody has taken."""
        if self._room is not None:
            self._room.close()
        self._room = None

    @property
    def idle(self) -> bool:
        """Whether engines were prepared that nobody has taken."""
        return self._vision is not None

    def _open(self, vision: VisionAssignment) -> None:
        self.close()
        self._vision = vision
        load_lazy_libraries()
        with suppress(LfrError):  # rule 2
            self._room = room = sessions_of(vision)
            room.refiner()
            room.embedders()
