"""The demo's second subscriber: it has seen everything once it has seen that the device stopped."""

from __future__ import annotations

from pathlib import Path

from device.domain.finding import Mode
from device.hub_api.topics import DeviceTopics
from tools.dev.demo.witness import Witness
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder


def test_the_device_has_stopped_for_the_witness_when_its_own_session_brought_that_status(tmp_path: Path) -> None:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    witness, topics = Witness(HubFolder(tmp_path / "hub"), 1, []), DeviceTopics("demo", "cam-1")
    for topic, payload in ((topics.status, b'{"status":"online"}'), (topics.state, b'{"state":"stopped"}')):
        witness._arrived(topic, payload)
        assert not witness.until_device_stopped(0)
    witness._arrived(topics.status, b'{"status":"stopped"}')
    assert witness.until_device_stopped(0)
