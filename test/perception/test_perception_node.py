"""The perception node on a real graph: with fake engines, and with the real ones in their workers."""

from __future__ import annotations

import math
import os
import signal
import threading

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from bbia_ros.msg import DetectionArray, FaceArray, Heartbeat
from bbia_ros.perception.blendshapes import INDEX
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.node import PerceptionNode
from bbia_ros.residency.errors import WorkerDied
from bbia_ros.ros import qos
from bbia_ros.ros.images import from_rgb
from bbia_ros.ros.testing import FakePool, NodeRunner, wait_until

pytestmark = pytest.mark.heavy


class FakeDetector:
    """Finds one apple in any picture that is not black; may be told to die or to wait."""

    def __init__(self):
        self.failure = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.images = []

    def detect(self, image):
        self.images.append(int(image[0, 0, 0]))
        self.entered.set()
        self.gate.wait(10.0)
        if self.failure is not None:
            raise self.failure
        return [Detection("apple", 0, 0.9, 140.0, 100.0, 40.0, 40.0)] if image.any() else []


class NoFaces:
    """Never finds anybody."""

    def faces(self, image, intrinsics):
        return []


class Camera:
    """Publishes pictures and the camera's description from the probe."""

    def __init__(self, runner, eye):
        self.runner, self.eye = runner, eye
        self.info = runner.publisher(CameraInfo, "camera/camera_info", qos.CAMERA)
        self.images = runner.publisher(Image, "camera/image_raw", qos.CAMERA)
        self.head = runner.publisher(PoseStamped, "head_pose", qos.SENSOR)
        self.sent = 0

    def header(self):
        return Header(stamp=self.runner.probe.get_clock().now().to_msg(), frame_id="camera_optical")

    def describe(self, width=320, height=240):
        k = [self.eye.fx, 0.0, self.eye.cx, 0.0, self.eye.fy, self.eye.cy, 0.0, 0.0, 1.0]
        self.info.publish(CameraInfo(header=self.header(), width=width, height=height, k=k))

    def show(self, pixels):
        header = self.header()
        self.images.publish(from_rgb(pixels, header))
        return header


def show_until(camera, pixels, inbox, condition=lambda _: True, timeout_s=20.0):
    """Shows a picture again and again, as a camera does (best effort loses some), until a message answers."""
    for _ in range(int(timeout_s / 0.2)):
        camera.describe()
        camera.show(pixels)
        try:
            return inbox.wait(condition, 0.2)
        except TimeoutError:
            continue
    raise TimeoutError("no such message")


GREY = np.full((240, 320, 3), 128, dtype=np.uint8)
BLACK = np.zeros((240, 320, 3), dtype=np.uint8)


@pytest.fixture
def detector():
    return FakeDetector()


@pytest.fixture
def runner(detector):
    parameters = {"objects.rate_hz": 60.0, "camera_timeout_s": 0.5, "camera_start_s": 0.5}
    with NodeRunner(
        PerceptionNode, pool=FakePool({"objects": detector, "faces": NoFaces()}), parameters=parameters
    ) as runner:
        assert runner.configure()
        assert runner.activate()
        yield runner
        runner.deactivate()


def test_an_apple_is_seen_with_the_header_of_its_image(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    faces = runner.collect(FaceArray, "perception/faces", qos.EVENT)
    seen = show_until(camera, GREY, objects, lambda m: m.detections and not math.isnan(m.detections[0].distance))
    assert seen.header.frame_id == "camera_optical"
    assert (seen.image_width, seen.image_height) == (320, 240)
    (apple,) = seen.detections
    assert (apple.label, apple.track_id) == ("apple", 1)
    assert (apple.bearing.x, apple.bearing.y, apple.bearing.z) == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)
    assert apple.distance == pytest.approx(0.33, abs=0.05)
    assert faces.wait().faces == []
    assert show_until(camera, BLACK, objects, lambda m: not m.detections).detections == []


