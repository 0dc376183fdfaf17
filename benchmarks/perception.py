"""From camera image to detections: a perception node in a process of its own against the bare engine call.

Run with `bbia bench perception`, or alone: `python -m benchmarks.perception [--quick]`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, figure, main, percentile

Rgb = NDArray[np.uint8]
FOCAL = 143.0
"""Focal length of the robot's eye at 320x240 [pixel]."""


def picture() -> Rgb:
    """A visitor's portrait in a 320x240 picture, as the robot's eye sees it at 0.6 m."""
    from PIL import Image

    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("the benchmark needs scikit-image's portrait: pip install scikit-image")
    portrait = Image.open(Path(spec.origin).parent / "data" / "astronaut.png").convert("RGB").crop((120, 0, 330, 220))
    canvas = np.full((240, 320, 3), 128, dtype=np.uint8)
    canvas[70:170, 110:210] = np.asarray(portrait.resize((100, 100)))
    return canvas


def bare(call: Callable[[], Any], count: int) -> float:
    """Median duration of an engine call in this process [ms]."""
    call()
    durations = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return 1000.0 * statistics.median(durations)


@contextmanager
def node(parameters: dict[str, Any]) -> Iterator[None]:
    """A perception node, active, in a process of its own."""
    arguments = ["--ros-args", "-r", "__ns:=/bbia"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bbia_ros.perception.node", "--activate", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Probe:
    """Publishes images and times the answers. Owns a ROS node on a context of its own and the thread that spins it.

    Attributes:
        memory: PSS of each model's worker [MB], by task, as the node reports it.
    """

    def __init__(self, tasks: tuple[str, ...]) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from sensor_msgs.msg import CameraInfo, Image

        from bbia_ros.msg import DetectionArray, FaceArray, Residency
        from bbia_ros.ros import qos

        self.tasks = tasks
        self.memory: dict[str, float] = {}
        self._changed = threading.Condition()
        self._arrived: dict[tuple[str, int], float] = {}
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node("bench", context=self._context, namespace="/bbia", use_global_arguments=False)
        self._images = self._node.create_publisher(Image, "camera/image_raw", qos.CAMERA)
        self._infos = self._node.create_publisher(CameraInfo, "camera/camera_info", qos.CAMERA)
        kinds = {"objects": DetectionArray, "faces": FaceArray}
        for task in tasks:
            self._node.create_subscription(kinds[task], f"perception/{task}", partial(self._note, task), qos.EVENT)
        self._node.create_subscription(Residency, "perception/residency", self._note_memory, qos.STATE)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def wait_for_node(self, timeout_s: float = 20.0) -> None:
        """Return when somebody subscribes to the images."""
        wait(lambda: self._images.get_subscription_count() > 0, timeout_s, "become active")

    def wait_for_memory(self, timeout_s: float = 5.0) -> None:
        """Return when every model's memory is known."""
        wait(lambda: all(task in self.memory for task in self.tasks), timeout_s, "report its models")

    def ask(self, pixels: Rgb, timeout_s: float) -> dict[str, float] | None:
        """Show one image; milliseconds until the answer of each task, or None if one of them was lost."""
        from sensor_msgs.msg import CameraInfo
        from std_msgs.msg import Header

        from bbia_ros.ros.images import from_rgb

        now = self._node.get_clock().now()
        message = from_rgb(pixels, Header(stamp=now.to_msg(), frame_id="camera_optical"))
        k = [FOCAL, 0.0, 160.0, 0.0, FOCAL, 120.0, 0.0, 0.0, 1.0]
        self._infos.publish(CameraInfo(header=message.header, width=320, height=240, k=k))
        keys = {task: (task, now.nanoseconds) for task in self.tasks}
        started = time.perf_counter()
        self._images.publish(message)
        with self._changed:
            if not self._changed.wait_for(lambda: all(key in self._arrived for key in keys.values()), timeout_s):
                return None
            return {task: 1000.0 * (self._arrived[key] - started) for task, key in keys.items()}

    def close(self) -> None:
        """End the thread and the node."""
        import rclpy

        self._stop.set()
        self._thread.join()
        self._executor.remove_node(self._node)
        self._node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def _note(self, task: str, message: Any) -> None:
        stamp = message.header.stamp
        with self._changed:
            self._arrived[task, stamp.sec * 1_000_000_000 + stamp.nanosec] = time.perf_counter()
            self._changed.notify_all()

    def _note_memory(self, message: Any) -> None:
        self.memory.update({model.task: model.pss_bytes / 1e6 for model in message.models if model.pss_bytes})


def wait(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return when a condition holds, or end the benchmark with a sentence."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"the perception node did not {what} within {timeout_s:g} s; run it alone to see why")
        time.sleep(0.05)


def latencies(
    tasks: tuple[str, ...], parameters: dict[str, Any], pixels: Rgb, count: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Show images one by one to a node of its own and wait for what it sees in each.

    Returns:
        Milliseconds from publishing an image to receiving its answer, in rising order, by task; PSS of each model's
        worker [MB], by task.
    """
    found: dict[str, list[float]] = {task: [] for task in tasks}
    with node(parameters):
        probe = Probe(tasks)
        try:
            probe.wait_for_node()
            wait(lambda: probe.ask(pixels, 1.0) is not None, 30.0, "answer")  # the first image loads the models
            lost = 0
            while len(found[tasks[0]]) < count:
                answer = probe.ask(pixels, 1.0)
                lost += answer is None
                if lost > count:
                    raise SystemExit("more than half of the images got no answer")
                for task, milliseconds in (answer or {}).items():
                    found[task].append(milliseconds)
                time.sleep(0.05)
            probe.wait_for_memory()
        finally:
            probe.close()
    return {task: sorted(times) for task, times in found.items()}, probe.memory


def bare_engine(task: str, pixels: Rgb, count: int) -> float:
    """Median duration of the engine's call in this process [ms]."""
    from bbia_ros.perception.detect_onnx import OnnxDetector
    from bbia_ros.perception.faces_mediapipe import MediaPipeFaces
    from bbia_ros.residency.catalog import resolve

    if task == "objects":
        detector = OnnxDetector(str(resolve("bbia-tabletop-yolo26n", "objects")))
        return bare(lambda: detector.detect(pixels), count)
    faces = MediaPipeFaces(str(resolve("face-landmarker", "faces")))
    try:
        return bare(lambda: faces.faces(pixels, (FOCAL, FOCAL, 160.0, 120.0)), count)
    finally:
        faces.close()


def figures(quick: bool = False) -> list[Figure]:
    """Latency of objects and faces, each alone and both together, against the bare engines in this process."""
    count = 20 if quick else 100
    pixels = picture()
    found: list[Figure] = []
    rates = {"objects.rate_hz": 60.0, "faces.rate_hz": 60.0}
    alone: dict[str, float] = {}
    note = "baseline: the engine's call"
    for task, other in (("objects", "faces"), ("faces", "objects")):
        times, memory = latencies((task,), {**rates, f"{other}.enabled": False}, pixels, count)
        alone[task] = bare_engine(task, pixels, count)
        what = f"320x240 image published to {task} received, {other} off"
        name = f"perception.{task}"
        median, high = statistics.median(times[task]), percentile(times[task], 0.95)
        found += [
            figure(f"{name}_latency_p50_ms", f"{what}, median", median, "ms", baseline=alone[task], note=note),
            figure(f"{name}_latency_p95_ms", f"{what}, 95th percentile", high, "ms"),
            figure(f"{name}_worker_mb", f"PSS of the worker that looks for {task}", memory[task], "MB"),
        ]
    times, _ = latencies(("objects", "faces"), rates, pixels, count)
    for task, series in times.items():
        what = f"320x240 image published to {task} received, both at work, median"
        median = statistics.median(series)
        found.append(
            figure(f"perception.{task}_latency_both_p50_ms", what, median, "ms", baseline=alone[task], note=note)
        )
    return found


if __name__ == "__main__":
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    sys.exit(main(figures, "perception"))
