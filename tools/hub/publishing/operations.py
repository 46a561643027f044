"""The operations behind the commands, also for programs: propose, publish, withdraw, end, copy.

1. Photos and labels reach the hub's page with the publication and are erased with the end or the withdrawal, at once.
   A withdrawal that leaves no entry on the list ends the deployment. Where a kill came between the publication and the
   erasure, `finish_erasures` completes it: each command does it first, and the hub every few seconds while it runs.
2. Two deployments that run at once may list the same reference when it has the same photo, as copies of a rehearsal
   list have; photo and label stay until the last of them ends. With another photo it is refused: an operator would be
   shown the wrong person.
3. Every refusal comes before any change; each function makes its changes in an order that is safe when interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from device.config.deployment import Deployment, DeploymentPlan, parse_signed, plan_problems
from device.config.document import load
from device.config.publication import Withdrawn, stem, withdrawn_text
from device.domain.time import WallTime, wall
from device.errors import BadData, ConfigError, RefusedByCondition, Unavailable, UsageError
from tools.hub.publishing.admission import require_possible
from tools.hub.publishing.change import Change, Proposal, propose
from tools.hub.publishing.deployment_records import Record
from tools.hub.publishing.pending_changes import last_moment
from tools.hub.publishing.publisher import Publisher, empty_withdrawn
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.files import PUBLIC, write_file
from tools.hub.storage.folder import Entry, HubFolder
from tools.hub.watchlist.blue_list import read_blue_list
from tools.hub.watchlist.build import CONTENT, PHOTOS, BuiltList, read_built, require_fresh
from tools.hub.watchlist.photos import HubEntry, HubPhotos, open_at_hub, read_photos
from tools.hub.watchlist.rehearsal import RehearsalLists
from tools.hub.watchlist.volunteers import VolunteerRegister

RULE_OF_REFS = "one photo a reference"
RULE_OF_KEY = "hub's key of the deployment"
KEY_GONE = (
    "this hub has no key for it: it has ended, was discarded or never published in its time, or was planned at another"
    " hub. What was built for it cannot be opened; make a new plan (`lfr deployment new --from`) and a new list"
)


def read_plan(file: Path) -> DeploymentPlan:
    """A plan; ConfigError with every field that a signed deployment needs and it lacks."""
    plan = load(file, DeploymentPlan)
    problems = plan_problems(plan)
    if problems:
        raise ConfigError(str(file), problems)
    return plan


def propose_deployment(
    publisher: Publisher, plan: DeploymentPlan, built_folder: Path, now: WallTime, *, blue_folder: Path | None = None
) -> Change:
    """A change that publishes a plan with its list, and a blue list; it waits for the officers' signatures."""
    built, payload = read_built(built_folder)
    require_fresh(built, plan, now)
    RehearsalLists(publisher.places.hub).require_kept(built.watchlist.rehearsal, now)
    if plan.mode is not publisher.places.mode:
        raise RefusedByCondition(
            "mode", f"{plan.id} is {plan.mode.value}, this hub's root of trust is {publisher.places.mode.value}"
        )
    publisher.records.require_unused(plan.id, built.watchlist.id)
    require_possible(plan, publisher.targets(), publisher.places)
    _require_key(publisher.keys, plan)
    digits = stem(built.watchlist.payload or "")
    document = {**plan.model_dump(mode="json"), "watchlist": _reference_of(built)}
    volunteers: dict[str, bytes] = {}
    if blue_folder is not None:
        blue, volunteers = read_blue_list(blue_folder, plan, built.watchlist.id)
        document["blue_list"] = blue.model_dump(mode="json")
    content = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()
    parse_signed(content, plan.id)
    base = f"deployments/{digits}"
    proposal = Proposal(
        kind="deployment",
        says=f"deployment {plan.id}: {built.watchlist.subjects} people, {len(plan.devices)} device(s)"
        + (f", {len(volunteers)} volunteer(s)" if volunteers else ""),
        deployment_id=plan.id,
        stem=digits,
        ends=wall(plan.window.end),
        expires=last_moment(plan, built),
        add={
            f"{base}.yaml": content,
            f"{base}.payload": payload,
            f"{base}.withdrawn.json": empty_withdrawn(plan.id),
            **volunteers,
        },
        for_hub={name: _read(built_folder / name) for name in (CONTENT, PHOTOS)},
    )
    return propose(publisher.places.pending / plan.id, publisher.store, publisher.records.running(), proposal, now)


