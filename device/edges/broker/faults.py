"""Why a broker does not take us, as text with the remedy: return codes, TLS alerts, errors of the network."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from device.domain.symptoms.names import Site
from device.domain.symptoms.table import remedy

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

NOT_AUTHORISED = 0x87  # MQTT 5, tables 3-1 and 3-8
_CERTIFICATE_ALERTS = {
    "ALERT_CERTIFICATE_REVOKED": ("it was revoked", Site.CERTIFICATE_REVOKED),
    "ALERT_CERTIFICATE_EXPIRED": ("it has expired, or a clock is wrong", Site.CERTIFICATE_EXPIRED),
    "ALERT_UNKNOWN_CA": ("another authority than the hub's signed it", Site.CERTIFICATE_OF_ANOTHER_HUB),
    "ALERT_BAD_CERTIFICATE": ("it is damaged or not the hub's", Site.CERTIFICATE_UNREADABLE),
}


def refusal(code: ReasonCode) -> str:
    """A return code of the broker."""
    return f"{code}; {remedy(Site.UNKNOWN_TO_BROKER)}" if code.value == NOT_AUTHORISED else str(code)


def certificate_refused(text: str) -> str:
    """The meaning of a TLS alert about our certificate (RFC 8446, 6.2), from OpenSSL's name; empty for other texts.

    With TLS 1.3 the broker checks it after the client's handshake is complete, so it comes with the first read, in
    paho's log alone.
    """
    for alert, (found, symptom) in _CERTIFICATE_ALERTS.items():
        if alert in text:
            return f"the broker refused our certificate: {found}; {remedy(symptom)}"
    return ""


def error_text(fault: Exception, place: str) -> str:
    """Why a connection to `place` failed."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        found = "presented a certificate that our CA did not sign or that names another host"
        return f"{place} {found}: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return certificate_refused(str(fault.reason)) or f"{place} ended the TLS handshake: {fault.reason}"
    if isinstance(fault, ConnectionRefusedError):
        return f"nothing listens at {place}"
    return f"{place}: {fault}"
