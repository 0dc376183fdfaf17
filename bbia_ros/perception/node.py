"""The perception node: camera images in, objects and faces out."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from bbia_ros.msg import DetectionArray, FaceArray
from bbia_ros.perception.annotate import annotate
from bbia_ros.perception.bearing import CameraError, Intrinsics
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.messages import faces_message, objects_message
from bbia_ros.perception.pace import Pace
from bbia_ros.perception.parameters import BATCHING, FACE_ENGINES, OBJECT_ENGINES, PerceptionParameters
from bbia_ros.perception.scene import FaceScene, ObjectScene, SeenFace, SeenObject
from bbia_ros.perception.turning import HeadHistory
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.images import ImageError, from_rgb, to_rgb
from bbia_ros.ros.lane import Lane
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.process import run_alone

WATCH_PERIOD_S = 0.25
"""How often the camera's silence is looked at [s]."""

ANNOTATED_AGE_S = 1.0
"""Objects this much older than an image are not drawn into it any more [s]."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image on its way through the lanes.

    Attributes:
        header: of the image.
        stamp: of the image [s].
        pixels: height x width x 3, uint8, RGB.
        camera: of the image; None while it is unknown.
    """

    header: Header
    stamp: float
    pixels: NDArray[np.uint8]
    camera: Intrinsics | None


