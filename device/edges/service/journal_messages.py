"""Messages of the journal that people look for: their ids (sd-journal, MESSAGE_ID=), and the texts of their catalog.

1. An id stays what it is for ever; `journalctl MESSAGE_ID=…` and `journalctl --catalog` find the entry by it. Only
   events that are explained to ops are here; every other line has LFR_EVENT and its fields.
2. FIELDS are the only values of an event that become fields of the journal. No face, name, template or text of a
   person is among them: cameras, states, conditions, rules, opaque identifiers, numbers.

systemd/lfr.catalog is `catalog()`; tests/unit/edges/test_journal.py compares them and says how it is written again.
How do I add one? A row here, with `uuid.uuid4().hex`, and the catalog written again.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

DEFINED_BY = "lfr-edge"
FIELDS = {
    "camera": "LFR_CAMERA",
    "now": "LFR_STATE",
    "was": "LFR_STATE_BEFORE",
    "condition": "LFR_CONDITION",
    "rule": "LFR_RULE",
    "alert": "LFR_ALERT",
    "deployment": "LFR_DEPLOYMENT",
    "mode": "LFR_MODE",
    "outcome": "LFR_OUTCOME",
    "run": "LFR_RUN",
    "status": "LFR_EXIT_STATUS",
}
"""Field of an event and field of the journal."""


@dataclass(frozen=True, slots=True)
class JournalMessage:
    """One message. subject, text: of the catalog (systemd.io/CATALOG); `@LFR_CAMERA@` is filled in by journalctl."""

    id: str
    subject: str
    text: str


MESSAGES = {
    "state": JournalMessage(
        "6314f7896d59459ea3b2f4c29cfd1f3b",
        "The device is @LFR_STATE@, it was @LFR_STATE_BEFORE@",
        "`recognising`: every condition holds. `inhibited`: the first condition that fails is named in the "
        "message; `lfr why` lists all of them with their remedies.",
    ),
    "condition.fails": JournalMessage(
        "c58f8954843a42c8bc4d22627d6c7284",
        "A condition fails: @LFR_CONDITION@",
        "The device does not recognise while it fails. The message ends with the remedy; `lfr why` shows the "
        "present result.",
    ),
    "condition.fails_no_more": JournalMessage(
        "ff050b92bd3c4703a4ef549607279a7b",
        "A condition fails no more: @LFR_CONDITION@",
        "Recognition goes on when every other condition holds, too.",
    ),
    "deployment.loaded": JournalMessage(
        "3d83bd1d90e046459d31fa923c9c4436",
        "A deployment is loaded: @LFR_DEPLOYMENT@",
        "Its watchlist is on this device, sealed, until its end; its erasure is ordered already.",
    ),
    "deployment.ended": JournalMessage(
        "e99885abeb8b4328b9bb7237e1ddd8ca",
        "A deployment has ended: @LFR_DEPLOYMENT@",
        "Its list is erased, and receipts are on their way to the hub. `balanced=False` is a defect: report "
        "it with `lfr audit verify`.",
    ),
    "alert.raised": JournalMessage(
        "70f1d73b3c0141e49a10ac4347152c7e",
        "An alert was raised on camera @LFR_CAMERA@",
        "An operator at the hub judges it. The identifier names the alert, no person.",
    ),
    "stop.pressed": JournalMessage(
        "575c8ae1b1964ea59d3b8418ba214149",
        "Recognition was stopped by button or hub",
        "It stays so until the hub sends `resume`, or the service is started again. A STOP contact with a cut "
        "wire counts as pressed.",
    ),
    "stop.released": JournalMessage(
        "e63b812b99674b80b5870f76eaf727ad",
        "The hub has released STOP",
        "Recognition goes on when every condition holds.",
    ),
    "tamper": JournalMessage(
        "b1e9c3ccd2c7447f884d35cb018d3367",
        "The housing was opened",
        "Everything personal is erased at once. Close the housing, inspect it, then start the service.",
    ),
    "sign.does_not_follow": JournalMessage(
        "c782b515282a40b1a952cd429e3d2101",
        "The sensed light is not this sign's",
        "The sign is switched off for a while and proves itself again. Shade the sensor; look for a short, a "
        "stuck relay, a weak supply (device/edges/gpio/WIRING.md).",
    ),
    "lines.lost": JournalMessage(
        "ac7334edf16f4e25b689b571c64463a5",
        "The GPIO lines cannot be read",
        "`lfr doctor --board` opens the chips and names what is in the way.",
    ),
    "camera.lost": JournalMessage(
        "a925590eb20c49f6a9edf2f37053baab",
        "Camera @LFR_CAMERA@ is lost",
        "It is opened again until it is back. Look at its cable, its supply and its network; `lfr status` "
        "shows its problem.",
    ),
    "worker.failed": JournalMessage(
        "53f88504bb4d402cbfad4348fa4fb3dd",
        "The worker of camera @LFR_CAMERA@ failed and is started again",
        "The message has the reason. After five failures in a minute the camera pauses for five minutes.",
    ),
    "worker.disabled": JournalMessage(
        "1d963fbedf874d6f9b4afaaf50350068",
        "Camera @LFR_CAMERA@ pauses: its worker failed too often",
        "The other cameras go on. `systemctl restart lfr` tries at once; `lfr doctor --self-test` runs the engines.",
    ),
    "mqtt.no_session": JournalMessage(
        "b2ef6e9725664095b2d6c343ccd9cd64",
        "The connection with the hub's broker is lost",
        "It is opened again by itself. Look at the van's network, at the hub (`systemctl status lfr-hub` "
        "there) and at the certificates (`lfr doctor --config /etc/lfr/device.yaml`).",
    ),
    "command.refused": JournalMessage(
        "ccf5cf3f0590497eb70d5d386226f208",
        "A command of the hub was refused",
        "It was not signed by the hub's certificate, was meant for another device, or was repeated.",
    ),
    "reload.done": JournalMessage(
        "77e8e8efc0684938a0025f5e9e68480a",
        "The configuration was read again",
        "Sections that need a restart are named in the message.",
    ),
    "reload.refused": JournalMessage(
        "646b7991fe8a4beda3a17dc8618a0bd8",
        "The configuration was not taken",
        "The device goes on with what it had: `lfr config check /etc/lfr/device.yaml`.",
    ),
    "certificates.not_renewed": JournalMessage(
        "b81dde24876d4995ad48f20edb18b746",
        "The certificates were not renewed",
        "The hub is asked again in an hour. They are renewed 14 days before they end; `lfr status` shows the days "
        "left and why the renewal fails.",
    ),
    "audit.shortened": JournalMessage(
        "b3480de4709f49879860f304089a22f3",
        "The audit log is shorter than its signed head",
        "Rows are missing. Keep the card, do not operate this device, and report it: `lfr audit verify`.",
    ),
    "audit.unavailable": JournalMessage(
        "ab69b272a3ab45c9a82405cde1eb009b",
        "The audit log takes no rows",
        "The state folder is full or read-only; recognition is stopped.",
    ),
    "outbox.unavailable": JournalMessage(
        "b38826615f544efca030bd4edbabbb64",
        "The outbox takes no alerts",
        "The state folder is full or read-only; recognition is stopped.",
    ),
    "outbox.lost": JournalMessage(
        "70575cbbbfe84d2eaa9f07aa6d4cc9d3",
        "A message to the hub was lost",
        "The disk refused it before it was delivered.",
    ),
    "ending.failed": JournalMessage(
        "3b645a96ab64412c9371d431703c564a",
        "Something of an ended deployment was not erased",
        "lfr-erase.timer tries again every minute; `systemctl status lfr-erase` shows whether it could. A "
        "card that has turned read-only: destroy it.",
    ),
    "eraser.failed": JournalMessage(
        "16f59327a67c4a809f31036cce0f0ede",
        "Something past its time was not erased",
        "lfr-erase.timer tries again every minute. A card that has turned read-only: destroy it.",
    ),
}
"""By the event's name."""


def catalog() -> str:
    """The text of systemd/lfr.catalog."""
    entries = (
        f"-- {message.id}\nSubject: {message.subject}\nDefined-By: {DEFINED_BY}\n\n{textwrap.fill(message.text, 100)}\n"
        for message in MESSAGES.values()
    )
    head = "# Explanations that `journalctl --catalog` shows; written by device/edges/service/journal_messages.py.\n"
    return (
        head
        + "# Installed as /usr/lib/systemd/catalog/lfr.catalog; then `journalctl --update-catalog`.\n\n"
        + "\n".join(entries)
    )
