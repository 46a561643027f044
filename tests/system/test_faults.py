"""Faults on a booted systemd: a frozen and a killed worker beside a healthy one, reload, a key, a disk that fails.

The cameras are recordings, since a live one needs a real sign: a recording's worker that dies is not started again.
The state folder is a small tmpfs that is filled up, or an ext4 that turns read-only, while the service runs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Board

pytestmark = pytest.mark.system
REAR = """
import copy, yaml
from pathlib import Path
file = Path('/etc/lfr/device.yaml')
config = yaml.safe_load(file.read_text())
config['cameras'].append({**copy.deepcopy(config['cameras'][0]), 'id': 'rear'})
file.write_text(yaml.safe_dump(config))
"""
SMALL = (
    "cp -a /var/lib/lfr /tmp/state; mount -t tmpfs -o size=400m,mode=700 lfr-state /var/lib/lfr;"
    "chown lfr:lfr /var/lib/lfr; cp -a /tmp/state/. /var/lib/lfr/"
)


@pytest.fixture(scope="module")
def two_cameras(board: Board) -> Iterator[Board]:
    """The board with a second camera and a state folder of 400 MB."""
    guest = board.guest
    guest.run("sh", "-ec", f"cp -a /etc/lfr/device.yaml /tmp/one-camera; {SMALL}")
    guest.run("/opt/lfr/.venv/bin/python", "-c", REAR)
    yield board
    guest.run("systemctl", "stop", "lfr")
    guest.run("sh", "-ec", "umount /var/lib/lfr; rm -r /tmp/state; cp -a /tmp/one-camera /etc/lfr/device.yaml")


@pytest.fixture
def running(two_cameras: Board) -> Iterator[Board]:
    """Both cameras recognise."""
    two_cameras.publish()
    two_cameras.start()
    guest = two_cameras.guest
    guest.until(lambda: list(cameras(two_cameras).values()) == ["online"] * 2, why=two_cameras.why)
    yield two_cameras
    guest.run("systemctl", "stop", "lfr")


def cameras(board: Board) -> dict[str, str]:
    """Each camera's state in `lfr status --json`; `ended`: its recording has ended, or its worker died."""
    return {name: camera["status"] for name, camera in board.status().get("cameras", {}).items()}


def crashes(board: Board, camera: str) -> list[dict[str, Any]]:
    """Entries of the journal on this camera's dead workers, oldest first."""
    entries = board.guest.journal("lfr", f"LFR_CAMERA={camera}", "LFR_EVENT=worker.crashed", "--output=json")
    return [json.loads(entry) for entry in entries]


def workers(board: Board) -> list[str]:
    """Process ids of the workers."""
    pid = board.main_pid()
    return board.guest.run("cat", f"/proc/{pid}/task/{pid}/children").split()


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_worker_that_dies_or_freezes_is_named_while_the_other_goes_on(running: Board, signal: str) -> None:
    guest, before = running.guest, running.main_pid()
    known = {camera: len(crashes(running, camera)) for camera in cameras(running)}
    victim, shown = workers(running)[1], cameras(running)
    guest.run("kill", f"-{signal}", victim)

    def one_ended_beside_the_other() -> bool:
        shown.update(cameras(running))
        return sorted(shown.values()) == ["ended", "online"]

    guest.until(one_ended_beside_the_other, why=running.why)
    (lost,) = (camera for camera, state in shown.items() if state == "ended")
    running.until_line("recognising, ", f"camera {lost} ")
    guest.until(lambda: guest.status_of("test", "-d", f"/proc/{victim}") != 0, why=lambda: "a frozen worker is killed")
    guest.until(lambda: len(crashes(running, lost)) > known[lost], why=running.why)
    assert crashes(running, lost)[-1]["PRIORITY"] == "3"
    guest.run("sleep", "3")
    running.until_recognising()
    assert running.main_pid() == before
    assert guest.show("lfr", "NRestarts")["NRestarts"] == "0"


