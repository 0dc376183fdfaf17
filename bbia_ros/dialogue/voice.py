"""Sentences on their way to the loudspeaker: goals of speech/say. Its rclpy parts are handed in by the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Post = Callable[[Callable[[], None]], None]
"""Runs a function soon in the executor's thread."""


class Voice:
    """Sends sentences to speech/say in order and knows which are still to be heard.

    Owns: the goals in flight. `say`, `when_quiet` and `stop` may be called from any thread; the rest happens in the
    executor's thread, in the order of the calls.

    Args:
        client: Action client of speech/say.
        goal: Makes a goal from text, utterance id, language and interrupt.
        post: Runs a function in the executor's thread.
        on_interrupted: Told, in the executor's thread, that a sentence was cut short, with the turn's id.
        on_problem: Told one sentence when a text could not be spoken.
    """

    def __init__(
        self,
        client: Any,
        goal: Callable[[str, str, str, bool], Any],
        post: Post,
        on_interrupted: Callable[[str], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._client, self._goal, self._post = client, goal, post
        self._on_interrupted, self._on_problem = on_interrupted, on_problem
        self._pending: dict[str, tuple[str, Any]] = {}  # utterance id: turn id, goal handle once accepted
        self._stopped: set[str] = set()
        self._quiet_callbacks: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        """Whether a sentence waits or is being spoken."""
        return bool(self._pending)

    def say(self, text: str, language: str, turn: str, utterance: str) -> None:
        """Speaks a sentence after those before it; the first of another turn cuts off what is left of the last one."""
        self._post(lambda: self._send(text, language, turn, utterance))

    def when_quiet(self, callback: Callable[[], None]) -> None:
        """Calls back, in the executor's thread, when everything asked for has been spoken or given up."""

        def wait() -> None:
            self._quiet_callbacks.append(callback)
            self._tell_quiet()

        self._post(wait)

    def stop(self) -> None:
        """Cuts off what is spoken and drops what waits."""
        self._post(self.stop_now)

    def stop_now(self) -> None:
        """As `stop`, in the executor's thread."""
        for utterance, (_, handle) in list(self._pending.items()):
            self._stopped.add(utterance)
            if handle is not None:
                handle.cancel_goal_async()

    def forget(self) -> None:
        """Drops callbacks that wait for silence."""
        self._quiet_callbacks.clear()

    def _send(self, text: str, language: str, turn: str, utterance: str) -> None:
        if not self._client.server_is_ready():
            self._on_problem("nobody offers speech/say: the answer is not spoken (is the speech node active?)")
            return
        interrupt = any(other != turn for other, _ in self._pending.values())
        self._pending[utterance] = (turn, None)
        future = self._client.send_goal_async(self._goal(text, utterance, language, interrupt))
        future.add_done_callback(lambda done: self._accepted(utterance, turn, done))

    def _accepted(self, utterance: str, turn: str, done: Any) -> None:
        handle = done.result()
        if handle is None or not handle.accepted:
            self._finished(utterance)
            self._on_problem("speech/say refused a sentence")
            return
        self._pending[utterance] = (turn, handle)
        handle.get_result_async().add_done_callback(lambda result: self._spoken(utterance, turn, result))
        if utterance in self._stopped:
            handle.cancel_goal_async()

    def _spoken(self, utterance: str, turn: str, done: Any) -> None:
        on_purpose = utterance in self._stopped
        self._finished(utterance)
        result = done.result().result
        if result.interrupted and not on_purpose:
            self._on_interrupted(turn)
        elif not result.ok and not on_purpose:
            self._on_problem(f"a sentence was not spoken: {result.message}")

    def _finished(self, utterance: str) -> None:
        self._pending.pop(utterance, None)
        self._stopped.discard(utterance)
        self._tell_quiet()

    def _tell_quiet(self) -> None:
        if not self._pending:
            callbacks, self._quiet_callbacks = self._quiet_callbacks, []
            for callback in callbacks:
                callback()
