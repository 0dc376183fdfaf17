from __future__ import annotations

import os
from pathlib import Path

import pytest

from bbia_ros.dialogue import gguf_folder
from bbia_ros.dialogue.chat_llama import ModelFileError
from bbia_ros.dialogue.gguf_folder import DONE, cached_folder, ensure_folder


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    return path


def test_a_folder_that_is_whole_is_used_again_and_a_changed_file_gets_another(gguf: Path, tmp_path: Path) -> None:
    folder = cached_folder(gguf, tmp_path / "cache")
    folder.mkdir(parents=True)
    (folder / DONE).touch()
    assert ensure_folder(gguf, tmp_path / "cache") == folder
    os.utime(gguf, ns=(1, 1))
    assert cached_folder(gguf, tmp_path / "cache") != folder


@pytest.mark.heavy
def test_a_file_that_cannot_be_read_is_told_and_leaves_nothing(gguf: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ModelFileError, match=r"model\.gguf cannot be converted for transformers: \S") as caught:
        ensure_folder(gguf, cache)
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


@pytest.mark.heavy
def test_a_conversion_that_takes_too_long_is_ended(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_folder, "BUILD_TIMEOUT_S", 0.1)
    with pytest.raises(ModelFileError, match="could not be converted in 0 s"):
        ensure_folder(gguf, tmp_path / "cache")
    assert not cached_folder(gguf, tmp_path / "cache").exists()
