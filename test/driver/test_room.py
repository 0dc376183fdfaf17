"""What the simulated microphone hears."""

import numpy as np
import pytest

from bbia_ros.driver.audio import TICK, AudioError, level_dbfs
from bbia_ros.driver.sim.room import LINES_MAX, NOISE_DBFS, Room


def test_an_empty_room_is_quiet_but_not_dead():
    heard = np.concatenate([Room().read() for _ in range(50)])
    assert level_dbfs(heard) == pytest.approx(NOISE_DBFS, abs=2.0)


def test_lines_play_one_after_the_other_and_the_rest_is_noise(tmp_path, tone, write_wav):
    room = Room()
    path = write_wav(tmp_path / "a.wav", tone(22_050, 0.2), 22_050)
    assert room.play(str(path)) == pytest.approx(0.2, abs=0.001)
    room.play(str(path), gain=0.1)
    levels = [level_dbfs(room.read()) for _ in range(25)]
    assert np.allclose(levels[1:9], -9.0, atol=1.0)
    assert np.allclose(levels[11:19], -29.0, atol=1.0)
    assert max(levels[21:]) < -60.0


def test_at_most_ten_lines_wait(tmp_path, tone, write_wav):
    room = Room()
    path = str(write_wav(tmp_path / "a.wav", tone(16_000, 0.02), 16_000))
    for _ in range(LINES_MAX):
        room.play(path)
    with pytest.raises(AudioError, match="wait in the room already"):
        room.play(path)
    assert len(room.read()) == TICK
    room.play(path)
    room.clear()
    assert level_dbfs(room.read()) < -60.0


def test_a_missing_file_is_refused():
    with pytest.raises(AudioError, match="there is no file"):
        Room().play("/nowhere/line.wav")
