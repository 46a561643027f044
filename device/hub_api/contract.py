"""The published contract, generated from the message structs: one JSON Schema per type and one AsyncAPI 3 document.

`python -m device.hub_api.contract` writes them into `device/hub_api/schemas/`; a test compares the committed files.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from device.hub_api import events, messages
from device.hub_api.events import CONTENT_TYPE, PROBE_CONTENT_TYPE, SCHEMA_BASE, Event
from device.hub_api.messages import Message

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI = "asyncapi.json"


@dataclass(frozen=True, slots=True)
class Channel:
    """One branch of the topic tree: who sends what, how (MQTT binding 0.2.0 of AsyncAPI)."""

    name: str
    address: str
    message: type[Message] | None
    qos: int
    retain: bool
    from_device: bool
    text: str
    reply: str | None = None
    """Name of the channel that answers (MQTT 5 response topic, correlation data: the command's id)."""
    expiry: int | dict[str, Any] | None = None
    """MQTT 5 message expiry in seconds, or a schema of it; None: none is sent."""


KEEPALIVE_S, SESSION_EXPIRY_S, MOST_BYTES = 10, 3600, 1_000_000
"""Of a device's session: device/edges/broker/paho.py, tools/hub/broker/configuration.py; a test compares them."""
JUDGEMENT_EXPIRY_S, COMMAND_EXPIRY_S, CONFIRMATION_EXPIRY_S = 86_400, 30, 60
OF_ITS_ALERT: dict[str, Any] = {"type": "integer", "minimum": 1, "description": "seconds until the alert's expires_at"}
OF_COMMANDS: dict[str, Any] = {
    "type": "integer",
    "enum": [COMMAND_EXPIRY_S, JUDGEMENT_EXPIRY_S],
    "description": f"{JUDGEMENT_EXPIRY_S} of a stop, obeyed whenever it arrives; {COMMAND_EXPIRY_S} of the others",
}
DEVICE = "lfr/v1/{site}/{device}"
HUB = "lfr/v1/{site}/hub"
OF_ALERT = f"{HUB}/{{device}}/alert/{{alert}}"
DAY = JUDGEMENT_EXPIRY_S
MQTT_BINDING = "0.2.0"
CERTIFICATE = (
    "A client certificate of the site's own authority, over TLS 1.3 (1.2 in sites made before it). Its common name "
    "is the MQTT user and the client id; the broker's access list lets it write its own branch and read the hub's "
    "state, judgements of its own alerts, confirmations of its own receipts and commands to itself."
)
PARAMETERS: dict[str, dict[str, Any]] = {
    "site": {"description": "the van"},
    "device": {"description": "the common name of the device's certificate"},
    "camera": {},
    "alert": {"description": "UUIDv7"},
    "command": {"enum": list(get_args(messages.CommandName))},
}
CHANNELS = (
    Channel("status", f"{DEVICE}/status", messages.Status, 1, True, True, "also the will (offline)"),
    Channel("birth", f"{DEVICE}/birth", messages.Birth, 1, True, True, "sent on every connect"),
    Channel("state", f"{DEVICE}/state", messages.DeviceState, 1, True, True, "the one state and its conditions"),
    Channel("health", f"{DEVICE}/health", messages.Health, 0, True, True, "every 5 s"),
    Channel("cameraStatus", f"{DEVICE}/camera/{{camera}}/status", messages.CameraStatus, 1, True, True, "per camera"),
    Channel("view", f"{DEVICE}/camera/{{camera}}/view", None, 0, False, True, "coarse cells, encrypted; never bridged"),
    Channel("watchlistState", f"{DEVICE}/watchlist/state", messages.WatchlistState, 1, True, True, "which list"),
    Channel("stats", f"{DEVICE}/stats", messages.Stats, 1, False, True, "counts, no faces; also at QoS 0 as they move"),
    Channel(
        "alert",
        f"{DEVICE}/alert/{{alert}}",
        messages.Alert,
        1,
        False,
        True,
        "expires at expires_at; never retained",
        expiry=OF_ITS_ALERT,
    ),
    Channel(
        "probe",
        f"{DEVICE}/alert/{{alert}}/probe",
        None,
        1,
        False,
        True,
        "JPEG in age ciphertext to the hub",
        expiry=OF_ITS_ALERT,
    ),
    Channel("erasure", f"{DEVICE}/erasure", messages.Erasure, 1, False, True, "receipts of erasures"),
    Channel(
        "identity", f"{DEVICE}/identity", messages.Identity, 1, True, True, "to whom the key envelope is addressed"
    ),
    Channel("audit", f"{DEVICE}/audit", messages.AuditHead, 1, True, True, "newest signed head of the audit log"),
    Channel(
        "volunteerSeen",
        f"{DEVICE}/bluelist/seen",
        messages.VolunteerSeen,
        1,
        False,
        True,
        "a consenting volunteer was recognised: no alert, no picture",
    ),
    Channel("volunteerPass", f"{DEVICE}/bluelist/pass", messages.VolunteerPass, 1, False, True, "a logged pass"),
    Channel("hubState", f"{HUB}/state", messages.HubState, 1, True, False, "also the will (offline)"),
    Channel(
        "received",
        f"{HUB}/{{device}}/received",
        messages.Received,
        1,
        False,
        False,
        "the device's receipts and counts that are on the hub's disk",
        expiry=CONFIRMATION_EXPIRY_S,
    ),
    Channel(
        "adjudication", f"{OF_ALERT}/adjudication", messages.Adjudication, 1, False, False, "a judgement", expiry=DAY
    ),
    Channel(
        "engagement", f"{OF_ALERT}/engagement", messages.Engagement, 1, False, False, "what came of it", expiry=DAY
    ),
    Channel(
        "disposition", f"{OF_ALERT}/disposition", messages.Disposition, 1, False, False, "how it ended", expiry=DAY
    ),
    Channel("hold", f"{OF_ALERT}/hold", messages.Hold, 1, False, False, "keep a case longer, or no longer", expiry=DAY),
    Channel(
        "command",
        f"{DEVICE}/cmd/{{command}}",
        messages.Command,
        1,
        False,
        False,
        "signed; expires after 30 s, a view after 5 min, a stop after a day; a retained one counts for nothing",
        reply="commandReply",
        expiry=OF_COMMANDS,
    ),
    Channel("commandReply", f"{DEVICE}/cmd/{{command}}/reply", messages.CommandReply, 1, False, True, "what it did"),
)


def schema_of(data: type[Message]) -> dict[str, Any]:
    """JSON Schema 2020-12 of a whole event of this type: the envelope with its `type` and `dataschema` fixed."""
    name = data.type_name()
    generic: Any = Event
    generated = msgspec.json.schema(generic[data])
    definitions: dict[str, Any] = generated["$defs"]
    envelope = dict(definitions.pop(generated["$ref"].rsplit("/", 1)[-1]))
    envelope["title"] = name
    envelope["description"] = data.__doc__ or ""
    envelope["properties"] = {
        **envelope["properties"],
        "type": {"const": name},
        "dataschema": {"const": SCHEMA_BASE + name},
    }
    document = {"$schema": DIALECT, "$id": SCHEMA_BASE + name, **envelope, "$defs": definitions}
    return dict(settled(document))


def settled(node: Any) -> Any:
    """A part of a schema as every msgspec from 0.18.6 to 0.23 writes it, so that the committed files depend on none.

    Descriptions stand on one line: msgspec copies docstrings, up to 0.21 with the indentation of the source, later
    without; Python 3.13 removes it itself. In `anyOf`, null comes last: its place changed with 0.22.
    """
    if isinstance(node, list):
        return [settled(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = {key: _one_line(value) if key == "description" else settled(value) for key, value in node.items()}
    if isinstance(found.get("anyOf"), list):
        found["anyOf"].sort(key=lambda kind: kind == {"type": "null"})
    return found


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the topic tree; payloads refer to the schema files beside it."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for channel in CHANNELS:
        channels[channel.name] = {
            "address": channel.address,
            "description": channel.text,
            "parameters": {name: PARAMETERS[name] for name in PARAMETERS if f"{{{name}}}" in channel.address},
            "servers": [{"$ref": "#/servers/van"}],
            "messages": {channel.name: _message(channel)},
        }
        operations[("send" if channel.from_device else "receive") + channel.name[0].upper() + channel.name[1:]] = {
            "action": "send" if channel.from_device else "receive",
            "channel": {"$ref": f"#/channels/{channel.name}"},
            "bindings": {"mqtt": _how(channel)},
            **({"reply": {"channel": {"$ref": f"#/channels/{channel.reply}"}}} if channel.reply else {}),
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "LFR device and van hub",
            "version": "1.0.0",
            "description": "Seen from the device. MQTT 5, mutual TLS; the certificate's common name is the device.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"van": _server()},
        "channels": channels,
        "operations": operations,
        "components": {"securitySchemes": {"certificate": {"type": "X509", "description": CERTIFICATE}}},
    }


def _server() -> dict[str, Any]:
    """The van's broker, and the session of a device with its will."""
    will = {
        "topic": f"{DEVICE}/status",
        "qos": 1,
        "message": "a uk.lfr.status.v1 event with the status offline, sent a second after the session was lost",
        "retain": True,
    }
    session = {
        "clientId": "the common name of the certificate; the broker admits no other",
        "cleanSession": False,
        "lastWill": will,
        "keepAlive": KEEPALIVE_S,
        "sessionExpiryInterval": SESSION_EXPIRY_S,
        "maximumPacketSize": MOST_BYTES,
        "bindingVersion": MQTT_BINDING,
    }
    return {
        "host": "{host}:{port}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5",
        "description": "The broker of one van. The hub has a will, too: the hubState offline, retained.",
        "variables": {
            "host": {"description": "a name or address in the broker's certificate"},
            "port": {"default": "8883"},
        },
        "security": [{"$ref": "#/components/securitySchemes/certificate"}],
        "bindings": {"mqtt": session},
    }


def _how(channel: Channel) -> dict[str, Any]:
    """The MQTT binding of an operation."""
    expiry = {} if channel.expiry is None else {"messageExpiryInterval": channel.expiry}
    return {"qos": channel.qos, "retain": channel.retain, **expiry, "bindingVersion": MQTT_BINDING}


def files() -> dict[str, str]:
    """File name to content of the whole contract."""
    found = {f"{data.type_name()}.json": _text(schema_of(data)) for data in messages.MESSAGES}
    return {**found, ASYNCAPI: _text(asyncapi())}


def write(folder: Path = FOLDER) -> list[str]:
    """Write the contract and remove files that are no longer part of it; returns the names that changed."""
    folder.mkdir(exist_ok=True)
    wanted = files()
    changed = [name for name, text in wanted.items() if not _holds(folder / name, text)]
    for name in changed:
        (folder / name).write_text(wanted[name], encoding="utf-8")
    for old in folder.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
            changed.append(old.name)
    return changed


def _message(channel: Channel) -> dict[str, Any]:
    if channel.message is None:
        return {
            "name": channel.name,
            "contentType": PROBE_CONTENT_TYPE,
            "payload": {"type": "string", "format": "binary"},
        }
    name = channel.message.type_name()
    payload = {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": {"$ref": f"./{name}.json"}}
    return {"name": name, "contentType": events.CONTENT_TYPE, "payload": payload, **_answered(channel)}


def _answered(channel: Channel) -> dict[str, Any]:
    """The MQTT binding of a message that is answered: MQTT 5's response topic and correlation data."""
    if channel.reply is None:
        return {}
    where = next(each.address for each in CHANNELS if each.name == channel.reply)
    named = {"type": "string", "description": "command_id"}
    return {"bindings": {"mqtt": {"responseTopic": where, "correlationData": named, "bindingVersion": MQTT_BINDING}}}


def _one_line(text: Any) -> Any:
    """A description's text with its white space folded; a property that is called `description` is a schema."""
    return " ".join(text.split()) if isinstance(text, str) else settled(text)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.stderr.write("".join(f"written: {name}\n" for name in write()) or "nothing to change\n")
