"""The eraser deletes what is past its time: with the supervisor dead, cut off anywhere, and with the clock set back."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device import eraser
from device.domain.time import wall
from device.errors import Unavailable
from device.outbox.message import OutboxMessage
from device.outbox.retry import MessageClass
from device.outbox.store import Outbox

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
END = NOW + timedelta(hours=1)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@dataclass
class Place:
    """A device's folders with one deployment that ends at END and one alert that is kept an hour longer."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def secrets(self) -> tuple[Path, Path]:
        return self.root / "deployment" / "identity.txt", self.root / "deployment" / "watchlist.age"

    @property
    def outbox(self) -> Path:
        return self.state / eraser.OUTBOX

    @property
    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(f.read_text()) for f in sorted((self.state / "erase").glob(f"*{eraser.RECEIPT}"))]

    def order(self, **given: Any) -> None:
        eraser.place(self.state, "d-1", self.secrets, ms(END), ms(NOW), subjects=3, mode="test", **given)

    def keep_alert(self, alert_id: str = "a-1", delete_by: datetime = END + timedelta(hours=1)) -> None:
        outbox = Outbox(self.outbox, wall(NOW))
        outbox.put(
            OutboxMessage(
                id=f"m-{alert_id}",
                kind=MessageClass.ALERT,
                topic="t",
                payload=b"who it was",
                content_type="c",
                delete_by=wall(delete_by),
                alert_id=alert_id,
            )
        )
        outbox.close()

    def alerts(self) -> list[str]:
        sql = sqlite3.connect(self.outbox)
        try:
            return [row[0] for row in sql.execute("SELECT alert_id FROM keys")]
        finally:
            sql.close()

    def stamp(self, name: str, **changes: Any) -> None:
        file = self.state / "erase" / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    def gone(self) -> bool:
        return not any(secret.exists() for secret in self.secrets)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    (tmp_path / "deployment").mkdir()
    made.state.mkdir()
    for secret in made.secrets:
        secret.write_bytes(b"secret")
    made.order()
    return made


def test_nothing_is_deleted_before_its_time(place: Place) -> None:
    place.keep_alert()
    assert eraser.erase(place.state, ms(END) - 1) == 0
    assert not place.gone()
    assert place.alerts() == ["a-1"]
    assert place.receipts == []


def test_the_list_goes_at_its_end_and_leaves_a_receipt(place: Place) -> None:
    assert eraser.erase(place.state, ms(END)) == 2
    assert place.gone()
    assert [(r["deployment"], r["subjects"], r["reason"], r["mode"]) for r in place.receipts] == [
        ("d-1", 3, "expiry", "test")
    ]
    assert not (place.state / "erase" / "d-1.json").exists()
    assert eraser.erase(place.state, ms(END)) == 0


def test_an_alert_goes_at_its_own_time_with_its_key_and_is_owed_a_receipt(place: Place) -> None:
    place.keep_alert("a-1")
    place.keep_alert("a-2", END + timedelta(hours=9))
    assert eraser.erase(place.state, ms(END + timedelta(hours=1))) == 3
    assert place.alerts() == ["a-2"]
    assert b"who it was" not in place.outbox.read_bytes()
    outbox = Outbox(place.outbox, wall(END))
    reported = outbox.erase_expired(wall(END + timedelta(hours=1)), clock_trusted=True)
    assert [(d.alert_id, d.reason) for d in reported] == [("a-1", "retention")]
    assert outbox.erase_expired(wall(END + timedelta(hours=1)), clock_trusted=True) == []
    assert outbox.tally()["erased.retention"] == 1
    outbox.close()


def test_an_order_for_everything_takes_every_alert_along(place: Place) -> None:
    place.keep_alert("a-1", END + timedelta(days=9))
    place.order(all_alerts=True, reason="tamper")
    eraser.erase(place.state, ms(END))
    assert place.alerts() == []
    assert place.receipts[0]["reason"] == "tamper"


