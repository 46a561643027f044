"""What the hub commands of a device, and the device's reply."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from device.hub_api.messages.base import Message, Timestamp

CommandName = Literal["stop", "resume", "sync"]
Level = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Base64 = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{1,4096}={0,2}$")]


class Command(Message, frozen=True, kw_only=True):
    """Signed by the hub's key; obeyed once, by its device, until `expires_at` (a `stop` also later).

    command_id  stays the same for every repetition
    boot_id     the run of the device that is meant, as its birth says; a `stop` is meant for any
    given_by    reference of the officer, or `hub` for what the hub does by itself
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
    )
    return "\n".join(lines).encode()
