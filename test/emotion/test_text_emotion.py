"""Text emotion: the head in plain numpy, and the real encoder with the shipped head."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bbia_ros.emotion import lexicon
from bbia_ros.emotion.minilm_onnx import ExportFailed, cached_path, ensure_onnx, is_intact
from bbia_ros.emotion.reading import RECOGNISED
from bbia_ros.emotion.text_head import STIMULI, HeadError, LinearClassifier, TextHead, fit
from bbia_ros.emotion.text_minilm import MiniLmTextEmotion, SentenceEncoder
from bbia_ros.residency import ModelSpec, Pool
from bbia_ros.residency.catalog import resolve
from bbia_ros.resources import shared_folder

HEAD = "text_emotion/head.npz"


def toy_head() -> TextHead:
    rng = np.random.default_rng(1)
    return TextHead(
        LinearClassifier(RECOGNISED, rng.normal(size=(6, 10)).astype(np.float32), np.zeros(10, np.float32)),
        LinearClassifier(STIMULI, rng.normal(size=(6, 10)).astype(np.float32), np.zeros(10, np.float32)),
    )


def test_fit_learns_what_can_be_learnt() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 16))
    targets = np.arange(90) % 3
    points = (centres[targets] + 0.3 * rng.normal(size=(90, 16))).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    model = fit(points[:60], targets[:60], ("a", "b", "c"), 0.001)
    assert (model.probabilities(points[60:]).argmax(axis=1) == targets[60:]).mean() > 0.9


def test_head_survives_its_file(tmp_path: Path) -> None:
    head, features = toy_head(), np.ones(6, np.float32)
    head.save(tmp_path / "head.npz")
    loaded = TextHead.load(tmp_path / "head.npz").read(features)
    assert loaded == head.read(features)
    assert sum(loaded.emotion.scores.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_damaged_head_is_refused(tmp_path: Path) -> None:
    toy_head().save(tmp_path / "head.npz")
    data = (tmp_path / "head.npz").read_bytes()
    for content in (b"", b"not an archive", data[: len(data) // 2]):
        (tmp_path / "head.npz").write_bytes(content)
        with pytest.raises(HeadError, match="holds no text emotion classifiers"):
            TextHead.load(tmp_path / "head.npz")
    np.savez(tmp_path / "head.npz", format=np.int64(99))
    with pytest.raises(HeadError, match="format 99"):
        TextHead.load(tmp_path / "head.npz")
    with pytest.raises(HeadError):
        TextHead.load(tmp_path / "none.npz")


def test_lexicon_counts_words_in_both_languages_and_minds_negation() -> None:
    def found(text: str) -> set[str]:
        return {label for label, count in zip(lexicon.STEMS, lexicon.features(text), strict=True) if count}

    assert "sad" in found("J'ai le cœur brisé, je pleure")
    assert "happy" in found("I am so HAPPY today!")
    assert "sad" not in found("I am not sad")
    assert found("The train leaves at noon") == set()
    assert lexicon.features("").shape == (lexicon.WIDTH,)


def test_shipped_head_fits_the_features() -> None:
    head = TextHead.load(shared_folder("models") / HEAD)
    assert head.emotion.labels == RECOGNISED
    assert head.stimulus.labels == STIMULI
    assert head.emotion.weights.shape == (384 + lexicon.WIDTH, 10)


# With the real encoder -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("minilm-l6-v2", "text_emotion")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return SentenceEncoder(str(folder))


def reference(folder: Path, tokens: list[int]) -> NDArray[np.float64]:
    """The same network in plain numpy, from the weights as they are."""
    from math import erf

    from safetensors.numpy import load_file

    weights = {name: value.astype(np.float64) for name, value in load_file(str(folder / "model.safetensors")).items()}
    config = json.loads((folder / "config.json").read_text())
    heads = config["num_attention_heads"]

    def norm(x: NDArray[Any], name: str) -> NDArray[Any]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config["layer_norm_eps"])
        result: NDArray[Any] = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return result

    def dense(x: NDArray[Any], name: str) -> NDArray[Any]:
        result: NDArray[Any] = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return result

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{name}.attention.self.{part}").reshape(len(tokens), heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ v
        joined = mixed.transpose(1, 0, 2).reshape(len(tokens), -1)
        x = norm(dense(joined, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        inner = dense(x, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1.0 + np.vectorize(erf)(inner / np.sqrt(2.0)))
        x = norm(dense(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    mean = x.mean(axis=0)
    result: NDArray[np.float64] = mean / np.linalg.norm(mean)
    return result


@pytest.mark.heavy
def test_int8_embeddings_are_those_of_the_plain_network(folder: Path, encoder: SentenceEncoder) -> None:
    for text in ("I am so sad, my old dog died.", "Quelle belle journée !", "word " * 300):
        tokens = encoder._tokenizer.encode(text).ids
        assert len(tokens) <= 128
        close = float(encoder.embed(text) @ reference(folder, tokens))
        assert close > 0.98, text


@pytest.mark.heavy
def test_a_damaged_cache_is_built_again(folder: Path, tmp_path: Path) -> None:
    path = ensure_onnx(folder, tmp_path)
    assert path == cached_path(folder, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert not is_intact(path)
    assert is_intact(ensure_onnx(folder, tmp_path))
    with pytest.raises(ExportFailed, match="No model"):
        ensure_onnx(tmp_path, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ExportFailed, match="could not be exported"):
        ensure_onnx(tmp_path, tmp_path)


def held_out() -> Iterator[tuple[str, str, str]]:
    import csv

    with (shared_folder("models") / "text_emotion" / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["split"] == "test":
                yield row["text"], row["emotion"], row["language"]


@pytest.mark.heavy
def test_reads_held_out_sentences_as_well_as_the_model_card_says(folder: Path, encoder: SentenceEncoder) -> None:
    head = TextHead.load(shared_folder("models") / HEAD)
    right: dict[str, list[bool]] = {"en": [], "fr": []}
    for text, emotion, language in held_out():
        right[language].append(head.read(encoder.describe(text)).emotion.label == emotion)
    assert len(right["en"]) + len(right["fr"]) > 80
    assert np.mean(right["en"] + right["fr"]) >= 0.75
    assert np.mean(right["fr"]) >= 0.65


@pytest.mark.heavy
def test_reads_feelings_in_a_worker(folder: Path) -> None:
    arguments = {"model": str(folder), "head": str(shared_folder("models") / HEAD), "threads": 1, "device": "cpu"}
    spec = ModelSpec("text:test", "text_emotion", "bbia_ros.emotion.text_minilm:MiniLmTextEmotion", arguments)
    pool = Pool(budget_mb=500.0)
    try:
        lease = pool.acquire(spec)
        for text, label, stimulus in (
            ("I am so sad, my old dog died.", "sad", ""),
            ("I'm so sad. My old dog died", "sad", ""),
            ("You are wonderful, thank you!", "happy", "compliment"),
            ("Your wonderful. Thank you.", "happy", ""),
            ("Je suis tellement triste, mon chien est mort.", "sad", ""),
            ("Hello robot, what do you see on the table?", "neutral", "question"),
            ("Please look at the apple.", "neutral", ""),
            ("You are a stupid robot", "angry", "insult"),
        ):
            reading = lease.call("read", text, timeout_s=30.0)
            assert reading["label"] == label, (text, reading)
            assert stimulus in ("", reading["stimulus"])
            assert sum(reading["scores"].values()) == pytest.approx(1.0, abs=1e-4)
    finally:
        pool.close()


@pytest.mark.heavy
def test_an_empty_text_is_refused(folder: Path) -> None:
    engine = MiniLmTextEmotion(str(folder), str(shared_folder("models") / HEAD))
    with pytest.raises(ValueError, match="empty"):
        engine.read("  ")
    with pytest.raises(ValueError, match="CPU"):
        MiniLmTextEmotion(str(folder), "", device="cuda")
