"""Engines opened ahead of the assignment: what is opened, who gets it, and how a worker that is not needed ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from msgspec import structs

from device.domain.finding import Mode
from device.errors import EngineUnavailable
from device.wire.link import PROTOCOL, Assignment, CameraAssignment, Prepare, VisionAssignment, pack
from device.worker import preparation
from device.worker.link_end import LinkEnd
from device.worker.preparation import Prepared

VISION = VisionAssignment(backend="auto", min_face_px=32, threshold=None, models_dir="m")
TASK = Assignment(
    protocol=PROTOCOL,
    mode=Mode.TEST,
    deployment_id="d-1",
    camera=CameraAssignment(camera_id="front", source="x.mp4", pace="full", zone=((0, 0), (1, 0), (1, 1))),
    vision=VISION,
    watchlist="w",
    identity="i",
    hub_recipient="r",
)
WITHIN_S = 10.0


class Rooms:
    """Stands for ModelSessions: what was opened in each, in order."""

    made: list[Rooms]

    def __init__(self, backend: str, **_: object) -> None:
        self.opened: list[str] = []
        self.made.append(self)
        if backend == "none":
            raise EngineUnavailable("no such engine")

    def refiner(self) -> None:
        self.opened.append("refiner")

    def embedders(self) -> None:
        self.opened.append("embedders")

    def close(self) -> None:
        self.opened.append("closed")


@pytest.fixture(autouse=True)
def rooms(monkeypatch: pytest.MonkeyPatch) -> type[Rooms]:
    monkeypatch.setattr(Rooms, "made", [], raising=False)
    monkeypatch.setattr(preparation, "ModelSessions", Rooms)
    monkeypatch.setattr(preparation, "load_lazy_libraries", lambda: None)
    return Rooms


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, LinkEnd]]:
    ours, theirs = socket.socketpair()
    yield ours, LinkEnd(theirs)
    ours.close()


def taken(prepared: Prepared, vision: VisionAssignment) -> object:
    return prepared.take(vision)


def test_a_prepared_worker_has_its_engines_open_when_the_assignment_comes(
    ends: tuple[socket.socket, LinkEnd], rooms: type[Rooms]
) -> None:
    supervisor, link = ends
    supervisor.sendall(pack(Prepare(protocol=PROTOCOL, vision=VISION)) + pack(TASK))
    prepared = Prepared()
    assert prepared.first_message(link, WITHIN_S) == TASK
    assert [room.opened for room in rooms.made] == [["refiner", "embedders"]]
    assert taken(prepared, VISION) is rooms.made[0]
    assert taken(prepared, VISION) is not rooms.made[0], "they are given away once"


def test_engines_of_another_vision_section_are_closed_and_not_used(
    ends: tuple[socket.socket, LinkEnd], rooms: type[Rooms]
) -> None:
    supervisor, link = ends
    supervisor.sendall(pack(Prepare(protocol=PROTOCOL, vision=VISION)) + pack(TASK))
    prepared = Prepared()
    prepared.first_message(link, WITHIN_S)
    assert taken(prepared, structs.replace(VISION, recogniser="another")) is not rooms.made[0]
    assert rooms.made[0].opened[-1] == "closed"


def test_an_engine_that_cannot_be_opened_is_reported_with_the_assignment(
    ends: tuple[socket.socket, LinkEnd],
) -> None:
    supervisor, link = ends
    broken = structs.replace(VISION, backend="none")
    supervisor.sendall(pack(Prepare(protocol=PROTOCOL, vision=broken)) + pack(TASK))
    prepared = Prepared()
    assert prepared.first_message(link, WITHIN_S) == TASK
    with pytest.raises(EngineUnavailable):
        prepared.take(broken)


def test_a_prepared_worker_that_is_not_needed_ends_with_its_link(ends: tuple[socket.socket, LinkEnd]) -> None:
    supervisor, link = ends
    supervisor.sendall(pack(Prepare(protocol=PROTOCOL, vision=VISION)))
    supervisor.shutdown(socket.SHUT_WR)
    prepared = Prepared()
    assert prepared.first_message(link, WITHIN_S) is None
    assert prepared.idle
