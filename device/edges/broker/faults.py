"""Why a broker does not take us, as text with the remedy: return codes, TLS alerts, errors of the network."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

NOT_AUTHORISED = 0x87  # MQTT 5, tables 3-1 and 3-8
_ASK = "the hub's access list must know this name: `lfr hub init DIR --device NAME` there, and restart the hub"
_COPY = "copy ca.pem and devices/NAME.pem and .key from the hub's folder to where the configuration has them"
_CERTIFICATE_ALERTS = {
    "ALERT_CERTIFICATE_REVOKED": (
        "it was revoked",
        "this device needs another name and a new certificate: `lfr hub init DIR --device NAME`",
    ),
    "ALERT_CERTIFICATE_EXPIRED": (
        "it has expired, or a clock is wrong",
        f"check both clocks, have it renewed, {_COPY}",
    ),
    "ALERT_UNKNOWN_CA": ("another authority than the hub's signed it", _COPY),
    "ALERT_BAD_CERTIFICATE": ("it is damaged or not the hub's", _COPY),
}


def refusal(code: ReasonCode) -> str:
    """A return code of the broker."""
    return f"{code}; {_ASK}" if code.value == NOT_AUTHORISED else str(code)


def certificate_refused(text: str) -> str:
    """The meaning of a TLS alert about our certificate (RFC 8446, 6.2), from OpenSSL's name; empty for other texts.

    With TLS 1.3 the broker checks it after the client's handshake is complete, so it comes with the first read, in
    paho's log alone.
    """
    for alert, (found, remedy) in _CERTIFICATE_ALERTS.items():
        if alert in text:
            return f"the broker refused our certificate: {found}; {remedy}"
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
