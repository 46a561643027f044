"""Every key, value and specifier of the units is known to systemd 249 (Ubuntu 22.04), or says what 249 does without it.

A version is that of "Added in version" in the man pages of systemd 257 (systemd.unit, systemd.service, systemd.exec,
systemd.kill, systemd.resource-control, systemd.timer, systemd-system.conf) or, where they state none for a value or a
specifier, of systemd's NEWS. 0: older than the man pages record, before 183.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "systemd"
OLDEST = 249
FILES = sorted(
    file
    for file in FOLDER.iterdir()
    if file.suffix in (".service", ".timer", ".target") or file.name in ("lfr-identity.conf", "lfr-watchdog.conf")
)
SINCE = {
    0: "CapabilityBoundingSet Environment ExecReload ExecStart Group IOSchedulingClass LimitCORE LimitMEMLOCK "
    "LimitNOFILE Nice NotifyAccess OnBootSec OnUnitInactiveSec PrivateNetwork PrivateTmp RemainAfterExit Restart "
    "RestartSec SecureBits SupplementaryGroups Type UMask User WatchdogSec",
    187: "KillMode KillSignal NoNewPrivileges SystemCallFilter",
    188: "TimeoutStartSec TimeoutStopSec",
    189: "RestartPreventExitStatus",
    198: "RuntimeWatchdogSec",
    201: "After Also Before Conflicts Description OnFailure PartOf WantedBy Wants",
    208: "DeviceAllow DevicePolicy",
    209: "AccuracySec OnFailureJobMode PrivateDevices SystemCallArchitectures SystemCallErrorNumber",
    211: "CacheDirectory ConfigurationDirectory RestrictAddressFamilies RuntimeDirectory StateDirectory",
    214: "ProtectHome ProtectSystem",
    227: "TasksMax",
    229: "AmbientCapabilities RuntimeMaxSec StartLimitBurst StartLimitIntervalSec",
    231: "InaccessiblePaths MemoryDenyWriteExecute MemoryMax ReadWritePaths RestrictRealtime",
    232: "MemorySwapMax PrivateUsers ProtectControlGroups ProtectKernelModules ProtectKernelTunables RemoveIPC",
    233: "BindPaths BindReadOnlyPaths RestrictNamespaces",
    234: "CacheDirectoryMode ConfigurationDirectoryMode RuntimeDirectoryMode StateDirectoryMode",
    235: "IPAddressAllow IPAddressDeny KeyringMode LockPersonality RuntimeDirectoryPreserve",
    238: "TemporaryFileSystem",
    239: "PrivateMounts",
    240: "WatchdogSignal",
    242: "ProtectHostname RestrictSUIDSGID",
    243: "OOMPolicy",
    244: "ConditionPathExists ProtectKernelLogs",
    245: "ProtectClock",
    247: "LoadCredential ProcSubset ProtectProc",
    254: "RestartMode",
}
VALUES_SINCE = {
    ("Type", "exec"): 240,
    ("Type", "notify-reload"): 253,
    ("RestrictAddressFamilies", "none"): 249,
    ("ProtectSystem", "strict"): 232,
    ("PrivateTmp", "disconnected"): 257,
    ("PrivateUsers", "identity"): 257,
    ("ProtectControlGroups", "private"): 257,
    ("ProtectControlGroups", "strict"): 257,
    ("RuntimeWatchdogSec", "default"): 250,
    ("RestartMode", "direct"): 254,
}
SPECIFIERS_SINCE = {"d": 251}
"""%d: the credentials' folder. Older ones leave it as it is, without a word; ${CREDENTIALS_DIRECTORY} is of 247."""
KEYS = {name: version for version, names in SINCE.items() for name in names.split()}


def settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Key, value and the comment right above, of each setting; a continued line is one."""
    comment: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("#"):
            comment.append(line)
            continue
        if "=" in line and not line.startswith("["):
            key, _, value = line.partition("=")
            yield key.strip(), value.strip(), "\n".join(comment)
        comment = []


def problems(text: str) -> list[str]:
    """What systemd OLDEST does not know and no comment answers for."""
    found = []
    for key, value, comment in settings(text):
        if key not in KEYS:
            found.append(f"{key}= is in no table here: look up its version in the man pages, and add it")
            continue
        needed = max(KEYS[key], VALUES_SINCE.get((key, value), 0))
        if needed > OLDEST and str(OLDEST) not in comment:
            found.append(f"{key}={value} needs {needed}: say above it what {OLDEST} does instead")
        # A specifier has no fallback: the service would be given its two letters.
        newer = (name for name in re.findall(r"%([A-Za-z])", value.replace("%%", "")) if name in SPECIFIERS_SINCE)
        found += [f"{key}= has %{name}, which needs {SPECIFIERS_SINCE[name]}" for name in newer]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_systemd_249_knows_what_a_unit_says(file: Path) -> None:
    assert problems(file.read_text(encoding="utf-8")) == []


def test_every_unit_is_looked_at_and_the_table_has_no_row_too_many() -> None:
    assert len(FILES) >= 13
    assert {key for file in FILES for key, _, _ in settings(file.read_text(encoding="utf-8"))} == set(KEYS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[Service]\nRestartMode=direct\n", "RestartMode=direct needs 254"),
        ("[Service]\n# Not for 249.\n\nRestartMode=direct\n", "RestartMode=direct needs 254"),
        ("[Service]\nType=notify-reload\n", "Type=notify-reload needs 253"),
        ("[Service]\nMemoryZSwapMax=0\n", "MemoryZSwapMax= is in no table"),
        ("[Service]\nExecStart=/bin/hub \\\n  --key %d/key\n", "%d, which needs 251"),
    ],
)
def test_what_249_does_not_know_is_found(text: str, named: str) -> None:
    (problem,) = problems(text)
    assert named in problem


def test_a_comment_right_above_answers_for_a_newer_key() -> None:
    assert problems("[Service]\n# 249 ignores it.\nRestartMode=direct\n") == []
