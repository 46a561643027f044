"""`lfr clock recover`: a device that kept a time far ahead accepts the right one again, and keeps nothing longer."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device import eraser
from device.audit.key import read_public
from device.audit.log import lines_of
from device.audit.rows import read
from device.audit.verify import verify
from device.cli.clock_command import recover
from device.cli.main import main
from device.config.model import DeviceConfig
from device.domain.time import WallTime, wall
from device.errors import RefusedByCondition, Unavailable
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox
from device.supervisor.status.file import InstanceLock
from device.sync.client import Client
from device.sync.refusal import Refused
from tests.offers import offer_of
from tests.sim.rig import config as config_of

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk

AHEAD = timedelta(hours=2, minutes=30)


def ms(moment: WallTime) -> int:
    return round(moment.timestamp() * 1000)


def alert(outbox: Outbox, name: str, delete_by: WallTime) -> None:
    outbox.put(
        OutboxMessage(
            id=name,
            kind=MessageClass.ALERT,
            topic="t",
            payload=b"{}",
            content_type="c",
            delete_by=delete_by,
            alert_id=name,
        )
    )


@pytest.fixture
def configured(desk: Desk, tmp_path: Path) -> DeviceConfig:
    """A device whose clock was hours ahead for long, and is right again."""
    state, right = desk.state, desk.clock.wall()
    state.mkdir(parents=True, exist_ok=True)
    outbox = Outbox(state / "outbox.sqlite", right)
    alert(outbox, "past", wall(right + timedelta(hours=2)))
    alert(outbox, "later", wall(right + timedelta(hours=8)))
    desk.clock.set_wall(right + AHEAD)
    desk.hub.stamp()
    desk.client().sync()
    eraser.advance(state, ms(desk.clock.wall()))
    with outbox._change() as sql:
        sql.execute("UPDATE clock SET latest_ms = ?", (ms(desk.clock.wall()),))
    outbox.close()
    desk.clock.set_wall(right)
    return config_of(tmp_path / "device", live=True).model_copy(
        update={"state_dir": state, "run_dir": tmp_path / "run"}
    )


def test_the_right_time_is_accepted_again_and_what_was_past_its_time_is_gone(
    desk: Desk, configured: DeviceConfig
) -> None:
    with pytest.raises(Refused, match="before the last verified"):
        desk.client().sync()
    assert recover(configured, desk.clock, desk.client(), dry_run=False) == 0
    assert offer_of(desk.client().sync()).deployment.id == "d-1"
    assert abs(eraser.verified(desk.state) - ms(desk.clock.wall())) < 60_000
    outbox = Outbox(desk.state / "outbox.sqlite", desk.clock.wall())
    assert outbox.alerts_held() == ["later"], "nothing is kept longer than without the recovery"
    alert(outbox, "new", wall(desk.clock.wall() + timedelta(hours=1)))
    outbox.erase_expired(desk.clock.wall(), clock_trusted=True)
    assert outbox.alerts_held() == ["later", "new"]
    outbox.close()
    audit = desk.state / "audit"
    assert verify(audit, read_public((desk.state / "device.pub").read_text())).ok
    rows = [read(line[:-1]).record for line in lines_of(audit / "audit.jsonl")]
    assert [row.reason for row in rows if row.what == "clock"] == ["recovered"]


def test_a_dry_run_changes_nothing_and_a_second_run_has_nothing_to_do(
    desk: Desk, configured: DeviceConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recover(configured, desk.clock, desk.client(), dry_run=True) == 0
    plan = capsys.readouterr().err
    assert [line.partition(":")[0] for line in plan.splitlines()[:3]] == ["erasure", "repository (demo)", "outbox"]
    with pytest.raises(Refused):
        desk.client().sync()
    recover(configured, desk.clock, desk.client(), dry_run=False)
    capsys.readouterr()
    assert recover(configured, desk.clock, desk.client(), dry_run=False) == 0
    assert "nothing to recover" in capsys.readouterr().err


def test_it_is_refused_while_the_clock_is_not_trusted(desk: Desk, configured: DeviceConfig) -> None:
    desk.clock.is_synchronised = False
    with pytest.raises(RefusedByCondition, match="not synchronised"):
        recover(configured, desk.clock, desk.client(), dry_run=False)
    desk.clock.is_synchronised = True
    desk.clock.set_wall(desk.clock.wall() - timedelta(hours=3))
    with pytest.raises(RefusedByCondition, match="the hub signed its timestamp after"):
        recover(configured, desk.clock, desk.client(), dry_run=False)
    with pytest.raises(Refused):
        desk.client().sync()


@pytest.fixture
def both_ahead(desk: Desk, configured: DeviceConfig) -> DeviceConfig:
    """A device and a hub whose clocks were both three days ahead, and are both right again."""
    right = desk.clock.wall()
    desk.clock.set_wall(right + timedelta(days=3))
    desk.hub.stamp(hours=3 * 24 + 23)
    with contextlib.suppress(Refused):  # the list is too old by then; the timestamp is kept
        desk.client().sync()
    desk.clock.set_wall(right)
    return configured


def test_after_both_clocks_were_ahead_a_newer_signature_of_the_hub_is_the_way_out(
    desk: Desk, both_ahead: DeviceConfig
) -> None:
    with pytest.raises(RefusedByCondition, match="start it and try again a minute later"):
        recover(both_ahead, desk.clock, desk.client(), dry_run=False)
    desk.hub.stamp()  # the hub's clock is right, and it signs anew what it had signed in the future
    with pytest.raises(Refused, match="before the last verified"):
        desk.client().sync()
    assert recover(both_ahead, desk.clock, desk.client(), dry_run=False) == 0
    assert desk.client().sync().good_until <= desk.clock.wall() + timedelta(hours=25)
    outbox = Outbox(desk.state / "outbox.sqlite", desk.clock.wall())
    assert outbox.alerts_held() == [], "what was past its time by the clock that was ahead"
    outbox.close()


def test_a_hub_that_cannot_be_asked_is_named(desk: Desk, both_ahead: DeviceConfig, tmp_path: Path) -> None:
    alone = Client(desk.state, desk.roots, "cam-1", (), desk.clock, memory=tmp_path / "memory")
    with pytest.raises(RefusedByCondition, match=r"neither trust\.url nor trust\.usb"):
        recover(both_ahead, desk.clock, alone, dry_run=False)


def test_an_older_signature_of_the_hub_does_not_show_that_its_clock_was_ahead(
    desk: Desk, both_ahead: DeviceConfig
) -> None:
    file = desk.hub.metadata("timestamp")
    ahead = file.read_bytes()
    desk.hub.versions["timestamp"] -= 2
    desk.hub.stamp()  # signed at the right time, and before the one that the device has
    assert file.read_bytes() != ahead
    with pytest.raises(RefusedByCondition, match="an old copy is offered"):
        recover(both_ahead, desk.clock, desk.client(), dry_run=False)


def test_it_is_refused_while_the_device_runs(desk: Desk, configured: DeviceConfig) -> None:
    with InstanceLock(configured.run_dir), pytest.raises(Unavailable, match="already runs"):
        recover(configured, desk.clock, desk.client(), dry_run=False)


def test_the_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["clock", "recover", "--help"])
    assert ended.value.code == 0
    assert "--dry-run" in capsys.readouterr().out
