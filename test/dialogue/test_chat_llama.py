"""The real language model in a real worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bbia_ros.dialogue.chat_llama import LlamaChat, ModelFileError
from bbia_ros.residency import Lease, ModelSpec, Pool
from bbia_ros.residency.catalog import resolve
from bbia_ros.residency.errors import CallCancelled, EngineError, WorkerDied

MOON = [{"role": "user", "content": "Tell me something about the moon."}]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(budget_mb=1000.0)
    yield pool
    pool.close()


@pytest.fixture
def chat(pool: Pool) -> Iterator[Lease]:
    model = str(resolve("smollm2-135m", "chat"))
    spec = ModelSpec(
        name="chat:test",
        task="chat",
        engine="bbia_ros.dialogue.chat_llama:LlamaChat",
        arguments={"model": model, "context": 512},
        ttl_s=0.0,
    )
    lease = pool.acquire(spec)
    yield lease
    lease.release()


@pytest.mark.heavy
def test_streams_an_answer_that_a_seed_repeats(chat: Lease) -> None:
    first = list(chat.stream("chat", MOON, max_tokens=24, seed=5))
    assert len(first) > 5
    assert "moon" in "".join(first).lower()
    assert list(chat.stream("chat", MOON, max_tokens=24, seed=5)) == first
    assert chat.call("stats")["tokens"] == len(first)


@pytest.mark.heavy
def test_a_cancelled_answer_leaves_the_model_ready(chat: Lease) -> None:
    stream = chat.stream("chat", MOON, max_tokens=400)
    next(stream)
    stream.cancel()
    with pytest.raises(CallCancelled):
        list(stream)
    assert list(chat.stream("chat", MOON, max_tokens=4))


@pytest.mark.heavy
def test_what_does_not_fit_is_told_in_one_sentence(chat: Lease) -> None:
    with pytest.raises(EngineError, match="exceeds the available context size") as caught:
        list(chat.stream("chat", [{"role": "user", "content": "word " * 2000}], max_tokens=4))
    assert caught.value.kind == "ChatFailed"
    assert "\n" not in str(caught.value)
    assert list(chat.stream("chat", MOON, max_tokens=4))


@pytest.mark.heavy
def test_a_killed_worker_is_told_and_comes_back(pool: Pool, chat: Lease) -> None:
    stream = chat.stream("chat", MOON, max_tokens=400)
    next(stream)
    pid = next(model.pid for model in pool.snapshot() if model.name == "chat:test")
    assert pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        list(stream)
    assert list(chat.stream("chat", MOON, max_tokens=4))


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "model.gguf"
    for content in (b"", b"GGUF", b"PK\x03\x04" + b"x" * 2_000_000):
        wrong.write_bytes(content)
        with pytest.raises(ModelFileError, match="not a GGUF model or was cut short"):
            LlamaChat(str(wrong))
    with pytest.raises(ModelFileError, match="No language model at"):
        LlamaChat(str(tmp_path / "none.gguf"))
