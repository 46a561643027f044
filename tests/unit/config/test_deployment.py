"""deployment.yaml: complete, bounded, its times aware and in order."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.config.deployment import Deployment, parse_signed
from device.config.document import load as load_document
from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import BadData, ConfigError

GOOD = f"""
id: demo-2026-11-23
mode: demo
controller: Demo Constabulary
owner: Another Force
authorising_officer: AO-1
purpose: finding a missing person
legal_basis: common law
place: Town square
window: {{start: 2026-11-23T09:00:00Z, end: 2026-11-23T17:00:00+01:00}}
devices: [cam-1]
categories: {{missing: {{response_code: R3}}}}
max_watchlist_size: 5000
watchlist: {{id: wl-1, sha256: {"a" * 64}, subjects: 1, images: 1}}
retention: {{alert_hours: 24, ceiling_days: 31}}
hub_recipient: age1{"q" * 58}
notice: {{en: Live facial recognition in operation, cy: Adnabod wynebau byw ar waith}}
"""


def load(tmp_path: Path, text: str) -> Deployment:
    file = tmp_path / "deployment.yaml"
    file.write_text(text, encoding="utf-8")
    return load_document(file, Deployment)


def test_a_complete_deployment_is_read(tmp_path: Path) -> None:
    deployment = load(tmp_path, GOOD)
    assert deployment.mode is Mode.DEMO
    assert deployment.retention.after_end == timedelta(hours=24)
    assert deployment.categories["missing"].response_code == "R3"


def test_what_authorised_it_and_another_way_are_read_and_an_older_deployment_without_them_still_loads(
    tmp_path: Path,
) -> None:
    old = load(tmp_path, GOOD)
    assert (old.seriousness, old.authorising_rank, old.regulator_reference, old.alternative_route) == (None,) * 4
    new = load(
        tmp_path,
        GOOD + "seriousness: three years or more\nauthorising_rank: Superintendent\nregulator_reference: REG-26/7\n"
        "alternative_route: {en: North entrance, cy: Mynedfa ogleddol}\n",
    )
    assert (new.seriousness, new.authorising_rank, new.regulator_reference) == (
        "three years or more",
        "Superintendent",
        "REG-26/7",
    )
    assert new.alternative_route == {"en": "North entrance", "cy": "Mynedfa ogleddol"}


@pytest.mark.parametrize("wrong", ["seriousness: ''", "authorising_rank: ''", "alternative_route: {}"])
def test_an_empty_text_about_the_authorisation_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.partition(":")[0]):
        load(tmp_path, GOOD + wrong + "\n")


def test_an_alternative_route_needs_its_english(tmp_path: Path) -> None:
    problems = load(tmp_path, GOOD + "alternative_route: {cy: Mynedfa ogleddol}\n").unsignable()
    assert any(problem.startswith("alternative_route.en: missing") for problem in problems)


def blue_list(count: int, digits: str = "ab" * 16) -> str:
    volunteers = ", ".join(
        f"{{ref: V-{n}, consent_until: 2026-12-01T00:00:00Z, target: deployments/{digits}.V-{n}.volunteer,"
        f" sha256: {'c' * 64}, bytes: 100}}"
        for n in range(count)
    )
    return f"blue_list: {{id: bl-1, recogniser: {'b' * 64}, volunteers: [{volunteers}]}}\n"


def test_a_blue_list_of_a_demonstration_is_short_and_belongs_to_its_watchlist(tmp_path: Path) -> None:
    text = GOOD.replace("images: 1}", f"images: 1, payload: deployments/{'ab' * 16}.payload}}")
    assert not any("blue_list" in problem for problem in load(tmp_path, text + blue_list(10)).unsignable())
    many, other = load(tmp_path, text + blue_list(11)), load(tmp_path, text + blue_list(1, "cd" * 16))
    assert any(problem.startswith("blue_list: 11 volunteers") for problem in many.unsignable())
    assert any("the same digits" in problem for problem in other.unsignable())
    with pytest.raises(ConfigError, match="named twice"):
        load(tmp_path, text + blue_list(2).replace("ref: V-1", "ref: V-0"))


def test_the_window_includes_its_start_and_excludes_its_end(tmp_path: Path) -> None:
    window = load(tmp_path, GOOD).window
    start = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
    end = datetime(2026, 11, 23, 16, 0, tzinfo=timezone.utc)
    assert window.holds(wall(start))
    assert not window.holds(wall(start - timedelta(seconds=1)))
    assert window.holds(wall(end - timedelta(seconds=1)))
    assert not window.holds(wall(end))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00", "timezone"),
        ("2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z", "end must be later than start"),
        ("mode: demo", "mode: covert", "'operational', 'test' or 'demo'"),
        ("alert_hours: 24", "alert_hours: 745", "less than or equal to 744"),
        ("alert_hours: 24, ceiling_days: 31", "alert_hours: 49, ceiling_days: 2", "must not exceed ceiling_days"),
        ("ceiling_days: 31", "ceiling_days: 32", "less than or equal to 31"),
        ("age1", "AGE-SECRET-KEY-1", "must be an age recipient"),
        ("a" * 64, "A" * 64, "64 lower-case hexadecimal digits"),
        ("devices: [cam-1]", "devices: []", "at least 1 item"),
        ("owner: Another Force", "", "owner: missing"),
        ("response_code: R3", "response_code: R3, threshold_offset: -0.1", "greater than or equal to 0"),
        ("images: 1", "images: 1, payload: deployments/x.yaml", "deployments/<hex>.payload"),
        ("categories", "category", "nearest valid key is 'categories'"),
        ("response_code: R3", "respons_code: R3", "nearest valid key is 'response_code'"),
    ],
)
def test_a_deployment_out_of_bounds_names_the_rule(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert rule in str(caught.value)


SIGNED = (
    GOOD.replace("max_watchlist_size: 5000", "max_watchlist_size: 10\nzones: [north-gate]")
    .replace("images: 1", f"images: 1, payload: deployments/{'0' * 32}.payload, recognisers: [{'b' * 64}], %s")
    .replace("%s", "created_at: 2026-11-23T08:00:00Z, expires: 2026-11-24T08:00:00Z")
)


def test_what_officers_sign_is_read_whole() -> None:
    deployment = parse_signed(SIGNED.encode(), "a target")
    assert deployment.unsignable() == ()
    assert deployment.watchlist.recognisers == ("b" * 64,)
    assert deployment.categories["missing"].threshold_offset == 0.0


def test_everything_that_a_signed_deployment_lacks_is_named_at_once() -> None:
    lacking = GOOD.replace(", cy: Adnabod wynebau byw ar waith", "").replace("subjects: 1", "subjects: 5001")
    with pytest.raises(BadData) as caught:
        parse_signed(lacking.encode(), "a target")
    for rule in ("zones: missing", "notice.cy: missing", "watchlist.payload: missing", "watchlist.created_at: missing"):
        assert rule in str(caught.value)
    for rule in ("watchlist.expires: missing", "watchlist.recognisers: missing", "5001 is over", "at most 10"):
        assert rule in str(caught.value)


def test_a_list_that_expires_before_it_was_made_is_refused() -> None:
    with pytest.raises(BadData, match="expires must be later than created_at"):
        parse_signed(SIGNED.replace("2026-11-24T08", "2026-11-22T08").encode(), "a target")


def test_a_signed_deployment_that_is_no_text_is_bad_data() -> None:
    with pytest.raises(BadData, match="not UTF-8"):
        parse_signed(b"\xff\xfe", "a target")
