"""Symptom, cause and remedy of the program as it is installed."""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.symptoms.names import Program
from device.domain.symptoms.row import Row

_JETPACK = "install JetPack's python3-libnvinfer; the environment must see the system's packages"
PROGRAM: Mapping[Program, Row] = {
    Program.PYTHON: Row("Python is too old", "another release than those supported", "use Python 3.10 or later"),
    Program.PACKAGE: Row(
        "a package that the program needs is not installed",
        "an installation that did not end, or another environment",
        "make setup; a flashed device: `lfr flash apply` again",
    ),
    Program.SYSTEMD_PYTHON: Row(
        "systemd-python is absent",
        "it has no wheel, and libsystemd-dev was missing when the program was installed",
        "pip install .[device-systemd] (needs libsystemd-dev)",
    ),
    Program.CARD: Row(
        "the card of an added model cannot be used",
        "it was edited, or its file is damaged",
        "add it again with `lfr engines add`, or remove its file",
    ),
    Program.MODEL: Row(
        "a model is missing, or is not the one with the card's hash",
        "it was never prepared, or its file is damaged",
        "lfr engines prepare",
    ),
    Program.ENGINES: Row(
        "an engine does not open, or its answers are not those of the golden tensors",
        "a plan of another TensorRT, a missing model, or an incomplete driver",
        "lfr engines build --config FILE on a GPU; lfr engines prepare, then lfr engines compare",
    ),
    Program.TENSORRT: Row(
        "TensorRT is absent, or does not run on this GPU",
        "it comes only with JetPack, and the environment does not see it",
        _JETPACK,
    ),
    Program.PYCUDA: Row(
        "PyCUDA is absent, so CUDA was not tried", "it is built on the board", "pip install .[device-cuda]"
    ),
    Program.CUDA: Row("CUDA does not answer", "the driver is missing or incomplete", "install the board's JetPack"),
    Program.NO_PLANS: Row(
        "there is no plan for TensorRT",
        "plans are built on the board, and were not yet",
        "lfr engines build on the board",
    ),
    Program.PLAN_UNREADABLE: Row(
        "the description of a plan cannot be used", "its file is damaged, or of another release", "lfr engines build"
    ),
    Program.PLAN: Row(
        "a plan would not be loaded here",
        "it was built for another GPU, TensorRT or model, or is damaged",
        "{command}",
    ),
    Program.JETSON_UTILS: Row(
        "jetson_utils is absent, or is not NVIDIA's with its C extension",
        "it is on no package index; a package index has another package of that name",
        "build it from dusty-nv/jetson-utils, never install it by name",
    ),
    Program.NUMPY: Row(
        "jetson_utils is compiled against NumPy 1 and does not import beside this one",
        "NumPy was upgraded",
        "flash with the kit: its numpy is 1.26.4",
    ),
    Program.EVIDENCE_SHIPPED: Row(
        "the evidence that ships cannot be used", "a file is damaged or was replaced", "install the program again"
    ),
    Program.EVIDENCE_OF_CONFIGURATION: Row(
        "no evidence covers the configured engines",
        "a model, precision or detector of your own",
        "see calibration/README.md; without evidence a device opens no camera",
    ),
    Program.LANDLOCK: Row(
        "the kernel has no Landlock",
        "an older kernel, or it is switched off at boot",
        "Linux 5.13 or later, booted with lsm=landlock,…",
    ),
    Program.LOCK_DOWN: Row(
        "the trial of the worker's lock-down has ended", "a defect, or a kernel that was not tried", "report this"
    ),
}
