"""The thread between a camera and its topic: runs the camera only while somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bbia_ros.driver.backend import Camera, Frame

LINGER_S = 1.0
"""The camera stays on so long after the last subscriber went [s]: a mode change must not restart it."""
WAIT_S = 0.2


class CameraFeed:
    """Owns the thread and, in it, the camera's start and stop.

    Args:
        camera: Whose frames are taken.
        deliver: Called in the thread with each frame.
        fault: Called in the thread with a sentence when frames stop, and with an empty one when they come again.
    """

    def __init__(self, camera: Camera, deliver: Callable[[Frame], None], fault: Callable[[str], None]) -> None:
        self._camera, self._deliver, self._fault = camera, deliver, fault
        self._wanted = threading.Event()
        self._end = threading.Event()
        self._wanted_until = 0.0
        self._thread = threading.Thread(target=self._run, name="camera-feed", daemon=True)

    def start(self) -> None:
        """Starts the thread. Once only."""
        self._thread.start()

    def want(self, wanted: bool) -> None:
        """Says whether somebody looks; to be called a few times per second."""
        if wanted:
            self._wanted_until = time.monotonic() + LINGER_S
            self._wanted.set()

    def stop(self) -> None:
        """Stops thread and camera. More than once is fine."""
        self._end.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            if self._end.is_set():
                return
            try:
                self._look()
            except Exception as error:
                self._fault(f"the camera failed: {type(error).__name__}: {error}")
                self._end.wait(WAIT_S)
            finally:
                self._camera.stop()
            if time.monotonic() > self._wanted_until:
                self._wanted.clear()
                self._fault("")
                if self._end.is_set():
                    return

    def _look(self) -> None:
        self._camera.start()
        while not self._end.is_set() and time.monotonic() <= self._wanted_until:
            frame = self._camera.wait(WAIT_S)
            if frame is not None:
                self._deliver(frame)
            self._fault(self._camera.fault())
