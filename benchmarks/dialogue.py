"""Chat and text emotion through our workers, against the bare libraries in processes of their own.

Ours and bare take turns in the same run, so that whatever else the machine does disturbs both alike.

Run with `bbia bench speech`, or alone: `python -m benchmarks.dialogue [--quick]`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from bbia_ros.dialogue.parameters import PERSONA
from bbia_ros.residency import Lease, ModelSpec, Pool
from bbia_ros.residency.accounting import pss_bytes
from bbia_ros.residency.catalog import resolve
from bbia_ros.resources import shared_folder
from benchmarks.harness import Figure, figure, main

MESSAGES = [
    {"role": "system", "content": PERSONA},
    {"role": "user", "content": "Tell me something about the moon."},
]
TOKENS = 60
NICE = 19
"""Our workers run niced; so does the bare library here."""

BARE_CHAT = """
import os, sys, time
import xllamacpp
path, threads, nice = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
messages, tokens = eval(sys.stdin.readline())
os.nice(nice)
params = xllamacpp.CommonParams()
params.model.path = path
params.n_ctx = 1024
params.n_parallel = 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.verbosity = 0
server = xllamacpp.Server(params)
for line in sys.stdin:
    times = []
    def on_chunk(chunk):
        if any(choice.get("delta", {}).get("content") for choice in chunk.get("choices", ())):
            times.append(time.monotonic())
    request = {"messages": messages, "max_tokens": tokens, "temperature": 0.0, "seed": 1}
    server.handle_chat_completions({**request, "stream": True, "cache_prompt": False}, on_chunk)
    print((len(times) - 1) / (times[-1] - times[0]), flush=True)
"""

BARE_EMOTION = """
import sys, time
from bbia_ros.emotion.text_minilm import MiniLmTextEmotion
engine = MiniLmTextEmotion(sys.argv[1], sys.argv[2])
engine.read("warm up")
for line in sys.stdin:
    started = time.monotonic()
    engine.read(line.strip())
    print(time.monotonic() - started, flush=True)
"""


class Bare:
    """A program that answers each line with a number."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, line: str) -> None:
        """Sends a line that has no answer."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def ask(self, line: str) -> float:
        """Sends a line and returns the number that comes back."""
        assert self._process.stdout is not None
        self.tell(line)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the program."""
        self._process.communicate(timeout=20)


def ours(lease: Lease) -> tuple[float, float]:
    """Tokens per second after the first, and seconds to the first, through the worker."""
    started = time.monotonic()
    times = []
    for _ in lease.stream("chat", MESSAGES, max_tokens=TOKENS, temperature=0.0, repeat_penalty=1.0, seed=1):
        times.append(time.monotonic())
    return (len(times) - 1) / (times[-1] - times[0]), times[0] - started


def chat_figures(pool: Pool, threads: int, rounds: int) -> list[Figure]:
    """Speed of the language model with so many threads."""
    model = str(resolve("smollm2-135m", "chat"))
    spec = ModelSpec(
        f"chat:{threads}",
        "chat",
        "bbia_ros.dialogue.chat_llama:LlamaChat",
        {"model": model, "threads": threads},
        nice=NICE,
    )
    lease = pool.acquire(spec)
    bare = Bare(BARE_CHAT, model, str(threads), str(NICE))
    try:
        bare.tell(repr((MESSAGES, TOKENS)))
        _, cold = ours(lease)
        bare.ask("warm up")
        mine, theirs, first = [], [], []
        for _ in range(rounds):
            rate, wait = ours(lease)
            mine.append(rate)
            first.append(wait)
            theirs.append(bare.ask("go"))
        pid = next(info.pid for info in pool.snapshot() if info.name == spec.name)
        held = pss_bytes(pid) / 1e6 if pid else None
    finally:
        bare.close()
        lease.release()
    word = "thread" if threads == 1 else "threads"
    note = f"median of {rounds}, {TOKENS} tokens, {threads} {word}"
    found = [
        figure(f"dialogue.tokens_per_s_{threads}", f"chat, {threads} {word}, against bare xllamacpp",
               statistics.median(mine), "tokens/s", baseline=statistics.median(theirs), note=note),
    ]  # fmt: skip
    if threads == 1:
        found += [
            figure("dialogue.first_token_cold_s", "chat: from nothing in memory to the first token", cold, "s"),
            figure("dialogue.first_token_s", "chat: first token, model in memory", statistics.median(first), "s"),
            figure("dialogue.chat_pss_mb", "chat: memory of the worker", held, "MB"),
        ]
    return found


def emotion_figures(pool: Pool, rounds: int) -> list[Figure]:
    """Speed of text emotion."""
    folder = str(resolve("minilm-l6-v2", "text_emotion"))
    head = str(shared_folder("models") / "text_emotion" / "head.npz")
    text = "I am so sad, my old dog died."
    spec = ModelSpec(
        "text:bench",
        "text_emotion",
        "bbia_ros.emotion.text_minilm:MiniLmTextEmotion",
        {"model": folder, "head": head},
    )
    lease = pool.acquire(spec)
    bare = Bare(BARE_EMOTION, folder, head)
    try:
        started = time.monotonic()
        lease.call("read", text, timeout_s=60.0)
        cold = time.monotonic() - started
        bare.ask(text)
        mine, theirs = [], []
        for _ in range(rounds):
            started = time.monotonic()
            lease.call("read", text)
            mine.append(time.monotonic() - started)
            theirs.append(bare.ask(text))
        pid = next(info.pid for info in pool.snapshot() if info.name == spec.name)
        held = pss_bytes(pid) / 1e6 if pid else None
    finally:
        bare.close()
        lease.release()
    return [
        figure("dialogue.text_emotion_ms", "text emotion of a sentence, against the bare engine",
               statistics.median(mine) * 1e3, "ms", baseline=statistics.median(theirs) * 1e3,
               note=f"median of {rounds}"),
        figure("dialogue.text_emotion_cold_s", "text emotion: from nothing in memory to the first reading", cold, "s"),
        figure("dialogue.text_emotion_pss_mb", "text emotion: memory of the worker", held, "MB"),
    ]  # fmt: skip


def figures(quick: bool) -> list[Figure]:
    """All figures of the mind."""
    pool = Pool(budget_mb=1500.0)
    found: list[Any] = []
    try:
        for threads in (1, min(2, os.cpu_count() or 1)):
            found += chat_figures(pool, threads, 3 if quick else 10)
        found += emotion_figures(pool, 20 if quick else 100)
    finally:
        pool.close()
    return found


if __name__ == "__main__":
    sys.exit(main(figures, "dialogue"))
