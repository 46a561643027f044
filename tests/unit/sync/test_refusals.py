"""Everything that a device refuses to take from its hub: each refusal has a name and a text of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from device.domain.time import wall
from device.errors import RefusedByCondition
from device.sync.client import Client
from device.sync.identity import SessionIdentity
from device.sync.refusal import Refused
from device.sync.source_usb import UsbSource
from tests.offers import offer_of

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.unit.sync.conftest import Desk, Hub

BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True))


def refused(client: Client) -> Refused:
    """What a look at the repository is refused with, whichever way it comes; nothing is offered then."""
    try:
        found = client.sync()
    except Refused as fault:
        return fault
    assert found.offer is None
    assert found.refused is not None
    refusal: Refused = found.refused
    return refusal


def rewritten(desk: Desk, role: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a role's newest file after it was signed."""
    file = desk.hub.metadata(role)
    content = json.loads(file.read_bytes())
    change(content)
    file.write_text(json.dumps(content))


def unsigned(desk: Desk) -> None:
    rewritten(desk, "officers", lambda content: content.update(signatures=[]))


def wrong_signer(desk: Desk) -> None:
    desk.hub.keys["officer-1"], kept = desk.hub.keys["stranger"], desk.hub.keys["officer-1"]
    officers = {n: s for n, s in desk.hub.keys.items() if n.startswith("officer")}
    assert kept not in officers.values()
    desk.hub.publish()
    # The delegation still names the officer: only the document is signed by somebody else.
    top = json.loads(desk.hub.metadata("targets").read_bytes())
    assert top["signed"]["version"] == desk.hub.versions["targets"]
    for role in top["signed"]["delegations"]["roles"]:
        if role["name"] == "officers":
            role["keyids"] = [kept.public_key.keyid]
    top["signed"]["delegations"]["keys"][kept.public_key.keyid] = kept.public_key.to_dict()
    resign(desk, "targets", top)


def resign(desk: Desk, role: str, content: dict[str, Any]) -> None:
    """Sign changed content with the role's own key."""
    from tuf.api.metadata import Metadata

    metadata = Metadata.from_dict(content)
    metadata.sign(desk.hub.keys[role])
    desk.hub.metadata(role).write_bytes(metadata.to_bytes())


def below_threshold(desk: Desk) -> None:
    desk.hub.threshold = 2
    desk.hub.publish()


def changed_after_signing(desk: Desk) -> None:
    rewritten(desk, "officers", lambda content: content["signed"].update(expires="2099-01-01T00:00:00Z"))


def expired(desk: Desk) -> None:
    desk.hub.hours["officers"] = -1
    desk.hub.publish()


def frozen(desk: Desk) -> None:
    desk.hub.hours["timestamp"] = -1
    desk.hub.publish()


def malformed(desk: Desk) -> None:
    desk.hub.metadata("timestamp").write_bytes(b"[" * 8_000)


def oversized_metadata(desk: Desk) -> None:
    desk.hub.metadata("timestamp").write_bytes(b" " * 20_000)


def payload_grown(desk: Desk) -> None:
    file = next((desk.hub.folder / "targets" / "deployments").glob("*.payload"))
    file.write_bytes(desk.hub.payload * 2)


def payload_changed(desk: Desk) -> None:
    file = next((desk.hub.folder / "targets" / "deployments").glob("*.payload"))
    file.write_bytes(b"S" + desk.hub.payload[1:])


def payload_announced_huge(desk: Desk) -> None:
    desk.hub.lengths["payload"] = 10**10
    desk.hub.publish()


def yaml_bomb(desk: Desk) -> None:
    desk.hub.text = BOMB.encode()
    desk.hub.publish()


def nested(desk: Desk) -> None:
    desk.hub.text = b"a: " + b"[" * 3_000
    desk.hub.publish()


def says(**changes: Any) -> Callable[[Any], None]:
    """The officers' document says something else."""

    def change(desk: Desk) -> None:
        listed = changes.get("watchlist", {})
        desk.hub.document.update({k: v for k, v in changes.items() if k != "watchlist"})
        desk.hub.document["watchlist"].update(listed)
        desk.hub.publish()

    return change


def dated(hours: float, name: str = "created_at") -> Callable[[Any], None]:
    """A time of the list, from now."""
    return lambda desk: says(watchlist={name: wall(desk.clock.wall() + timedelta(hours=hours))})(desk)


