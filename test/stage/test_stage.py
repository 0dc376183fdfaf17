"""The observer on a real graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from bbia_ros.msg import MotionState
from bbia_ros.ros import qos
from bbia_ros.stage.node import Stage
from bbia_ros.stage.topics import Topic

TOPIC = Topic("motion/state", "bbia_ros/msg/MotionState", "EVENT")


@pytest.fixture
def publisher() -> Iterator[Any]:
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("motion", namespace="/stage_test", context=context)
    yield node.create_publisher(MotionState, "motion/state", qos.EVENT)
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.heavy
def test_messages_are_kept_up_to_a_bound_waited_for_and_told_of(publisher: Any) -> None:
    heard: list[str] = []
    stage = Stage("stage_test", [TOPIC], keep=3, on_message=lambda topic, message: heard.append(message.move))
    try:
        again = threading.Event()
        while not publisher.get_subscription_count():
            again.wait(0.02)  # discovery has no event to wait for
        start = stage.now_ns()
        for number in range(8):
            publisher.publish(MotionState(move=str(number)))
        last = stage.wait("motion/state", lambda message: message.move == "7", 10.0, start)
        assert last is not None
        assert [item.message.move for item in stage.history["motion/state"]] == ["5", "6", "7"]
        assert stage.last("motion/state").move == "7"
        assert heard == [str(number) for number in range(8)]
        assert stage.wait("motion/state", lambda message: True, 0.0, stage.now_ns()) is None
        assert stage.wait("motion/state", lambda message: message.move == "0", 0.0) is None  # no longer kept
    finally:
        stage.close()
