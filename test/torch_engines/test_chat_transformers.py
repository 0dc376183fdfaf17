"""The chat engine: on a model of random weights in this process, and on SmolLM2 in a worker."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bbia_ros.dialogue.chat_llama import ChatFailed, ModelFileError
from bbia_ros.dialogue.chat_transformers import TransformersChat
from bbia_ros.residency import Lease, Pool
from bbia_ros.residency.catalog import resolve
from bbia_ros.residency.errors import CallCancelled

HELLO = [{"role": "user", "content": "hello robot"}]
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def chat(chat_folder: Path) -> TransformersChat:
    return TransformersChat(str(chat_folder), threads=1, context=256, dtype="float32")


def test_the_same_seed_gives_the_same_answer_and_another_one_another(chat: TransformersChat) -> None:
    answers = ["".join(chat.chat(HELLO, max_tokens=20, temperature=2.0, seed=seed)) for seed in (3, 3, 4)]
    assert answers[0] == answers[1] != answers[2]
    assert answers[0].strip()
    assert 0 < chat.stats()["tokens"] <= 20
    assert chat.stats()["first_token_s"] <= chat.stats()["duration_s"]


def test_what_was_read_before_changes_nothing(chat: TransformersChat) -> None:
    longer = [*HELLO, {"role": "assistant", "content": "the moon is bright"}, {"role": "user", "content": "sad apple"}]
    settings = {"max_tokens": 12, "temperature": 0.0}
    fresh = ["".join(chat.chat(m, **settings, seed=0)) for m in (HELLO, longer)]  # type: ignore[arg-type]
    assert ["".join(chat.chat(m, **settings)) for m in (HELLO, longer, HELLO)] == [*fresh, fresh[0]]  # type: ignore[arg-type]


def test_a_beginning_in_common_is_read_once_and_the_rest_forgotten(chat: TransformersChat) -> None:
    torch = pytest.importorskip("torch")
    first, second = [3, 4, 5, 6, 7, 8, 9], [3, 4, 5, 12, 13]
    chat._read(first, anew=True)
    torch.testing.assert_close(chat._read(second), chat._read(second, anew=True), rtol=1e-4, atol=1e-5)


def test_a_prompt_longer_than_one_chunk_is_read_like_in_one_piece(chat: TransformersChat) -> None:
    torch = pytest.importorskip("torch")
    tokens = [3 + index % 10 for index in range(100)]
    whole = chat._model(torch.tensor([tokens])).logits[0, -1].detach()
    torch.testing.assert_close(chat._read(tokens, anew=True), whole, rtol=1e-4, atol=1e-4)


def test_an_answer_ends_at_its_limit_at_the_end_token_and_at_a_stop_text(chat: TransformersChat) -> None:
    long = "".join(chat.chat(HELLO, max_tokens=10, temperature=1.5, seed=11))
    assert chat.stats()["tokens"] <= 10
    second = long.split()[1]
    stopped = "".join(chat.chat(HELLO, max_tokens=10, temperature=1.5, seed=11, stop=(second,)))
    assert stopped == long[: long.index(second)]
    first = chat._tokenizer(long)["input_ids"][0]
    chat._ends.add(first)
    try:
        assert list(chat.chat(HELLO, max_tokens=10, temperature=1.5, seed=11)) == []
    finally:
        chat._ends.discard(first)


def test_a_cancel_from_another_thread_ends_the_answer(chat: TransformersChat) -> None:
    pieces = chat.chat(HELLO, max_tokens=200, temperature=2.0)
    next(pieces)
    thread = threading.Thread(target=chat.cancel)
    thread.start()
    thread.join()
    assert len(list(pieces)) <= 1
    assert list(chat.chat(HELLO, max_tokens=3, temperature=2.0, seed=1))


def test_what_does_not_fit_is_told_in_one_sentence(chat: TransformersChat) -> None:
    with pytest.raises(ChatFailed, match=r"exceeds the available context size of 256\.$"):
        list(chat.chat([{"role": "user", "content": "moon " * 300}]))
    assert list(chat.chat(HELLO, max_tokens=3, temperature=2.0, seed=1))


def test_a_repeated_word_becomes_less_likely() -> None:
    torch = pytest.importorskip("torch")
    from bbia_ros.dialogue.chat_transformers import choose

    chance = torch.Generator().manual_seed(0)
    logits = torch.tensor([1.0, 1.1, -1.0])
    assert choose(torch, logits.clone(), [], 0.0, 1.0, 1.5, chance) == 1
    assert choose(torch, logits.clone(), [1], 0.0, 1.0, 1.5, chance) == 0
    narrow = {choose(torch, torch.tensor([0.0, 3.0, 0.1]), [], 1.0, 0.5, 1.0, chance) for _ in range(50)}
    assert narrow == {1}
    wide = {choose(torch, torch.tensor([0.0, 0.5, 0.1]), [], 2.0, 1.0, 1.0, chance) for _ in range(100)}
    assert wide == {0, 1, 2}


def test_int8_weights_answer_like_the_ones_they_came_from(chat_folder: Path) -> None:
    torch = pytest.importorskip("torch")
    exact = TransformersChat(str(chat_folder), threads=1, dtype="bfloat16")
    small = TransformersChat(str(chat_folder), threads=1, dtype="int8")
    for tokens in ([5], [3, 4, 5], list(range(3, 15)) * 3):  # one token, few, and more than the kernel for few takes
        ours, theirs = small._read(tokens, anew=True), exact._read(tokens, anew=True)
        assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.99
    held = {name: buffer.dtype for name, buffer in small._model.named_buffers() if name.endswith("steps")}
    assert set(held.values()) == {torch.int8}
    assert len(held) == 2 * 7 + 1  # the one for both the words and the output counts once
    assert sum(p.numel() for p in small._model.parameters()) < 1000  # norms alone are left
    assert small._model.get_input_embeddings().steps is small._model.lm_head.steps


def test_a_template_of_ones_own_is_used(chat_folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
                        "{% endif %}moon {{ m.content }}{% endfor %}")  # fmt: skip
    chat = TransformersChat(str(chat_folder), threads=1, chat_template=str(template))
    assert chat._decode(chat._prompt(HELLO)) == "moon hello robot"
    with pytest.raises(ChatFailed, match="refuses the messages: no system"):
        list(chat.chat([{"role": "system", "content": "a"}]))
    with pytest.raises(ModelFileError, match=r"none\.jinja cannot be read"):
        TransformersChat(str(chat_folder), chat_template=str(tmp_path / "none.jinja"))


def damaged(folder: Path, base: Path, damage: Callable[[Path], None]) -> str:
    shutil.copytree(base, folder)
    damage(folder)
    return str(folder)


def _halve(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def _forget_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _change_config(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "names no model_type"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"holds no weights \(\*\.safetensors\)"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be loaded as a chat model"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "has no chat template: name a Jinja file"),
        (_halve, "cannot be loaded as a chat model: .*"),
        (_forget_weights, r"lacks 1 of the weights of a chat model, model\.layers\.1\.mlp\.up_proj\.weight"),
        (_change_config(hidden_size=32, head_dim=8), "model"),
        (_change_config(model_type="unheard-of"), "cannot be loaded as a chat model"),
    ],
)
def test_damaged_folders_are_refused_in_one_sentence(
    chat_folder: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    with pytest.raises(ModelFileError, match=says) as caught:
        TransformersChat(damaged(tmp_path / "model", chat_folder, damage), threads=1)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    for content, says in ((b"", "neither a GGUF model nor a folder"), (b"GGUF", "not a GGUF model or was cut short")):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(ModelFileError, match=says):
            TransformersChat(str(tmp_path / "model"))
    with pytest.raises(ModelFileError, match="there is no folder"):
        TransformersChat(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="dtype must be one of"):
        TransformersChat(str(tmp_path), dtype="float8")


@pytest.mark.timeout(300)
def test_the_models_of_a_shared_worker_give_everything_back(pool: Pool, worker: Callable[..., Lease]) -> None:
    """SmolLM2 from its GGUF file and the detector in one process: both answer, also after a cancel, nothing is left."""
    import numpy as np

    model = str(resolve("smollm2-135m", "chat"))
    engine = "bbia_ros.dialogue.chat_transformers:TransformersChat"
    chat = worker("chat", engine, model=model, dtype="int8", context=512)
    weights = str(resolve("bbia-tabletop-yolo26n-pt", "objects"))
    eyes = worker("objects", "bbia_ros.perception.detect_ultralytics:UltralyticsDetector", model=weights)
    moon = [{"role": "user", "content": "Tell me something about the moon."}]
    answer = "".join(chat.stream("chat", moon, timeout_s=120, max_tokens=16, temperature=0.0))
    assert "moon" in answer.lower()
    assert eyes.call("detect", np.zeros((240, 320, 3), np.uint8), timeout_s=60) == []
    stream = chat.stream("chat", moon, timeout_s=60, max_tokens=400)
    next(stream)
    stream.cancel()
    with pytest.raises(CallCancelled):
        list(stream)
    assert list(chat.stream("chat", moon, timeout_s=120, max_tokens=3, temperature=0.0))
    assert eyes.call("detect", np.zeros((240, 320, 3), np.uint8), timeout_s=60) == []
    records = [record for record in pool.release([chat, eyes]) if record is not None]
    assert len(records) == 2
    assert sum(record.returned_bytes for record in records) > 300_000_000
    assert all(record.returned_bytes == record.held_bytes for record in records)