def ended_window(desk: Desk) -> None:
    now = desk.clock.wall()
    says(window={"start": now - timedelta(hours=3), "end": now - timedelta(hours=1)})(desk)


def withdrawn_as(content: Any) -> Callable[[Any], None]:
    def change(desk: Desk) -> None:
        desk.hub.withdrawn = content
        desk.hub.publish()

    return change


def index_as(content: Any) -> Callable[[Any], None]:
    def change(desk: Desk) -> None:
        desk.hub.index = content
        desk.hub.publish()

    return change


def used_before(desk: Desk) -> None:
    client = desk.client()
    client.take(offer_of(client.sync()))
    says(id="d-2")(desk)


def sealed_before(desk: Desk) -> None:
    client = desk.client()
    client.take(offer_of(client.sync()))
    says(id="d-2", watchlist={"id": "wl-2"})(desk)


def link_on_the_stick(desk: Desk) -> None:
    file = desk.hub.metadata("timestamp")
    file.rename(file.with_name("elsewhere"))
    file.mkdir()


def clock_set_back(desk: Desk) -> None:
    desk.client().sync()
    desk.clock.set_wall(desk.clock.wall() - timedelta(minutes=1))


def clock_far_behind(desk: Desk) -> None:
    desk.clock.set_wall(desk.clock.wall() - timedelta(hours=3))


OTHER = "f" * 32
NAMES = {k: f"deployments/{OTHER}.{v}" for k, v in {"deployment": "yaml", "payload": "payload"}.items()}

