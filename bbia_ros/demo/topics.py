"""What the demonstration listens to, and what of it goes into the bag."""

from __future__ import annotations

from bbia_ros.stage.topics import Topic

TOPICS = (
    Topic("manager/status", "bbia_ros/msg/StackStatus", "STATE"),
    Topic("joint_states", "sensor_msgs/msg/JointState", "SENSOR", kept=False),
    Topic("head_pose", "geometry_msgs/msg/PoseStamped", "SENSOR"),
    Topic("driver/simulation_state", "bbia_ros/msg/SimulationState", "SENSOR"),
    Topic("motion/target", "bbia_ros/msg/RobotTarget", "COMMAND", kept=False),
    Topic("motion/state", "bbia_ros/msg/MotionState", "STATE"),
    Topic("perception/objects", "bbia_ros/msg/DetectionArray", "EVENT"),
    Topic("perception/faces", "bbia_ros/msg/FaceArray", "EVENT"),
    Topic("audio/mic", "bbia_ros/msg/AudioChunk", "AUDIO", kept=False),
    Topic("audio/speaker", "bbia_ros/msg/AudioChunk", "AUDIO"),
    Topic("audio/playback", "bbia_ros/msg/AudioPlayback", "EVENT"),
    Topic("speech/activity", "bbia_ros/msg/SpeechActivity", "EVENT"),
    Topic("speech/heard", "bbia_ros/msg/Utterance", "EVENT"),
    Topic("dialogue/turns", "bbia_ros/msg/DialogueTurn", "EVENT"),
    Topic("emotion/user", "bbia_ros/msg/Emotion", "EVENT"),
    Topic("emotion/robot", "bbia_ros/msg/Emotion", "STATE"),
    Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", "EVENT", kept=False),
)
"""Everything but images; the camera is rendered again for the film."""
