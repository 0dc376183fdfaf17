"""Toy engines for real workers. Small, deterministic, and able to misbehave in every way a library can."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time

import numpy as np


class Toy:
    """Answers, counts, allocates, sleeps, dies."""

    def __init__(self, mb: int = 0, fail: str = "", load_s: float = 0.0, marker: str = "") -> None:
        if fail == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fail:
            raise FileNotFoundError(fail)
        time.sleep(load_s)
        self.data = np.ones(mb * 1_000_000, dtype=np.uint8)
        self.count = 0
        self.seen: list = []
        self.marker = marker

    def echo(self, value=None, **kwargs):
        return (value, kwargs) if kwargs else value

    def pid(self) -> int:
        return os.getpid()

    def add(self, item) -> list:
        self.seen.append(item)
        return list(self.seen)

    def facts(self) -> dict:
        return {
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "sigint": str(signal.getsignal(signal.SIGINT)),
            "arena": os.environ.get("MALLOC_ARENA_MAX"),
            "omp": os.environ.get("OMP_WAIT_POLICY"),
            "telemetry_off": os.environ.get("ORT_DISABLE_TELEMETRY"),
            "sid": os.getsid(0),
            "modules": sorted(sys.modules),
            "fds": len(os.listdir("/proc/self/fd")),
        }

    def raise_(self, text: str) -> None:
        raise ValueError(text)

    def exit_(self) -> None:
        raise SystemExit(3)

    def unpicklable(self):
        return lambda: None

    def alien(self):
        """An instance of a class that the parent cannot import."""
        return Alien()

    def sleep(self, seconds: float, started: str = "") -> str:
        if started:
            open(started, "w").close()
        time.sleep(seconds)
        return "slept"

    def die(self, number: int = signal.SIGKILL) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def frame(self, height: int = 480, width: int = 640) -> np.ndarray:
        return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)

    def total(self, array: np.ndarray) -> int:
        array.flat[0] = 0
        return int(array.sum(dtype=np.int64))

    def numbers(self, count: int, delay_s: float = 0.0):
        try:
            for number in range(count):
                yield number
                time.sleep(delay_s)
        finally:
            self.seen.append("closed")

    def stubborn(self, started: str):
        yield 0
        open(started, "w").close()
        time.sleep(60)
        yield 1

    def broken(self):
        yield 1
        raise ValueError("no more")

    def frames(self, count: int):
        for number in range(count):
            yield np.full((480, 640, 3), number % 256, dtype=np.uint8)

    def said(self) -> list:
        return self.seen


class Alien:
    """Pickles in the worker, cannot be rebuilt in a process without this module."""


class Interruptible:
    """Has `cancel`, so that even a plain call can be stopped."""

    def __init__(self) -> None:
        self.stop = False

    def work(self, started: str) -> str:
        self.stop = False
        open(started, "w").close()
        while not self.stop:
            time.sleep(0.01)
        return "stopped"

    def cancel(self) -> None:
        self.stop = True

    def pid(self) -> int:
        return os.getpid()


class Hanger:
    """Does not come back from close, and ignores SIGTERM."""

    def __init__(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def pid(self) -> int:
        return os.getpid()

    def close(self) -> None:
        time.sleep(60)


class Closer:
    """Leaves a file when it is closed properly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def touch(self) -> None:
        pass

    def close(self) -> None:
        with open(self.path, "w") as file:
            file.write("closed")


class Printer:
    """Prints, like many libraries do."""

    def speak(self) -> None:
        print("from python")
        os.write(1, b"from native\n")


class Hoarder:
    """Takes memory step by step while it loads, and more when told; gives none back."""

    def __init__(self, mb: int = 0, step_mb: int = 10, pause_s: float = 0.1) -> None:
        self.data: list = []
        for _ in range(mb // step_mb):
            self.grow(step_mb)
            time.sleep(pause_s)

    def grow(self, mb: int) -> None:
        self.data.append(np.ones(mb * 1_000_000, dtype=np.uint8))

    def pid(self) -> int:
        return os.getpid()


class Mapper:
    """Reads a file through a mapping, as engines do with weights."""

    def __init__(self, path: str) -> None:
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        self.sum = int(self.data[::4096].sum())

    def pid(self) -> int:
        return os.getpid()


class Starved:
    """Gets no memory from the system, and takes that as Python or as C++ does."""

    def __init__(self, how: str) -> None:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + 50_000_000, size + 50_000_000))
        if how == "python":
            self.data = np.ones(200_000_000, dtype=np.uint8)
        elif how == "binding":
            raise RuntimeError("std::bad_alloc")
        else:
            ctypes.CDLL("libstdc++.so.6")._Znwm(ctypes.c_size_t(200_000_000))


class Cramped(Toy):
    """Loses its shared memory when told."""

    def cramp(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    def relax(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Leaker:
    """Keeps what it holds after it was closed, as many libraries do."""

    kept: list = []

    def __init__(self, mb: int) -> None:
        self.kept.append(np.ones(mb * 1_000_000, dtype=np.uint8))

    def pid(self) -> int:
        return os.getpid()


class Swiss:
    """Leaves free memory between live blocks, where malloc alone never gives it back."""

    def hoard(self, megabytes: int) -> int:
        blocks = [bytearray(100_000) for _ in range(10 * megabytes)]
        self.live = blocks[::20]
        return len(blocks)
