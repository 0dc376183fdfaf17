"""Writes what was heard on the graph into an MCAP bag that `ros2 bag` and rosbags read."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bbia_ros.resources import shared_folder
from bbia_ros.stage.topics import Topic

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

QUEUE = 2000
"""Messages that may wait for the disk; beyond that they are dropped and counted."""


def typestore() -> Typestore:
    """ROS 2 Jazzy's types and ours, for reading and writing bags without ROS."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(shared_folder("msg").glob("*.msg")):
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), f"bbia_ros/msg/{path.stem}"))
    return store


class BagRecorder:
    """Writes serialised messages in a thread of its own.

    Owns: the bag folder, the writing thread and a queue of 2000 messages.

    Attributes:
        written: messages in the bag.
        dropped: messages that the disk was too slow for.
        error: why writing stopped early (a full disk, for instance); empty if it did not.
    """

    def __init__(self, folder: Path, topics: dict[str, Topic]) -> None:
        """Opens the bag.

        Args:
            folder: must not exist yet.
            topics: absolute topic name -> what it is.
        """
        from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
        from rosbags.rosbag2 import StoragePlugin, Writer

        self.written, self.dropped, self.error = 0, 0, ""
        self._queue: queue.Queue[tuple[str, int, bytes] | None] = queue.Queue(maxsize=QUEUE)
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        store, never = typestore(), QosTime(0, 0)
        self._connections = {}
        for name, topic in topics.items():
            latched = topic.profile == "STATE"
            durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
            offered = Qos(QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability, never, never,
                          QosLiveliness.AUTOMATIC, never, False)  # fmt: skip
            self._connections[name] = self._writer.add_connection(
                name, topic.kind, typestore=store, offered_qos_profiles=[offered]
            )
        self._thread = threading.Thread(target=self._run, name="bag", daemon=True)
        self._thread.start()

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Takes a serialised message without waiting."""
        try:
            self._queue.put_nowait((topic, stamp_ns, data))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what waits and closes the bag."""
        self._queue.put(None)
        self._thread.join()
        self._writer.close()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self.error:
                continue
            topic, stamp_ns, data = item
            try:
                self._writer.write(self._connections[topic], stamp_ns, data)
                self.written += 1
            except OSError as error:
                self.error = f"the bag is incomplete: {error}"
