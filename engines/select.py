"""Alone in choosing a runtime. A name that was given is obeyed or refused, never replaced."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from engines import manifest
from engines.cards import ModelCard
from engines.errors import UnknownName
from engines.places import models_dir
from engines.runner import Runner

BACKENDS = ("openvino", "onnxruntime")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Either in /proc/cpuinfo means that the CPU multiplies bfloat16 itself."""
CPU_INFO = Path("/proc/cpuinfo")


def installed(backend: str) -> bool:
    """Whether the backend's package can be imported; nothing is imported."""
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    return find_spec(backend) is not None


def precisions(backend: str) -> tuple[str, ...]:
    """Precisions that `backend` computes on this machine, the exact one first.

    fp16, int8 and bf16-emulated are files of their own, which either CPU runtime runs: what they are worth in accuracy
    is the same as elsewhere, what they are worth in time is not (engines/README.md). bf16 is OpenVINO's, on a CPU with
    instructions for it. bf16-emulated is for evidence on a CPU without, not for a device.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if backend == "openvino":
        return ("fp32", "bf16", "fp16", "int8") if _has_bf16() else ("fp32", "fp16", "int8")
    return ("fp32", "fp16", "int8", "bf16-emulated")


def default_precision(backend: str) -> str:
    """What `auto` computes: the fastest precision that was shown to cost nothing.

    bf16: 1.5 to 1.8 times as fast; a face's template keeps a cosine of .9997 to the exact one, and as many mated pairs
    pass at every false match rate tried (engines/README.md).
    """
    return "bf16" if "bf16" in precisions(backend) else "fp32"


def _has_bf16() -> bool:
    return bool(BF16_FLAGS & _cpu_flags())


def _cpu_flags() -> frozenset[str]:
    try:
        lines = CPU_INFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def default_backend() -> str:
    """OpenVINO on x86-64, where it measures fastest and when it is installed; otherwise ONNX Runtime."""
    if platform.machine().lower() in ("x86_64", "amd64") and installed("openvino"):
        return "openvino"
    return "onnxruntime"


def open_runner(
    card: ModelCard,
    *,
    backend: str,
    threads: int,
    shape: tuple[int, int] | None = None,
    precision: str = "fp32",
    models: Path | None = None,
) -> Runner:
    """Load the card's prepared model, its hash checked, on the named backend.

    shape      (height, width) of a detector's frames; a recogniser has its own
    precision  one of `precisions(backend)`; templates of different precisions must not be mixed in one list
    models     folder of prepared models; the cache's when None
    Raises UnknownName, ModelMissing, ModelMismatch, EngineMissing, EngineFailed, BadInput.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if precision not in precisions(backend):
        raise UnknownName(f"precision of {backend} on this machine", precision, precisions(backend))
    path, _ = manifest.verified(card, models if models is not None else models_dir(), precision)
    if backend == "openvino":
        from engines.runners.openvino import OpenVinoRunner

        return OpenVinoRunner(card, path, threads=threads, shape=shape, precision=precision)
    from engines.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(card, path, threads=threads, shape=shape)
