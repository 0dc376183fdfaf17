from __future__ import annotations

from pathlib import Path

import pytest
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader

from bbia_ros.demo.bag import BagRecorder, typestore
from bbia_ros.demo.topics import TOPICS
from bbia_ros.msg import DialogueTurn


def test_what_is_written_reads_back_without_ros(tmp_path: Path) -> None:
    topics = {f"/bbia/{topic.name.lstrip('/')}": topic for topic in TOPICS}
    recorder = BagRecorder(tmp_path / "bag", topics)
    turn = DialogueTurn(id="7", role="robot", text="I see an apple.", final=True)
    recorder.put("/bbia/dialogue/turns", 5_000_000_000, serialize_message(turn))
    recorder.close()
    assert (recorder.written, recorder.dropped, recorder.error) == (1, 0, "")
    with Reader(tmp_path / "bag") as reader:
        assert {c.topic for c in reader.connections} == set(topics)
        [(connection, stamp, data)] = reader.messages()
        message = typestore().deserialize_cdr(data, connection.msgtype)
    assert stamp == 5_000_000_000
    assert message.text == "I see an apple."  # type: ignore[attr-defined]
    assert (tmp_path / "bag" / "metadata.yaml").exists()


def test_a_full_disk_ends_the_recording_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = next(topic for topic in TOPICS if topic.name == "dialogue/turns")
    recorder = BagRecorder(tmp_path / "bag", {"/turns": topic})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder._writer, "write", full)
    recorder.put("/turns", 1, serialize_message(DialogueTurn()))
    recorder.put("/turns", 2, serialize_message(DialogueTurn()))
    recorder.close()
    assert "No space left" in recorder.error
    assert recorder.written == 0
