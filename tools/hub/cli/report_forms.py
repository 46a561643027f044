"""The forms of `lfr report`: text, HTML, CSV and JSON of what was asked for, printed or written with signatures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from device.audit.rows import Head
from device.errors import BadData, LfrError, UsageError
from tools.hub.cli.options import now
from tools.hub.language.words import draft_mark
from tools.hub.publishing.deployment_records import Records
from tools.hub.publishing.publisher import Publisher
from tools.hub.report import home_office, public_report
from tools.hub.report.audit_counts import count_chains, first_moment
from tools.hub.report.blue_log import signed_totals
from tools.hub.report.deployment_report import Report, as_builtins, as_text, report_of
from tools.hub.report.evidence_band import evidence_band
from tools.hub.report.home_office import COLUMNS, Details, Row
from tools.hub.report.signed_report import ReportSigner
from tools.hub.report.tallies import read_book
from tools.hub.report.true_recognition import figures
from tools.hub.report.years import Year, year_of
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.hub_log import OWN


@dataclass(frozen=True, slots=True)
class Made:
    """One report. reports: what the hub itself counted, only without audit logs."""

    rows: Sequence[Row]
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    years: Sequence[Year] = ()
    reports: Sequence[Report] = ()
    heads: Mapping[str, Head] = field(default_factory=dict)
    public: bool = False
    draft: str = ""

    def text(self) -> str:
        """For people."""
        if self.reports:
            return "\n\n".join(as_text(report) for report in self.reports) + "\n"
        if not self.rows and not self.years:
            return "nothing was reported to this hub yet\n"
        if self.public:
            return self.json()
        parts = [_lines(row) for row in (*self.rows, *(year.totals for year in self.years))]
        notes = [f"note: {remark}\n" for year in self.years for remark in year.remarks]
        return "\n".join(parts) + "".join(notes)

    def json(self) -> str:
        """One object."""
        if self.public:
            page = public_report.as_json(self._public_rows(), self._public_years(), self.draft)
            return json.dumps(page, indent=1, ensure_ascii=False) + "\n"
        hub = {report.deployment_id: as_builtins(report) for report in self.reports}
        rows = [
            {"deployment_id": name, **hub.get(name, {}), "home_office": home_office.as_json(row)}
            for row in self.rows
            for name in (str(row["deployment"].value),)
        ]
        shown: dict[str, object] = {"reports": rows}
        if self.years:
            shown["years"] = [
                {"year": y.year, "totals": home_office.as_json(y.totals), "remarks": list(y.remarks)}
                for y in self.years
            ]
        return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"

    def csv(self) -> str:
        """One line a deployment, and one a year."""
        if not self.public:
            return home_office.as_csv([*self.rows, *(year.totals for year in self.years)])
        lines = [{"year": year, **totals} for year, totals in self._public_years().items()]
        return home_office.table_csv([*lines, *self._public_rows()])

    def html(self) -> str:
        """A page that prints."""
        if self.public:
            return public_report.as_html(self._public_rows(), self._public_years(), self.draft)
        remarks = dict(self.remarks) | {str(y.totals["deployment"].value): y.remarks for y in self.years}
        return home_office.as_html([*(year.totals for year in self.years), *self.rows], remarks)

    def write(self, hub: HubFolder, folder: Path) -> Iterator[Path]:
        """HTML, CSV and JSON with their signatures; yields the three files."""
        signer, at, name = ReportSigner.of_hub(hub.root), now(), "public-report" if self.public else "report"
        for ending, content in (("html", self.html()), ("csv", self.csv()), ("json", self.json())):
            file = folder / f"{name}.{ending}"
            signer.write(file, content.encode(), self.heads, at, public=self.public)
            yield file

    def _public_rows(self) -> list[public_report.Public]:
        return [public_report.public_row(row) for row in self.rows]

    def _public_years(self) -> dict[int, public_report.Public]:
        return {year.year: public_report.public_totals(year) for year in self.years}


def make(hub: HubFolder, args: argparse.Namespace, logs: Mapping[str, Path]) -> Made:
    """From the given audit logs alone.

    BadData when the log of a device of a deployment is missing, RefusedByCondition for what may not be published.
    """
    if args.foi and args.deployment is not None:
        raise UsageError("--foi is about whole years: leave --deployment out")
    counted = count_chains(hub.root, logs)
    begins = {device: first_moment(log) for device, log in logs.items()}
    if args.public:
        for year in args.foi:
            public_report.require_year_over(year, now())
            public_report.require_whole_year(year, Records(hub.root).all(), counted, begins)
    if args.deployment is not None:
        _require(args.deployment, counted, "the given logs")
        counted = {args.deployment: counted[args.deployment]}
    if args.foi:
        counted = {name: chain for name, chain in counted.items() if int(chain.first_at[:4]) in args.foi}
    known, book = Deployments(hub.root), read_book(hub.report_file).deployments
    signed, own_head = signed_totals(hub.root)
    rows = []
    for name, chain in counted.items():
        details = known.details(name)
        devices = details.devices or tuple(book[name].devices if name in book else ())
        missing = [device for device in devices if device not in logs]
        if missing:
            raise BadData(f"{name}: give the audit log of {', '.join(missing)}, too (--audit DEVICE=LOG)")
        if name in signed:
            blue = figures(signed[name], known.band(name))
            details = replace(details, blue_list=blue, blue_list_source=home_office.HUB_CHAIN)
        elif name in book:
            details = replace(details, blue_list=report_of(book[name], known.band(name)).blue_list)
        rows.append(home_office.chain_row(name, details, chain))
    if args.public:
        public_report.require_final(counted, now())
    heads = {device: head for chain in counted.values() for device, head in chain.heads.items()}
    return Made(
        rows=rows,
        years=[year_of(year, rows, begins) for year in args.foi],
        heads={**heads, **({} if own_head is None or not signed.keys() & counted.keys() else {OWN: own_head})},
        public=args.public,
        draft=draft_mark(hub.root),
    )


def from_hub(hub: HubFolder, args: argparse.Namespace) -> Made:
    """From the hub's own counts."""
    found = read_book(hub.report_file).deployments
    if args.deployment is not None:
        _require(args.deployment, found, str(hub.report_file))
    wanted = [found[args.deployment]] if args.deployment is not None else list(found.values())
    known = Deployments(hub.root)
    reports = [report_of(tally, known.band(tally.deployment_id)) for tally in wanted]
    rows = [
        home_office.row_of(report, replace(known.details(report.deployment_id), blue_list=report.blue_list), None)
        for report in reports
    ]
    return Made(rows=rows, reports=reports, remarks={report.deployment_id: report.remarks for report in reports})


