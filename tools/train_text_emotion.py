"""Fits the text emotion classifiers to models/text_emotion/sentences.csv and reports their held-out accuracy.

    python tools/train_text_emotion.py [--model minilm-l6-v2] [--output models/text_emotion]

The test split (every fourth sentence of a class, marked in the file) is never fitted, not even for the shipped file,
so that the accuracy in the model card is that of what ships.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bbia_ros.emotion.reading import RECOGNISED
from bbia_ros.emotion.text_head import STIMULI, LinearClassifier, TextHead, fit
from bbia_ros.emotion.text_minilm import SentenceEncoder
from bbia_ros.residency.catalog import resolve

PENALTY = 0.001
"""L2 per sample, chosen by 5-fold cross-validation on the training split (--search)."""


@dataclass(frozen=True)
class Sentence:
    """One row of sentences.csv."""

    emotion: str
    stimulus: str
    language: str
    split: str
    text: str


def read_sentences(path: Path) -> list[Sentence]:
    """Reads the hand-written sentences; raises ValueError on an unknown label."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [Sentence(**row) for row in csv.DictReader(stream)]
    for number, row in enumerate(rows, start=2):
        if row.emotion not in RECOGNISED or row.stimulus not in STIMULI or row.split not in ("train", "test"):
            raise ValueError(f"{path}:{number}: unknown emotion, stimulus or split: {row}")
    return rows


def accuracy(classifier: LinearClassifier, embeddings: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Share of sentences whose likeliest label is the written one."""
    return float((classifier.probabilities(embeddings).argmax(axis=1) == targets).mean())


def cross_validate(x: NDArray[np.float32], y: NDArray[np.int64], labels: tuple[str, ...], penalty: float) -> float:
    """Mean accuracy over 5 folds."""
    fold = np.arange(len(y)) % 5
    scores = [accuracy(fit(x[fold != k], y[fold != k], labels, penalty), x[fold == k], y[fold == k]) for k in range(5)]
    return float(np.mean(scores))


def main() -> int:
    """Trains, reports, writes head.npz."""
    parser = argparse.ArgumentParser(description="Fits the text emotion classifiers.")
    parser.add_argument("--model", default="minilm-l6-v2", help="sentence encoder: catalogue name or folder")
    parser.add_argument("--output", type=Path, default=Path("models/text_emotion"), help="holds sentences.csv")
    parser.add_argument("--search", action="store_true", help="only compare penalties by cross-validation")
    arguments = parser.parse_args()

    sentences = read_sentences(arguments.output / "sentences.csv")
    encoder = SentenceEncoder(str(resolve(arguments.model, "text_emotion")))
    x = np.stack([encoder.describe(sentence.text) for sentence in sentences])
    emotions = np.array([RECOGNISED.index(sentence.emotion) for sentence in sentences])
    stimuli = np.array([STIMULI.index(sentence.stimulus) for sentence in sentences])
    train = np.array([sentence.split == "train" for sentence in sentences])
    english = np.array([sentence.language == "en" for sentence in sentences])

    if arguments.search:
        for penalty in (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03):
            found = cross_validate(x[train], emotions[train], RECOGNISED, penalty)
            print(f"penalty {penalty}: {found:.3f}")
        return 0

    head = TextHead(
        fit(x[train], emotions[train], RECOGNISED, PENALTY), fit(x[train], stimuli[train], STIMULI, PENALTY)
    )
    test = ~train
    subsets = {"train": train, "test": test, "test en": test & english, "test fr": test & ~english}
    for name, subset in subsets.items():
        right = accuracy(head.emotion, x[subset], emotions[subset])
        reaction = accuracy(head.stimulus, x[subset], stimuli[subset])
        print(f"{name:8s} {int(subset.sum()):4d} sentences  emotion {right:.3f}  stimulus {reaction:.3f}")
    for label in RECOGNISED:
        subset = test & (emotions == RECOGNISED.index(label))
        print(f"  {label:10s} {accuracy(head.emotion, x[subset], emotions[subset]):.2f} of {int(subset.sum())}")
    head.save(arguments.output / "head.npz")
    print(f"wrote {arguments.output / 'head.npz'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
