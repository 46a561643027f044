"""The public half of the identity that a device made for one deployment."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from device.hub_api.messages.base import Message, Timestamp

AgeRecipient = Annotated[str, msgspec.Meta(pattern=r"^age1[02-9ac-hj-np-z]{50,80}$")]


class Identity(Message, frozen=True, kw_only=True):
    """Retained; to whom the hub addresses this device's key envelope. The private half is in the device's memory only.

    A new one after every start of the device: the hub, if it has not revoked the device, issues a new envelope.
    deployment_id, recipient  both null once the identity is gone (the deployment has ended here)
    """

    TYPE: ClassVar[str] = "uk.lfr.identity.v1"
    boot_id: str
    deployment_id: str | None
    recipient: AgeRecipient | None
    at: Timestamp