def test_a_reload_reads_again_and_a_mistake_is_refused_while_recognition_goes_on(running: Board) -> None:
    guest, before = running.guest, running.main_pid()
    guest.run("cp", "-a", "/etc/lfr/device.yaml", "/tmp/reload")
    try:
        guest.run("sh", "-c", "sed -i 's/backend: auto/backend: onnxruntime/' /etc/lfr/device.yaml")
        guest.run("systemctl", "reload", "lfr")
        guest.until(lambda: any("reload.done" in x and "vision" in x for x in guest.journal("lfr")), why=running.why)
        guest.run("sh", "-c", "echo 'colour: blue' >>/etc/lfr/device.yaml")
        guest.run("systemctl", "reload", "lfr")
        refused = ("reload.refused", "colour")
        guest.until(lambda: any(all(w in x for w in refused) for x in guest.journal("lfr")), why=running.why)
    finally:
        guest.run("cp", "-a", "/tmp/reload", "/etc/lfr/device.yaml")
    running.until_recognising()
    assert running.main_pid() == before


def test_events_have_priorities_fields_and_message_ids_in_the_journal(running: Board) -> None:
    from device.edges.service.journal_messages import MESSAGES

    of_state = f"MESSAGE_ID={MESSAGES['state'].id}"
    entry = json.loads(running.guest.journal("lfr", of_state, "--output=json")[-1])
    assert (entry["PRIORITY"], entry["LFR_EVENT"], entry["LFR_STATE"]) == ("5", "state", "recognising")
    assert "now=recognising" in entry["MESSAGE"]
    warnings = "\n".join(running.guest.journal("lfr", "--priority=4", "--output=cat"))
    assert "condition.fails " in warnings
    assert "worker.started" not in warnings
    running.guest.run("sh", "-ec", "cp /opt/lfr/source/systemd/lfr.catalog /usr/lib/systemd/catalog/")
    running.guest.run("journalctl", "--update-catalog")
    shown = running.guest.journal("lfr", "--catalog", of_state)
    assert any("Subject: The device is recognising, it was armed" in text for text in shown)


def test_a_key_that_the_service_may_not_read_is_named_and_is_not_tried_again(two_cameras: Board) -> None:
    guest = two_cameras.guest
    key = "/etc/lfr/hub/devices/cam-1.key"
    begun = len(guest.journal("lfr"))
    guest.run("sh", "-ec", f"chown root:root {key}; chmod 600 {key}; systemctl reset-failed lfr || true")
    try:
        guest.run("systemctl", "start", "lfr", check=False)
        guest.until(lambda: guest.show("lfr", "ActiveState")["ActiveState"] == "failed", why=two_cameras.why)
        told = guest.show("lfr", "ExecMainStatus", "NRestarts")
        guest.until(lambda: "lfr config check" in guest.show("lfr-failed", "StatusText")["StatusText"])
        entries = guest.journal("lfr")[begun:]
    finally:
        guest.run("sh", "-ec", f"chgrp lfr {key}; chmod 640 {key}; systemctl reset-failed lfr")
    assert told == {"ExecMainStatus": "78", "NRestarts": "0"}
    assert any("cam-1.key" in entry for entry in entries), entries


def test_the_groups_of_device_nodes_open_them_although_the_service_sees_no_other_users(running: Board) -> None:
    """A device node stands for a GPIO chip: root:gpio, 0660, opened by a process in the service's user namespace."""
    guest = running.guest
    guest.run("sh", "-ec", "echo open >/var/lib/of-gpio; chgrp gpio /var/lib/of-gpio; chmod 660 /var/lib/of-gpio")
    unit = ("--property=User=lfr", "--property=SupplementaryGroups=gpio", "--property=PrivateUsers=yes")
    assert guest.run("systemd-run", "--quiet", "--pipe", "--wait", *unit, "cat", "/var/lib/of-gpio") == "open\n"
    assert guest.run("cat", f"/proc/{running.main_pid()}/uid_map").split() != ["0", "0", "4294967295"]


