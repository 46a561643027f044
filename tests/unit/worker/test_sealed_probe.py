"""Probes are ciphertext for the hub from the moment that they exist."""

from __future__ import annotations

import cv2
import numpy as np
import pyrage
import pytest

from device.errors import InternalError
from device.worker.sealed_probe import ProbeSealer

SHOT = np.zeros((160, 160, 3), np.uint8)
SHOT[40:120, 40:120] = (210, 150, 90)


@pytest.fixture
def hub() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def sealer(hub: pyrage.x25519.Identity) -> ProbeSealer:
    return ProbeSealer(str(hub.to_public()))


def test_the_hubs_identity_opens_it_and_shows_the_shot(sealer: ProbeSealer, hub: pyrage.x25519.Identity) -> None:
    jpeg = pyrage.decrypt(sealer.seal(SHOT), [hub])
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    shown = decoded[:, :, ::-1]
    assert np.abs(shown[60:100, 60:100].astype(int) - (210, 150, 90)).max() < 10


def test_nobody_else_opens_it(sealer: ProbeSealer) -> None:
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealer.seal(SHOT), [pyrage.x25519.Identity.generate()])


def test_it_is_ciphertext_only_and_nothing_of_the_shot_is_kept(sealer: ProbeSealer) -> None:
    sealed = sealer.seal(SHOT)
    assert sealed.startswith(b"age-encryption.org/v1")
    assert b"JFIF" not in sealed
    assert not any(isinstance(value, np.ndarray | bytes) for value in vars(sealer).values())


@pytest.mark.parametrize("text", ["", "age1", "not a key", "AGE-SECRET-KEY-1QQ", "age1" + "q" * 58])
def test_a_recipient_that_is_none_is_our_error_and_does_not_quote_a_secret(text: str) -> None:
    with pytest.raises(InternalError, match="recipient"):
        ProbeSealer(text)


def test_an_identity_in_the_place_of_the_recipient_is_not_repeated(hub: pyrage.x25519.Identity) -> None:
    with pytest.raises(InternalError) as refused:
        ProbeSealer(str(hub))
    assert str(hub) not in str(refused.value)
