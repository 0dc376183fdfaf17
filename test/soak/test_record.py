from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bbia_ros.soak.record import Record, RecordFailed, read


def test_what_is_written_is_on_the_disk_at_once(tmp_path: Path) -> None:
    ticks = iter([100.0, 101.5, 103.0])
    record = Record(tmp_path / "soak.jsonl", clock=lambda: next(ticks))
    assert record.write("action", what="mode idle") == 1.5
    assert list(read(record.path)) == [{"kind": "action", "t": 1.5, "what": "mode idle"}]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    path.write_text('{"kind": "sample", "t": 1}\n{"kind": "sam')
    assert list(read(path)) == [{"kind": "sample", "t": 1}]


def test_a_full_disk_is_one_clear_sentence_and_stays_one() -> None:
    record = Record(Path("/dev/full"))
    for _ in range(2):
        with pytest.raises(RecordFailed, match=f"/dev/full cannot be written: {os.strerror(errno.ENOSPC)}; free some"):
            record.write("sample")
    assert record.failed is not None
    record.close()


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(RecordFailed, match="cannot be written"):
        Record(tmp_path / "absent" / "soak.jsonl")