@pytest.fixture
def card(two_cameras: Board) -> Iterator[Board]:
    """The state folder on an ext4 of its own, as on a card; recognising."""
    guest, image = two_cameras.guest, two_cameras.scratch / "card.img"
    subprocess.run(["truncate", "-s", "400M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    found = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True)
    loop = found.stdout.strip()
    try:
        guest.run("sh", "-ec", "rm -rf /tmp/card; cp -a /var/lib/lfr /tmp/card")
        guest.run("mknod", "/dev/card", "b", "7", loop.removeprefix("/dev/loop"))
        guest.run("mount", "-t", "ext4", "/dev/card", "/var/lib/lfr")
        guest.run("sh", "-ec", "chown lfr:lfr /var/lib/lfr; chmod 700 /var/lib/lfr; cp -a /tmp/card/. /var/lib/lfr/")
        two_cameras.publish()
        two_cameras.start()
        yield two_cameras
        guest.run("systemctl", "stop", "lfr")
        guest.run("umount", "/var/lib/lfr")
    finally:
        subprocess.run(["losetup", "--detach", loop], check=False)
        guest.run("rm", "-f", "/dev/card")


def test_a_card_that_turns_read_only_stops_recognition_and_the_status_line_says_what_to_do(card: Board) -> None:
    """`abort` is ext4's own simulation of an error that turns the file system read-only (ext4(5))."""
    guest = card.guest
    guest.run("mount", "-o", "remount,abort", "/var/lib/lfr", check=False)
    assert guest.status_of("touch", "/var/lib/lfr/x") != 0
    guest.until(lambda: card.state() == "inhibited", why=card.why)
    card.until_line("read-only", "end the deployment, replace the card")
    assert guest.show("lfr", "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    guest.run("systemctl", "stop", "lfr", within_s=60)  # ends with 69: it cannot erase; lfr-failed.service is started
    guest.until(lambda: guest.show("lfr-failed", "ActiveState")["ActiveState"] == "active", why=card.why)
    guest.run("systemctl", "reset-failed", "lfr", check=False)
    guest.run("systemctl", "start", "lfr", within_s=60)  # returns when it is ready: it stays up, to light its lamp
    card.until_line("safe, nothing is recognised", "Read-only", "replace the card")
    assert guest.show("lfr", "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}


def test_a_restart_on_a_read_only_card_starts_it_again_although_its_stop_fails(card: Board) -> None:
    """Its stop ends with 69, since it cannot erase: lfr-failed.service must not cancel the start that follows."""
    guest, before = card.guest, card.main_pid()
    guest.run("mount", "-o", "remount,abort", "/var/lib/lfr", check=False)
    guest.until(lambda: card.state() == "inhibited", why=card.why)
    guest.run("systemctl", "restart", "lfr", within_s=120)
    card.until_line("safe, nothing is recognised", "Read-only", "replace the card")
    assert card.main_pid() not in (0, before)
    assert guest.show("lfr", "ActiveState")["ActiveState"] == "active"
    assert guest.show("lfr-failed", "ActiveState")["ActiveState"] == "inactive"
    assert any("status=69" in entry for entry in guest.journal("lfr")), "the stop was one that fails"


def test_a_full_disk_stops_recognition_and_says_what_to_do_until_there_is_room(running: Board) -> None:
    guest = running.guest
    guest.run("sh", "-c", "dd if=/dev/zero of=/var/lib/lfr/full bs=1M 2>/dev/null; true")
    try:
        guest.until(lambda: running.state() == "inhibited", why=running.why)
        running.until_line("free space")
        assert guest.show("lfr", "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    finally:
        guest.run("rm", "/var/lib/lfr/full")
    running.until_recognising()