def _require(name: str, known: Mapping[str, Any], place: str) -> None:
    if name not in known:
        raise BadData(f"no deployment {name!r} in {place}; known: {', '.join(known) or 'none'}")


def _lines(row: Row) -> str:
    shown = {COLUMNS[name]: row[name].value for name in COLUMNS}
    return "".join(f"{label:<40}{'not known' if value is None else value}\n" for label, value in shown.items())


class Deployments:
    """The signed deployments' own fields, while this hub still has them."""

    def __init__(self, hub: Path) -> None:
        self._publisher: Publisher | None = None
        try:
            self._publisher = Publisher(hub, now)
        except (LfrError, OSError):
            return

    def band(self, name: str) -> tuple[float, float] | None:
        """Where the signed evidence expects the true recognition rate for a deployment's list."""
        if self._publisher is None:
            return None
        try:
            listed = self._publisher.deployment(self._publisher.records.get(name)).watchlist
        except (LfrError, OSError):
            return None
        return evidence_band(frozenset(listed.recognisers), listed.subjects)

    def details(self, name: str) -> Details:
        """Of one deployment; empty when the hub does not have it (any more)."""
        if self._publisher is None:
            return Details()
        try:
            signed = self._publisher.deployment(self._publisher.records.get(name))
        except (LfrError, OSError):
            return Details()
        return Details(
            place=signed.place,
            purpose=signed.purpose,
            controller=signed.controller,
            owner=signed.owner,
            seriousness=signed.seriousness,
            authorising_rank=signed.authorising_rank,
            regulator_reference=signed.regulator_reference,
            alternative_route=(signed.alternative_route or {}).get("en"),
            devices=signed.devices,
        )
