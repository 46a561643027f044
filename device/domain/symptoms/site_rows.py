"""Symptom, cause and remedy of configuration, certificates, keys and hub."""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.symptoms.names import Site
from device.domain.symptoms.row import Row

_COPY = "copy ca.pem and devices/NAME.pem and .key from the hub's folder to where the configuration has them"
_NAME = "write it to /etc/hosts, or give its address"
SITE: Mapping[Site, Row] = {
    Site.CONFIGURATION: Row(
        "the configuration has a mistake", "the text of the line has key, value and rule", "mend {file}"
    ),
    Site.ROOT_OF_TRUST: Row(
        "there is no usable root of trust",
        "it was not copied yet, or is not a root's file",
        "copy it from the hub, by hand, once",
    ),
    Site.CERTIFICATE_UNREADABLE: Row(
        "a file of mqtt.ca, mqtt.cert or mqtt.key is no certificate or key",
        "it was damaged, or another file was copied",
        _COPY,
    ),
    Site.CERTIFICATE_EXPIRED: Row(
        "a certificate has expired",
        "the device was away for so long that it could not renew it over its old connection; or a clock is wrong",
        f"check both clocks, have it renewed (`lfr hub renew DIR`), then {_COPY}",
    ),
    Site.CERTIFICATE_ENDS_SOON: Row(
        "a certificate ends within 14 days",
        "the hub has not renewed it yet, or the device was not connected since",
        "run `lfr hub renew DIR` at the hub, and connect this device: it fetches what was renewed within the hour",
    ),
    Site.CERTIFICATE_NOT_RENEWED: Row(
        "certificates are not renewed",
        "no answer at trust.url, a hub set up anew with another authority, or a state folder that takes no writes",
        f"check trust.url and the hub; if it was set up anew: {_COPY}",
    ),
    Site.CERTIFICATES_UNREAD: Row(
        "renewed certificates cannot be read, so days were not judged",
        "this is another user than the service's",
        "run this as the service's user, or as root",
    ),
    Site.CERTIFICATE_NOT_YET_VALID: Row(
        "a certificate is not valid yet",
        "this machine's clock is behind, or the hub's was ahead when it issued it",
        "check this machine's clock; if it is right: `lfr hub renew DIR` at the hub",
    ),
    Site.CERTIFICATE_OF_ANOTHER_HUB: Row(
        "certificate and authority are of two hubs", "files of two hubs were mixed", f"{_COPY}: all of one hub"
    ),
    Site.CERTIFICATE_OF_ANOTHER_DEVICE: Row(
        "the certificate names another device",
        "the files of another device were copied, or `device` has a typing error",
        "use the certificate that was issued to it, or correct `device`",
    ),
    Site.CERTIFICATE_REVOKED: Row(
        "the certificate was revoked",
        "the device was reported lost, or was replaced",
        "this device needs another name and a new certificate: `lfr hub init DIR --device NAME`",
    ),
    Site.KEY_OF_ANOTHER_CERTIFICATE: Row(
        "the key is not that of the certificate",
        "one of the two files was copied without the other",
        f"{_COPY}, together",
    ),
    Site.KEY_WITH_PASSWORD: Row(
        "the key needs a password",
        "it was made by hand",
        "store it without one, readable by the service alone",
    ),
    Site.UNKNOWN_TO_BROKER: Row(
        "the broker does not admit this name",
        "the hub was set up without this device",
        "the hub's access list must know this name: `lfr hub init DIR --device NAME` there, and restart the hub",
    ),
    Site.BROKER_SILENT: Row(
        "the broker does not answer", "the hub is not started, or a firewall is between", "start the hub: lfr hub serve"
    ),
    Site.BROKER_NAME: Row(
        "no address is known for the broker's name",
        "no name server of the van knows it",
        _NAME,
    ),
    Site.BROKER_NAME_LOCAL: Row(
        "no address is known for the broker's name in .local",
        "multicast DNS is missing on this machine, or the hub is away",
        f"install avahi-daemon and libnss-mdns, or {_NAME}",
    ),
    Site.DEVICE_KEY_UNREADABLE: Row(
        "the device's key cannot be read",
        "this is another user than the service's, or the file is damaged",
        "run this as the service's user, or as root",
    ),
    Site.DEVICE_KEY_OPEN: Row(
        "others may read the device's key", "it was copied, or restored from a backup", "chmod 600 {file}"
    ),
    Site.AUDIT_LOG: Row(
        "the audit log does not verify",
        "rows are missing or were changed, or counts do not balance; in the first minute: not signed yet",
        "lfr audit verify",
    ),
    Site.ERASER_OFF: Row(
        "the timer that erases without the supervisor does not run",
        "it was not enabled at the installation, or was stopped",
        "systemctl enable --now lfr-erase.timer (systemd/README.md)",
    ),
    Site.ERASURE_OVERDUE: Row(
        "a deployment past its time is still here",
        "the eraser does not run, or the card takes no writes",
        "journalctl -u lfr-erase; then delete by hand",
    ),
}
