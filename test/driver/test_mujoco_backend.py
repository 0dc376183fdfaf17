"""The simulated robot's supervision of its workers, with workers that only pretend."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from bbia_ros.driver.mujoco_backend import CAMERA_DEAD_S, GIVEN_UP_S, RETRY_S, MujocoBackend, SimulatedCamera
from bbia_ros.residency import ModelFailed, WorkerDied


class Workers:
    """Gives leases whose load has failed with `error`, or worked if that is None."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.acquired = 0
        self.again = threading.Event()

    def acquire(self, spec: Any) -> Any:
        self.acquired += 1
        if self.acquired > 1:
            self.again.set()
        loading: Future[None] = Future()
        if self.error is None:
            loading.set_result(None)
        else:
            loading.set_exception(self.error)
        return SimpleNamespace(preload=lambda: loading, release=lambda: None)


def simulation(stands_still: bool = True) -> Any:
    return SimpleNamespace(
        width=320, height=240, bell_read=-1, state=lambda: None, stands_still=lambda: stands_still,
        simulator_spec=lambda: "simulator", camera_spec=lambda: "camera",
        block=SimpleNamespace(command=SimpleNamespace(write=lambda command: None)),
    )  # fmt: skip


@pytest.mark.parametrize(("error", "wait_s"), [(None, RETRY_S), (WorkerDied("killed"), RETRY_S),
                                               (ModelFailed("3 times in a row"), GIVEN_UP_S)])  # fmt: skip
def test_a_dead_simulator_is_started_again_and_one_given_up_after_a_longer_wait(
    error: Exception | None, wait_s: float
) -> None:
    workers = Workers(error)
    backend = MujocoBackend(simulation(), workers.acquire)
    backend.connect()
    backend._loaded_at -= wait_s - 0.5
    backend.supervise()
    assert workers.acquired == 1
    backend._loaded_at -= 0.6
    assert "the simulator does not run" in backend.supervise()
    assert workers.again.wait(10)
    backend.disconnect()


def test_a_simulator_that_runs_is_left_alone() -> None:
    workers = Workers(None)
    backend = MujocoBackend(simulation(stands_still=False), workers.acquire)
    backend.connect()
    backend._loaded_at -= 2 * GIVEN_UP_S
    assert backend.supervise() == ""
    assert workers.acquired == 1
    backend.disconnect()


@pytest.mark.parametrize(("error", "wait_s"), [(WorkerDied("killed"), CAMERA_DEAD_S),
                                               (ModelFailed("3 times in a row"), GIVEN_UP_S)])  # fmt: skip
def test_so_is_the_camera(error: Exception, wait_s: float) -> None:
    workers = Workers(error)
    camera = SimulatedCamera(simulation(stands_still=False), workers.acquire)
    camera.start()
    assert "the camera does not run" in camera.fault()
    camera._since -= wait_s - 0.5
    camera.fault()
    assert workers.acquired == 1
    camera._since -= 0.6
    camera.fault()
    assert workers.acquired == 2
    camera.stop()