def _reference_of(built: BuiltList) -> dict[str, object]:
    """The list as the document names it; without `rehearsal` where there is none, so that older devices read it."""
    return built.watchlist.model_dump(mode="json", exclude={"rehearsal"} if built.watchlist.rehearsal is None else None)


def deployment_of(change: Change) -> Deployment | None:
    """The document that a change would publish; None when it is not of a deployment."""
    path = f"deployments/{change.description().stem}.yaml"
    content = change.files().get(path)
    return None if content is None else parse_signed(content, path)


def publish(publisher: Publisher, change: Change) -> Record | None:
    """Publish a signed change; its photos are added to the hub's page or erased from it (rule 1)."""
    described = change.description()
    if described.kind == "deployment":
        return _publish_deployment(publisher, change)
    record = publisher.publish(change)
    return record if record is None else _erase_withdrawn(publisher, record)


def _erase_withdrawn(publisher: Publisher, record: Record) -> Record:
    """Erase photos and labels of who is withdrawn from a running deployment; it ends with nobody left on its list."""
    if not record.running or not record.refs:
        return record
    withdrawn = publisher.withdrawn(record).refs
    gone = tuple(ref for ref in record.refs if ref in withdrawn)
    if not gone:
        return record
    left = msgspec.structs.replace(record, refs=tuple(ref for ref in record.refs if ref not in gone))
    _erase_unneeded(publisher, gone, left)
    return left if left.refs else end(publisher, left.id)


def _erase_unneeded(publisher: Publisher, refs: Sequence[str], record: Record) -> None:
    """Erase photos and labels that no other running deployment lists, then save the record (rule 2)."""
    others = (each for each in publisher.records.running() if each.id != record.id)
    needed = {*record.refs}.union(*(each.refs for each in others))
    HubFolder(publisher.places.hub).erase_refs([ref for ref in refs if ref not in needed])
    publisher.records.save(record)


def finish_erasures(publisher: Publisher) -> list[str]:
    """Erase at the hub what a withdrawal or an end has left there (rule 1); what was erased, as text."""
    done = []
    for record in publisher.records.all():
        if record.running and _erase_withdrawn(publisher, record) != record:
            done.append(f"photos of entries that were withdrawn from {record.id}")
        elif not record.running and record.refs:
            _erase_unneeded(publisher, record.refs, msgspec.structs.replace(record, refs=()))
            done.append(f"photos of {record.id}, which has ended")
    return done


def _publish_deployment(publisher: Publisher, change: Change) -> Record | None:
    hub, document = HubFolder(publisher.places.hub), deployment_of(change)
    if document is not None:
        RehearsalLists(hub.root).require_kept(document.watchlist.rehearsal, publisher.now)
    identity = key_of(publisher.keys, change.description().deployment_id or "")
    content_key = open_at_hub(change.for_hub(CONTENT), identity, "the list's key").decode("ascii", "replace")
    photos = read_photos(open_at_hub(change.for_hub(PHOTOS), identity, "the photos"))
    _require_same_photos(publisher, photos)
    record = publisher.publish(change, content_key)
    if record is not None:
        record = msgspec.structs.replace(record, refs=tuple(entry.ref for entry in photos.entries))
        publisher.records.save(record)
        if record.volunteers:  # a consent may have been withdrawn since the officers signed
            end_consents(publisher)
            record = publisher.records.get(record.id)
    hub.add_entries({e.ref: (_entry_of(e), e.photo) for e in photos.entries})
    return record


def _require_same_photos(publisher: Publisher, photos: HubPhotos) -> None:
    """Rule 2. Raises RefusedByCondition naming the reference and the deployment that uses it."""
    used = {ref: record.id for record in publisher.records.running() for ref in record.refs}
    for entry in photos.entries:
        shown = HubFolder(publisher.places.hub).references / f"{entry.ref}.jpg"
        if entry.ref in used and shown.exists() and shown.read_bytes() != entry.photo:
            text = f"{used[entry.ref]} runs and has another photo as {entry.ref}: build this list with other references"
            raise RefusedByCondition(RULE_OF_REFS, text)


def _entry_of(entry: HubEntry) -> Entry:
    return Entry(entry.label or entry.ref, entry.category, entry.response_code, entry.look_alike or None)


def photos_of(hub: HubFolder, built_folder: Path) -> HubPhotos:
    """The photos' file of a built list, opened at the hub it was built for."""
    identity = key_of(hub.keys, read_built(built_folder)[0].deployment_id)
    return read_photos(open_at_hub(_read(built_folder / PHOTOS), identity, "the photos"))


