"""The real PyCUDA on a fake driver, and an emulated TensorRT on top: see the heads of the two fakes for what they show.

The fake driver is compiled once and loaded before PyCUDA, under the name that PyCUDA's library asks for.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device_apis import emulated_tensorrt
from tools.dev.gate.device_apis import pycuda_dir

HERE = Path(__file__).parent


def build_libcuda(folder: Path) -> Path:
    """Compile the fake with a refusal for every call that PyCUDA links to and the fake has not."""
    extension = next((pycuda_dir() / "pycuda").glob("_driver*.so"), None)
    if extension is None:
        pytest.fail("run `.venv/bin/python -m tools.dev.gate.device_apis`: PyCUDA is not built")
    listed = subprocess.run(["nm", "-D", "--undefined-only", extension], capture_output=True, text=True, check=True)
    wanted = {word for word in listed.stdout.split() if re.fullmatch(r"cu[A-Z]\w+", word)}
    source = (HERE / "fake_libcuda.c").read_text()
    refused = "".join(f"int {name}(void) {{ return 801; }}\n" for name in sorted(wanted) if f" {name}(" not in source)
    (folder / "libcuda.c").write_text(source + refused)
    library = folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-w", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(["gcc", *flags, "-o", library, folder / "libcuda.c"], check=True)
    return library


@pytest.fixture(scope="session")
def libcuda_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled fake, for processes of their own."""
    return build_libcuda(tmp_path_factory.mktemp("libcuda"))


@pytest.fixture(scope="session")
def libcuda(libcuda_file: Path) -> ctypes.CDLL:
    """The fake in this process, and PyCUDA importable."""
    library = ctypes.CDLL(str(libcuda_file), mode=ctypes.RTLD_GLOBAL)
    library.fake_used_bytes.restype = ctypes.c_size_t
    if str(pycuda_dir()) not in sys.path:
        sys.path.append(str(pycuda_dir()))
    return library


@pytest.fixture
def driver(libcuda: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    """A device with 4 GiB; afterwards nothing may be left: no memory, no context, nothing on the stack."""
    for name in [name for name in os.environ if name.startswith("LFR_FAKE_CUDA")]:
        monkeypatch.delenv(name)
    yield libcuda
    assert libcuda.fake_depth() == 0, "a context was left on the stack"
    assert libcuda.fake_used_bytes() == 0, "device memory was not given back"
    assert libcuda.fake_primary_retained() == 0, "the primary context is still held"


@pytest.fixture
def trt(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> emulated_tensorrt.Behaviour:
    """Behaviour of the emulated TensorRT that `import tensorrt` now finds; plans go to a folder of this test."""
    behaviour = emulated_tensorrt.Behaviour()
    monkeypatch.setitem(sys.modules, "tensorrt", emulated_tensorrt.make(behaviour, driver))
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    return behaviour
