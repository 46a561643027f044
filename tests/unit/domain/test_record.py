"""An audit row can say only what its closed set of fields lets it say."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.audit_record import FIELDS, Record, record
from device.supervisor.conditions.tables import ARM, RUN
from device.supervisor.state_machine import Event


@pytest.mark.parametrize("field", ["name", "entry_ref", "image", "template", "text", "score", "officer_ref", "box"])
def test_a_row_has_no_field_for_a_person(field: str) -> None:
    assert field not in FIELDS
    with pytest.raises(TypeError, match=field):
        record("alert", **{field: "x"})


def test_an_unknown_kind_of_row_is_a_defect() -> None:
    with pytest.raises(TypeError, match="gossip"):
        record("gossip")


def test_every_text_of_a_row_is_bounded_by_a_pattern_or_a_vocabulary() -> None:
    free = {"type": "string"}
    schema = msgspec.json.schema(Record)["$defs"]["Record"]["properties"]
    for name, kind in schema.items():
        options = kind.get("anyOf", [kind])
        assert free not in options, f"{name} is free text"
        assert all("pattern" in o or "enum" in o or o.get("type") != "string" for o in options), name


@given(text=st.text(max_size=80))
def test_no_name_with_a_capital_no_line_and_no_long_text_gets_into_a_term(text: str) -> None:
    output = record("refused", condition=text, reason=text)
    for kept in (output.condition, output.reason):
        assert kept is None or (
            kept == text == text.lower() and len(text) <= 48 and text.isascii() and "\n" not in text
        )


def test_a_value_that_does_not_fit_is_left_out_and_named() -> None:
    output = record("refused", "R01", deployment="../../etc/passwd", condition="watchlist fresh", count=3)
    assert (output.deployment, output.condition, output.count, output.left_out) == (
        None,
        "watchlist fresh",
        3,
        ("deployment",),
    )


def test_every_condition_and_event_of_the_tables_fits_a_row() -> None:
    for row in (*ARM, *RUN):
        assert record("condition", row.rule, condition=row.name.lower()).left_out == ()
    for event in Event:
        assert record("state", event=event.value).left_out == ()


def test_the_fields_are_those_of_the_struct() -> None:
    hints: dict[str, Any] = get_type_hints(Record)
    assert set(hints) == FIELDS
