"""CloudEvents 1.0 in structured JSON mode: the envelope of every message except probes, and its codec.

1. `source` + `id` is unique, so a receiver drops duplicates (CloudEvents 1.0, section 3.1). A repeat keeps its id.
2. What does not decode is BadData, never a half-filled struct. Unknown fields of a known type are ignored, so
   that a newer sender can add fields under the same version.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from device.domain.time import WallTime, rfc3339
from device.errors import BadData
from device.hub_api import messages
from device.hub_api.messages import Message

CONTENT_TYPE = "application/cloudevents+json"
PROBE_CONTENT_TYPE = "application/age-encryption"
SHOWN_CHARS = 80  # of an unknown type's name, in an error
SCHEMA_BASE = "urn:lfr:schema:"

Data = TypeVar("Data", bound=Message)


class Event(msgspec.Struct, Generic[Data], frozen=True, kw_only=True):
    """One CloudEvent. `subject` is what it is about: an alert id, a camera, a device."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1)]
    source: Annotated[str, msgspec.Meta(min_length=1)]
    type: str
    time: messages.Timestamp
    datacontenttype: Literal["application/json"]
    dataschema: str
    subject: str
    data: Data


class _Outline(msgspec.Struct, frozen=True, kw_only=True):
    """Just enough of an event to know its type."""

    type: str


_encoder = msgspec.json.Encoder()
_outline = msgspec.json.Decoder(_Outline)


def _decoder_for(data: type[Message]) -> msgspec.json.Decoder[Event[Message]]:
    generic: Any = Event
    return msgspec.json.Decoder(generic[data])


_decoders = {cls.type_name(): _decoder_for(cls) for cls in messages.MESSAGES}


def encode(data: Message, *, event_id: str, source: str, subject: str, at: WallTime) -> bytes:
    """The JSON text of one event. `source` is the topic base of the sender (`DeviceTopics.base`)."""
    name = data.type_name()
    event = Event(
        specversion="1.0",
        id=event_id,
        source=source,
        type=name,
        time=rfc3339(at),
        datacontenttype="application/json",
        dataschema=SCHEMA_BASE + name,
        subject=subject,
        data=data,
    )
    return _encoder.encode(event)


def decode(payload: bytes) -> Event[Message]:
    """One event with its data decoded by type; BadData for anything else."""
    try:
        name = _outline.decode(payload).type
        return _decoders[name].decode(payload)
    except KeyError as fault:
        name = str(fault.args[0])[:SHOWN_CHARS]
        raise BadData(f"message of unknown type {name!r}; known: {', '.join(sorted(_decoders))}") from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadData(f"not a valid message: {fault}") from fault


def restamp(payload: bytes, now: WallTime, stale_after_s: float) -> bytes:
    """The same alert event, stamped for sending now: `published_at`, `latency_ms` and `historical`.

    An alert that waited for a connection longer than stale_after_s is historical: it must not lead to a stop.
    Anything that is not an alert is returned unchanged.
    """
    try:
        event = decode(payload)
    except BadData:
        return payload
    if not isinstance(event.data, messages.Alert):
        return payload
    waited_s = (now - messages.moment(event.data.captured_at)).total_seconds()
    data = msgspec.structs.replace(
        event.data,
        published_at=rfc3339(now),
        latency_ms=round(max(0.0, waited_s) * 1000, 1),
        historical=event.data.historical or waited_s > stale_after_s,
    )
    return _encoder.encode(msgspec.structs.replace(event, data=data))
