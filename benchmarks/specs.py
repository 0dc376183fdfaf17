"""The models of the stack as its nodes describe them to the pool with default parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bbia_ros.residency import ModelSpec

TASKS = ("objects", "faces", "vad", "stt", "tts", "chat", "text_emotion")
"""What the stack has models for, the simulator's apart."""


def node_factories() -> dict[str, Callable[[Any], Any]]:
    """Name -> factory of the nodes that hold models, the driver apart."""
    from bbia_ros.dialogue.node import DialogueNode
    from bbia_ros.emotion.node import EmotionNode
    from bbia_ros.perception.node import PerceptionNode
    from bbia_ros.speech.node import SpeechNode

    return {"perception": PerceptionNode, "speech": SpeechNode, "dialogue": DialogueNode, "emotion": EmotionNode}


def default_specs() -> dict[str, ModelSpec]:
    """Task -> spec: objects, faces, vad, stt, tts, chat, text_emotion. Loads nothing.

    Raises:
        RuntimeError: a node cannot be configured; the message says why.
    """
    from bbia_ros.ros.testing import FakePool, NodeRunner

    found: dict[str, ModelSpec] = {}
    for name, factory in node_factories().items():
        pool = FakePool(dict.fromkeys(TASKS, object()))
        with NodeRunner(factory, pool=pool) as runner:
            if not (runner.configure() and runner.activate()):
                raise RuntimeError(f"{name} does not start: {'; '.join(runner.node.faults())}")
            for lease in pool.leases.values():
                found.setdefault(lease.spec.task, lease.spec)
            runner.deactivate()
    return found
