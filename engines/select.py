"""The only module that selects a backend. A named backend is used or refused, never replaced."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engines import manifest
from engines.cards.model_card import ModelCard
from engines.errors import EnginesError, UnknownName
from engines.graph import calibration_table as tables
from engines.places import models_dir, plans_dir
from engines.runner import Runner, SampledRunner, check_shape

if TYPE_CHECKING:
    from engines.tensorrt.cuda import Gpu, Scratch
    from engines.tensorrt.plans import Plan

CPU_BACKENDS = ("openvino", "onnxruntime")
GPU_BACKEND = "tensorrt"
BACKENDS = (*CPU_BACKENDS, GPU_BACKEND)
SAMPLED_BACKENDS = ("onnxruntime", GPU_BACKEND)
"""Runtimes that take a frame and maps (`open_sampled`)."""
BATCHES = {"detector": (1, 1, 1), "recogniser": (1, 2, 8)}
"""Least, best and most pictures of a call, by role: what a plan is built for."""
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Either in /proc/cpuinfo means that the CPU multiplies bfloat16 itself."""
VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Any of them means that the CPU multiplies int8 without the 16-bit saturation of AVX2."""
JETSON = Path("/etc/nv_tegra_release")
"""Jetson Linux writes it (L4T's release file); nothing else does."""
CPU_INFO = Path("/proc/cpuinfo")


def installed(backend: str) -> bool:
    """Whether the backend's package can be imported; nothing is imported."""
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    return find_spec(backend) is not None


def precisions(backend: str) -> tuple[str, ...]:
    """Precisions that `backend` computes on this machine, the exact one first.

    fp16, int8 and bf16-emulated are files of their own: their accuracy is nearly the same on all backends, their speed
    is not (engines/README.md). bf16 is OpenVINO's, on a CPU with instructions for it. int8 is offered on OpenVINO where
    the CPU has VNNI: SFace's templates of synthetic faces keep a cosine of .994 to fp32 there, as on ONNX Runtime, and
    a call takes 7.3 ms, 5.7 where the CPU computes the rest in bf16, and 7.1 in bf16 alone, 12.6 in fp32 (2026-11-30,
    AMD EPYC with avx512_vnni and avx512_bf16, one thread, least of 40). With AVX2 alone
    OpenVINO's int8 keeps .91 (2026-11-24) and is not offered. bf16-emulated is
    for evidence on a CPU without, not for a device.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if backend == GPU_BACKEND:
        return ("fp32", "fp16", "int8")
    if backend == "openvino":
        here = (("bf16", _has_bf16()), ("fp16", True), ("int8", _has_vnni()))
        return ("fp32", *(name for name, there in here if there))
    return ("fp32", "fp16", "int8", "bf16-emulated")


def default_precision(backend: str) -> str:
    """The precision of `auto`: the fastest that was measured to cost no accuracy.

    bf16: 1.5 to 1.8 times as fast; a face's template keeps a cosine of .9997 to the exact one, and as many mated pairs
    pass at every false match rate tried (engines/README.md). int8 must be named: a list may be made on another machine
    and in another precision, and from fp32 its templates are further away (cosine .923 at least, .996 in the mean of
    220 press photos, 2026-11-30).
    """
    if backend == GPU_BACKEND:
        return "fp16"
    return "bf16" if "bf16" in precisions(backend) else "fp32"


def _has_bf16() -> bool:
    return bool(BF16_FLAGS & _cpu_flags())


def _has_vnni() -> bool:
    return bool(VNNI_FLAGS & _cpu_flags())


def _cpu_flags() -> frozenset[str]:
    try:
        lines = CPU_INFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def default_backend() -> str:
    """TensorRT on a Jetson that has it; on x86-64 OpenVINO, which measures fastest there; otherwise ONNX Runtime.

    A desk with a GPU takes its CPU unless `tensorrt` is named: its plans are built on purpose only.
    """
    if platform.machine() == "aarch64" and JETSON.exists() and installed(GPU_BACKEND):
        return GPU_BACKEND
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
    at_once: int = 1,
    scratch: Scratch | None = None,
) -> Runner:
    """Load the card's prepared model, its hash checked, on the named backend.

    shape      (height, width) of a detector's frames; a recogniser has its own
    precision  one of `precisions(backend)`; templates of different precisions must not be mixed in one list
    models     folder of prepared models; the cache's when None
    at_once    pictures of one call of a CPU runtime, for measuring what a batch buys; batches are then multiples of it
    scratch    TensorRT: memory that the networks of one thread compute in, one after another; its own when None
    Raises UnknownName, ModelMissing, ModelMismatch, PrecisionRefused (int8 of too high a cost), EngineMissing,
    EngineFailed (PlanRefused on a GPU), BadInput.
    """
    path, entry = _prepared(card, backend, precision, models)
    if backend == GPU_BACKEND:
        from engines.tensorrt.runner import TensorRtRunner

        size = check_shape(card, shape)
        return TensorRtRunner(card, *_plan_here(card, precision, entry.sha256, size, None), scratch=scratch)
    if backend == "openvino":
        from engines.runners.openvino import OpenVinoRunner

        return OpenVinoRunner(
            card, path, threads=threads, shape=shape, precision=precision, at_once=at_once, bf16=_has_bf16()
        )
    from engines.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(card, path, threads=threads, shape=shape, at_once=at_once)


def open_sampled(
    card: ModelCard,
    *,
    backend: str,
    threads: int,
    frame_size: tuple[int, int],
    shape: tuple[int, int] | None = None,
    precision: str = "fp32",
    models: Path | None = None,
    scratch: Scratch | None = None,
) -> SampledRunner:
    """As `open_runner`, of a model that makes its own pictures from frames of (height, width) (see graph.sampling).

    TensorRT's is a plan for that size of frame; ONNX Runtime's is made at opening, is slow, and serves as reference.
    """
    if backend not in SAMPLED_BACKENDS:
        raise UnknownName("backend for whole frames", backend, SAMPLED_BACKENDS)
    path, entry = _prepared(card, backend, precision, models)
    size = check_shape(card, shape)
    if backend == GPU_BACKEND:
        from engines.tensorrt.runner import TensorRtSampled

        return TensorRtSampled(card, *_plan_here(card, precision, entry.sha256, size, frame_size), scratch=scratch)
    from engines.graph.sampling import sampled
    from engines.runners.onnxruntime import OnnxRuntimeSampled

    return OnnxRuntimeSampled(card, sampled(card, path, frame_size, size), threads=threads, frame_size=frame_size)


def _prepared(card: ModelCard, backend: str, precision: str, models: Path | None) -> tuple[Path, manifest.Prepared]:
    """The checked file of a precision that the backend computes here, and its entry."""
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if precision not in precisions(backend):
        raise UnknownName(f"precision of {backend} on this machine", precision, precisions(backend))
    folder = models if models is not None else models_dir()
    path, entry = manifest.verified(card, folder, precision)
    if precision == "int8":
        tables.require_allowed(card.name, entry.recipe, folder)
    return path, entry


def _plan_here(
    card: ModelCard, precision: str, model_sha256: str, size: tuple[int, int], frame: tuple[int, int] | None
) -> tuple[bytes, Plan, Gpu]:
    """The plan that was built on this board for this file, and its GPU; or PlanRefused: a worker never builds."""
    from engines.tensorrt import plans
    from engines.tensorrt.api import bindings, version
    from engines.tensorrt.cuda import Gpu

    gpu = Gpu()
    try:
        wanted = plans.Profile(*BATCHES[card.role], *size, frame)
        key = plans.PlanKey.of(card, precision, model_sha256, version(bindings()), gpu.facts, wanted)
        return *plans.load(plans_dir(), key, plans.command_for(card, key)), gpu
    except EnginesError:
        gpu.close()
        raise
