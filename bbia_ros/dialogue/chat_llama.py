"""Chat on this machine: a GGUF language model in llama.cpp, through xllamacpp.

Runs in a worker process. SmolLM2-135M-Instruct Q4_1 with a context of 1024 tokens: 174 MB (106 MB of them the mapped
file), 0.2 s to load from a warm page cache. On two idle cores two threads give 130-160 tokens/s; on two cores that
others use as well, where llama.cpp's threads wait for each other at every step, two threads gave 4-11 tokens/s and one
thread 75-128. So the default is one.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bbia_ros.dialogue.chat_engine import ChatEngine

GGUF_MAGIC = b"GGUF"
SMALLEST_MODEL_BYTES = 1_000_000
STOP_JOIN_S = 0.25
"""A closed generator waits this long for llama.cpp to leave the request; the pool allows 0.3 s to obey a cancel."""


class ModelFileError(ValueError):
    """The file is not a GGUF model that llama.cpp can load."""


class ChatFailed(RuntimeError):
    """The language model refused or broke off a request."""


def check_gguf(path: str | Path) -> Path:
    """Returns the path when it leads to something that starts like a GGUF file.

    Raises:
        ModelFileError: The file is missing, empty or of another kind.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFileError(f"No language model at {file}: give the path of a GGUF file.")
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic != GGUF_MAGIC or file.stat().st_size < SMALLEST_MODEL_BYTES:
        raise ModelFileError(f"{file} is not a GGUF model or was cut short: fetch it again.")
    return file


class LlamaChat(ChatEngine):
    """A resident GGUF model that answers chats, one at a time.

    Owns: the weights, the KV cache of one slot, llama.cpp's threads. llama.cpp's request server also listens on a
    loopback port that cannot be switched off; it is closed to others by a random key.

    Args:
        model: Path of the GGUF file. Its own chat template is used.
        threads: Threads for prompt and generation.
        context: Tokens of prompt and answer together.
        device: "cpu", or "cuda"/"auto" to put every layer on the GPU of a CUDA build.
        use_mmap: Map the file instead of reading it; None: unless it is Q4_0, by its name. Q4_1, Q8_0 and k-quants are
            used as they are stored; Q4_0 is repacked on load and would count twice.
    """

    def __init__(
        self, model: str, threads: int = 1, context: int = 1024, device: str = "cpu", use_mmap: bool | None = None
    ) -> None:
        path = check_gguf(model)
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_batch = min(context, 256)
        params.n_ubatch = min(context, 128)
        params.n_parallel = 1
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = threads
            cpu.poll = 0  # waiting threads sleep: spinning ones would take a core from the motion loop
        params.n_gpu_layers = 0 if device == "cpu" else 999
        mode = xllamacpp.llama_load_mode
        if use_mmap is None:
            use_mmap = "q4_0" not in path.name.lower()
        params.load_mode = mode.LLAMA_LOAD_MODE_MMAP if use_mmap else mode.LLAMA_LOAD_MODE_NONE
        params.cache_ram_mib = 0  # its default keeps up to 8 GB of old prompts
        params.n_ctx_checkpoints = 0
        params.fit_params = False
        params.ui = False
        params.endpoint_slots = False
        params.n_threads_http = 1
        params.api_keys = [secrets.token_hex(16)]
        params.verbosity = 0
        try:
            self._server: Any = xllamacpp.Server(params)
        except Exception as error:
            raise ModelFileError(f"llama.cpp cannot load {path}: {_first_line(error)}") from error
        self._thread: threading.Thread | None = None
        self.last_stats: dict[str, float] = {}

    def chat(
        self,
        messages: list[dict[str, str]],
        max_tokens: int = 128,
        temperature: float = 0.7,
        top_p: float = 0.9,
        repeat_penalty: float = 1.1,
        seed: int = -1,
        stop: tuple[str, ...] = (),
    ) -> Iterator[str]:
        """See `ChatEngine.chat`. With a seed the cached prompt is not reused: it changes batches and so the rounding.

        Raises:
            ChatFailed: The request was refused, for instance because the prompt does not fit into the context.
        """
        self._wait_for_previous()
        request = {
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "repeat_penalty": repeat_penalty,
            "seed": seed if seed >= 0 else secrets.randbelow(2**31),
            "cache_prompt": seed < 0,
            "stop": list(stop),
            "stream": True,
        }
        pieces: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        closed = threading.Event()
        counts = {"tokens": 0.0}
        started = time.monotonic()

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if "error" in chunk or "code" in chunk:
                pieces.put(ChatFailed(_error_message(chunk)))
                return True
            for choice in chunk.get("choices", ()):
                text = choice.get("delta", {}).get("content")
                if text:
                    counts["tokens"] += 1
                    counts.setdefault("first_token_s", time.monotonic() - started)
                    pieces.put(text)
            return closed.is_set()

        def generate() -> None:
            try:
                self._server.handle_chat_completions(request, on_chunk)
            except Exception as error:
                pieces.put(ChatFailed(_first_line(error)))
            pieces.put(None)

        self._thread = threading.Thread(target=generate, name="llama-chat", daemon=True)
        self._thread.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            closed.set()
            self._thread.join(STOP_JOIN_S)
            counts["duration_s"] = time.monotonic() - started
            self.last_stats = counts

    def stats(self) -> dict[str, float]:
        """See `ChatEngine.stats`."""
        return dict(self.last_stats)

    def close(self) -> None:
        """Frees the model; the worker's end does the rest."""
        self._wait_for_previous()
        self._server = None

    def _wait_for_previous(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            # Only a prompt that was being read when its request was cancelled can still be here.
            self._thread.join()


def _error_message(chunk: dict[str, Any]) -> str:
    error = chunk.get("error", chunk)
    message = error.get("message", error) if isinstance(error, dict) else error
    return f"The language model refused the request: {message}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
