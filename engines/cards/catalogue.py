"""Every model by its name: the packaged ones and those that were added to the models folder."""

from __future__ import annotations

import re
from pathlib import Path

from engines.cards.custom_card import read
from engines.cards.model_card import ModelCard, packaged_cards
from engines.errors import BadCard, UnknownName
from engines.places import models_dir


def cards(models: Path | None = None) -> tuple[ModelCard, ...]:
    """All cards, the packaged ones first, then those that were added to the models folder (the cache's when None).

    Raises BadCard for one that has been damaged since it was added.
    """
    found, damaged = readable_cards(models)
    if damaged:
        raise damaged[0]
    return found


def readable_cards(models: Path | None = None) -> tuple[tuple[ModelCard, ...], tuple[BadCard, ...]]:
    """All cards that can be read, as `cards` orders them, and what is wrong with each of the others."""
    found, damaged = list(packaged_cards()), []
    for path in sorted(cards_dir(models).glob("*.yaml")):
        try:
            found.append(_added(path))
        except BadCard as fault:
            damaged.append(fault)
    return tuple(found), tuple(damaged)


def card(name: str, models: Path | None = None) -> ModelCard:
    """The card of that name, packaged or added; UnknownName lists those there are, BadCard an added one's problems."""
    by_name = {one.name: one for one in packaged_cards()}
    if name in by_name:
        return by_name[name]
    path = cards_dir(models) / f"{name}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", name) and path.is_file():
        return _added(path)
    added = sorted(one.stem for one in cards_dir(models).glob("*.yaml"))
    raise UnknownName("model", name, (*by_name, *added))


def cards_dir(models: Path | None = None) -> Path:
    """Where added cards and their ONNX files lie."""
    return (models if models is not None else models_dir()) / "cards"


def _added(path: Path) -> ModelCard:
    return read(path, path.with_suffix(".onnx"))