def test_images_that_wait_are_searched_together_where_the_engine_can(detector, portrait):
    batches = []

    def detect_batch(images):
        batches.append(sorted(int(image[0, 0, 0]) for image in images))
        return [detector.detect(image) for image in images]

    detector.detect_batch = detect_batch
    parameters = {"objects.rate_hz": 60.0, "objects.engine": "ultralytics", "objects.batch": 3}
    parameters["objects.model"] = "bbia-tabletop-yolo26n-pt"
    pool = FakePool({"objects": detector, "faces": NoFaces()})
    with NodeRunner(PerceptionNode, pool=pool, parameters=parameters) as runner:
        assert runner.configure()
        assert runner.activate()
        lane = runner.node._object_lane
        detector.gate.clear()
        camera, objects = (
            Camera(runner, portrait.camera()),
            runner.collect(DetectionArray, "perception/objects", qos.EVENT),
        )
        wait_until(lambda: camera.show(np.full_like(GREY, 1)) and detector.entered.wait(0.1), 10.0, "the first image")
        wait_until(lambda: camera.show(np.full_like(GREY, 2)) and lane.waiting == 3, 10.0, "three waiting images")
        detector.gate.set()
        objects.wait(lambda _: len(objects.messages) >= 4)
        runner.deactivate()
    assert len(batches[0]) == 3
    assert set(batches[0]) <= {1, 2}


