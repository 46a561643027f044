"""The hub's words in English and Welsh: one catalogue for the operator's page, the public report and the notice.

1. `cy.json` gives the Welsh of every English text. A text without one stays English.
2. Welsh is a draft, and marked so, until a named translator has approved it: `translation.json` in the hub's folder has
   the name, the day and the SHA-256 of the catalogue, so that a changed text is a draft again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from device.errors import BadData
from tools.hub.storage.files import write_file

CATALOGUE = Path(__file__).parent / "cy.json"
FILE = "translation.json"
LANGUAGES = ("en", "cy")
DRAFT = "DRAFFT – heb ei gymeradwyo gan gyfieithydd / DRAFT, not approved by a translator"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Who approved which catalogue, and when (YYYY-MM-DD)."""

    translator: str
    on: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Words:
    """Texts in one language: `words("False alert")`."""

    language: str

    def __call__(self, english: str) -> str:
        return welsh().get(english, english) if self.language == "cy" else english


@cache
def welsh() -> dict[str, str]:
    """English to Welsh."""
    return msgspec.json.decode(CATALOGUE.read_bytes(), type=dict[str, str])


def digest() -> str:
    """SHA-256 of the catalogue."""
    return hashlib.sha256(CATALOGUE.read_bytes()).hexdigest()


def approval(hub: Path) -> Approval | None:
    """The approval of this catalogue; None while it is a draft (rule 2)."""
    try:
        found = msgspec.json.decode((hub / FILE).read_bytes(), type=Approval)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadData(f"{hub / FILE} cannot be read ({fault}); let the translator approve the texts again") from fault
    return found if found.sha256 == digest() else None


def approve(hub: Path, translator: str, on: str) -> None:
    """Record that a translator approved the catalogue as it is now."""
    write_file(hub / FILE, msgspec.json.encode(Approval(translator=translator, on=on, sha256=digest())))


def draft_mark(hub: Path) -> str:
    """What stands over Welsh text: the draft mark, or empty when it is approved."""
    return "" if approval(hub) is not None else DRAFT
