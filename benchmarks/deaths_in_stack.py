"""SIGKILL of every worker of a stack that converses, one by one: back in service, and the motion loop meanwhile.

A worker of a model that works all the time (eyes, voice detector, simulator) is killed as it is; one that works on
demand is stopped first (SIGSTOP), then asked, then killed, so that its work was surely in flight. Back in service is
the first result of that model which belongs to a time after the kill: a detection of a later image, a text, a sound, a
word of an answer.

Run with `bbia bench memory`, or alone: `python -m benchmarks.deaths_in_stack [--quick]`.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.deaths import BACK_S, each
from benchmarks.harness import Figure, figure, main

WINDOW_S = 12.0
"""The loop's figures are over its last 10 s."""
LONGEST_BACK_S = 20.0
PAUSE_S = 1.5
"""Between one kill and the next [s]."""
QUESTION = "Tell me something about the sea."
"""No rule answers it."""
UNCHANGED_MS = 1.0
"""What p99 of the 10 ms loop may differ and still count as unchanged [ms]."""


def figures(quick: bool) -> list[Figure]:
    """Kills every worker once; `quick` does the same."""
    from bbia_ros.bringup import Options, Stack
    from bbia_ros.demo.memory import MemoryMeter
    from bbia_ros.demo.play import LINES, Play
    from bbia_ros.demo.topics import TOPICS
    from bbia_ros.domain import use_private_graph
    from bbia_ros.speech.lines import synthesize_lines
    from bbia_ros.stage.node import Stage

    use_private_graph()
    lines = dict(zip(LINES, synthesize_lines(list(LINES.values())), strict=True))
    with tempfile.TemporaryDirectory(prefix="bbia-bench-") as folder:
        options = Options(
            mode="sleep", driver="mujoco", profile="lite",
            parameters={"dialogue": {"memory.folder": str(Path(folder) / "memory")}},
        )  # fmt: skip
        stage, meter = Stage(options.namespace, TOPICS), MemoryMeter(list)
        play = Play(stage, meter, lines, lambda _: None)
        try:
            with Stack(options, log_folder=Path(folder) / "log") as stack:
                stack.wait_ready()
                visit = Visit(stage, play)
                visit.warm_up()
                calm = visit.loop_p99_ms(WINDOW_S)
                since = stage.now_ns()
                back = {task: visit.kill(task, act) for task, act in visit.acts().items()}
                shaken = visit.loop_p99_ms(WINDOW_S, since)
        finally:
            meter.close()
            stage.close()
    return report(back, calm, shaken)


def report(back: dict[str, float | None], calm: float | None, shaken: float | None) -> list[Figure]:
    """The figures of the killings."""
    lost = [task for task, seconds in back.items() if seconds is None]
    found = {task: seconds for task, seconds in back.items() if seconds is not None}
    note = each(found, 1.0) + (f"; never came back within {LONGEST_BACK_S:g} s: {', '.join(lost)}" if lost else "")
    slowest = max(found.values()) if found and not lost else None
    more = shaken - calm if shaken is not None and calm is not None else None
    return [
        figure("memory.death_stack_back_s", "SIGKILL of each worker of the stack in converse: work goes on, slowest",
               slowest, "s", goal=f"<= {BACK_S:g}", note=note),
        figure("memory.death_loop_p99_ms", "100 Hz loop while they are killed and loaded again, p99 over 10 s, median",
               shaken, "ms", baseline=calm, note="baseline: the same before, in the same run"),
        figure("memory.death_loop_more_ms", "the same, more than before", more, "ms", goal=f"<= {UNCHANGED_MS:g}",
               note=f"unchanged: within {UNCHANGED_MS:g} ms"),
    ]  # fmt: skip


