"""The page before an event and its leaflet: where, when, by whom, why, another way, and what rights people have.

1. One file each, in English and Welsh, that loads nothing: `notice.html` for the web, `leaflet.html` to print on A5.
2. Shown is what the plan says to the public: place, times, purpose, legal basis, controller and notice; seriousness,
   the officer's rank and a regulator's reference where it has them. Not shown: devices, officers, categories, the list.
3. The QR code holds the address of the published page, and nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from device.config.deployment import DeploymentPlan
from tools.hub.language.words import LANGUAGES, Words

TITLE = "Live facial recognition will be used here"
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
RIGHTS = (
    "Faces are compared with one watchlist made for this operation. If you are not on it, your biometric data is"
    " deleted at once.",
    "Every possible match is judged by a person. Nobody has to be recognised to pass: use the alternative route.",
    "You may ask the controller what is held about you, and complain to the Information Commissioner (ico.org.uk).",
)
LABELS = ("Place", "Date", "Time", "Purpose", "Legal basis", "Controller", "Alternative route")
SIGNED_LABELS = {
    "seriousness": "Seriousness",
    "authorising_rank": "Rank of the authorising officer",
    "regulator_reference": "Regulator's authorisation",
}
SCAN = "The full page:"


@dataclass(frozen=True, slots=True)
class PublicNotice:
    """One event.

    routes  the alternative route by language;  draft: the mark over Welsh that nobody approved
    url     where `notice.html` will be; None: no QR code
    """

    plan: DeploymentPlan
    routes: Mapping[str, str]
    url: str | None
    draft: str

    def page(self) -> bytes:
        """`notice.html`."""
        return self._document(_PAGE, leaflet=False)

    def leaflet(self) -> bytes:
        """`leaflet.html`: a side a language."""
        return self._document(_LEAFLET, leaflet=True)

    def _document(self, style: str, *, leaflet: bool) -> bytes:
        parts = [_HEAD.format(title=html.escape(TITLE), style=style)]
        parts += [self._half(language, leaflet=leaflet) for language in LANGUAGES]
        return "\n".join([*parts, "</main></body></html>\n"]).encode()

    def _half(self, language: str, *, leaflet: bool) -> str:
        words = Words(language)
        lines = [f'<article lang="{language}"><h1>{_text(words(TITLE))}</h1>']
        if language == "cy" and self.draft:
            lines.append(f'<p class="draft">{_text(self.draft)}</p>')
        rows = list(zip(LABELS, self._values(words), strict=True))
        signed = ((label, getattr(self.plan, name)) for name, label in SIGNED_LABELS.items())
        rows[5:5] = [(label, value) for label, value in signed if value is not None]
        lines += ["<dl>", *(f"<dt>{_text(words(name))}</dt><dd>{_text(value)}</dd>" for name, value in rows), "</dl>"]
        lines.append(f"<p>{_text(self.plan.notice.get(language) or self.plan.notice['en'])}</p>")
        lines += [f"<p>{_text(words(line))}</p>" for line in RIGHTS]
        if self.url is not None and leaflet:
            lines.append(f'<p class="qr">{_text(words(SCAN))} {_text(self.url)}<br>{qr_svg(self.url)}</p>')
        return "\n".join([*lines, "</article>"])

    def _values(self, words: Words) -> tuple[str, ...]:
        plan, language = self.plan, words.language
        begin, end = plan.window.start, plan.window.end
        day = _day(begin, words) if begin.date() == end.date() else f"{_day(begin, words)} – {_day(end, words)}"
        route = self.routes.get(language) or self.routes["en"]
        time = f"{begin:%H:%M} – {end:%H:%M}"
        return plan.place, day, time, plan.purpose, plan.legal_basis, plan.controller, route


def qr_svg(url: str) -> str:
    """The QR code of an address as SVG, with its quiet zone."""
    import segno

    return str(segno.make(url, error="m", micro=False).svg_inline(scale=4, title=url))


def _day(moment: datetime, words: Words) -> str:
    return f"{moment.day} {words(MONTHS[moment.month - 1])} {moment.year}"


def _text(value: str) -> str:
    return html.escape(value)


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 12pt/1.45 system-ui, sans-serif; color: #17201c; background: #fff; margin: 0 auto; }}
h1 {{ background: #ffcf40; color: #1a1500; padding: .6em; line-height: 1.2; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .3em 1em; }} dt {{ font-weight: 700; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
.draft {{ border: 2px solid #8a5a00; color: #6b4600; padding: .4em .7em; font-weight: 700; }}
{style}</style></head><body><main>"""
_PAGE = "body { max-width: 44rem; padding: 0 1rem 2rem; } article + article { margin-top: 3rem; }"
_LEAFLET = (
    "@page { size: A5; margin: 12mm; } body { max-width: 124mm; font-size: 10pt; }"
    " article + article { break-before: page; }"
    " .qr svg { width: 32mm; height: 32mm; }"
)
