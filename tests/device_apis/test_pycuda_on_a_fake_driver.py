"""engines.tensorrt.cuda through the real PyCUDA, over a driver that keeps the rules and has no GPU."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BadInput, EngineFailed, EngineMissing
from engines.tensorrt.cuda import MEMORIES, Gpu, Memory
from tools.dev.gate.device_apis import pycuda_dir


def test_a_gpu_says_what_a_plan_depends_on(driver: ctypes.CDLL) -> None:
    gpu = Gpu()
    assert (gpu.facts.name, gpu.facts.capability, gpu.facts.total_bytes) == ("Fake Orin", "8.7", 4 << 30)
    gpu.close()


def test_the_context_is_the_primary_one_and_current_only_inside(driver: ctypes.CDLL) -> None:
    gpu = Gpu()
    assert (driver.fake_primary_retained(), driver.fake_depth()) == (1, 0)
    with gpu.current("a test"):
        assert driver.fake_depth() == 1
    assert driver.fake_depth() == 0
    gpu.close()
    gpu.close()
    assert driver.fake_primary_retained() == 0


def test_an_error_inside_pops_the_context_too(driver: ctypes.CDLL) -> None:
    gpu = Gpu()
    with pytest.raises(ZeroDivisionError), gpu.current("a test"):
        raise ZeroDivisionError
    assert driver.fake_depth() == 0
    gpu.close()


@pytest.mark.parametrize("memory", MEMORIES)
def test_bytes_go_to_the_device_and_come_back(driver: ctypes.CDLL, memory: Memory) -> None:
    gpu = Gpu()
    with gpu.current("a test"):
        stream, buffer = gpu.stream(), gpu.buffer(1000, memory)
        assert not buffer.host.any()
        sent = np.random.default_rng(1).integers(0, 256, 1000, dtype=np.uint8)
        buffer.host[:] = sent
        buffer.upload(1000, stream)
        if memory == "pinned":
            buffer.host[:] = 0
        buffer.download(1000, stream)
        stream.synchronize()
        np.testing.assert_array_equal(buffer.host, sent)
        on_device = (ctypes.c_uint8 * 1000).from_address(buffer.device)
        assert bytes(on_device) == sent.tobytes()
        buffer.wipe()
        assert not any(on_device)
        buffer.free()
        del stream, buffer
    gpu.close()


def test_pinned_memory_lies_twice_and_mapped_memory_once(driver: ctypes.CDLL) -> None:
    gpu = Gpu()
    with gpu.current("a test"):
        mapped = gpu.buffer(4096, "mapped")
        assert (driver.fake_used_bytes(), mapped.device) == (0, mapped.host.ctypes.data)
        pinned = gpu.buffer(4096, "pinned")
        assert driver.fake_used_bytes() == 4096
        assert pinned.device != pinned.host.ctypes.data
        for one in (mapped, pinned):
            one.free()
        del mapped, pinned, one
    gpu.close()


def test_too_much_memory_is_refused_with_figures(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFR_FAKE_CUDA_MB", "8")
    gpu = Gpu()
    with pytest.raises(EngineFailed, match=r"out of memory \(8 of 8 MiB free\).*fewer cameras"), gpu.current("a test"):
        gpu.buffer(64 << 20, "pinned")
    gpu.close()


def test_another_thread_is_refused(driver: ctypes.CDLL) -> None:
    gpu, output = Gpu(), []

    def elsewhere() -> None:
        with pytest.raises(BadInput, match="belongs to another thread") as refused, gpu.current("a test"):
            pass
        output.append(str(refused.value))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(10)
    assert output
    gpu.close()


def test_a_closed_gpu_is_not_used(driver: ctypes.CDLL) -> None:
    gpu = Gpu()
    gpu.close()
    with pytest.raises(BadInput, match="is closed"), gpu.current("a test"):
        pass


@pytest.mark.parametrize("devices", ["0", "-1"], ids=["none", "the driver refuses"])
def test_no_device_is_an_error_message_and_not_a_crash(
    driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, devices: str
) -> None:
    monkeypatch.setenv("LFR_FAKE_CUDA_DEVICES", devices)
    with pytest.raises(EngineFailed, match="name a CPU backend"):
        Gpu()


def in_a_process(code: str, libcuda: Path | None) -> subprocess.CompletedProcess[str]:
    """Run code with PyCUDA importable; without `libcuda` no driver can be loaded."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{pycuda_dir()}"}
    if libcuda is not None:
        environment["LD_PRELOAD"] = str(libcuda)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_without_a_driver_it_is_an_error_with_a_remedy() -> None:
    code = "from engines.tensorrt.cuda import Gpu\nfrom engines.errors import EngineMissing\n"
    code += "try:\n    Gpu()\nexcept EngineMissing as fault:\n    print(fault)\n"
    done = in_a_process(code, None)
    assert done.returncode == 0, done.stderr
    assert "install the board's JetPack" in done.stdout
    assert EngineMissing.exit_status == 69


def test_a_process_that_dies_of_an_exception_is_not_aborted_by_pycuda(libcuda_file: Path) -> None:
    code = "from engines.tensorrt.cuda import Gpu\ngpu = Gpu()\nwith gpu.current('work'):\n    raise SystemExit(7)\n"
    assert in_a_process(code, libcuda_file).returncode == 7


def test_what_the_rule_prevents_is_real_an_aborted_process(libcuda_file: Path) -> None:
    code = (
        "import pycuda.driver as d\nd.init()\nc = d.Device(0).retain_primary_context()\nc.push()\nraise SystemExit(7)\n"
    )
    done = in_a_process(code, libcuda_file)
    assert done.returncode == -6
    assert "context stack was not empty" in done.stderr
