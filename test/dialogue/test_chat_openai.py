"""The OpenAI-compatible engine against a small server in the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bbia_ros.dialogue.chat_openai import OpenAIChat, ServerRefused, ServerUnreachable

MESSAGES = [{"role": "user", "content": "Hi"}]


class Server(HTTPServer):
    lines: list[str]
    status: int
    requests: list[tuple[dict[str, str], dict[str, Any]]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()
        for line in self.server.lines:
            self.wfile.write(line.encode() + b"\n\n")

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.lines, server.status, server.requests = [], 200, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


def event(text: str | None) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": text} if text else {"role": "assistant"}}]})


def test_streams_pieces_until_done(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server.lines = [
        ": keep-alive",
        event(None),
        event("Hel"),
        event("lo."),
        'data: {"choices": []}',
        "data: [DONE]",
        "x",
    ]
    chat = OpenAIChat("tiny", url(server), "MY_KEY", threads=2, device="cpu")
    assert list(chat.chat(MESSAGES, max_tokens=7, seed=3)) == ["Hel", "lo."]
    headers, body = server.requests[0]
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["max_tokens"], body["seed"], body["stream"]) == ("tiny", 7, 3, True)
    assert chat.stats()["tokens"] == 2


def test_no_key_no_header(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.lines = ["data: [DONE]"]
    assert list(OpenAIChat("tiny", url(server)).chat(MESSAGES)) == []
    assert "Authorization" not in server.requests[0][0]
    assert "seed" not in server.requests[0][1]


def test_says_what_the_server_said(server: Server) -> None:
    server.status, server.lines = 404, ['{"error": {"message": "model tiny not found"}}']
    with pytest.raises(ServerRefused, match="404: model tiny not found"):
        list(OpenAIChat("tiny", url(server)).chat(MESSAGES))
    server.status, server.lines = 200, [event("Hel"), 'data: {"error": {"message": "out of memory"}}']
    with pytest.raises(ServerRefused, match="out of memory"):
        list(OpenAIChat("tiny", url(server)).chat(MESSAGES))
    server.lines = ["data: {broken"]
    with pytest.raises(ServerRefused, match="not JSON"):
        list(OpenAIChat("tiny", url(server)).chat(MESSAGES))


def test_nobody_there(server: Server) -> None:
    chat = OpenAIChat("tiny", "http://127.0.0.1:1/v1", timeout_s=1.0)
    with pytest.raises(ServerUnreachable, match="Is the server up"):
        list(chat.chat(MESSAGES))
    with pytest.raises(ValueError, match="http"):
        OpenAIChat("tiny", "file:///etc/passwd")


def test_closing_the_generator_ends_the_request(server: Server) -> None:
    server.lines = [event("a")] * 50
    pieces = OpenAIChat("tiny", url(server)).chat(MESSAGES)
    assert next(pieces) == "a"
    pieces.close()  # type: ignore[attr-defined]