CASES: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "unsigned": (unsigned, "unsigned", "has no signature"),
    "wrong signer": (wrong_signer, "wrong signer", "signed by no key that may sign it"),
    "below threshold": (below_threshold, "below threshold", "by 1 of the 2 that are needed"),
    "changed after signing": (changed_after_signing, "changed", "was changed after it was signed"),
    "expired": (expired, "expired", "officers is expired"),
    "frozen": (frozen, "frozen", "no longer refreshes it, or new metadata is being withheld"),
    "malformed metadata": (malformed, "malformed", "timestamp.json is malformed"),
    "oversized metadata": (oversized_metadata, "oversized", "longer than its signed length or bound"),
    "a payload that goes on": (payload_grown, "oversized", "longer than its signed length"),
    "a payload that was changed": (payload_changed, "changed", "is not what was signed"),
    "a payload announced as huge": (payload_announced_huge, "oversized", "has at most 256000000"),
    "a document that unfolds": (yaml_bomb, "malformed", "alias"),
    "a document nested without end": (nested, "malformed", "nested"),
    "a document with unknown keys": (says(covert=True), "malformed", "covert"),
    "a document without an officer": (says(authorising_officer=""), "malformed", "authorising_officer"),
    "an operational list on a demo root": (
        says(mode="operational"),
        "wrong mode",
        "says operational, and this device's root of trust is for demo use",
    ),
    "another device": (says(devices=["cam-2"]), "another device", "names cam-2, not cam-1"),
    "over size": (says(watchlist={"subjects": 11}), "malformed", "over max_watchlist_size 10"),
    "expired list": (dated(-0.5, "expires"), "expired", "wl-1 expired at"),
    "a list from the future": (dated(1), "not yet valid", "in the future"),
    "a list of yesterday": (dated(-25), "too old", "25 h old at the start; it may be 24"),
    "an ended window": (ended_window, "expired", "d-1 was over at"),
    "a list used before": (used_before, "used before", "wl-1 was already used for deployment d-1"),
    "a sealed list used before": (sealed_before, "used before", "sealed list was already used for deployment d-1"),
    "withdrawn list malformed": (
        withdrawn_as(b"{"),
        "withdrawn malformed",
        "recognition stays off until it is published again",
    ),
    "withdrawn list of another deployment": (
        withdrawn_as({"deployment_id": "d-9", "refs": []}),
        "another list",
        "of deployment d-9, not of d-1",
    ),
    "an index that is none": (index_as(b"\x00"), "malformed", "index is not JSON"),
    "an index to unsigned targets": (
        index_as({**NAMES, "withdrawn": f"deployments/{OTHER}.withdrawn.json"}),
        "unsigned",
        "is not signed by a key that may sign it",
    ),
    "a folder where a file should be": (link_on_the_stick, "malformed", "is no file"),
    "a clock set back": (clock_set_back, "clock set back", "before the last verified timestamp"),
    "a clock far behind": (clock_far_behind, "clock behind", "good for longer than 24 h"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_name_and_its_text(desk: Desk, case: str) -> None:
    spoil, reason, words = CASES[case]
    spoil(desk)
    fault = refused(desk.client())
    assert (fault.reason, words in fault.text) == (reason, True), fault.text
    assert fault.rule == fault.rule.lower()


def test_an_old_copy_is_rolled_back_and_refused(desk: Desk) -> None:
    old = {p: p.read_bytes() for p in (desk.hub.folder / "metadata").iterdir()}
    desk.hub.publish()
    client = desk.client()
    client.sync()
    for path, content in old.items():
        path.write_bytes(content)
    for again in (client, desk.client()):
        fault = refused(again)
        assert (fault.reason, "an old copy" in fault.text) == ("rolled back", True)


def test_a_demo_list_on_an_operational_root_is_refused_too(desk: Desk) -> None:
    (desk.roots / "demo").rename(desk.roots / "operational")
    fault = refused(desk.client())
    assert fault.reason == "wrong mode"
    assert "says demo, and this device's root of trust is for operational use" in fault.text


def test_another_hubs_repository_is_signed_by_nobody_we_trust(desk: Desk, make_hub: Callable[..., Hub]) -> None:
    other = make_hub()
    other.publish()
    assert refused(desk.client(UsbSource(other.folder))).reason == "wrong signer"


@pytest.mark.parametrize(("modes", "reason"), [((), "no root"), (("demo", "operational"), "two roots")])
def test_a_device_holds_exactly_one_root(desk: Desk, modes: tuple[str, ...], reason: str) -> None:
    root = (desk.roots / "demo" / "root.json").read_bytes()
    (desk.roots / "demo" / "root.json").unlink()
    for mode in modes:
        (desk.roots / mode).mkdir(exist_ok=True)
        (desk.roots / mode / "root.json").write_bytes(root)
    assert refused(desk.client()).reason == reason


def test_compressed_content_is_refused_unopened(desk: Desk) -> None:
    class Compressing(UsbSource):
        def read(self, path: str) -> Iterator[bytes]:
            raise Refused("deployment signed", "compressed", f"the hub sent {path} compressed (gzip)")

    assert refused(desk.client(Compressing(desk.hub.folder))).reason == "compressed"


@pytest.mark.parametrize("content", [b"no age file", None])
def test_a_foreign_or_damaged_envelope_is_refused(content: bytes | None) -> None:
    import pyrage

    other = SessionIdentity("d-1")
    sealed = content or pyrage.encrypt(b"AGE-SECRET-KEY-1X", [pyrage.x25519.Recipient.from_str(other.recipient)])
    with pytest.raises(RefusedByCondition, match="not addressed to this device's identity, or is damaged"):
        SessionIdentity("d-1").open(sealed)


@pytest.mark.parametrize("content", [b"hello", b"\xff\xfe", b"AGE-SECRET-KEY-1" + b"Q" * 1000])
def test_an_envelope_without_an_identity_is_refused(content: bytes) -> None:
    import pyrage

    mine = SessionIdentity("d-1")
    sealed = pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(mine.recipient)])
    with pytest.raises(RefusedByCondition, match="holds no age identity"):
        mine.open(sealed)


@pytest.mark.parametrize("case", [n for n in CASES if "before" not in n and "clock set" not in n])
def test_nothing_of_a_refused_publication_is_left_where_a_worker_looks(desk: Desk, case: str) -> None:
    CASES[case][0](desk)
    refused(desk.client())
    payloads = desk.state / "trust" / "demo" / "payloads"
    assert not payloads.exists() or not list(payloads.iterdir())


@pytest.mark.parametrize(
    "text", [b"\0", b"id: !!timestamp foo", b"[" * 5_000, b"a: " * 5_000, b"\xff", b'"\\ud800"', b"id: 2026-02-30", b""]
)
def test_a_signed_text_that_no_parser_likes_is_a_refusal_and_ends_nothing(desk: Desk, text: bytes) -> None:
    desk.hub.text = text
    desk.hub.publish()
    found = desk.client().sync()
    assert found.refused is not None
    assert found.refused.reason == "malformed"


@pytest.mark.parametrize("field", ["index", "withdrawn"])
def test_a_deeply_nested_list_is_a_refusal(desk: Desk, field: str) -> None:
    setattr(desk.hub, field, b"[" * 15_000)
    desk.hub.publish()
    assert desk.client().sync().refused is not None