class Visit:
    """A visitor who kills.

    Owns nothing: it talks to a running stack through the demonstration's stage and play.
    """

    def __init__(self, stage: Any, play: Any) -> None:
        self.stage, self.play = stage, play

    def warm_up(self) -> None:
        """Everything is loaded and has worked once.

        Raises:
            TimeoutError: a line was not answered.
        """
        self.play.set_mode("converse", "begin")
        self.play.visitor(0.0, 0.0)
        self.play.ask("see")
        self.play.ask("sad")
        self._chat(QUESTION)

    def acts(self) -> dict[str, Callable[[int], float | None]]:
        """Task -> kills that worker (its pid) and tells after how long the work goes on [s]; None: it does not."""
        return {
            "objects": lambda pid: self._seeing(pid, "perception/objects"),
            "faces": lambda pid: self._seeing(pid, "perception/faces"),
            "camera": lambda pid: self._seeing(pid, "perception/faces"),
            "simulator": lambda pid: self._seeing(pid, "driver/simulation_state"),
            "vad": self._hearing,
            "stt": self._understanding,
            "tts": self._speaking,
            "chat": self._thinking,
            "text_emotion": self._feeling,
        }

    def kill(self, task: str, act: Callable[[int], float | None]) -> float | None:
        """Kills the task's worker in its work; seconds until the work goes on.

        Raises:
            RuntimeError: it has no worker.
        """
        if not self.pid(task):  # evicted meanwhile
            begin = self.stage.now_ns()
            self._chat(QUESTION if task == "chat" else "What do you see?", speak=True)
            self._spoken(begin)
            self.stage.wait("manager/status", lambda m: _loaded(m, task, 0), LONGEST_BACK_S, begin)
        pid = self.pid(task)
        if not pid:
            raise RuntimeError(f"{task} has no worker that could be killed")
        took = act(pid)
        self.play.pause(PAUSE_S)
        return took

    def pid(self, task: str) -> int:
        """Of the worker that runs this task now; 0: none."""
        status = self.stage.last("manager/status")
        return next((int(model.pid) for model in status.models if model.task == task and model.pid), 0)

    def loop_p99_ms(self, seconds: float, since_ns: int = 0) -> float | None:
        """Median of the loop's p99 [ms]: over the next seconds, or from a time on."""
        begin = since_ns or self.stage.now_ns() + int(0.8 * seconds * 1e9)
        if not since_ns:
            self.play.visitor(0.5, -0.5)  # so that the loop has something to do
            self.play.pause(seconds)
        states = [state.loop_p99_s for state in self.stage.since("motion/state", begin) if state.loop_p99_s > 0]
        return 1e3 * median(states) if states else None

    # How each is used and killed -----------------------------------------------------------------------------------

    def _seeing(self, pid: int, topic: str) -> float | None:
        killed = self._sigkill(pid)
        return self._after(killed, topic, lambda message: _ns(message) > killed)

    def _hearing(self, pid: int) -> float | None:
        """Back when another worker listens; what it hears is checked by the line that follows."""
        killed = self._sigkill(pid)
        return self._after(killed, "manager/status", lambda m: _loaded(m, "vad", pid))

    def _understanding(self, pid: int) -> float | None:
        os.kill(pid, signal.SIGSTOP)
        self.play.say("see")
        self.play.pause(0.35)  # the line is being transcribed on trial by now
        killed = self._sigkill(pid)
        took = self._after(killed, "speech/heard", lambda message: message.final)
        self._spoken(killed)
        return took

    def _speaking(self, pid: int) -> float | None:
        os.kill(pid, signal.SIGSTOP)
        started = _later(lambda: self._chat("What do you see?", speak=True))
        self.play.pause(0.3)
        killed = self._sigkill(pid)
        took = self._after(killed, "audio/speaker", lambda message: len(message.samples) > 0)
        started.join()
        self._spoken(killed)
        return took

    def _thinking(self, pid: int) -> float | None:
        os.kill(pid, signal.SIGSTOP)
        started = _later(lambda: self._chat(QUESTION))
        self.play.pause(0.3)
        killed = self._sigkill(pid)
        took = self._after(killed, "dialogue/turns", lambda m: m.role == "robot" and bool(m.text))
        started.join()
        return took

    def _feeling(self, pid: int) -> float | None:
        os.kill(pid, signal.SIGSTOP)
        self._chat("Look at me.")  # a rule answers; the words are read for feelings all the same
        killed = self._sigkill(pid)
        self._chat("I am so sad.")
        return self._after(killed, "emotion/user", lambda message: message.source == "text")

    # What they are made of -----------------------------------------------------------------------------------------

    def _sigkill(self, pid: int) -> int:
        stamp = int(self.stage.now_ns())
        os.kill(pid, signal.SIGKILL)
        return stamp

    def _after(self, killed_ns: int, topic: str, condition: Callable[[Any], bool]) -> float | None:
        if self.stage.wait(topic, condition, LONGEST_BACK_S, killed_ns) is None:
            return None
        came = next(h for h in self.stage.history[topic] if h.stamp_ns >= killed_ns and condition(h.message))
        return float(came.stamp_ns - killed_ns) * 1e-9

    def _chat(self, text: str, speak: bool = False) -> None:
        from bbia_ros.action import Chat

        self.stage.act(Chat, "dialogue/chat", Chat.Goal(text=text, speak=speak), LONGEST_BACK_S)

    def _spoken(self, since_ns: int) -> None:
        """Waits until the answer that was given since then has been spoken; who kills next must not meet it."""
        turn = self.stage.wait("dialogue/turns", lambda m: m.role == "robot" and m.final, LONGEST_BACK_S, since_ns)
        if turn is not None and turn.utterance_id:
            over = turn.utterance_id
            self.stage.wait("audio/playback", lambda m: m.done and m.utterance_id == over, LONGEST_BACK_S, since_ns)


def _later(function: Callable[[], Any]) -> Any:
    import threading

    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def _loaded(status: Any, task: str, before: int) -> bool:
    return any(m.task == task and m.pid not in (0, before) and m.state in ("IDLE", "BUSY") for m in status.models)


def _ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


if __name__ == "__main__":
    sys.exit(main(figures, "memory"))