def test_the_newest_image_wins_while_the_engine_works(runner, detector, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    detector.gate.clear()
    faces = runner.collect(FaceArray, "perception/faces", qos.EVENT)
    show_until(camera, np.full_like(GREY, 1), faces)  # arrived, and the detector holds it
    assert detector.entered.wait(5.0)
    for value in range(2, 6):
        faces.clear()
        newest = show_until(camera, np.full_like(GREY, value), faces).header.stamp
    assert len(detector.images) == 1
    detector.gate.set()
    seen = objects.wait(lambda m: m.header.stamp != objects.messages[0].header.stamp)
    assert (seen.header.stamp.sec, seen.header.stamp.nanosec) >= (newest.sec, newest.nanosec)
    assert detector.images == [1, 5]


def test_a_silent_camera_is_a_fault_and_nothing_is_made_up(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    heartbeats = runner.collect(Heartbeat, "perception/heartbeat", qos.heartbeat())
    heartbeats.wait(lambda m: "no camera frames for 0.5 s" in m.fault)
    assert objects.messages == []
    show_until(camera, GREY, objects)
    heartbeats.clear()
    show_until(camera, GREY, heartbeats, lambda m: "no camera frames" not in m.fault)


def test_a_wrong_image_is_one_clear_message_and_the_next_is_looked_at(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    heartbeats = runner.collect(Heartbeat, "perception/heartbeat", qos.heartbeat())
    broken = from_rgb(GREY, camera.header())
    broken.height = 100
    for message, text in ((broken, "100 rows"), (Image(height=2, width=2, encoding="yuv9", step=2), "yuv9")):
        heartbeats.clear()
        for _ in range(50):
            camera.images.publish(message)
            try:
                heartbeats.wait(lambda m, text=text: text in m.fault, 0.2)
                break
            except TimeoutError:
                continue
        else:
            pytest.fail(f"no fault about {text}")
    assert objects.messages == []
    assert show_until(camera, GREY, objects).detections


def test_an_image_of_another_size_than_described_has_no_directions(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    heartbeats = runner.collect(Heartbeat, "perception/heartbeat", qos.heartbeat())
    for _ in range(50):
        camera.describe(640, 480)
        camera.show(GREY)
        try:
            heartbeats.wait(lambda m: "camera_info describes 640x480" in m.fault, 0.2)
            break
        except TimeoutError:
            continue
    else:
        pytest.fail("no fault")
    objects.wait()
    assert all(math.isnan(m.detections[0].bearing.x) for m in objects.messages)


def test_a_dead_engine_is_a_fault_until_it_works_again(runner, detector, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    heartbeats = runner.collect(Heartbeat, "perception/heartbeat", qos.heartbeat())
    detector.failure = WorkerDied("worker of 'objects' ended with SIGKILL")
    show_until(camera, GREY, heartbeats, lambda m: "SIGKILL" in m.fault)
    assert objects.messages == []
    detector.failure = None
    show_until(camera, GREY, objects)
    heartbeats.clear()
    show_until(camera, GREY, heartbeats, lambda m: "SIGKILL" not in m.fault)


def test_the_annotated_picture_comes_only_while_somebody_watches(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    show_until(camera, GREY, objects)
    annotated = runner.collect(Image, "perception/annotated", qos.CAMERA)
    picture = show_until(camera, GREY, annotated, lambda m: bytes(m.data) != GREY.tobytes())
    assert (picture.width, picture.height, picture.encoding) == (320, 240, "rgb8")


def test_deactivation_and_activation_in_any_number(runner, portrait):
    camera, objects = Camera(runner, portrait.camera()), runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    first = show_until(camera, GREY, objects).detections[0].track_id
    for _ in range(3):
        assert runner.deactivate()
        assert runner.activate()
    objects.clear()
    again = show_until(camera, GREY, objects).detections[0].track_id
    assert again == first + 1  # somebody else's identity is never used again


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"faces.max_faces": 11}, "faces.max_faces"),
        ({"objects.model": "/nowhere/yolo.onnx"}, "objects.model"),
        ({"faces.engine": "eyes"}, "faces.engine"),
        ({"objects.rate": 5.0}, "objects.rate_hz"),
        ({"objects.batch": 2}, "'objects.batch' is 2: engine 'onnx' takes one image at a time, ultralytics several"),
    ],
)
def test_a_wrong_parameter_fails_configure_with_one_sentence(parameters, sentence):
    with NodeRunner(PerceptionNode, pool=FakePool({}), parameters=parameters) as runner:
        assert not runner.configure()
        (fault,) = runner.node.faults()
        assert sentence in fault
        assert "\n" not in fault


def busy(runner, task):
    return any(info.task == task and info.state.name == "BUSY" for info in runner.process.pool.snapshot())


def test_real_engines_see_the_portrait_survive_a_kill_and_leave_nothing(portrait):
    with NodeRunner(PerceptionNode, parameters={"objects.rate_hz": 10.0}) as runner:
        assert runner.configure()
        assert runner.process.pool.snapshot() == [] or all(m.pid in (0, None) for m in runner.process.pool.snapshot())
        assert runner.activate()
        camera = Camera(runner, portrait.camera())
        faces = runner.collect(FaceArray, "perception/faces", qos.EVENT)
        objects = runner.collect(DetectionArray, "perception/objects", qos.EVENT)
        visitor = portrait.visitor(110, right=-60)

        seen = show_until(camera, visitor, faces, lambda m: m.faces and not math.isnan(m.faces[0].distance))
        (face,) = seen.faces
        assert face.track_id >= 1
        assert face.blendshapes[INDEX["mouthSmileLeft"]] > 0.7
        assert face.bearing.y > 0.2  # image left is the robot's left
        assert face.looking_at_robot
        assert 0.3 < face.distance < 0.7

        nobody = show_until(camera, GREY, faces, lambda m: not m.faces)
        assert nobody.faces == []
        assert show_until(camera, GREY, objects, lambda m: not m.detections).detections == []

        reported, report = [], runner.node.report_fault
        runner.node.report_fault = lambda key, sentence: (reported.append((key, sentence)), report(key, sentence))
        (worker,) = [m.pid for m in runner.process.pool.snapshot() if m.task == "faces"]
        os.kill(worker, signal.SIGSTOP)  # so that it dies in the middle of its work
        try:
            wait_until(lambda: (camera.show(visitor), busy(runner, "faces"))[1], 20.0, "a face being looked for")
        finally:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: reported, 10.0, "a fault")
        faces.clear()
        assert show_until(camera, visitor, faces, lambda m: m.faces).faces
        assert [key for key, _ in reported] == ["faces"]
        assert f"the worker (pid {worker})" in reported[0][1]
        assert "\n" not in reported[0][1]
        wait_until(lambda: not runner.node.faults(), 10.0, "the fault to be over")

        assert runner.deactivate()
        assert all(m.pid in (0, None) for m in runner.process.pool.snapshot())
