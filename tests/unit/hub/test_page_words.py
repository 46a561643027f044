"""Every text of the operator's page has its Welsh: what stands in the documents, what the scripts say, what the hub
answers when it refuses, and what it warns of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from device.domain.finding import Mode
from device.domain.judgement import HoldKind
from device.hub_api import messages
from tools.hub.console import pages
from tools.hub.console.console import HOLDS_OF_FALSE
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


ROOT = Path(__file__).parents[3]
ANSWERING = (
    *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tools/hub/console").glob("*.py")),
    *(f"tools/hub/{name}.py" for name in ("storage/holds", "storage/files", "storage/probes", "storage/hub_log")),
    *(f"tools/hub/{name}.py" for name in ("pki/command_signer", "pki/renewal", "serve")),
    *(f"device/hub_api/{name}.py" for name in ("events", "messages/base")),
)
"""What answers a request of the page, refuses a device's message, or warns."""
REFUSALS = ("BadData", "RefusedByCondition", "Unavailable", "UsageError", "PlainTextResponse", "fault")
"""Calls whose first text (of the second and of `fault`: the last) may be shown."""
OTHER_CALLS = {"serve.py": ("fault",), "holds.py": (*REFUSALS, "append")}
LAST = ("RefusedByCondition", "fault")
RETURNING = {
    "alert_checks.py": "_of_.*|problem",
    "view.py": "_overdue",
    "renewal.py": "words",
    "console.py": "_warnings",
}
"""Functions that return such texts."""
NOT_SHOWN = {"none", "not found", "category", "image source", "response code", "camera", "zone", "hold", " (", "; "}
"""Bodies that nobody reads, and parts of texts."""


def text_of(node: ast.AST) -> str | None:
    """A text with `{}` for every value in it; None for what is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def whole_texts(node: ast.AST) -> Iterator[str]:
    """Texts below a node, each as a whole; docstrings left out."""
    text = text_of(node)
    if text is not None:
        yield text
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from whole_texts(child)


def of_refusals(file: Path) -> Iterator[str]:
    """Literals that a module raises, answers, records as a device's fault, or returns as a warning."""
    calls = OTHER_CALLS.get(file.name, REFUSALS)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = node.args[-1:] if name in LAST else node.args[:1]
            yield from (text for text in map(text_of, given if name in calls else ()) if text)
        elif isinstance(node, ast.FunctionDef) and re.fullmatch(RETURNING.get(file.name, "-"), node.name):
            for line in node.body:
                yield from (text for text in whole_texts(line) if " " in text)


def of_the_hub() -> set[str]:
    """Every text of the hub that reaches the page, with `{}` for values."""
    return {text for name in ANSWERING for text in of_refusals(ROOT / name)}


def test_every_refusal_and_warning_of_the_hub_has_its_welsh() -> None:
    known = {re.sub(r"\{\w+\}", "{}", english) for english in welsh()}
    texts = of_the_hub()
    measure = {
        "it is under a hold of kind {}: release that first",
        "an alert below its threshold",
        "a hold cannot be read: {}",
        "{}: this fails at the hub",
        "this case is no longer on the desk",
    }
    assert sorted(measure - texts) == [], "the measure itself"
    assert sorted(texts - known - NOT_SHOWN) == []


def test_the_steps_of_the_console_have_their_welsh() -> None:
    source = (ROOT / "tools/hub/console/console.py").read_text(encoding="utf-8")
    (steps,) = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == "_steps")
    names = {text for line in steps.body for text in whole_texts(line)} | {HOLDS_OF_FALSE}
    assert {"presence", "saved counts"} <= names, "the measure itself"
    assert sorted(names - welsh().keys()) == []


def test_no_two_texts_with_values_are_taken_for_each_other() -> None:
    """The page takes the fitting text with the most letters of its own (`fromHub`): with plain values itself."""
    patterned = [english for english in welsh() if "{" in english]
    literal = {english: re.split(r"\{\w+\}", english) for english in patterned}
    ordered = sorted(patterned, key=lambda english: -len("".join(literal[english])))
    for english in patterned:
        said = re.sub(r"\{\w+\}", "x-7", english)
        fits = next(o for o in ordered if re.fullmatch("([^]]+?)".join(map(re.escape, literal[o])), said))
        assert fits == english
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", welsh()[english])), english