def propose_withdrawal(publisher: Publisher, deployment_id: str, refs: Sequence[str], now: WallTime) -> Change:
    """A change that takes entries off a running deployment's list."""
    record = publisher.records.get(deployment_id)
    if not record.running:
        raise RefusedByCondition("deployment running", f"{deployment_id} has ended; its list is gone already")
    known = set(record.refs)
    before = publisher.withdrawn(record)
    unknown = [ref for ref in refs if ref not in known and ref not in before.refs]
    if unknown:
        raise UsageError(f"no entry {', '.join(unknown)} on the list of {deployment_id}; it has {len(known)} entries")
    listed = Withdrawn(deployment_id=deployment_id, refs=tuple(dict.fromkeys((*before.refs, *refs))))
    proposal = Proposal(
        kind="withdrawal",
        says=f"withdraw {', '.join(refs)} from {deployment_id}",
        deployment_id=deployment_id,
        stem=record.stem,
        expires=record.over,
        add={f"deployments/{record.stem}.withdrawn.json": withdrawn_text(listed)},
    )
    return propose(
        publisher.places.pending / f"withdrawal-{deployment_id}",
        publisher.store,
        publisher.records.running(),
        proposal,
        now,
    )


def end(publisher: Publisher, deployment_id: str) -> Record:
    """End a deployment; the photos of its people are erased at the hub (rule 2)."""
    record = publisher.end(deployment_id)
    ended = msgspec.structs.replace(record, refs=())
    _erase_unneeded(publisher, record.refs, ended)
    return ended


def take_off_volunteers(publisher: Publisher, refs: Sequence[str]) -> tuple[str, ...]:
    """Consent is withdrawn: off every running blue list, and out of the register; who was anywhere.

    The lists come first. Raises Unavailable, when everything else is done, for what the register could not delete.
    """
    register, left = VolunteerRegister(publisher.places.hub), []
    gone = {ref for each in publisher.records.running() for ref in publisher.take_off_volunteers(each.id, refs)}
    for ref in refs:
        try:
            gone |= {ref} if register.remove(ref) else set()
        except Unavailable as fault:
            left.append(str(fault))
    if left:
        raise Unavailable("; ".join(left))
    return tuple(sorted(gone))


def end_consents(publisher: Publisher) -> tuple[str, ...]:
    """The same for everybody whose consent has ended by now, and for those who are not in the register any more."""
    now, register = publisher.now, VolunteerRegister(publisher.places.hub)
    known = register.refs()
    gone: set[str] = set()
    for record in publisher.records.running():
        over = [ref for ref, until in record.volunteers.items() if wall(until) <= now or ref not in known]
        gone |= set(publisher.take_off_volunteers(record.id, over)) if over else set()
    return tuple(sorted(gone | set(register.end_consents(now))))


def copy_to_usb(publisher: Publisher, stick: Path) -> int:
    """The repository on a stick, for devices without a network; returns how many files. The timestamp comes last."""
    source = publisher.store.root
    if not publisher.store.exists:
        raise Unavailable(f"{source} is no repository; `lfr authority init` makes one")
    with publisher.store.locked():
        files = sorted((p for p in source.rglob("*") if p.is_file()), key=lambda p: p.name == "timestamp.json")
        try:
            for file in files:  # a device reads them as another user, if the stick's file system knows users at all
                write_file(stick / file.relative_to(source), file.read_bytes(), mode=PUBLIC)
            kept = {stick / file.relative_to(source) for file in files}
            for part in ("metadata", "targets"):
                for file in [p for p in (stick / part).rglob("*") if p.is_file() and p not in kept]:
                    file.unlink()
        except OSError as fault:
            raise Unavailable(f"{stick}: {fault.strerror}; is the stick writable and large enough?") from fault
    return len(files)


def key_of(keys: DeploymentKeys, deployment_id: str) -> str:
    """The hub's identity of a deployment. RefusedByCondition when it is erased."""
    secret = keys.secret(deployment_id)
    if secret is None:
        raise RefusedByCondition(RULE_OF_KEY, f"{deployment_id}: {KEY_GONE}")
    return secret


def _require_key(keys: DeploymentKeys, plan: DeploymentPlan) -> None:
    """Raise unless the plan's list was encrypted to a key that this hub still has."""
    if keys.recipient(plan.id) != plan.hub_recipient:
        raise RefusedByCondition(RULE_OF_KEY, f"{plan.id}: {KEY_GONE}")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise BadData(f"{file}: {fault.strerror}") from fault
