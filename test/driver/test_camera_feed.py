"""The camera runs only while somebody looks."""

import queue
import threading

import numpy as np
import pytest

from bbia_ros.driver import camera_feed
from bbia_ros.driver.backend import Frame
from bbia_ros.driver.camera_feed import CameraFeed


class FakeCamera:
    def __init__(self):
        self.started, self.stopped = threading.Event(), threading.Event()
        self.frames = queue.Queue()
        self.reason = ""
        self.broken = False

    def start(self):
        if self.broken:
            raise OSError("no such device")
        self.stopped.clear()
        self.started.set()

    def stop(self):
        self.started.clear()
        self.stopped.set()

    def wait(self, timeout_s):
        try:
            return self.frames.get(timeout=0.01)
        except queue.Empty:
            return None

    def fault(self):
        return self.reason


@pytest.fixture
def camera():
    return FakeCamera()


@pytest.fixture
def faults():
    return queue.Queue()


@pytest.fixture
def feed(camera, faults, monkeypatch):
    monkeypatch.setattr(camera_feed, "LINGER_S", 0.1)
    delivered = queue.Queue()
    feed = CameraFeed(camera, delivered.put, faults.put)
    feed.delivered = delivered
    feed.start()
    yield feed
    feed.stop()
    assert not feed._thread.is_alive()


def wait_for(faults, words):
    while words not in (sentence := faults.get(timeout=5.0)) or (not words and sentence):
        pass


def test_it_starts_delivers_and_stops_when_nobody_looks_any_more(feed, camera):
    assert not camera.started.is_set()
    feed.want(False)
    feed.want(True)
    assert camera.started.wait(5.0)
    camera.frames.put(Frame(1, 1, np.zeros((2, 2, 3), np.uint8)))
    assert feed.delivered.get(timeout=5.0).number == 1
    assert camera.stopped.wait(5.0)
    feed.want(True)
    assert camera.started.wait(5.0)


def test_a_camera_that_stops_is_a_fault_until_it_goes_on(feed, camera, faults):
    feed.want(True)
    assert camera.started.wait(5.0)
    camera.reason = "no picture for 2.0 s"
    wait_for(faults, "no picture")
    camera.reason = ""
    wait_for(faults, "")


def test_a_camera_that_cannot_start_is_a_fault_and_is_tried_again(feed, camera, faults, monkeypatch):
    monkeypatch.setattr(camera_feed, "LINGER_S", 60.0)
    camera.broken = True
    feed.want(True)
    wait_for(faults, "no such device")
    camera.broken = False
    assert camera.started.wait(5.0)
