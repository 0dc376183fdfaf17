from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tools.train_detector import training
from tools.train_detector.training import LEARNING_RATE, WallClockSchedule, learning_rate_share

SOURCE = Path(__file__).resolve().parents[2]


class FakeTrainer(SimpleNamespace):
    def __init__(self) -> None:
        criterion = SimpleNamespace(o2m=0.0, o2o=0.0)
        super().__init__(
            model=SimpleNamespace(criterion=criterion),
            optimizer=SimpleNamespace(param_groups=[{"lr": 0.0}]),
            batch_size=8,
            stop=False,
            saved=0,
            closed=0,
        )

    def save_model(self) -> None:
        self.saved += 1

    def _close_dataloader_mosaic(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_the_learning_rate_warms_up_and_falls() -> None:
    shares = [learning_rate_share(progress) for progress in np.linspace(0, 1, 101)]
    assert shares[0] == 0.0
    assert max(shares) == pytest.approx(1.0, abs=0.01)
    assert shares.index(max(shares)) == 3
    assert sorted(shares[3:], reverse=True) == shares[3:]
    assert learning_rate_share(1.2) == pytest.approx(0.02)


def test_wall_time_steers_rate_heads_mosaic_checkpoints_and_the_end(tmp_path: Path, clock: SimpleNamespace) -> None:
    trainer = FakeTrainer()
    schedule = WallClockSchedule(tmp_path, minutes=60.0)
    heads, steps = [], 0
    while not trainer.stop:
        schedule.before_batch(trainer)
        heads.append(trainer.model.criterion.o2m)
        schedule.after_batch(trainer)
        assert trainer.closed == (1 if clock.seconds - 1000.0 > 0.8 * 3600.0 else 0)
        clock.seconds += 30.0
        steps += 1
    assert steps == 121
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.02 * LEARNING_RATE)
    assert (heads[0], heads[-1]) == (pytest.approx(0.8), pytest.approx(0.1))
    assert trainer.model.criterion.o2o == pytest.approx(0.9)
    assert trainer.saved == pytest.approx(3600.0 / 240.0, abs=2)


def test_a_resumed_training_has_only_the_time_that_is_left(tmp_path: Path, clock: SimpleNamespace) -> None:
    first = WallClockSchedule(tmp_path, minutes=10.0)
    clock.seconds += 360.0
    first.before_batch(FakeTrainer())
    first.after_batch(FakeTrainer())
    used = json.loads((tmp_path / "clock.json").read_text())
    assert used == {"used_s": 360.0, "pictures": 8}

    resumed, trainer = WallClockSchedule(tmp_path, minutes=10.0, **used), FakeTrainer()
    clock.seconds += 239.0
    resumed.before_batch(trainer)
    resumed.after_batch(trainer)
    assert not trainer.stop
    clock.seconds += 1.0
    resumed.before_batch(trainer)
    resumed.after_batch(trainer)
    assert trainer.stop


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--folder", "nowhere"], "run the render step first"),
        (["export", "--run", "nowhere"], "run the train step first"),
        (["evaluate", "--model", "nowhere.onnx"], "no file nowhere.onnx"),
    ],
)
def test_a_step_without_its_input_says_so_in_one_line(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "tools.train_detector", *arguments]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
