"""The blue list's sealed volunteers on the device: verified one by one, erased with the list, and never in its way."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from device import eraser
from tests.offers import offer_of
from tests.unit.sync.conftest import HEX, NOW, Desk


def blue_list(**contents: bytes) -> dict[str, Any]:
    """A blue list whose volunteers have this sealed content."""
    volunteers = [
        {
            "ref": ref,
            "consent_until": NOW + timedelta(hours=2),
            "target": f"deployments/{HEX}.{ref}.volunteer",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
        for ref, content in contents.items()
    ]
    return {"id": "bl-1", "recogniser": "b" * 64, "volunteers": volunteers}


@pytest.fixture
def blue(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The hub publishes two volunteers too."""
    contents = {"V1": b"sealed one", "V2": b"sealed two"}
    desk.hub.document["blue_list"] = blue_list(**contents)
    write = desk.hub.write

    def with_volunteers(officers: dict[str, bytes], device: dict[str, bytes]) -> None:
        write({**officers, **{f"deployments/{HEX}.{ref}.volunteer": c for ref, c in contents.items()}}, device)

    monkeypatch.setattr(desk.hub, "write", with_volunteers)
    desk.hub.publish()
    return desk


def test_volunteers_are_on_the_disk_and_in_the_erasure_order(blue: Desk) -> None:
    offer = offer_of(blue.client().sync())
    assert {ref: file.read_bytes() for ref, file in offer.volunteers.items()} == {
        "V1": b"sealed one",
        "V2": b"sealed two",
    }
    ordered = set(eraser.ordered(blue.state, "d-1")["files"])
    assert {str(file.absolute()) for file in (offer.payload, *offer.volunteers.values())} == ordered
    client = blue.client()
    client.sync()
    client.ended("d-1")
    assert not any(file.exists() for file in (offer.payload, *offer.volunteers.values()))


def test_a_withdrawn_volunteer_s_file_is_deleted_and_not_fetched_again(blue: Desk) -> None:
    client = blue.client()
    before = offer_of(client.sync())
    base = f"deployments/{HEX}"
    index = {"deployment": f"{base}.yaml", "payload": f"{base}.payload", "withdrawn": f"{base}.withdrawn.json"}
    blue.hub.index = {**index, "volunteers_withdrawn": ["V1"]}
    blue.hub.publish()
    after = offer_of(client.sync())
    assert set(after.volunteers) == {"V2"}
    assert after.volunteers_withdrawn == {"V1"}
    assert not before.volunteers["V1"].exists()
    assert before.volunteers["V2"].exists()


def test_a_consent_that_has_ended_is_not_offered(blue: Desk) -> None:
    blue.clock.advance(timedelta(hours=2).total_seconds())
    assert offer_of(blue.client().sync()).volunteers == {}


@pytest.mark.parametrize("wrong", [{"sha256": "a" * 64}, {"bytes": 9}, {"target": f"deployments/{HEX}.V7.volunteer"}])
def test_a_volunteer_who_is_not_what_officers_signed_is_left_out_unnamed_and_stops_nobody(
    blue: Desk, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    blue.hub.document["blue_list"]["volunteers"][0] |= wrong
    blue.hub.publish()
    offer = offer_of(blue.client().sync())
    assert set(offer.volunteers) == {"V2"}
    assert offer.payload.read_bytes() == blue.hub.payload
    assert "volunteer.not_loaded" in caplog.text
    assert not any(name in caplog.text for name in ("V1", "V7"))
