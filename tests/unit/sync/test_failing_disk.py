"""An end and a withdrawal count at once on a disk that is read-only or full; nothing older is taken after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.errors import Unavailable
from device.sync.client import Client
from device.sync.refusal import Refused
from tests.failing_disks import FailingDisk, failing_disk
from tests.offers import offer_of

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk

BREAK: dict[str, Callable[[FailingDisk], None]] = {
    "read-only": lambda disk: disk.turn_read_only(),
    "full": lambda disk: disk.fill(),
}
each_fault = pytest.mark.parametrize("fault", BREAK)


@contextmanager
def running(desk: Desk) -> Iterator[tuple[Client, FailingDisk]]:
    """A device that has taken up the deployment, on a disk that may fail."""
    with failing_disk(desk.state) as disk:
        client = desk.client()
        client.take(offer_of(client.sync()))
        yield client, disk


@each_fault
def test_an_end_is_obeyed_at_once(desk: Desk, fault: str) -> None:
    with running(desk) as (client, disk):
        BREAK[fault](disk)
        desk.hub.index = None
        desk.hub.publish()
        found = client.sync()
        assert found.offer is None
        assert found.refused is None
        assert found.unkept
        assert "None" not in found.unkept
        disk.mend()
        assert client.sync().unkept == ""
        assert desk.client().sync().offer is None, "it was kept"


@each_fault
def test_a_withdrawal_is_obeyed_at_once(desk: Desk, fault: str) -> None:
    with running(desk) as (client, disk):
        BREAK[fault](disk)
        desk.hub.withdrawn = {"deployment_id": "d-1", "refs": ["e-1"]}
        desk.hub.publish()
        found = client.sync()
        assert offer_of(found).withdrawn == {"e-1"}
        assert found.unkept
        assert offer_of(client.sync()).payload.read_bytes() == desk.hub.payload


@each_fault
def test_nothing_older_is_taken_after_what_the_disk_did_not_keep(desk: Desk, fault: str, tmp_path: Path) -> None:
    with running(desk) as (client, disk):
        before = {p.relative_to(desk.hub.folder): p.read_bytes() for p in desk.hub.folder.rglob("*") if p.is_file()}
        BREAK[fault](disk)
        desk.hub.index = None
        desk.hub.publish()
        assert client.sync().offer is None
        for name, content in before.items():
            (desk.hub.folder / name).write_bytes(content)
        with pytest.raises(Refused, match="older than what was verified"):
            client.sync()


@each_fault
def test_no_new_list_is_taken_up_on_a_failed_disk(desk: Desk, fault: str) -> None:
    with failing_disk(desk.state) as disk:
        BREAK[fault](disk)
        with pytest.raises(Unavailable) as refused:
            desk.client().sync()
        assert "None" not in str(refused.value)


def test_an_unreadable_copy_is_an_error_of_ours_and_not_the_end_of_the_supervisor(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = desk.client()
    client.sync()

    def broken(self: Path) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "is_file", broken)
    with pytest.raises(Unavailable, match="Input/output error"):
        client.sync()
