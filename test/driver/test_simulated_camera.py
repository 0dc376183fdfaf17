from __future__ import annotations

import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from bbia_ros.driver import mujoco_backend
from bbia_ros.driver.mujoco_backend import SimulatedCamera


class Lease:
    """Loads when told so by `finish`; with the worker alive a preload is done at once."""

    def __init__(self) -> None:
        self.alive, self.loads = False, list[Future[None]]()

    def preload(self) -> Future[None]:
        future: Future[None] = Future()
        if self.alive:
            future.set_result(None)
        else:
            self.loads.append(future)
        return future

    def finish(self) -> None:
        self.alive = True
        self.loads[-1].set_result(None)

    def release(self) -> None:
        self.alive = False


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def camera(lease: Lease, monkeypatch: pytest.MonkeyPatch) -> SimulatedCamera:
    monkeypatch.setattr(mujoco_backend, "CAMERA_SILENT_S", 0.01)
    simulation: Any = SimpleNamespace(width=4, height=3, camera_spec=lambda: None, stands_still=lambda: False)
    made = SimulatedCamera(simulation, lambda _: lease)  # type: ignore[arg-type,return-value]
    made.start()
    lease.finish()
    assert made.fault() == ""
    return made


def test_a_worker_that_has_ended_is_loaded_long_before_the_camera_counts_as_stuck(
    camera: SimulatedCamera, lease: Lease
) -> None:
    lease.alive = False
    time.sleep(0.02)  # silence is what the camera looks at
    camera.fault()
    assert "has ended" in camera.fault()
    assert len(lease.loads) == 2


def test_a_silent_camera_whose_worker_lives_is_left_alone_for_a_while(camera: SimulatedCamera, lease: Lease) -> None:
    time.sleep(0.02)
    camera.fault()
    assert camera.fault() == ""
    assert len(lease.loads) == 1
