"""What the AsyncAPI document says of sessions, wills, rights and expiry is what the programs do."""

from __future__ import annotations

import inspect
from typing import Any, get_args

from device.edges.broker import paho
from device.edges.clock.fake import FakeClock
from device.hub_api import contract, messages
from device.supervisor.status.retained import will
from tools.hub.broker.configuration import MESSAGE_LIMIT_BYTES, configuration
from tools.hub.console.session import GIVE_UP_S
from tools.hub.pki.command_signer import GOOD_FOR_S

DOCUMENT: dict[str, Any] = contract.asyncapi()
SERVER = DOCUMENT["servers"]["van"]
SESSION = SERVER["bindings"]["mqtt"]


def test_the_session_is_the_one_that_a_device_opens() -> None:
    parameters = inspect.signature(paho.PahoBroker.__init__).parameters
    assert SESSION["keepAlive"] == paho.KEEPALIVE_S
    assert SESSION["sessionExpiryInterval"] == parameters["session_expiry_s"].default
    assert SESSION["maximumPacketSize"] == MESSAGE_LIMIT_BYTES


def test_the_will_is_the_one_that_a_device_leaves() -> None:
    left = will("north", "cam-1", "b-1", FakeClock())
    stated = SESSION["lastWill"]
    assert stated["topic"].format(site="north", device="cam-1") == left.topic
    assert (stated["qos"], stated["retain"]) == (left.qos, left.retain)
    assert b'"offline"' in left.payload
    assert "offline" in stated["message"]


def test_the_server_needs_a_client_certificate_as_the_broker_does(tmp_path: Any) -> None:
    text = configuration(tmp_path, bind="127.0.0.1", port=8883, root=False)
    assert "require_certificate true" in text
    assert "use_username_as_clientid true" in text
    (scheme,) = SERVER["security"]
    assert DOCUMENT["components"]["securitySchemes"][scheme["$ref"].rsplit("/", 1)[-1]]["type"] == "X509"


def test_commands_their_reply_and_every_expiry_are_stated() -> None:
    channels, operations = DOCUMENT["channels"], DOCUMENT["operations"]
    assert channels["command"]["parameters"]["command"]["enum"] == list(get_args(messages.CommandName))
    assert operations["receiveCommand"]["reply"]["channel"]["$ref"] == "#/channels/commandReply"
    answered = channels["command"]["messages"]["command"]["bindings"]["mqtt"]["responseTopic"]
    assert answered == channels["commandReply"]["address"]
    expiry = {name: each["bindings"]["mqtt"].get("messageExpiryInterval") for name, each in operations.items()}
    stated = {name: value for name, value in expiry.items() if value is not None}
    of_hub = ("receiveAdjudication", "receiveEngagement", "receiveDisposition", "receiveHold", "receiveCommand")
    assert set(stated) == {"sendAlert", "sendProbe", "receiveReceived", *of_hub}
    assert {stated[name] for name in of_hub[:4]} == {round(GIVE_UP_S)}
    assert stated["receiveCommand"]["enum"] == [GOOD_FOR_S, round(GIVE_UP_S)]
    assert not any(each["bindings"]["mqtt"]["retain"] for name, each in operations.items() if name in stated)
