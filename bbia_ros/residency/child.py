"""A child process by its pidfd: no signal and no wait ever meets another process that got the same number."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time

_KILL_S = 5.0


class Child:
    """Waits for, signals and reaps one child process; thread-safe.

    Owns the pidfd. Raises OSError if there are no descriptors left.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._lock = threading.Lock()
        self.pid = popen.pid
        self.pidfd = os.pidfd_open(popen.pid)

    def wait(self, deadline: float) -> bool:
        """Whether it ends until then [s, monotonic]. It is not reaped."""
        with self._lock:
            if self.pidfd < 0:
                return True
            # A copy of our own: another thread may close the original meanwhile.
            pidfd = os.dup(self.pidfd)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        finally:
            os.close(pidfd)

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with self._lock:
            if self.pidfd >= 0:
                try:
                    signal.pidfd_send_signal(self.pidfd, number)
                except ProcessLookupError:
                    # Reaped already.
                    pass

    def reap(self, grace_s: float) -> str:
        """See it end, by SIGKILL after the grace period; says how it ended, as in "was killed by SIGSEGV"."""
        if not self.wait(time.monotonic() + grace_s):
            self.signal(signal.SIGKILL)
            if not self.wait(time.monotonic() + _KILL_S):
                return "cannot be killed: it hangs in the kernel"
        status = self._popen.wait()
        if status >= 0:
            return f"exited with status {status}"
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"

    def close(self) -> None:
        """Let go of the pidfd."""
        with self._lock:
            if self.pidfd >= 0:
                os.close(self.pidfd)
                self.pidfd = -1
