"""Chat on this machine with transformers on torch: a model in Hugging Face's folder layout, or a GGUF file.

Runs in a worker process; torch and transformers are imported by the constructor. The loop that generates is our own:
tokens come out one by one, a cancel is looked at between tokens and between pieces of the prompt, and the part of the
prompt that is the same as the last time is not read again.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bbia_ros.dialogue.chat_llama import GGUF_MAGIC, ChatFailed, ModelFileError, check_gguf
from bbia_ros.dialogue.gguf_folder import ensure_folder
from bbia_ros.dialogue.int8_weights import quantise
from bbia_ros.dialogue.token_text import TokenText
from bbia_ros.residency.pretrained import PretrainedError, check_folder, load_pretrained
from bbia_ros.residency.torch_device import first_line, give_back, open_torch

DTYPES = ("bfloat16", "float32", "int8")
WHAT = "a chat model"
CHUNK = 32
"""Tokens of the prompt that are read at once: the pool allows 0.3 s to obey a cancel."""
PENALISED = 64
"""The repeat penalty looks at so many last tokens, as llama.cpp's does."""


class TransformersChat:
    """A resident causal language model that answers chats, one at a time.

    Owns: the weights, the keys and values of the last prompt and answer (at most `context` tokens).

    Args:
        model: Folder with config.json, *.safetensors and tokenizer; or a GGUF file, which is converted into one at the
            first load (half a minute, cached).
        threads: Threads of torch on the CPU.
        context: Tokens of prompt and answer together.
        device: "cpu", "cuda", or "auto" (cuda where torch sees a GPU).
        dtype: bfloat16, float32, or int8: weights as int8, half the memory of bfloat16 (int8_weights.py).
        chat_template: Path of a Jinja file; empty: the tokenizer's own.

    Raises:
        ModelFileError: The model or the template is missing, damaged or of another kind.
        TorchUnusable: torch or transformers is missing or broken, or there is no such device.
    """

    def __init__(
        self,
        model: str,
        threads: int = 2,
        context: int = 1024,
        device: str = "cpu",
        dtype: str = "bfloat16",
        chat_template: str = "",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not '{dtype}'")
        template = _read_template(chat_template)
        path = Path(model)
        if path.is_file():
            if not _is_gguf(path):
                raise ModelFileError(f"{path} is neither a GGUF model nor a folder in Hugging Face's layout.")
            check_gguf(path)
        self._torch, self._device = open_torch(device, threads)
        try:
            folder = check_folder(ensure_folder(path) if path.is_file() else path, WHAT)
            stored = self._torch.float32 if dtype == "float32" else self._torch.bfloat16
            network, self._tokenizer = load_pretrained(folder, "AutoModelForCausalLM", stored, WHAT)
        except PretrainedError as error:
            raise ModelFileError(str(error)) from error
        if template:
            self._tokenizer.chat_template = template
        if not self._tokenizer.chat_template:
            raise ModelFileError(f"{folder} has no chat template: name a Jinja file in transformers.chat_template.")
        if dtype == "int8":
            quantise(network)
        self._model: Any = network.to(self._device)
        self._context = context
        self._ends = _end_tokens(network, self._tokenizer)
        self._cache: Any = None
        self._cached: list[int] = []
        self._stop = threading.Event()
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
        """Yields the answer piece by piece as it is generated; closing the generator stops the generation.

        Arguments are those of `ChatEngine.chat`. With a seed >= 0 the same messages give the same answer, and nothing
        of the last prompt is used again.

        Raises:
            ChatFailed: The prompt does not fit into the context, or the template refuses the messages.
        """
        if self._model is None:
            raise ChatFailed("The chat model is closed.")
        self._stop.clear()
        counts = {"tokens": 0.0}
        started = time.monotonic()
        tokens = self._prompt(messages)
        limit = min(max_tokens, self._context - len(tokens))
        if limit < 1:
            raise ChatFailed(
                f"The prompt has {len(tokens)} tokens, which exceeds the available context size of {self._context}."
            )
        chance = self._torch.Generator(self._device).manual_seed(seed if seed >= 0 else secrets.randbelow(2**31))
        text = TokenText(self._decode, stop)
        try:
            logits = self._read(tokens, anew=seed >= 0)
            while logits is not None and counts["tokens"] < limit:
                token = self._choose(logits, tokens, temperature, top_p, repeat_penalty, chance)
                if token in self._ends:
                    break
                counts["tokens"] += 1
                counts.setdefault("first_token_s", time.monotonic() - started)
                tokens.append(token)
                if piece := text.add(token):
                    yield piece
                if text.stopped:
                    break
                logits = self._read(tokens)
            if rest := text.rest():
                yield rest
        finally:
            counts["duration_s"] = time.monotonic() - started
            self.last_stats = counts

    def cancel(self) -> None:
        """Ends the answer after the present token or piece of the prompt; called from another thread."""
        self._stop.set()

    def stats(self) -> dict[str, float]:
        """Figures of the last answer: tokens, first_token_s and duration_s, both counted from the request."""
        return dict(self.last_stats)

    def close(self) -> None:
        """Frees the weights and what is cached."""
        self._model = self._cache = None
        self._cached = []
        give_back(self._device)

    def _prompt(self, messages: list[dict[str, str]]) -> list[int]:
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # Jinja's own types, and whatever the template raises
            raise ChatFailed(f"The chat template refuses the messages: {first_line(error)}") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _read(self, tokens: list[int], anew: bool = False) -> Any:
        """Reads what is new and gives the logits of the next token; None: cancelled."""
        known = 0 if anew else _common(tokens, self._cached)
        known = min(known, len(tokens) - 1)  # the last token's logits are not kept
        with self._torch.inference_mode():
            if known == 0 or self._cache is None:
                from transformers import DynamicCache

                self._cache, known = DynamicCache(config=self._model.config), 0
            elif known < len(self._cached):
                self._cache.crop(known - len(self._cached))  # negative: how much to take away
            self._cached = tokens[:known]
            logits = None
            for start in range(known, len(tokens), CHUNK):
                if self._stop.is_set():
                    return None
                chunk = tokens[start : start + CHUNK]
                answer = self._model(
                    input_ids=self._torch.tensor([chunk], device=self._device),
                    past_key_values=self._cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                self._cached += chunk
                logits = answer.logits[0, -1].float()
        return logits

    def _choose(
        self, logits: Any, tokens: list[int], temperature: float, top_p: float, repeat_penalty: float, chance: Any
    ) -> int:
        with self._torch.inference_mode():
            return choose(self._torch, logits, tokens[-PENALISED:], temperature, top_p, repeat_penalty, chance)


def choose(
    torch: Any, logits: Any, recent: Sequence[int], temperature: float, top_p: float, repeat_penalty: float, chance: Any
) -> int:
    """The next token.

    Args:
        torch: the module.
        logits: [vocabulary] float32, changed in place.
        recent: tokens that the repeat penalty makes less likely.
        temperature: 0 picks the likeliest.
        top_p: the likeliest tokens that together have this share are chosen from.
        repeat_penalty: 1: none.
        chance: torch.Generator on the logits' device.
    """
    if repeat_penalty != 1.0 and recent:
        index = torch.tensor(sorted(set(recent)), device=logits.device)
        values = logits[index]
        logits[index] = torch.where(values > 0, values / repeat_penalty, values * repeat_penalty)
    if temperature <= 0.0:
        return int(logits.argmax())
    shares, order = torch.softmax(logits / temperature, dim=0).sort(descending=True)
    shares[(shares.cumsum(dim=0) - shares) >= top_p] = 0.0  # the likeliest token always stays
    return int(order[torch.multinomial(shares, 1, generator=chance)])


def _common(first: list[int], second: list[int]) -> int:
    """Length of the common beginning."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    found = set(ends if isinstance(ends, (list, tuple)) else [ends]) | {tokenizer.eos_token_id}
    return {token for token in found if token is not None}


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == GGUF_MAGIC


def _read_template(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"The chat template {path} cannot be read: {first_line(error)}") from error
