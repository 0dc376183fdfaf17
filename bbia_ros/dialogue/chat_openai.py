"""Chat on another machine: any server that speaks OpenAI's chat completions, streamed over HTTP.

Runs in a worker process like every engine, so that a slow network blocks nobody; it holds 20 MB and no weights.
llama-server, vLLM, Ollama, LocalAI and the hosted services answer this protocol.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

from bbia_ros.dialogue.chat_engine import ChatEngine

LONGEST_ERROR = 300


class ServerUnreachable(ConnectionError):
    """Nobody answers at the server's address, or the connection broke off."""


class ServerRefused(RuntimeError):
    """The server answered with an error."""


class OpenAIChat(ChatEngine):
    """Streams chats from an OpenAI-compatible server.

    Args:
        model: The model's name as the server knows it.
        base_url: Up to and without "/chat/completions", for instance "http://192.168.1.20:8080/v1".
        api_key_env: Name of the environment variable that holds the key; empty or unset: no key is sent.
        timeout_s: Longest silence of the server [s].
        **_: What concerns engines on this machine only (threads, device, context).
    """

    def __init__(
        self,
        model: str,
        base_url: str = "http://127.0.0.1:8080/v1",
        api_key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 20.0,
        **_: object,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url must start with http:// or https://, not {base_url!r}.")
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._key = os.environ.get(api_key_env, "") if api_key_env else ""
        self._timeout_s = timeout_s
        self.last_stats: dict[str, float] = {}

    def chat(
        self,
        messages: list[dict[str, str]],
        max_tokens: int = 128,
        temperature: float = 0.7,
        top_p: float = 0.9,
        repeat_penalty: float = 1.0,
        seed: int = -1,
        stop: tuple[str, ...] = (),
    ) -> Iterator[str]:
        """See `ChatEngine.chat`; repeat_penalty is not part of the protocol and is not sent.

        Raises:
            ServerUnreachable: No connection, or it broke off.
            ServerRefused: The server reported an error, for instance an unknown model or a missing key.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "stream": True,
        }
        if seed >= 0:
            body["seed"] = seed
        if stop:
            body["stop"] = list(stop)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        counts = {"tokens": 0.0}
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:
                for piece in self._pieces(response):
                    counts["tokens"] += 1
                    counts.setdefault("first_token_s", time.monotonic() - started)
                    yield piece
        except urllib.error.HTTPError as error:
            raise ServerRefused(f"{self._url} answered {error.code}: {_reason(error)}") from error
        except (OSError, HTTPException) as error:
            raise ServerUnreachable(f"No answer from {self._url}: {error}. Is the server up?") from error
        finally:
            counts["duration_s"] = time.monotonic() - started
            self.last_stats = counts

    def stats(self) -> dict[str, float]:
        """See `ChatEngine.stats`; pieces of the server's stream count as tokens."""
        return dict(self.last_stats)

    def _pieces(self, response: Any) -> Iterator[str]:
        """Texts of a stream of server-sent events, which ends with `data: [DONE]`."""
        for raw in response:
            line = raw.decode("utf-8", errors="replace").strip()
            if not line.startswith("data:"):
                continue  # comments keep the connection alive; event names carry nothing here
            data = line[len("data:") :].strip()
            if data == "[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError as error:
                raise ServerRefused(f"{self._url} sent a line that is not JSON: {data[:LONGEST_ERROR]}") from error
            if "error" in event:
                raise ServerRefused(f"{self._url} broke off: {str(event['error'])[:LONGEST_ERROR]}")
            for choice in event.get("choices", ()):
                text = (choice.get("delta") or {}).get("content")
                if text:
                    yield text


def _reason(error: urllib.error.HTTPError) -> str:
    """The server's own words, shortened, or the standard phrase."""
    body = error.read(4096).decode("utf-8", errors="replace")
    try:
        detail = json.loads(body)["error"]
        body = detail["message"] if isinstance(detail, dict) else str(detail)
    except (ValueError, KeyError, TypeError):
        pass  # not every server wraps its errors in JSON
    return body.strip()[:LONGEST_ERROR] or error.reason
