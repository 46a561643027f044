"""Probes are ciphertext for the hub from the moment that they exist."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pyrage
import pytest

from device.errors import InternalError
from device.worker.sealed_probe import HELD_MAX, ProbeSealer

SHOT = np.zeros((160, 160, 3), np.uint8)
SHOT[40:120, 40:120] = (210, 150, 90)


@pytest.fixture
def hub() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def sealer(hub: pyrage.x25519.Identity) -> ProbeSealer:
    return ProbeSealer(str(hub.to_public()))


def test_the_hubs_identity_opens_it_and_shows_the_shot(sealer: ProbeSealer, hub: pyrage.x25519.Identity) -> None:
    sealer.seal(4, 1, SHOT)
    probe = sealer.hand_over(4, "alert-1")
    assert probe is not None
    assert (probe.passage, probe.revision, probe.alert_id) == (4, 1, "alert-1")
    assert probe.sha256 == hashlib.sha256(probe.ciphertext).hexdigest()
    jpeg = pyrage.decrypt(probe.ciphertext, [hub])
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    shown = decoded[:, :, ::-1]
    assert np.abs(shown[60:100, 60:100].astype(int) - (210, 150, 90)).max() < 10


def test_nobody_else_opens_it(sealer: ProbeSealer) -> None:
    sealer.seal(4, 0, SHOT)
    probe = sealer.hand_over(4, "alert-1")
    assert probe is not None
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(probe.ciphertext, [pyrage.x25519.Identity.generate()])


def test_what_is_held_is_ciphertext_only(sealer: ProbeSealer) -> None:
    sealer.seal(4, 0, SHOT)
    ((_, held),) = sealer._held.values()
    assert held.startswith(b"age-encryption.org/v1")
    assert b"JFIF" not in held
    assert not any(isinstance(value, np.ndarray) for value in vars(sealer).values())


def test_a_probe_is_handed_over_once_and_the_latest_revision_counts(sealer: ProbeSealer) -> None:
    sealer.seal(4, 0, SHOT)
    sealer.seal(4, 2, SHOT)
    assert len(sealer) == 1
    first = sealer.hand_over(4, "a")
    assert first is not None
    assert first.revision == 2
    assert sealer.hand_over(4, "a") is None
    assert sealer.hand_over(99, "b") is None


def test_probes_nobody_asks_for_do_not_pile_up(sealer: ProbeSealer) -> None:
    for passage in range(HELD_MAX + 5):
        sealer.seal(passage, 0, SHOT)
    assert len(sealer) == HELD_MAX
    assert sealer.hand_over(4, "a") is None
    assert sealer.hand_over(5, "a") is not None


@pytest.mark.parametrize("text", ["", "age1", "not a key", "AGE-SECRET-KEY-1QQ", "age1" + "q" * 58])
def test_a_recipient_that_is_none_is_our_error_and_does_not_quote_a_secret(text: str) -> None:
    with pytest.raises(InternalError, match="recipient"):
        ProbeSealer(text)


def test_an_identity_in_the_place_of_the_recipient_is_not_repeated(hub: pyrage.x25519.Identity) -> None:
    with pytest.raises(InternalError) as refused:
        ProbeSealer(str(hub))
    assert str(hub) not in str(refused.value)
