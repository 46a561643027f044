"""What the hub commands of a device, and the device's reply."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from device.hub_api.messages.base import Message, Timestamp

CommandName = Literal["stop", "resume", "sync", "view", "end-view", "zone"]
Level = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Recipient = Annotated[str, msgspec.Meta(pattern=r"^age1[02-9ac-hj-np-z]{50,80}$")]
Base64 = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{1,4096}={0,2}$")]


PerMille = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class CommandZone(msgspec.Struct, frozen=True, kw_only=True):
    """The zone of recognition of one camera: corners in thousandths of the picture's width and height."""

    camera_id: Level
    polygon: Annotated[list[tuple[PerMille, PerMille]], msgspec.Meta(min_length=3, max_length=64)]


class Command(Message, frozen=True, kw_only=True):
    """Signed by the hub's key; obeyed once, by its device, until `expires_at` (a `stop` also later).

    command_id  stays the same for every repetition
    boot_id     the run of the device that is meant, as its birth says; a `stop` is meant for any
    given_by    reference of the officer, or `hub` for what the hub does by itself
    recipient   of a `view`: the age public key that its pictures are encrypted to; they end at `expires_at`
    zone        of a `zone`
    certificate the hub's, issued by the site's authority, DER in base64;  sig: ECDSA with SHA-256 by its key, DER in
                base64, over `signed_text`
    """

    TYPE: ClassVar[str] = "uk.lfr.command.v1"
    command_id: Level
    device_id: Level
    name: CommandName
    boot_id: Level | None
    given_by: Level
    at: Timestamp
    expires_at: Timestamp
    certificate: Base64
    sig: Base64
    recipient: Recipient | None = None
    zone: CommandZone | None = None


class CommandReply(Message, frozen=True, kw_only=True):
    """What a device did with a command. repeated: it had done it before; refused: `reason` says why it did nothing."""

    TYPE: ClassVar[str] = "uk.lfr.command-reply.v1"
    command_id: Level
    name: CommandName
    result: Literal["done", "repeated", "refused"]
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    at: Timestamp


def signed_text(site: str, command: Command) -> bytes:
    """The bytes under a command's signature: one line a field; no field can hold a line feed."""
    lines = (
        "lfr command v1",
        site,
        command.device_id,
        command.name,
        command.command_id,
        command.boot_id or "-",
        command.given_by,
        command.at,
        command.expires_at,
        *(() if command.recipient is None else (command.recipient,)),
        *(() if command.zone is None else _zone_lines(command.zone)),
    )
    return "\n".join(lines).encode()


def _zone_lines(zone: CommandZone) -> tuple[str, str]:
    return zone.camera_id, " ".join(f"{x},{y}" for x, y in zone.polygon)
