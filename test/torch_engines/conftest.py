"""Models made on the spot: random weights, a word-level tokenizer, folders as transformers writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bbia_ros.residency import Lease, Measurements, ModelSpec, Pool

TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
WORDS = ("user", "system", "assistant", "hello", "moon", "bright", "apple", "sad", "happy", "robot", "the", "is", "a")


def _tokenizer(folder: Path, chat_template: str) -> int:
    """Writes a tokenizer of whole words; returns the size of its vocabulary."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[END]", *WORDS])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]", eos_token="[END]")
    if chat_template:
        fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return len(vocabulary)


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers that has learned nothing."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("chat")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=_tokenizer(folder, TEMPLATE), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    """A BERT of one layer with the given labels."""

    def make(labels: list[str], problem: str = "single_label_classification") -> Path:
        import torch
        from transformers import BertConfig, BertForSequenceClassification

        folder = tmp_path_factory.mktemp("classifier")
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=_tokenizer(folder, ""), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=64, id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)}, problem_type=problem, pad_token_id=0,
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(budget_mb=6000.0, measurements=Measurements("")) as pool:
        yield pool


@pytest.fixture
def worker(pool: Pool) -> Iterator[Callable[..., Lease]]:
    """Acquires engines that share one torch worker."""
    leases: list[Lease] = []

    def acquire(name: str, engine: str, **arguments: object) -> Lease:
        spec = ModelSpec(
            name,
            name,
            engine,
            {"threads": 1, **arguments},
            worker="torch",
            declared_mb=700.0,
            ttl_s=0.0,
            nice=0,
            load_timeout_s=360.0,
        )
        leases.append(pool.acquire(spec))
        return leases[-1]

    yield acquire
    for lease in leases:
        lease.release()
