"""Reading one YAML file into one frozen struct, with every problem reported at once.

1. A problem is one line: where (key path and line), what was found, the rule, the remedy.
2. An unknown key names the nearest valid one; one of an earlier version (`RETIRED` of its section) what to write now.
3. A key given twice is a problem: YAML itself would silently take the last.
4. The user and password of a URL are never repeated in a message.
5. Aliases and endless nesting are problems: a few bytes of either unfold into more than any memory holds. So are tags
   (`!!timestamp`): what a value is follows from its text, and PyYAML's constructors fail in their own ways on others.
6. Whatever the text, the outcome is the struct or ConfigError: a deployment comes from the network, and what a hub can
   publish must not end a device.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from device.errors import ConfigError, reason_of

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]
SHOWN_CHARS = 80  # of an offending value; longer ones are cut
NO_VALUE = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What PyYAML's constructors raise for a value that looks like a number or a time and is none (2026-02-30)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its values, and the line each key stands on."""

    values: Any
    lines: dict[Place, int]
    problems: tuple[str, ...]


class _PlainLoader(yaml.SafeLoader):
    """Values as they are written, without aliases and tags (rule 5)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = None if parent is None else parent.start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*name) in here; write the value out", mark)
        peek: Any = self.peek_event
        tag = getattr(peek(), "tag", None)
        if tag is not None:
            text = f"a tag ({tag[:SHOWN_CHARS]}) in here; write the value without it"
            raise yaml.composer.ComposerError(None, None, text, mark)
        return super().compose_node(parent, index)


MOST_BYTES = 1_000_000  # eight cameras take three kilobytes; a longer file is not a configuration


def load(path: Path, model: type[Model]) -> Model:
    """Read `path` and validate it against `model`; ConfigError lists everything that is wrong."""
    return parse(read(path), model, str(path))


def read(path: Path) -> str:
    """The text of a configuration file; ConfigError when it is missing, unreadable, too long or not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(str(path), (f"is longer than {MOST_BYTES} bytes: this is no configuration file",))
        return content.decode("utf-8")
    except OSError as fault:
        raise ConfigError(str(path), (f"cannot be read: {reason_of(fault)}",)) from fault
    except UnicodeDecodeError as fault:
        raise ConfigError(str(path), (f"is not UTF-8 text: byte {fault.start} cannot be decoded",)) from fault


def parse(text: str, model: type[Model], place: str) -> Model:
    """Validate YAML text against `model`; `place` is its name in errors."""
    document = _decode(text, place)
    problems = list(document.problems)
    result: Model | None = None
    try:
        result = model.model_validate(document.values)
    except ValidationError as fault:
        errors = fault.errors(include_url=False)
        problems += [_describe(model, document, e) for e in errors if not _follows_from(e, errors)]
    if problems or result is None:
        raise ConfigError(place, tuple(problems))
    return result


def _decode(text: str, place: str) -> Document:
    """YAML to plain values; a syntax error ends here, because nothing after it can be trusted."""
    loader: _PlainLoader | None = None
    try:
        loader = _PlainLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigError(place, ("is empty: a mapping of keys is needed",))
        values = loader.construct_document(root)
    except yaml.MarkedYAMLError as fault:
        mark, begin = fault.problem_mark, fault.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        begun = f" ({fault.context}, begun in line {begin.line + 1})" if begin else ""
        raise ConfigError(place, (f"{where}not YAML: {fault.problem}{begun}",)) from fault
    except RecursionError as fault:
        raise ConfigError(place, ("is nested far too deeply",)) from fault
    except yaml.YAMLError as fault:
        raise ConfigError(place, (f"not YAML: {fault}".replace("\n", " "),)) from fault
    except NO_VALUE as fault:
        raise ConfigError(place, (f"a value in here is none that YAML knows ({fault})",)) from fault
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(values, dict):
        raise ConfigError(place, (f"must be a mapping of keys, not {type(values).__name__}",))
    lines: dict[Place, int] = {}
    problems = tuple(_walk(root, (), lines))
    return Document(values, lines, problems)


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Iterator[str]:
    """Record the line of every key and report keys given twice (rule 3)."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield f"{_path((*place, name))}: key given twice (line {key.start_mark.line + 1}); keep one"
            seen.add(name)
            inner: Place = (*place, name)
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*place, index), lines)


def _describe(model: type[BaseModel], document: Document, error: Any) -> str:
    """One line for one pydantic error (rules 1 and 2)."""
    kind, loc = error["type"], error["loc"]
    own = len(loc) - 1 if kind == "extra_forbidden" else len(loc)  # from here on it is the file's word, not pydantic's
    place: Place = tuple(part for at, part in enumerate(loc) if at >= own or not _is_internal(part))
    where = _path(place) + _line(document, place)
    if kind == "extra_forbidden":
        section = _section_at(model, place[:-1])
        retired = getattr(section, "RETIRED", {}).get(place[-1])
        if retired is not None:
            return f"{where}: no longer a key; {retired}"
        valid = sorted(() if section is None else section.model_fields)
        near = difflib.get_close_matches(str(place[-1]), valid, n=1, cutoff=0.0)
        return f"{where}: unknown key" + (f"; the nearest valid key is {near[0]!r}" if near else "")
    if kind == "missing":
        return f"{where}: missing; this key is required"
    rule = error["msg"].removeprefix("Value error, ")
    return f"{where}: {rule[:1].lower()}{rule[1:]}; found {_shown(_value(document.values, place))}"


def _follows_from(error: Any, errors: list[Any]) -> bool:
    """Whether pydantic calls a list too short only because it left out the items that have errors of their own."""
    at = error["loc"]
    return error["type"] == "too_short" and any(len(e["loc"]) > len(at) and e["loc"][: len(at)] == at for e in errors)


def _is_internal(part: str | int) -> bool:
    """Whether a location part is pydantic's name for a branch of a union, not a key of ours."""
    return isinstance(part, str) and part.endswith("]") and "[" in part


def _path(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "(whole file)"


def _line(document: Document, place: Place) -> str:
    """The line of the nearest key that exists."""
    while place and place not in document.lines:
        place = place[:-1]
    return f" (line {document.lines[place]})" if place else ""


def _value(values: Any, place: Place) -> Any:
    for part in place:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return values
    return values


def _shown(value: Any) -> str:
    """A found value for a message (rule 4)."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, value)) or 'no keys'}"
    try:
        text = re.sub(r"://[^/@\s]*@", "://…@", repr(value))
    except ValueError:  # an integer of more digits than Python prints (sys.set_int_max_str_digits)
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _section_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """The section at `place`; None where the model has none."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            inner = _section(model.model_fields[part].annotation)
            if inner is None:
                return None
            model = inner
    return model


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as tuple[Camera, ...], dict[str, Category] or Zone | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner)) is not None), None)
