"""The small classifiers on top of sentence embeddings: which emotion, and which stimulus to the robot.

Plain numpy: a multinomial logistic regression each, fitted by `tools/train_text_emotion.py` and shipped in
models/text_emotion/head.npz.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.emotion.reading import EmotionReading, reading_of

FORMAT = 1
STIMULI: tuple[str, ...] = (
    "unknown",
    "compliment",
    "insult",
    "surprise",
    "danger",
    "question",
    "greeting",
    "goodbye",
    "achievement",
    "failure",
)
"""What an utterance can do to the robot; "unknown": nothing in particular."""


class HeadError(ValueError):
    """The file of the classifiers is missing, damaged or of another format."""


@dataclass(frozen=True)
class TextReading:
    """What one text says: the speaker's feeling and the stimulus it is to the robot.

    Attributes:
        emotion: The feeling with its scores over the recognised labels.
        stimulus: One of STIMULI.
        stimulus_confidence: [0, 1].
    """

    emotion: EmotionReading
    stimulus: str
    stimulus_confidence: float


@dataclass(frozen=True)
class LinearClassifier:
    """softmax(x W + b) over labels.

    Attributes:
        labels: One per column of the weights.
        weights: [features, labels]; features: the embedding and the counts of the lexicon.
        bias: [labels].
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares of the labels, [..., labels], for embeddings [..., width]."""
        logits = embeddings @ self.weights + self.bias
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        result: NDArray[np.float32] = shares / shares.sum(axis=-1, keepdims=True)
        return result


@dataclass(frozen=True)
class TextHead:
    """Both classifiers, and the reading that they make of an embedding."""

    emotion: LinearClassifier
    stimulus: LinearClassifier

    def read(self, embedding: NDArray[np.float32]) -> TextReading:
        """Reads what `SentenceEncoder.describe` makes of a text, [width]."""
        shares = self.emotion.probabilities(embedding)
        reading = reading_of({label: float(share) for label, share in zip(self.emotion.labels, shares, strict=True)})
        stimuli = self.stimulus.probabilities(embedding)
        best = int(stimuli.argmax())
        return TextReading(reading, self.stimulus.labels[best], min(1.0, float(stimuli[best])))

    def save(self, path: Path) -> None:
        """Writes both classifiers as one npz file."""
        arrays: dict[str, Any] = {
            f"{name}_{part}": np.asarray(getattr(classifier, part))
            for name, classifier in (("emotion", self.emotion), ("stimulus", self.stimulus))
            for part in ("labels", "weights", "bias")
        }
        np.savez_compressed(path, format=np.int64(FORMAT), **arrays)

    @staticmethod
    def load(path: Path) -> TextHead:
        """Reads what `save` wrote.

        Raises:
            HeadError: With the file's path and what is wrong with it.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                if int(data["format"]) != FORMAT:
                    raise HeadError(f"{path} has format {int(data['format'])}, expected {FORMAT}: train it again.")
                emotion, stimulus = (
                    LinearClassifier(
                        tuple(str(label) for label in data[f"{name}_labels"]),
                        data[f"{name}_weights"].astype(np.float32),
                        data[f"{name}_bias"].astype(np.float32),
                    )
                    for name in ("emotion", "stimulus")
                )
        except HeadError:
            raise
        except Exception as error:  # numpy raises half a dozen types on a damaged archive
            raise HeadError(f"{path} holds no text emotion classifiers: {error}") from error
        for classifier in (emotion, stimulus):
            if classifier.weights.shape[1:] != classifier.bias.shape or len(classifier.labels) != classifier.bias.size:
                raise HeadError(f"{path}: the shapes of its weights, biases and labels disagree.")
        return TextHead(emotion, stimulus)


def fit(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    labels: tuple[str, ...],
    penalty: float,
    steps: int = 400,
) -> LinearClassifier:
    """Fits a multinomial logistic regression with balanced classes by Nesterov's gradient method.

    Args:
        embeddings: [n, width], of length 2 at most.
        targets: [n] index into labels.
        labels: Names of the classes.
        penalty: L2 on the weights, per sample.
        steps: Gradient steps; the loss is convex, 400 are plenty for a few hundred sentences.
    """
    n, width = embeddings.shape
    x = embeddings.astype(np.float64)
    onehot = np.eye(len(labels))[targets]
    present = np.maximum(onehot.sum(axis=0), 1.0)
    sample = (n / (len(labels) * present))[targets][:, None] / n
    weights, bias = np.zeros((width, len(labels))), np.zeros(len(labels))
    ahead_weights, ahead_bias = weights, bias
    # 1 / Lipschitz bound of the gradient: the squared length of a row is at most 4, the bias adds 1.
    rate = 1.0 / (0.5 * float(sample.max()) * n * 5.0 + penalty)
    for step in range(steps):
        logits = x @ ahead_weights + ahead_bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        error = (shares - onehot) * sample
        new_weights = ahead_weights - rate * (x.T @ error + penalty * ahead_weights)
        new_bias = ahead_bias - rate * error.sum(axis=0)
        momentum = step / (step + 3.0)
        ahead_weights = new_weights + momentum * (new_weights - weights)
        ahead_bias = new_bias + momentum * (new_bias - bias)
        weights, bias = new_weights, new_bias
    return LinearClassifier(labels, weights.astype(np.float32), bias.astype(np.float32))
