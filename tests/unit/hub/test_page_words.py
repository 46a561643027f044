"""Every text of the operator's page has its Welsh: what stands in the documents, and what the scripts say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from device.domain.finding import Mode
from device.domain.judgement import HoldKind
from device.hub_api import messages
from tools.hub.console import pages
from tools.hub.language.words import welsh
from tools.hub.storage.users import ROLES

STATIC = Path(pages.__file__).parent / "static"
SAME = {*"VFTEJKM?–123", "FACIAL RECOGNITION", "IN USE"}
"""Keys, and the sign on the street, which has both languages."""
TABLES = ("STATES", "MARK_WORDS", "MODES", "OPERATORS", "COMMANDS", "WHAT", "WHY")


class Texts(HTMLParser):
    """Text nodes and spoken attributes of a document, without what is in a language of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._within: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in ("meta", "link", "input", "img", "br"):
            own = tag in ("script", "title") or (tag != "html" and "lang" in given)
            self._within.append(own or (bool(self._within) and self._within[-1]))
        self.found |= {str(given[name]) for name in ("aria-label", "title") if given.get(name)}

    def handle_endtag(self, tag: str) -> None:
        self._within.pop()

    def handle_data(self, data: str) -> None:
        if (words := " ".join(data.split())) and not (self._within and self._within[-1]):
            self.found.add(words)


def of_documents() -> set[str]:
    found: set[str] = set()
    for name in ("console.html", "login.html"):
        texts = Texts()
        texts.feed((STATIC / name).read_text(encoding="utf-8"))
        found |= texts.found
    return {text for text in found if "{{" not in text}


def of_scripts() -> set[str]:
    """Literals that are given to `t`, alone or as a choice of two, and the values of the tables."""
    script = "".join(file.read_text(encoding="utf-8") for file in STATIC.glob("*.js"))
    text = r'"((?:[^"\\\\]|\\\\.)*)"'
    found = set(re.findall(rf"\bt\({text}", script))
    for choice in re.findall(rf"\bt\([^\"()]*\? ({text} : [^\"()]*{text}(?:[^\"()]*{text})?)", script):
        found |= set(re.findall(text, choice[0]))
    for table in TABLES:
        (content,) = re.findall(rf"const {table} = {{(.*?)}};", script, re.S)
        found |= set(re.findall(rf": {text}", content))
    return found - {""}


def table(name: str) -> dict[str, str]:
    """One of the scripts' tables: value of the contract to words."""
    script = (STATIC / "console.js").read_text(encoding="utf-8")
    (content,) = re.findall(rf"const {name} = {{(.*?)}};", script, re.S)
    return dict(re.findall(r'"?([\w-]+)"?: "([^"]*)"', content))


def values(message: type, field: str) -> set[str]:
    """What the contract lets that field be."""
    hint = get_type_hints(message)[field]
    literals = [hint, *get_args(hint)] if get_origin(hint) is not Literal else [hint]
    return {value for each in literals if get_origin(each) is Literal for value in get_args(each)}


def test_the_page_has_words_for_all_that_a_message_may_say() -> None:
    assert set(table("STATES")) == values(messages.DeviceState, "state")
    assert set(table("MARKS")) == set(table("MARK_WORDS")) == values(messages.ConditionReading, "result")
    assert set(table("WHY")) == values(messages.Erasure, "reason")
    assert set(table("WHAT")) == values(messages.Erasure, "what") | {"reference"}
    assert set(table("OPERATORS")) == values(messages.HubState, "operator")
    assert set(table("COMMANDS")) == values(messages.Command, "name") - {"sync"}
    named = values(messages.CameraStatus, "status") | values(messages.CommandReply, "result")
    named |= values(messages.SignReading, "state") | set(get_args(HoldKind)) | set(ROLES) | {m.value for m in Mode}
    assert "frozen" in named, "the measure itself"
    assert sorted(named - welsh().keys()) == []


def test_every_text_of_the_page_has_its_welsh() -> None:
    documents, scripts = of_documents(), of_scripts()
    assert {"False alert", "erase it now", "Log in", "Skip to possible matches"} <= documents, "the measure itself"
    assert {"No sound yet: press a key", "Whether the sign is lit is unknown", "Armed", "{n} ago"} <= scripts
    assert sorted((documents | scripts) - SAME - welsh().keys()) == []
