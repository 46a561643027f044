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
PRECISIONS = ("fp32",)


def installed(backend: str) -> bool:
    """Whether the backend's package can be imported; nothing is imported."""
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    return find_spec(backend) is not None


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

    shape   (height, width) of a detector's frames; a recogniser has its own
    models  folder of prepared models; the cache's when None
    Raises UnknownName, ModelMissing, ModelMismatch, EngineMissing, EngineFailed, BadInput.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if precision not in card.tolerances:
        raise UnknownName("precision", precision, tuple(card.tolerances))
    path, _ = manifest.verified(card, models if models is not None else models_dir())
    if backend == "openvino":
        from engines.runners.openvino import OpenVinoRunner

        return OpenVinoRunner(card, path, threads=threads, shape=shape)
    from engines.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(card, path, threads=threads, shape=shape)
