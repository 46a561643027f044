"""Run inside the booted machine: a device at the van's broker and a witness at the cluster's.

python -m tests.system.bridge_traffic HUB REGION PORT     folders of both hubs, the port of the cluster's broker

One message of every kind that a device sends; prints the topics that arrived at the cluster, once all that may have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from device.edges.broker.paho import PahoBroker
from device.hub_api.topics import HubTopics
from tests.broker_vans import Watched, message
from tests.contract.test_messages import HUB, examples, payload
from tools.hub.storage.folder import HubFolder


def main(hub: str, region: str, port: str) -> None:
    here, there = HubFolder(Path(hub)), HubFolder(Path(region))
    witness = Watched(PahoBroker(there.address("witness", int(port)), "witness", session_expiry_s=0))
    witness.subscribe("#").connect().online()
    device = Watched(PahoBroker(here.address("cam-1", here.settings().broker_port), "cam-1", session_expiry_s=0))
    device.connect().online()
    sent = [(topic, data) for topic, data in examples() if not topic.startswith(HUB.base) and "/cmd/" not in topic]
    wanted = set()
    for number, (topic, data) in enumerate(sorted(sent, key=lambda each: each[0].endswith("/stats"))):
        assert device.broker.publish(message(f"t-{number}", topic, payload(topic, data)))
        wanted.add(topic)
    device.until(lambda: len(device.deliveries) == len(sent))
    assert all(delivery.accepted for delivery in device.deliveries), device.deliveries
    witness.until(lambda: any(topic.endswith("/cam-1/stats") for topic, _ in witness.messages))
    witness.until(lambda: any(topic.endswith(HubTopics("demo").state) for topic, _ in witness.messages))
    found = {"sent": sorted(wanted), "arrived": sorted({topic for topic, _ in witness.messages})}
    sys.stdout.write(json.dumps(found) + "\n")
    for session in (device, witness):
        session.broker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
