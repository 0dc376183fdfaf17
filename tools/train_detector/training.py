"""Trains the detector from random weights within a fixed wall time, on a CPU if need be.

Learning rate, the loss's balance of its two heads and the end of mosaic augmentation follow the share of the wall time
that has passed, not an epoch count: on a shared machine nobody knows beforehand how many epochs fit.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

LEARNING_RATE = 1.5e-3
WARMUP_SHARE = 0.03
FINAL_RATE_SHARE = 0.02
CLOSE_MOSAIC_SHARE = 0.8
CHECKPOINT_PERIOD_S = 240.0
ONE_TO_MANY_WEIGHTS = (0.8, 0.1)
"""Weight of the one-to-many head's loss at the start and at the end (the values of ultralytics' E2ELoss)."""


def learning_rate_share(progress: float) -> float:
    """Share of the full learning rate at a progress in 0..1: linear warm-up, then a cosine."""
    if progress < WARMUP_SHARE:
        return progress / WARMUP_SHARE
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return FINAL_RATE_SHARE + (1.0 - FINAL_RATE_SHARE) * cosine


class WallClockSchedule:
    """Steers an ultralytics trainer by the wall time used so far. Owns `clock.json` beside the weights."""

    def __init__(self, run: Path, minutes: float, used_s: float = 0.0, pictures: int = 0) -> None:
        self._file = run / "clock.json"
        self._budget_s = 60.0 * minutes
        self._used_s = used_s
        self._last = time.monotonic()
        self._last_checkpoint = self._last
        self._mosaic_closed = False
        self._pictures = pictures

    def start(self, trainer: Any) -> None:
        """Called once, after the trainer is set up; set-up time is not training time."""
        import torch

        trainer.model.to(memory_format=torch.channels_last)
        self._last = self._last_checkpoint = time.monotonic()

    def before_batch(self, trainer: Any) -> None:
        """Sets learning rate, loss weights and augmentation for the batch to come."""
        now = time.monotonic()
        self._used_s += now - self._last
        self._last = now
        progress = self._used_s / self._budget_s
        for group in trainer.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * learning_rate_share(progress)
        criterion = getattr(trainer.model, "criterion", None)
        if criterion is not None:
            first, last = ONE_TO_MANY_WEIGHTS
            criterion.o2m = first + (last - first) * min(progress, 1.0)
            criterion.o2o = 1.0 - criterion.o2m
        if progress > CLOSE_MOSAIC_SHARE and not self._mosaic_closed:
            self._mosaic_closed = True
            trainer._close_dataloader_mosaic()

    def after_batch(self, trainer: Any) -> None:
        """Saves now and then, and ends the training when the time is used up."""
        self._pictures += trainer.batch_size
        if self._used_s >= self._budget_s:
            trainer.stop = True
        elif time.monotonic() - self._last_checkpoint > CHECKPOINT_PERIOD_S:
            self._last_checkpoint = time.monotonic()
            trainer.fitness = 0.0
            trainer.save_model()
            self.save(trainer)
            minutes = self._used_s / 60.0
            print(f"\n{minutes:.1f} of {self._budget_s / 60.0:.0f} min, {self._pictures} pictures", flush=True)

    def save(self, trainer: Any) -> None:
        """Writes the time used, for a later --resume."""
        used = {"used_s": round(self._used_s, 1), "pictures": self._pictures}
        self._file.write_text(json.dumps(used) + "\n")


def train(data: Path, run: Path, *, minutes: float, batch: int, threads: int, resume: bool) -> None:
    """Trains for `minutes` of wall time and leaves `weights/last.pt` in the run's folder.

    Args:
        data: `data.yaml` that the render step wrote.
        run: folder for weights and logs.
        minutes: wall time of the whole training, resumed parts included.
        batch: pictures a step.
        threads: threads of torch.
        resume: go on from the run's last checkpoint, with the time that is left.
    """
    if not data.is_file():
        raise FileNotFoundError(f"{data} does not exist: run the render step first")
    run = run.resolve()
    checkpoint = run / "weights" / "last.pt"
    if resume and not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint} does not exist: nothing to resume, leave --resume out")
    used = json.loads((run / "clock.json").read_text()) if resume else {}
    if used and used["used_s"] >= 60.0 * minutes:
        raise ValueError(f"the training in {run} is complete: leave --resume out to start anew")
    run.mkdir(parents=True, exist_ok=True)
    _keep_offline_and_quiet(run, threads)
    import torch
    from ultralytics import YOLO, settings

    torch.set_num_threads(threads)
    settings.update({"sync": False})
    schedule = WallClockSchedule(run, minutes, **used)
    model = YOLO(str(checkpoint) if resume else "yolo26n.yaml", task="detect")
    model.add_callback("on_train_start", schedule.start)
    model.add_callback("on_train_batch_start", schedule.before_batch)
    model.add_callback("on_train_batch_end", schedule.after_batch)
    model.add_callback("on_model_save", schedule.save)
    model.train(
        data=str(data.resolve()),
        project=str(run.parent),
        name=run.name,
        exist_ok=True,
        resume=resume,
        imgsz=320,
        batch=batch,
        nbs=batch,
        epochs=1000,
        patience=1000,
        close_mosaic=0,
        warmup_epochs=0,
        optimizer="AdamW",
        lr0=LEARNING_RATE,
        momentum=0.9,
        weight_decay=5e-4,
        cache="ram",
        workers=0,
        device="cpu",
        amp=False,
        plots=False,
        val=False,
        deterministic=False,
        seed=0,
        pretrained=False,
        hsv_h=0.01,
        hsv_s=0.4,
        hsv_v=0.3,
        translate=0.1,
        scale=0.4,
        fliplr=0.5,
        mosaic=1.0,
        verbose=False,
    )


def _keep_offline_and_quiet(run: Path, threads: int) -> None:
    """Environment that must be set before torch and ultralytics are imported."""
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_CONFIG_DIR"] = str(run)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Threads that spin while they wait slow training down tenfold when other programs want the cores.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["GOMP_SPINCOUNT"] = "0"
    os.nice(10)
