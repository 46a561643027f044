"""Targets that a hub publishes for a device, beside the deployment itself: names, structure and bounds.

devices/<device>/index.json        which targets concern this device now; `null` when none does (after `end`)
deployments/<hex>.yaml             the deployment, officer-signed (device.config.deployment)
deployments/<hex>.payload          the sealed watchlist, age, to a content identity
deployments/<hex>.withdrawn.json   entries withdrawn from the list since, officer-signed
deployments/<hex>.<ref>.volunteer  one volunteer of the blue list, sealed likewise, officer-signed; any number
devices/<device>/<hex>.envelope    that content identity, age, to the identity that this device made

1. Names are random hexadecimal digits; the targets of one deployment share theirs, so that the writer of the
   index cannot pair one deployment's list with another's.
2. Every kind of target has a bound here. A target that is signed with a greater length is refused before it is
   fetched, and nothing is ever decompressed.
3. The withdrawn list names its deployment, and fits into one message to a worker.
4. The hub may take a volunteer off by itself (`volunteers_withdrawn` of the index): consent ends at once, and without
   an officer. It cannot add one: the deployment names each with hash and length. An index without one has no such key,
   so that older devices read it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from device.config.document import Model
from device.config.model import Name, Recipient, Section, matching
from device.errors import BadData

INDEX_MAX_BYTES = 4_096
DEPLOYMENT_MAX_BYTES = 262_144
PAYLOAD_MAX_BYTES = 256_000_000  # 100,000 people with four templates each
WITHDRAWN_MAX_BYTES = 1_000_000
ENVELOPE_MAX_BYTES = 4_096
VOLUNTEER_MAX_BYTES = 65_536
VOLUNTEERS_MOST = 100  # their references fit into an index
WITHDRAWN_MOST = 10_000  # rule 3: 64 letters each are 0.66 MB of the link's 1 MB

_HEX = r"[0-9a-f]{16,64}"
EntryRef = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "1 to 64 letters, digits, dots or hyphens")]
VolunteerRef = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9-]{0,15}", "1 to 16 letters, digits or hyphens")]
DeploymentTarget = Annotated[str, matching(rf"deployments/{_HEX}\.yaml", "deployments/<hex>.yaml")]
PayloadTarget = Annotated[str, matching(rf"deployments/{_HEX}\.payload", "deployments/<hex>.payload")]
WithdrawnTarget = Annotated[str, matching(rf"deployments/{_HEX}\.withdrawn\.json", "deployments/<hex>.withdrawn.json")]
VolunteerTarget = Annotated[
    str, matching(rf"deployments/{_HEX}\.[A-Za-z0-9-]{{1,16}}\.volunteer", "deployments/<hex>.<ref>.volunteer")
]
EnvelopeTarget = Annotated[
    str, matching(rf"devices/[A-Za-z0-9_-]{{1,63}}/{_HEX}\.envelope", "devices/<device>/<hex>.envelope")
]


def index_target(device: str) -> str:
    """The only target whose name is fixed."""
    return f"devices/{device}/index.json"


def stem(target: str) -> str:
    """The random digits in a target's name."""
    return target.rsplit("/", 1)[-1].partition(".")[0]


class Index(Section):
    """The targets of one device. `envelope` is null until the hub has issued one; `recipient`: to whom it did."""

    deployment: DeploymentTarget
    payload: PayloadTarget
    withdrawn: WithdrawnTarget
    envelope: EnvelopeTarget | None = None
    recipient: Recipient | None = None
    volunteers_withdrawn: Annotated[tuple[VolunteerRef, ...], Field(max_length=VOLUNTEERS_MOST)] = ()

    @model_validator(mode="after")
    def _of_one_deployment(self) -> Index:
        if len({stem(target) for target in (self.deployment, self.payload, self.withdrawn)}) != 1:
            raise ValueError("deployment, payload and withdrawn must belong together: the same digits in their names")
        if (self.envelope is None) != (self.recipient is None):
            raise ValueError("envelope and recipient come together, or neither does")
        return self


class Withdrawn(Section):
    """Entries that no device may search for any more."""

    deployment_id: Name
    refs: Annotated[tuple[EntryRef, ...], Field(max_length=WITHDRAWN_MOST)] = ()


def parse_index(content: bytes) -> Index | None:
    """The index, or None when nothing is published for the device. BadData with the reason."""
    value = _json(content, "the index")
    return None if value is None else _checked(Index, value, "the index")


def parse_withdrawn(content: bytes) -> Withdrawn:
    """The withdrawn list. BadData with the reason."""
    return _checked(Withdrawn, _json(content, "the withdrawn list"), "the withdrawn list")


def index_text(index: Index | None) -> bytes:
    """What `parse_index` reads (rule 4)."""
    content = None if index is None else index.model_dump(mode="json")
    if content is not None and not content["volunteers_withdrawn"]:
        del content["volunteers_withdrawn"]
    return json.dumps(content, sort_keys=True).encode() + b"\n"


def withdrawn_text(withdrawn: Withdrawn) -> bytes:
    """What `parse_withdrawn` reads."""
    return json.dumps(withdrawn.model_dump(mode="json"), sort_keys=True).encode() + b"\n"


def _json(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise BadData(f"{what} is not JSON") from fault


def _checked(model: type[Model], value: Any, what: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "whole file"
        raise BadData(f"{what} is malformed: {place}: {first['msg'].removeprefix('Value error, ')}") from fault
