"""The detector is exchanged while images come, with real models in real workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixed_model import END_TO_END, write_model
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bbia_ros.msg import DetectionArray
from bbia_ros.perception.node import PerceptionNode
from bbia_ros.ros import qos
from bbia_ros.ros.images import from_rgb
from bbia_ros.ros.testing import NodeRunner
from bbia_ros.srv import UseModel

pytestmark = pytest.mark.heavy
GREY = np.full((240, 320, 3), 128, dtype=np.uint8)


def test_images_are_looked_at_by_the_old_detector_until_the_new_one_is_there(tmp_path: Path) -> None:
    other = END_TO_END.copy()
    other[0, 0, 5] = 0  # where the one sees a duck the other sees an apple
    ducks, apples = write_model(tmp_path / "ducks.onnx", END_TO_END), write_model(tmp_path / "apples.onnx", other)
    parameters: dict[str, Any] = {
        "faces.enabled": False,
        "objects.rate_hz": 60.0,
        "objects.model": ducks,
        "objects.variants": [ducks, apples],
    }
    with NodeRunner(PerceptionNode, parameters=parameters, budget_mb=500.0) as runner:
        assert runner.configure()
        assert runner.activate()
        found = runner.collect(DetectionArray, "perception/objects", qos.EVENT)
        images = runner.publisher(Image, "camera/image_raw", qos.CAMERA)

        def shoot() -> None:
            images.publish(from_rgb(GREY, Header(stamp=runner.probe.get_clock().now().to_msg())))

        camera = runner.probe.create_timer(0.05, shoot)
        found.wait(lambda message: [d.label for d in message.detections] == ["duck"], 30.0)
        answer = runner.call(UseModel, "perception/use_model", UseModel.Request(task="objects", model=apples), 30.0)
        assert answer.ok, answer.message
        found.wait(lambda message: [d.label for d in message.detections] == ["apple"], 30.0)
        labels = [message.detections[0].label for message in found.messages if message.detections]
        assert labels == sorted(labels, reverse=True), "first ducks, then apples, and nothing in between"
        assert [info.name for info in runner.process.models() if info.pid] == [f"objects:{apples}"]
        assert not any("objects" in fault for fault in runner.node.faults())
        runner.probe.destroy_timer(camera)
        assert runner.deactivate()
