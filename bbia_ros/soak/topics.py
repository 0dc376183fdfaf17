"""What the soak listens to. Few messages, and few of them kept: it may run for days."""

from __future__ import annotations

from bbia_ros.composition import NODES
from bbia_ros.stage.topics import Topic

KEPT = 300
"""Messages of each topic that stay in memory."""
STATUS, MOTION = "manager/status", "motion/state"
RESIDENCIES = tuple(f"{node}/residency" for node in NODES)
TOPICS = (
    Topic(STATUS, "bbia_ros/msg/StackStatus", "STATE"),
    Topic(MOTION, "bbia_ros/msg/MotionState", "STATE"),
    Topic("perception/objects", "bbia_ros/msg/DetectionArray", "EVENT"),
    Topic("perception/faces", "bbia_ros/msg/FaceArray", "EVENT"),
    Topic("audio/playback", "bbia_ros/msg/AudioPlayback", "EVENT"),
    Topic("dialogue/turns", "bbia_ros/msg/DialogueTurn", "EVENT"),
    *(Topic(name, "bbia_ros/msg/Residency", "STATE") for name in RESIDENCIES),
)
