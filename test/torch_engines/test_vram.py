"""GPU memory through a driver library that is made up."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from bbia_ros.residency import vram
from bbia_ros.residency.vram import LIBRARY, Nvml, NvmlError, gpu_count, vram_bytes

UNKNOWN = 2**64 - 1


class FakeDriver:
    """Answers like NVML for GPUs given as lists of (pid, bytes), computing and drawing."""

    def __init__(self, *gpus: dict[str, list[tuple[int, int]]], init: int = 0) -> None:
        self.gpus, self.init = gpus, init

    def nvmlInit_v2(self) -> int:
        return self.init

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:
        device._obj.value = index.value + 1  # a null handle would be none
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, device: Any, count: Any, into: Any) -> int:
        return self._processes("compute", device, count, into)

    def nvmlDeviceGetGraphicsRunningProcesses_v3(self, device: Any, count: Any, into: Any) -> int:
        return self._processes("graphics", device, count, into)

    def _processes(self, kind: str, device: Any, count: Any, into: Any) -> int:
        running = self.gpus[device.value - 1].get(kind, [])
        if len(running) > count._obj.value:
            count._obj.value = len(running)
            return 7
        count._obj.value = len(running)
        for slot, (pid, used) in zip(into or [], running, strict=False):
            slot.pid, slot.used = pid, used
        return 0


@pytest.fixture(autouse=True)
def _forget() -> Any:
    vram.nvml.cache_clear()
    yield
    vram.nvml.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, driver: FakeDriver | None) -> None:
    def open_library(name: str) -> Any:
        assert name == LIBRARY
        if driver is None:
            raise OSError("no such library")
        return driver

    monkeypatch.setattr(ctypes, "CDLL", open_library)


def test_a_process_counts_on_every_gpu_and_once_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"compute": [(7, 300), (8, 50)], "graphics": [(7, 300)]}
    install(monkeypatch, FakeDriver(both, {"compute": [(7, 40)]}, {}))
    assert vram_bytes(7) == 340
    assert vram_bytes(8) == 50
    assert vram_bytes(9) == 0
    assert gpu_count() == 3


def test_the_structure_has_the_layout_of_the_driver() -> None:
    assert ctypes.sizeof(vram._Process) == 24
    assert vram._Process.used.offset == 8


def test_memory_that_the_driver_does_not_tell_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeDriver({"compute": [(7, UNKNOWN)]}))
    assert vram_bytes(7) == 0


def test_without_a_driver_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    assert vram_bytes(1) == 0
    assert gpu_count() == 0


def test_a_driver_that_fails_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, FakeDriver({}, init=9))
    assert gpu_count() == 0
    assert "nvmlInit_v2 failed with NVML error 9" in caplog.text
    with pytest.raises(NvmlError, match="error 9"):
        Nvml(FakeDriver({}, init=9))


def test_an_old_driver_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver({"compute": [(7, 1)]})
    monkeypatch.delattr(FakeDriver, "nvmlDeviceGetGraphicsRunningProcesses_v3")
    with pytest.raises(NvmlError, match="no nvmlDeviceGetGraphicsRunningProcesses_v3: a newer driver"):
        Nvml(driver).process_bytes(7)
