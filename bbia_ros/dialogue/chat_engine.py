"""What the dialogue node asks of an engine that chats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ChatEngine(Protocol):
    """A language model that answers chats, one at a time."""

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

        Args:
            messages: {"role": "system" | "user" | "assistant", "content": text}, oldest first.
            max_tokens: Longest answer [tokens].
            temperature: 0 picks the likeliest token each time.
            top_p: Nucleus sampling threshold.
            repeat_penalty: > 1 discourages repeating the last 64 tokens.
            seed: -1 for a new one per answer; with one >= 0 the same messages give the same answer.
            stop: Texts at which the answer ends.
        """

    def stats(self) -> dict[str, float]:
        """Figures of the last answer: tokens, first_token_s and duration_s, both counted from the request."""
