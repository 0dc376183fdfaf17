from pathlib import Path

import pytest

from bbia_ros.manager.memo import Memo
from bbia_ros.manager.situation import Kind, Step

STEPS = [
    Step(Kind.SMALLER, "dialogue", "chat", "large", "small", size=5, need=9, reason="MemAvailable 112 MB < 150 MB"),
    Step(Kind.GIVE_UP, "eyes", along=("gaze",), size=7),
]


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "given_up"
    assert Memo(path).read() == []
    assert Memo(path).write(STEPS) == ""
    assert Memo(path).read() == STEPS
    assert Memo(path).write([]) == ""
    assert Memo(path).read() == []


@pytest.mark.parametrize("text", ["", "{}", "[3]", '[{"kind": "UNLOAD"}]', "[{}]", "null", '[{"kind": "GIVE_UP"}]'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "given_up").write_text(text)
    assert Memo(tmp_path / "given_up").read() == []


def test_without_a_path_nothing_is_kept_and_a_bad_one_is_told() -> None:
    assert Memo(None).write(STEPS) == ""
    assert Memo(None).read() == []
    assert "cannot be written" in Memo(Path("/proc/nowhere/given_up")).write(STEPS)
