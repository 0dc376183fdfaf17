"""Starts worker processes from one permanent thread.

The kernel's parent-death signal is tied to the *thread* that created the child: were a worker spawned from a
short-lived thread, it would be killed when that thread ends. And a process that holds DDS threads must not
fork Python code: `subprocess` without preexec_fn uses vfork and exec only.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

_MODULE = "bbia_ros.residency.worker"
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class Spawned(NamedTuple):
    """A worker that was started: the process and our ends of its two sockets."""

    process: subprocess.Popen[bytes]
    calls: socket.socket
    control: socket.socket


class Spawner:
    """Owns one daemon thread, started at the first spawn and alive until `stop` or the end of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[Future[Spawned], int, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def spawn(self, nice: int = 19, threads: int = 0) -> Spawned:
        """Start a worker and return at once after exec.

        Args:
            nice: Its niceness.
            threads: Bound for the thread pools of native libraries; 0: all cores.

        Raises:
            OSError: The process could not be created.
        """
        future: Future[Spawned] = Future()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="bbia-spawner", daemon=True)
                self._thread.start()
            self._jobs.put((future, nice, threads))
        return future.result()

    def stop(self) -> None:
        """End the thread; the kernel kills every worker that it started."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._jobs.put(None)
            thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, nice, threads = job
            try:
                future.set_result(_start(nice, threads))
            except BaseException as error:
                future.set_exception(error)
            del job, future


SPAWNER = Spawner()
"""The spawner of this process."""


def _start(nice: int, threads: int) -> Spawned:
    calls, calls_child = socket.socketpair()
    control, control_child = socket.socketpair()
    try:
        fds = (calls_child.fileno(), control_child.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(fds[0]), str(fds[1]), str(os.getpid()), str(nice)],
            stdin=subprocess.DEVNULL,
            env=worker_environment(threads),
            pass_fds=fds,
            close_fds=True,
            # Ctrl-C in the terminal goes to the whole process group: the parent ends its workers itself.
            start_new_session=True,
        )
    except BaseException:
        calls.close()
        control.close()
        raise
    finally:
        calls_child.close()
        control_child.close()
    return Spawned(process, calls, control)


def worker_environment(threads: int = 0) -> dict[str, str]:
    """Our environment with what keeps a worker small and quiet; what the user set himself stays."""
    environment = dict(os.environ)
    bound = str(threads or os.cpu_count() or 1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        environment.setdefault(name, bound)
    environment.setdefault("MALLOC_ARENA_MAX", "1")
    # Threads that spin while they wait steal the core from the motion loop.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("GOMP_SPINCOUNT", "0")
    environment.setdefault("KMP_BLOCKTIME", "0")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    # onnxruntime reports its use to its maker, and keeps a database for that in the user's cache.
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # Without it, -m puts the working directory first: a source root there would shadow the installed package.
    environment["PYTHONSAFEPATH"] = "1"
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if _PACKAGE_ROOT not in path:
        path.insert(0, _PACKAGE_ROOT)
    environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment
