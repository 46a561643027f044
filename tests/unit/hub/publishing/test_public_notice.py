"""The page before an event: place, time, purpose, another way, in two languages; its leaflet's QR code can be read."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import yaml

from tests.unit.hub.publishing.conftest import Desk
from tools.hub.language.words import welsh
from tools.hub.publishing import public_notice
from tools.hub.publishing.public_notice import qr_svg

URL = "https://www.example.police.uk/lfr/station-square"
ROUTE = "Use the north entrance"


def written(desk: Desk, *more: object) -> tuple[str, str]:
    plan = desk.plan("plan.yaml", "--start", "2026-12-24T09:00+00:00", "--end", "2026-12-24T17:30+00:00")
    document = yaml.safe_load(plan.read_text())
    plan.write_text(yaml.safe_dump({**document, "place": "Station <Square>"}, allow_unicode=True))
    out = desk.root / "public"
    desk.lfr("deployment", "notice", plan, "--hub", desk.hub, "--out", out, "--alternative-route", ROUTE, *more)
    return (out / "notice.html").read_text(), (out / "leaflet.html").read_text()


def test_the_page_says_what_people_need_and_nothing_else(desk: Desk) -> None:
    page, _ = written(desk, "--alternative-route-cy", "Defnyddiwch y fynedfa ogleddol")
    english, other = page.split('<article lang="cy">')
    for text in ("Station &lt;Square&gt;", "24 December 2026", "09:00 – 17:30", "p", "l", "C", ROUTE):
        assert text in english
    for text in ("24 Rhagfyr 2026", "Defnyddiwch y fynedfa ogleddol", "DRAFFT"):
        assert text in other
    for banned in ("AO-1", "cam-1", "missing", "R3", "age1", "<script", "src=", "url("):
        assert banned not in page


def test_what_the_plan_says_of_its_authorisation_and_its_own_route_are_on_the_page(desk: Desk) -> None:
    options = ("--seriousness", "three years or more", "--authorising-rank", "Superintendent")
    routes = ("--alternative-route", "en=The bridge", "--alternative-route", "cy=Y bont")
    plan = desk.plan("plan.yaml", *options, "--regulator-reference", "REG-26/7", *routes)
    out = desk.root / "public"
    desk.lfr("deployment", "notice", plan, "--hub", desk.hub, "--out", out)
    english, other = (out / "notice.html").read_text().split('<article lang="cy">')
    for text in ("three years or more", "Superintendent", "REG-26/7", "The bridge"):
        assert text in english
    for text in ("Difrifoldeb", "Rheng y swyddog awdurdodi", "Y bont"):
        assert text in other
    assert "The bridge" not in other


def test_a_plan_without_an_alternative_route_needs_one_on_the_command_line(desk: Desk) -> None:
    plan = desk.plan()
    desk.lfr("deployment", "notice", plan, "--hub", desk.hub, "--out", desk.root / "x", expect=64)


def test_the_leaflet_s_qr_code_is_read_as_the_address(desk: Desk) -> None:
    page, leaflet = written(desk, "--url", URL)
    assert "<svg" not in page
    assert leaflet.count("<svg") == 2
    assert decoded(qr_svg(URL)) == URL


def test_an_address_that_is_none_is_refused(desk: Desk) -> None:
    plan = desk.plan()
    command = ["deployment", "notice", plan, "--hub", desk.hub, "--out", desk.root / "x", "--alternative-route", "r"]
    desk.lfr(*command, "--url", "javascript:alert(1)", expect=64)
    assert not Path(desk.root / "x").exists()


def test_every_text_of_the_notice_has_its_welsh() -> None:
    notice = public_notice
    texts = (notice.TITLE, notice.SCAN, *notice.RIGHTS, *notice.LABELS, *notice.SIGNED_LABELS.values(), *notice.MONTHS)
    assert [text for text in texts if text not in welsh()] == []


def decoded(svg: str) -> str:
    """The text of a QR code: its rows of dark modules are one path of horizontal strokes."""
    size = int(re.findall(r'width="(\d+)"', svg)[0]) // 4
    picture = np.full((size, size), 255, np.uint8)
    x, y = 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", re.findall(r' d="([^"]+)"', svg)[-1]):
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        if command == "h":
            picture[int(y), int(x) : int(x + values[0])] = 0
            x += values[0]
        else:
            x, y = (values[0], values[1]) if command == "M" else (x + values[0], y + values[1])
    big = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    return str(cv2.QRCodeDetector().detectAndDecode(big)[0])
