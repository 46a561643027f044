"""A person's request: "was I on this list, was I alerted", answered from what still lawfully exists.

1. Looked up are the lists that run now and the rehearsal lists that are kept, by entry reference or by the label that
   only the hub has, and the alerts of that entry that are still on the desk or under a hold. A label is erased with its
   deployment: what is held of it after that is found by the entry reference alone. Whether the person asking is the
   person of the entry is for an officer to establish.
2. What has ended was erased: about it nothing is known any more, and the answer says so, for everybody alike.
3. The answer has no picture, no score, no threshold, and nothing of anybody else.
4. An authorised officer may withhold it on a ground of the Data Protection Act 2018, section 45(4). A withheld answer
   reads the same whether or not there is something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from device.hub_api.messages import Alert
from tools.hub.storage.folder import Entry
from tools.hub.storage.sealed_desk import StoredCase

Ground = Literal["inquiries", "crime", "public security", "national security", "rights of others"]
GROUNDS: Mapping[str, str] = {
    "inquiries": "to avoid obstructing an official or legal inquiry, investigation or procedure",
    "crime": "to avoid prejudicing the prevention, detection, investigation or prosecution of criminal offences",
    "public security": "to protect public security",
    "national security": "to protect national security",
    "rights of others": "to protect the rights and freedoms of others",
}
RIGHTS = (
    "You may ask the controller to review this answer, complain to the Information Commissioner, or apply to a court"
    " (Data Protection Act 2018, sections 51, 165 and 167)."
)


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One list. on_list: None when it has ended and is erased."""

    deployment: str
    place: str | None
    ended_at: str | None
    on_list: bool | None
    category: str | None = None


class AlertAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that still exists.

    outcome    None when nobody has judged it, or when it is under a hold and no longer on the desk: not known
    erased_by  None under a hold: it is kept until that is reviewed
    """

    deployment: str
    seen_at: str
    outcome: str | None
    erased_by: str | None
    held: bool = False


class RehearsalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A rehearsal list that the person is on."""

    name: str
    until: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request. answer: `kept` when something exists, `nothing`, or `withheld`."""

    case: str
    at: str
    answer: Literal["kept", "nothing", "withheld"]
    lists: tuple[ListAnswer, ...] = ()
    alerts: tuple[AlertAnswer, ...] = ()
    rehearsals: tuple[RehearsalAnswer, ...] = ()


class KnownDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub knows of one deployment. refs: entries on its list, none once it has ended."""

    id: str
    place: str | None
    ended_at: str | None
    refs: frozenset[str] = frozenset()


def refs_of(label: str, labels: Mapping[str, str]) -> frozenset[str]:
    """Entries with this label, whatever its case and spaces. labels: by reference."""
    wanted = " ".join(label.casefold().split())
    return frozenset(ref for ref, known in labels.items() if " ".join(known.casefold().split()) == wanted)


def answer_to(
    case: str,
    at: str,
    refs: frozenset[str],
    *,
    deployments: Sequence[KnownDeployment],
    entries: Mapping[str, Entry],
    cases: Sequence[StoredCase],
    held: Sequence[Alert] = (),
    rehearsals: Sequence[RehearsalAnswer] = (),
) -> Answer:
    """Rules 1 to 3. refs: the entries that are this person's; cases: everything on the desk; held: under a hold."""
    lists = tuple(_list_answer(known, refs, entries) for known in deployments)
    wanted = {known.id for known in deployments}
    outcomes = {kept.alert.alert_id: kept.outcome for kept in cases}
    under_hold = [
        AlertAnswer(
            deployment=alert.deployment_id,
            seen_at=alert.captured_at,
            outcome=outcomes.get(alert.alert_id),
            erased_by=None,
            held=True,
        )
        for alert in held
        if alert.candidate.entry_ref in refs
    ]
    shown = {alert.alert_id for alert in held}
    on_desk = [
        AlertAnswer(
            deployment=kept.alert.deployment_id,
            seen_at=kept.alert.captured_at,
            outcome=kept.outcome,
            erased_by=kept.delete_by,
        )
        for kept in cases
        if kept.alert.candidate.entry_ref in refs
        and kept.alert.deployment_id in wanted
        and kept.alert.alert_id not in shown
    ]
    alerts = (*on_desk, *under_hold)
    found = bool(alerts) or bool(rehearsals) or any(each.on_list for each in lists)
    return Answer(
        case=case,
        at=at,
        answer="kept" if found else "nothing",
        lists=lists,
        alerts=alerts,
        rehearsals=tuple(rehearsals),
    )


def _list_answer(known: KnownDeployment, refs: frozenset[str], entries: Mapping[str, Entry]) -> ListAnswer:
    mine = sorted(refs & known.refs)
    entry = entries.get(mine[0]) if mine else None
    return ListAnswer(
        deployment=known.id,
        place=known.place,
        ended_at=known.ended_at,
        on_list=None if known.ended_at is not None else bool(mine),
        category=entry.category if entry is not None else None,
    )


def withheld(case: str, at: str) -> Answer:
    """The answer of rule 4."""
    return Answer(case=case, at=at, answer="withheld")


def as_text(answer: Answer, ground: str | None = None, *, complete: bool = True) -> str:
    """The answer as a letter's text.

    ground    of a withheld answer, as the officer decided to state it; may be None
    complete  False when something is held that no label finds any more (rule 1)
    """
    lines = [f"Request {answer.case}, answered {answer.at}", ""]
    if answer.answer == "withheld":
        why = f", {GROUNDS[ground]}" if ground is not None else ""
        lines += [f"We neither confirm nor deny that we hold personal data about you{why}.", "", RIGHTS]
        return "\n".join(lines)
    lines.append("Were you on a list?")
    lines += [f"- {_of_list(each)}" for each in answer.lists] or ["- This hub has had no list."]
    lines += [f"- rehearsal list {each.name}: yes, until {each.until}." for each in answer.rehearsals]
    lines += ["", "Were you alerted?"]
    none = "- No alert about you exists. If there was one it is erased, and nothing shows whether there was."
    if not complete:
        none = "- No alert about you was found by the label that you gave."
    lines += [f"- {_of_alert(each)}" for each in answer.alerts] or [none]
    lines += [
        "",
        "Faces that matched nobody were erased at once. No picture, template or score of you is part of this answer.",
        "",
        RIGHTS,
    ]
    return "\n".join(lines)


def _of_list(each: ListAnswer) -> str:
    where = f"{each.deployment}, {each.place}" if each.place else each.deployment
    if each.on_list is None:
        return f"{where}: erased. It ended at {each.ended_at}; nothing shows who was on its list."
    if not each.on_list:
        return f"{where}: no."
    return f"{where}: yes" + (f", category {each.category}." if each.category else ".")


def _of_alert(each: AlertAnswer) -> str:
    outcomes = {None: "not judged yet", "true_alert": "judged a true alert", "false_alert": "judged a false alert"}
    judged = outcomes.get(each.outcome, "not adjudicated")
    if each.held:
        judged = "" if each.outcome is None else f"{judged}; it is "
        return f"{each.deployment}, seen at {each.seen_at}: {judged}kept under a hold until reviewed."
    return f"{each.deployment}, seen at {each.seen_at}: {judged}; it is erased by {each.erased_by}."