class PerceptionNode(BbiaNode[PerceptionParameters]):
    """Looks for objects and faces in the newest image, each at its own rate in its own lane.

    Owns: the tracks, the history of head poses. A frame that arrives while a lane is busy replaces the one that waits.
    Nothing is published for an image that was not looked at; an empty list means that it was, and nothing was there.
    """

    parameters_type = PerceptionParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("perception", context)

    def configure(self) -> None:
        """Check both models, create the publishers."""
        objects, faces = self.params.objects, self.params.faces
        self._object_models = self._face_models = None
        if objects.batch > 1 and objects.engine not in BATCHING:
            raise ConfigurationError(
                f"parameter 'objects.batch' is {objects.batch}: engine '{objects.engine}' takes one image at a time,"
                f" {', '.join(BATCHING)} several"
            )
        if objects.enabled:
            self._object_models = self.choose_model(
                "objects", objects, task="objects", engines=OBJECT_ENGINES, group="detector", background=True,
                arguments={"score_threshold": objects.min_score},
            )  # fmt: skip
        if faces.enabled:
            self._face_models = self.choose_model(
                "faces", faces, task="faces", engines=FACE_ENGINES, background=True,
                arguments={"min_score": faces.min_score, "max_faces": faces.max_faces},
            )  # fmt: skip
        self._object_scene = ObjectScene(objects.max_objects, objects.coast_s)
        self._face_scene = FaceScene(faces.max_faces, faces.coast_s, math.radians(faces.gaze_tolerance_deg))
        self._objects_out = self.make_publisher(DetectionArray, "perception/objects", qos.EVENT)
        self._faces_out = self.make_publisher(FaceArray, "perception/faces", qos.EVENT)
        self._annotated_out = self.make_publisher(Image, "perception/annotated", qos.CAMERA)

    def activate(self) -> None:
        """Subscribe to the camera and take the models into use."""
        self._camera: Intrinsics | None = None
        self._heads = HeadHistory()
        self._seen_objects: tuple[float, list[SeenObject]] = (-math.inf, [])
        self._object_scene.reset()
        self._face_scene.reset()
        self._lanes_by_task: dict[str, tuple[Lane[Frame], Pace]] = {}
        if self._object_models is not None:
            self._detector = self.slot(self._object_models)
            self._object_lane = self.lane("objects", self._find_objects, depth=self.params.objects.batch)
            self._lanes_by_task["objects"] = self._object_lane, Pace(self.params.objects.rate_hz)
        if self._face_models is not None:
            self._face_finder = self.slot(self._face_models)
            self._lanes_by_task["faces"] = self.lane("faces", self._find_faces), Pace(self.params.faces.rate_hz)
        self._annotate_lane = self.lane("annotated", self._annotate)
        self._last_image = self._last_info = time.monotonic()
        self._seen_any = False
        self.make_subscription(CameraInfo, "camera/camera_info", self._on_camera_info, qos.CAMERA)
        self.make_subscription(PoseStamped, "head_pose", self._on_head_pose, qos.SENSOR)
        self.make_subscription(Image, "camera/image_raw", self._on_image, qos.CAMERA)
        self.make_timer(WATCH_PERIOD_S, self._watch)

    def parameters_changed(self, new: PerceptionParameters) -> None:
        """Rates and the tolerance take effect at once."""
        self._face_scene.gaze_tolerance = math.radians(new.faces.gaze_tolerance_deg)
        if self.active:
            for task, (_, pace) in self._lanes_by_task.items():
                pace.rate_hz = getattr(new, task).rate_hz

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._last_info = time.monotonic()
        try:
            self._camera = Intrinsics.from_k(message.k, message.width, message.height)
        except CameraError as error:
            self._camera = None
            self.report_fault("camera_info", f"{error}; directions and distances are unknown")
        else:
            self.clear_fault("camera_info")

    def _on_head_pose(self, message: PoseStamped) -> None:
        q = message.pose.orientation
        self._heads.add(_seconds(message.header), (q.x, q.y, q.z, q.w))

    def _on_image(self, message: Image) -> None:
        now = time.monotonic()
        self._last_image = now
        self._seen_any = True
        self.clear_fault("camera")
        self.figures.tick("camera")
        due = [lane for lane, pace in self._lanes_by_task.values() if pace.take(now)]
        if not due:
            return
        try:
            pixels = to_rgb(message)
        except ImageError as error:
            self.figures.count("images refused")
            self.report_fault("image", f"camera/image_raw: {error}; the image is not looked at")
            return
        self.clear_fault("image")
        camera = self._camera
        if camera is not None and (camera.width, camera.height) != (message.width, message.height):
            self.report_fault(
                "size",
                f"camera/image_raw is {message.width}x{message.height} but camera_info describes"
                f" {camera.width}x{camera.height}; directions and distances are unknown",
            )
            camera = None
        elif camera is not None:
            self.clear_fault("size")
        frame = Frame(message.header, _seconds(message.header), pixels, camera)
        for lane in due:
            lane.offer(frame)

    def _watch(self) -> None:
        now = time.monotonic()
        limit = self.params.camera_timeout_s if self._seen_any else self.params.camera_start_s
        if now - self._last_image > limit:
            self.report_fault("camera", f"no camera frames for {limit:g} s; nothing is seen until they come")
        elif now - self._last_info > limit:
            self._camera = None
            self.report_fault("camera_info", f"no camera_info for {limit:g} s; directions and distances are unknown")

    def _find_objects(self, frame: Frame) -> None:
        frames = [frame, *self._object_lane.take(self.params.objects.batch - 1)]
        started = time.monotonic()
        timeout_s = self.params.call_timeout_s
        if len(frames) == 1:
            results = [self._detector.call("detect", frame.pixels, timeout_s=timeout_s)]
        else:
            results = self._detector.call("detect_batch", [one.pixels for one in frames], timeout_s=timeout_s)
        self.figures.duration("objects engine", time.monotonic() - started)
        for one, found in zip(frames, results, strict=True):
            self._publish_objects(one, found)

    def _publish_objects(self, frame: Frame, found: list[Detection]) -> None:
        seen = self._object_scene.update(found, frame.stamp, frame.camera, self._heads.at(frame.stamp))
        height, width = frame.pixels.shape[:2]
        self._objects_out.publish(objects_message(frame.header, width, height, seen))
        self._published("objects", frame)
        self._seen_objects = frame.stamp, seen
        if self._face_models is None:
            self._show(frame, [])

    def _find_faces(self, frame: Frame) -> None:
        started = time.monotonic()
        camera = frame.camera
        intrinsics = None if camera is None else (camera.fx, camera.fy, camera.cx, camera.cy)
        found = self._face_finder.call("faces", frame.pixels, intrinsics, timeout_s=self.params.call_timeout_s)
        self.figures.duration("faces engine", time.monotonic() - started)
        seen = self._face_scene.update(found, frame.stamp, camera, self._heads.at(frame.stamp))
        height, width = frame.pixels.shape[:2]
        self._faces_out.publish(faces_message(frame.header, width, height, seen))
        self._published("faces", frame)
        self._show(frame, seen)

    def _published(self, task: str, frame: Frame) -> None:
        self.figures.tick(task)
        latency = self.get_clock().now().nanoseconds * 1e-9 - frame.stamp
        if latency >= 0.0:  # a replay without simulated time has stamps of another clock
            self.figures.duration(f"{task} from image", latency)

    def _show(self, frame: Frame, faces: list[SeenFace]) -> None:
        if self._annotated_out.subscribers:
            self._annotate_lane.offer((frame, faces))

    def _annotate(self, shown: tuple[Frame, list[SeenFace]]) -> None:
        frame, faces = shown
        stamp, objects = self._seen_objects
        recent = objects if abs(frame.stamp - stamp) <= ANNOTATED_AGE_S else []
        self._annotated_out.publish(from_rgb(annotate(frame.pixels, recent, faces), frame.header))


def _seconds(header: Any) -> float:
    return float(Time.from_msg(header.stamp).nanoseconds) * 1e-9


def main() -> int:
    """Entry point of `ros2 run bbia_ros perception`."""
    return run_alone("perception", PerceptionNode)


if __name__ == "__main__":
    sys.exit(main())
