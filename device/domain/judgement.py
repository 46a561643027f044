"""What a person may decide about an alert: the values used in messages, the console and the audit log."""

from __future__ import annotations

from typing import Literal

AdjudicationOutcome = Literal["true_alert", "false_alert", "not_adjudicated"]
"""Whether the alert showed the listed person; `not_adjudicated`: it could not be decided, or time ran out."""

Factor = Literal["subject", "system", "environment"]
"""What a judgement was made of: the person's looks, the camera and its engine, the light and the place."""

EngagementOutcome = Literal["confirmed_true", "confirmed_false", "not_located", "declined"]
"""What came of speaking to the person."""

DispositionOutcome = Literal["arrest", "other_disposal", "no_action", "safeguarding"]
"""How the encounter ended."""

HoldKind = Literal["evidence", "complaint"]
"""Why a case is kept longer. A false alert can be held for a complaint only, one that was recorded before."""

HoldReason = Literal["investigation", "prosecution", "complaint", "claim", "subject request"]
