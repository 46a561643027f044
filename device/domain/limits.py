"""Limits that both a predicate and its text state."""

from __future__ import annotations

from datetime import timedelta

DISK_RESERVE_BYTES = 256_000_000  # the outbox may grow to this (alerts.outbox.MAX_BYTES)
UNSIGNED_LIST_MOST = 10  # consenting subjects in front of a live camera outside operational mode (DESIGN, section 4)
ROOM_FOR_MODELS_BYTES = 2_000_000_000  # models, plans and the outbox's reserve together; below it `lfr doctor` warns
CERTIFICATE_WARNING = timedelta(days=14)  # before the end; the hub renews from then on (tools/hub/pki/renewal.py)
