"""Evidence for a pair of recognisers that nobody measured: the shipped pair's numbers, signed by a key of the test.

It lets a worker start; nothing about the pair's accuracy follows from it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from calibration.evidence.signing import new_key, signed
from device.domain.recognisers import Recognisers
from device.evidence.artefact import Pair, read, shipped, trusted_keys
from engines.cards.model_card import RECOGNISER_DEFAULT, SCREEN_0095


def signed_for(chosen: Recognisers, folder: Path) -> tuple[Path, Path]:
    """The artefact's file and the folder of its key; `folder` is new."""
    assert chosen.screen is not None
    measured = read(shipped(f"{RECOGNISER_DEFAULT}+{SCREEN_0095}"), trusted_keys())
    pair = Pair(
        main=chosen.main.name,
        main_sha256=chosen.main.source_sha256,
        screen=chosen.screen.name,
        screen_sha256=chosen.screen.source_sha256,
        main_weight=chosen.fusion.main_weight,
        gate=chosen.fusion.gate,
    )
    document = msgspec.structs.replace(
        measured, id="a test's", recogniser=chosen.name, recogniser_sha256=chosen.source_sha256, pair=pair
    )
    keys, file = folder / "keys", folder / "evidence.json"
    keys.mkdir(parents=True)
    file.write_bytes(signed(document, new_key(keys / "key")))
    return file, keys
