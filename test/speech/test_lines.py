from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbia_ros.residency.catalog import ModelNotFound
from bbia_ros.speech.lines import read_wav, synthesize_lines


class Speaker:
    """Stands for a pool with a voice in it."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @contextmanager
    def acquire(self, spec: Any) -> Iterator[Speaker]:
        yield self

    def call(self, method: str, text: str, timeout_s: float) -> tuple[int, np.ndarray]:
        self.texts.append(text)
        if text == "fail":
            raise RuntimeError("no voice")
        return 13_440, np.arange(len(text), dtype=np.int16)


def test_lines_are_made_once_and_kept(tmp_path: Path) -> None:
    speaker: Any = Speaker()
    first = synthesize_lines(["one", "three", "one"], tmp_path, speaker)
    again = synthesize_lines(["three"], tmp_path, speaker)
    assert speaker.texts == ["one", "three"]
    assert first[0] == first[2]
    assert again == [first[1]]
    assert read_wav(first[1]).tolist() == [0, 1, 2, 3, 4]


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        synthesize_lines(["fail"], tmp_path, Speaker())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_voice_and_a_wrong_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model 'choir'"):
        synthesize_lines(["hello"], tmp_path, voice="choir")
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(b"")
    with pytest.raises(ValueError, match=r"x\.wav is not mono, 16 bit, 16000 Hz"):
        read_wav(tmp_path / "x.wav")