def test_an_alert_erased_here_is_refused_when_it_comes_late(place: Place) -> None:
    place.keep_alert()
    eraser.erase(place.state, ms(END + timedelta(hours=2)))
    place.keep_alert()
    assert place.alerts() == []


def test_folders_of_envelopes_go_too_and_links_are_not_followed(place: Place) -> None:
    envelopes, outside = place.root / "envelopes", place.root / "outside"
    envelopes.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("x")
    (envelopes / "e").write_text("x")
    link = place.root / "link"
    link.symlink_to(outside)
    eraser.place(place.state, "d-1", (envelopes, link, *place.secrets), ms(END), ms(NOW))
    assert eraser.erase(place.state, ms(END)) == 4
    assert not envelopes.exists()
    assert not link.is_symlink()
    assert (outside / "kept").exists()


class PowerCut(BaseException):
    """What a power cut looks like from inside: nothing more is done."""


@pytest.mark.parametrize("point", range(12))
def test_a_power_cut_anywhere_is_made_good_by_the_next_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    left = [point]

    def cut(name: str, owner: Any) -> None:
        real = getattr(owner, name)

        def step(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise PowerCut
            done = real(*arguments, **options)
            left[0] -= 1
            if left[0] == 0:
                raise PowerCut
            return done

        monkeypatch.setattr(owner, name, step)

    place.keep_alert()
    for name, owner in (("unlink", Path), ("_replace", eraser), ("_erase_alerts", eraser)):
        cut(name, owner)
    late = ms(END + timedelta(hours=2))
    try:
        eraser.erase(place.state, late)
        cut_off = False
    except PowerCut:
        cut_off = True
    monkeypatch.undo()
    assert cut_off is (0 < point <= 10), "the points cover every step and one more"
    eraser.erase(place.state, late)
    assert place.gone()
    assert place.alerts() == []
    assert [r["deployment"] for r in place.receipts] == ["d-1"]
    assert not (place.state / "erase" / "d-1.json").exists()
    outbox = Outbox(place.outbox, wall(END))
    assert [d.alert_id for d in outbox.erase_expired(wall(NOW), clock_trusted=False)] == ["a-1"]
    outbox.close()


def test_a_transaction_that_is_cut_off_leaves_the_alert_and_the_next_run_takes_it(place: Place) -> None:
    place.keep_alert()
    sql = sqlite3.connect(place.outbox, isolation_level=None)
    sql.execute("BEGIN IMMEDIATE")
    sql.execute("DELETE FROM keys")
    sql.close()  # what a killed process leaves: nothing committed
    assert place.alerts() == ["a-1"]
    eraser.erase(place.state, ms(END + timedelta(hours=2)))
    assert place.alerts() == []


def test_a_clock_that_is_set_back_postpones_nothing_once_the_time_was_verified(place: Place) -> None:
    eraser.advance(place.state, ms(END) - 60_000)
    stamp = json.loads((place.state / "erase" / eraser.CLOCK).read_text())
    place.stamp(eraser.CLOCK, boottime_ms=stamp["boottime_ms"] - 60_001)
    assert eraser.erase(place.state, ms(NOW - timedelta(days=400))) == 2
    assert place.gone()


def test_a_clock_that_is_set_back_postpones_nothing_while_this_boot_counts(place: Place) -> None:
    boottime = json.loads((place.state / "erase" / "d-1.json").read_text())["boottime_ms"]
    place.stamp("d-1.json", boottime_ms=boottime - 3_600_001)
    assert eraser.erase(place.state, ms(NOW - timedelta(days=400))) == 2
    assert place.gone()


def test_the_verified_time_outlives_a_reboot_and_never_goes_back(place: Place) -> None:
    eraser.advance(place.state, ms(END))
    place.stamp(eraser.CLOCK, boot="of another boot", boottime_ms=10**12)
    assert eraser.advance(place.state, ms(NOW)) >= ms(END)
    assert eraser.erase(place.state, None) == 2


def test_a_clock_set_far_ahead_counts_now_and_not_for_ever(place: Place) -> None:
    eraser.advance(place.state, ms(NOW))
    eraser.erase(place.state, ms(NOW + timedelta(days=4000)))
    assert place.gone(), "early is on the safe side"
    for secret in place.secrets:
        secret.write_bytes(b"the next deployment's")
    eraser.place(place.state, "d-2", place.secrets, ms(END + timedelta(days=1)), ms(NOW))
    assert eraser.erase(place.state, ms(NOW)) == 0
    assert not place.gone()


def test_one_file_that_cannot_be_deleted_keeps_no_other_and_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "identity.txt":
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    place.keep_alert()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(Unavailable, match=r"identity\.txt"):
        eraser.erase(place.state, ms(END + timedelta(hours=2)))
    assert not place.secrets[1].exists()
    assert place.alerts() == []
    assert place.receipts == []
    monkeypatch.undo()
    eraser.erase(place.state, ms(END + timedelta(hours=2)))
    assert place.gone()
    assert len(place.receipts) == 1


def test_an_order_that_cannot_be_read_is_logged_and_stops_no_other(place: Place) -> None:
    (place.state / "erase" / "a.json").write_text("{")
    with pytest.raises(Unavailable, match=r"a\.json"):
        eraser.erase(place.state, ms(END))
    assert place.gone()


def run(place: Place) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "device.eraser", str(place.state), str(place.root / "run")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_program_erases_after_its_supervisor_was_killed(place: Place) -> None:
    just_now = datetime.now(timezone.utc) - timedelta(seconds=5)
    place.keep_alert(delete_by=just_now)
    eraser.place(place.state, "d-1", place.secrets, ms(just_now), ms(just_now))
    (place.root / "run").mkdir()
    code = (
        "import sqlite3, fcntl, sys, time\n"
        f"lock = open({str(place.root / 'run' / 'lock')!r}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        f"sql = sqlite3.connect({str(place.outbox)!r}, isolation_level=None); sql.execute('BEGIN IMMEDIATE')\n"
        "sql.execute('UPDATE clock SET latest_ms = 1'); print('holds', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "holds\n"
        supervisor.kill()
        supervisor.wait()
    done = run(place)
    assert done.returncode == 0, done.stderr
    assert place.gone()
    assert place.alerts() == []


def test_while_a_supervisor_holds_the_folder_the_bare_wall_clock_has_no_say(place: Place) -> None:
    (place.root / "run").mkdir()
    eraser.place(place.state, "d-1", place.secrets, ms(datetime.now(timezone.utc)) - 5_000, 0)
    with (place.root / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(place).returncode == 0
        assert not place.gone()
    assert run(place).returncode == 0
    assert place.gone()


def test_the_program_imports_nothing_but_the_standard_library_and_three_small_modules() -> None:
    code = "import sys; before = set(sys.modules); import device.eraser; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.split(".")[0] not in sys.stdlib_module_names}
    assert ours == {"device", "device.durable", "device.eraser", "device.errors", "device.logs"}


def test_without_its_two_folders_the_program_exits_with_a_message() -> None:
    done = subprocess.run([sys.executable, "-m", "device.eraser"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "state folder" in done.stderr


def test_a_deployment_called_clock_ends_like_any_other(place: Place) -> None:
    sealed = place.root / "another.age"
    sealed.write_bytes(b"sealed")
    eraser.place(place.state, "clock", (sealed,), ms(END), ms(NOW))
    eraser.advance(place.state, ms(NOW))
    assert eraser.erase(place.state, ms(END)) == 3
    assert not sealed.exists()


@pytest.mark.parametrize("lacking", ["end_ms", "deployment", "all_alerts"])
def test_an_order_that_lacks_something_is_named_and_keeps_no_other_one(place: Place, lacking: str) -> None:
    eraser.place(place.state, "c-0", (), ms(END), ms(NOW))
    file = place.state / "erase" / "c-0.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != lacking}))
    with pytest.raises(Unavailable, match=r"cannot be read: c-0\.json"):
        eraser.erase(place.state, ms(END))
    assert place.gone()
