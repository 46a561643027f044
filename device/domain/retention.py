"""The ceiling of every retention policy."""

CEILING_DAYS = 31
"""Days after which nothing personal may remain, whatever a policy says.

Field requirement R09: "biometric data and CCTV will only be retained for up to 31 days".
"""
