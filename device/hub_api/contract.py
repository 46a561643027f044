"""The published contract, generated from the message structs: one JSON Schema per type and one AsyncAPI 3 document.

`python -m device.hub_api.contract` writes them into `device/hub_api/schemas/`; a test compares the committed files.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


DEVICE = "lfr/v1/{site}/{device}"
HUB = "lfr/v1/{site}/hub"
OF_ALERT = f"{HUB}/{{device}}/alert/{{alert}}"
PARAMETERS = ("site", "device", "camera", "alert", "command")
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
        "alert", f"{DEVICE}/alert/{{alert}}", messages.Alert, 1, False, True, "expires at expires_at; never retained"
    ),
    Channel("probe", f"{DEVICE}/alert/{{alert}}/probe", None, 1, False, True, "JPEG in age ciphertext to the hub"),
    Channel("erasure", f"{DEVICE}/erasure", messages.Erasure, 1, False, True, "receipts of erasures"),
    Channel(
        "identity", f"{DEVICE}/identity", messages.Identity, 1, True, True, "to whom the key envelope is addressed"
    ),
    Channel("audit", f"{DEVICE}/audit", messages.AuditHead, 1, True, True, "newest signed head of the audit log"),
    Channel("hubState", f"{HUB}/state", messages.HubState, 1, True, False, "also the will (offline)"),
    Channel("adjudication", f"{OF_ALERT}/adjudication", messages.Adjudication, 1, False, False, "a judgement"),
    Channel("engagement", f"{OF_ALERT}/engagement", messages.Engagement, 1, False, False, "what came of it"),
    Channel("disposition", f"{OF_ALERT}/disposition", messages.Disposition, 1, False, False, "how it ended"),
    Channel("hold", f"{OF_ALERT}/hold", messages.Hold, 1, False, False, "keep a case longer, or no longer"),
    Channel(
        "command",
        f"{DEVICE}/cmd/{{command}}",
        messages.Command,
        1,
        False,
        False,
        "signed; expires after 30 s, a view after 5 min, a stop after a day; a retained one counts for nothing",
        reply="commandReply",
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
            "parameters": {name: {} for name in PARAMETERS if f"{{{name}}}" in channel.address},
            "messages": {channel.name: _message(channel)},
        }
        operations[("send" if channel.from_device else "receive") + channel.name[0].upper() + channel.name[1:]] = {
            "action": "send" if channel.from_device else "receive",
            "channel": {"$ref": f"#/channels/{channel.name}"},
            "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retain, "bindingVersion": "0.2.0"}},
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
        "channels": channels,
        "operations": operations,
    }


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
    return {"name": name, "contentType": events.CONTENT_TYPE, "payload": payload}


def _one_line(text: Any) -> Any:
    """A description's text with its white space folded; a property that is called `description` is a schema."""
    return " ".join(text.split()) if isinstance(text, str) else settled(text)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.stderr.write("".join(f"written: {name}\n" for name in write()) or "nothing to change\n")
