"""Names of the symptoms that are no condition and no fault of a camera, by what is concerned.

A value is the name in SYMPTOMS.md and in `lfr doctor --json`, and unique in the whole table. No name is used twice, and
none is left unused (tests/unit/domain/test_symptoms.py).
"""

from __future__ import annotations

from enum import Enum


class Health(str, Enum):
    """The machine: it recognises, and may drop frames or stop later."""

    ENGINE_SLOWER = "engine slower"
    GPU_LOAD = "gpu load"
    MEMORY_LOW = "memory"
    POWER_MODE = "power mode"
    SLOWED_BY_HEAT = "slowed by heat"
    NO_SENSOR = "no temperature sensor"
    SUPPLY = "supply"
    SWAP = "swap"
    CACHE_FULL = "room for models"
    WATCHDOG_IDLE = "hardware watchdog"
    WATCHDOG_RESET = "last start"


class Program(str, Enum):
    """The program as it is installed: Python, packages, models, engines, evidence."""

    PYTHON = "python"
    PACKAGE = "package"
    SYSTEMD_PYTHON = "systemd-python"
    CARD = "model's card"
    MODEL = "model"
    ENGINES = "engines"
    TENSORRT = "tensorrt"
    PYCUDA = "pycuda"
    CUDA = "cuda"
    NO_PLANS = "plans"
    PLAN_UNREADABLE = "plan's description"
    PLAN = "plan"
    JETSON_UTILS = "jetson_utils"
    NUMPY = "numpy for jetson_utils"
    EVIDENCE_SHIPPED = "evidence"
    EVIDENCE_OF_CONFIGURATION = "evidence for it"
    LANDLOCK = "landlock"
    LOCK_DOWN = "lock-down"


class Site(str, Enum):
    """What belongs to this device and its van: configuration, certificates, keys, hub."""

    CONFIGURATION = "configuration"
    ROOT_OF_TRUST = "root of trust"
    CERTIFICATE_UNREADABLE = "certificate unreadable"
    CERTIFICATE_EXPIRED = "certificate expired"
    CERTIFICATE_ENDS_SOON = "certificate ends soon"
    CERTIFICATE_NOT_RENEWED = "certificate not renewed"
    CERTIFICATES_UNREAD = "renewed certificates not read"
    CERTIFICATE_NOT_YET_VALID = "certificate not yet valid"
    CERTIFICATE_OF_ANOTHER_HUB = "certificate of another hub"
    CERTIFICATE_OF_ANOTHER_DEVICE = "certificate of another device"
    CERTIFICATE_REVOKED = "certificate revoked"
    KEY_OF_ANOTHER_CERTIFICATE = "key of another certificate"
    KEY_WITH_PASSWORD = "key with a password"
    UNKNOWN_TO_BROKER = "unknown to the broker"
    BROKER_SILENT = "broker"
    BROKER_NAME = "broker's name"
    BROKER_NAME_LOCAL = "broker's name in .local"
    DEVICE_KEY_UNREADABLE = "device key unreadable"
    DEVICE_KEY_OPEN = "device key open to others"
    AUDIT_LOG = "audit log"
    ERASER_OFF = "eraser"
    ERASURE_OVERDUE = "erasure orders"


class OnBoard(str, Enum):
    """A Jetson: its release, device nodes and libraries."""

    NO_BOARD = "no board"
    BOARD_UNKNOWN = "board"
    HEADER_UNKNOWN = "header of this board"
    NO_RELEASE = "jetson linux"
    RELEASE_UNKNOWN = "jetson linux not in the table"
    GPIO_LETS_GO = "known fault gpio"
    ARGUS_REOPEN = "known fault csi"
    NODE_MISSING = "device node"
    FENCE_MISSING = "host1x-fence"
    NODE_NOT_ALLOWED = "device node not allowed"
    NODE_REFUSED = "device node refused"
    LINE_OF_NOTHING = "unit"
    SYSTEM_PACKAGES = "tensorrt in sight"
    CAMERA_DAEMON = "camera daemon"


class Header(str, Enum):
    """The header's lines."""

    GPIO_ACCESS = "gpio access"
    GPIO_ABSENT = "gpio absent"
    LINE_BUSY = "line in use"
    PIN = "header pins"
    PULL = "no pull"
    BRIDGE = "bridge does not follow"
    SHORT = "another line follows"
    NOT_BRIDGED = "not bridged"


class Protection(str, Enum):
    """What a vision worker asks of the kernel for itself (device.worker.lockdown); `key` is its name there."""

    CORE_LIMIT = "lock core_limit_0"
    NOT_DUMPABLE = "lock not_dumpable"
    NO_NEW_PRIVILEGES = "lock no_new_privileges"
    MEMORY_LOCKED = "lock memory_locked"
    NO_FILE_WRITES = "lock no_file_writes"
    NO_FILES_OPEN = "lock no_files_open"
    STANDARD_STREAMS = "lock standard_streams"
    ENVIRONMENT = "lock environment"
    FREED_MEMORY = "lock freed_memory"
    LANDLOCK_WRITES = "lock landlock_writes"
    LANDLOCK_READS = "lock landlock_reads"
    SECCOMP = "lock seccomp"

    @property
    def key(self) -> str:
        """The name in the worker's report."""
        return self.value.removeprefix("lock ")
