"""How much GPU memory a process holds, through NVIDIA's management library (NVML), which the driver brings. No package.

Where there is no NVIDIA driver every process holds 0. NVML names processes by their number outside containers: in a
container with numbers of its own, only what the driver translates is found.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import logging
import threading
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0
_INSUFFICIENT_SIZE = 7
_NOT_AVAILABLE = 2**64 - 1
"""NVML_VALUE_NOT_AVAILABLE: the driver does not tell the memory of this process."""
_SPARE = 16
"""Room for processes that start between the question how many there are and the one which."""

_log = logging.getLogger(__name__)


class NvmlError(RuntimeError):
    """NVML answered with an error; the text names the function and the code."""


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t, as the functions with the suffix _v3 fill it."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Nvml:
    """NVML, opened and initialised. Thread-safe."""

    def __init__(self, library: Any) -> None:
        """Initialises the library.

        Args:
            library: libnvidia-ml as ctypes gives it; a fake in tests.

        Raises:
            NvmlError: the driver does not run.
        """
        self._library = library
        self._lock = threading.Lock()
        self._call("nvmlInit_v2")

    def device_count(self) -> int:
        """GPUs that the driver knows; raises NvmlError."""
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        return count.value

    def process_bytes(self, pid: int) -> int:
        """GPU memory of a process over all GPUs [bytes]; raises NvmlError.

        A process that computes and draws stands in both of the driver's lists with the same figure.
        """
        total = 0
        with self._lock:
            for index in range(self.device_count()):
                device = ctypes.c_void_p()
                self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device))
                kinds = ("Compute", "Graphics")
                held = [self._held(f"nvmlDeviceGet{kind}RunningProcesses_v3", device, pid) for kind in kinds]
                total += max(held)
        return total

    def _held(self, function: str, device: ctypes.c_void_p, pid: int) -> int:
        count = ctypes.c_uint(0)
        status = self._status(function, device, ctypes.byref(count), None)
        if status == _SUCCESS or (status == _INSUFFICIENT_SIZE and count.value == 0):
            return 0  # nobody is there
        if status != _INSUFFICIENT_SIZE:
            raise NvmlError(f"{function} failed with NVML error {status}")
        count = ctypes.c_uint(count.value + _SPARE)
        processes = (_Process * count.value)()
        self._call(function, device, ctypes.byref(count), processes)
        return sum(item.used for item in processes[: count.value] if item.pid == pid and item.used != _NOT_AVAILABLE)

    def _call(self, function: str, *arguments: Any) -> None:
        status = self._status(function, *arguments)
        if status != _SUCCESS:
            raise NvmlError(f"{function} failed with NVML error {status}")

    def _status(self, function: str, *arguments: Any) -> int:
        try:
            return int(getattr(self._library, function)(*arguments))
        except AttributeError as error:
            raise NvmlError(f"this NVIDIA driver's library has no {function}: a newer driver is needed") from error


@functools.cache
def nvml() -> Nvml | None:
    """NVML of this machine; None where there is no NVIDIA driver. Looked for once."""
    try:
        return Nvml(ctypes.CDLL(LIBRARY))
    except OSError:
        return None  # no driver
    except NvmlError as error:
        _log.warning("GPU memory is not shown: %s", error)
        return None


def gpu_count() -> int:
    """NVIDIA GPUs of this machine that its driver can use."""
    library = nvml()
    try:
        return 0 if library is None else library.device_count()
    except NvmlError as error:
        _log.warning("the GPUs cannot be counted: %s", error)
        return 0


def vram_bytes(pid: int) -> int:
    """GPU memory of a process over all GPUs [bytes]; 0 without an NVIDIA driver, or where the driver does not tell."""
    library = nvml()
    try:
        return 0 if library is None else library.process_bytes(pid)
    except NvmlError as error:
        _complain_once(str(error))
        return 0


@functools.cache
def _complain_once(sentence: str) -> None:
    _log.warning("GPU memory is not known: %s", sentence)
