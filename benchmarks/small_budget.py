"""A conversation where half of the models do not fit: the demonstration's lines at a budget of 500 MB.

What everything in `converse` needs together is about twice that, so models take turns. Memory is read from /proc at
10 Hz, by this process and not by the stack. A line counts as answered when the robot has spoken its answer to the end.

Run with `bbia bench memory`, or alone: `python -m benchmarks.small_budget [--quick]`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Figure, figure, main
from benchmarks.sampling import Excess, Sampler, excess, mean

BUDGET_MB = 500.0
TOLERANCE = 1.05
LONGEST_OVER_S = 1.0
PATIENCE_S = 60.0
"""A line that was not heard, answered or spoken within this counts as unanswered [s]."""
_MB = 1e6
_MOST_SHOWN = 3


@dataclass
class Talk:
    """What came of the conversation.

    Attributes:
        said: lines of the visitor, by key.
        latencies: key -> seconds from the last voiced sample to the answer's first sound.
        failures: key -> why it has no answer.
        private: (time [s], private bytes of all workers).
        pss: (time [s], PSS of all workers).
        sentences: what the stack told about its memory or its troubles, each once.
        loads: how often models were loaded.
        evictions: how often one had to go.
    """

    said: list[str] = field(default_factory=list)
    latencies: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    private: list[tuple[float, float]] = field(default_factory=list)
    pss: list[tuple[float, float]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    loads: int = 0
    evictions: int = 0


def figures(quick: bool) -> list[Figure]:
    """Holds the conversation; `quick` says half of the lines."""
    talk = converse(BUDGET_MB, quick)
    return report(talk, BUDGET_MB)


def converse(budget_mb: float, quick: bool = False, note: Callable[[str], None] = lambda text: None) -> Talk:
    """Brings the stack up in the profile lite with such a budget and says the demonstration's lines.

    Args:
        budget_mb: for all workers, the simulator's included [MB].
        quick: say only the first three lines.
        note: told what happens.

    Raises:
        BringupError: the stack could not be started; the text says why.
    """
    from bbia_ros.bringup import Options, Stack
    from bbia_ros.demo.memory import MemoryMeter
    from bbia_ros.demo.play import LINES, Play
    from bbia_ros.demo.topics import TOPICS
    from bbia_ros.domain import use_private_graph
    from bbia_ros.speech.lines import synthesize_lines
    from bbia_ros.stage.node import Stage

    use_private_graph()
    lines = dict(zip(LINES, synthesize_lines(list(LINES.values())), strict=True))
    talk = Talk()
    with tempfile.TemporaryDirectory(prefix="bbia-bench-") as folder:
        options = Options(
            mode="sleep",
            driver="mujoco",
            profile="lite",
            parameters={
                "manager": {"budget_mb": budget_mb},
                "dialogue": {"memory.folder": str(Path(folder) / "memory")},
            },
        )
        stage, stack = Stage(options.namespace, TOPICS), Stack(options, log_folder=Path(folder) / "log")
        meter = MemoryMeter(list)  # the play wants one; ours is the sampler
        play = Play(stage, meter, lines, note)
        try:
            with stack, Sampler(lambda: stack.processes) as sampler:
                stack.wait_ready()
                play.set_mode("converse", "begin")
                play.visitor(0.0, 0.0)
                play.pause(3.0)
                for key in list(LINES)[: 3 if quick else None]:
                    talk.said.append(key)
                    _ask(play, talk, key)
                talk.private = sampler.series(lambda sample: sample.workers_uss)
                talk.pss = sampler.series(lambda sample: sample.workers_pss)
            talk.sentences = told(heard.message for heard in stage.history["manager/status"])
            last = {model.name: model for heard in stage.history["manager/status"] for model in heard.message.models}
            talk.loads = sum(model.loads for model in last.values())
            talk.evictions = sum(model.evictions for model in last.values())
        finally:
            meter.close()
            stage.close()
    return talk


def _ask(play: Any, talk: Talk, key: str) -> None:
    """Says a line and waits until its answer has been spoken to the end."""
    from bbia_ros.demo.measure import first_sound, seconds

    start = play.stage.now_ns()
    try:
        play.say(key)
        heard = _wait(play, "speech/heard", lambda m: m.final, start, "the line was not heard")
        turn = _wait(play, "dialogue/turns", lambda m: m.role == "robot" and m.final, start, "there is no answer")
        if not turn.text.strip():
            raise TimeoutError("the answer is empty")
        own = f"{turn.id}-"
        _wait(play, "audio/playback", lambda m: m.done and m.utterance_id == turn.utterance_id, start,
              f"the answer was not spoken to its end: {turn.text}")  # fmt: skip
    except TimeoutError as error:
        talk.failures[key] = str(error)
        return
    chunks = [m for m in play.stage.since("audio/speaker", start) if m.utterance_id.startswith(own)]
    sound = first_sound(chunks)
    if sound is not None:
        talk.latencies[key] = sound - seconds(heard.end)
    play.note(f"{talk.latencies.get(key, float('nan')):.1f} s to: {turn.text}")


def _wait(play: Any, topic: str, condition: Callable[[Any], bool], since_ns: int, otherwise: str) -> Any:
    message = play.stage.wait(topic, condition, PATIENCE_S, since_ns)
    if message is None:
        raise TimeoutError(f"{otherwise} within {PATIENCE_S:g} s")
    return message


def told(statuses: Iterable[Any]) -> list[str]:
    """What StackStatus messages say about troubles and about what was given up, each sentence once, in order."""
    found: dict[str, None] = {}
    for status in statuses:
        for sentence in (*(node.detail for node in status.nodes), *status.pressure.events):
            if sentence:
                found.setdefault(sentence)
        for model in status.models:
            if model.last_error:
                found.setdefault(model.last_error)
            if model.evictions:
                found.setdefault(f"{model.name} had to go: {model.last_release}")
    return list(found)


def report(talk: Talk, budget_mb: float) -> list[Figure]:
    """The figures of a conversation."""
    limit = TOLERANCE * budget_mb * _MB
    private, pss = excess(talk.private, limit), excess(talk.pss, limit)
    answered = [key for key in talk.said if key not in talk.failures]
    troubles = "; ".join(f"{key}: {why}" for key, why in talk.failures.items())
    waits = sorted(talk.latencies.values())
    words = "; ".join(_short(one) for one in talk.sentences[:_MOST_SHOWN])
    names = f"budget {budget_mb:g} MB"
    return [
        figure("memory.small_budget_answers", f"conversation at a model {names}: lines answered aloud", len(answered),
               "lines", goal=f">= {len(talk.said)}", baseline=len(talk.said), note=troubles),
        figure("memory.small_budget_answer_s", "the same: last voiced sample to the answer's first, median",
               median(waits) if waits else None, "s"),
        figure("memory.small_budget_answer_max_s", "the same, slowest line", waits[-1] if waits else None, "s"),
        figure("memory.small_budget_over_s",
               "the same: longest stretch with private bytes of all workers over the budget by 5 %", private.longest_s,
               "s", goal=f"<= {LONGEST_OVER_S:g}", note=_note(private, talk.private)),
        figure("memory.small_budget_over_pss_s", "the same with their PSS, which counts shared libraries too",
               pss.longest_s, "s", goal=f"<= {LONGEST_OVER_S:g}", note=_note(pss, talk.pss)),
        figure("memory.small_budget_peak_mb", "the same: most private bytes of all workers", private.worst / _MB, "MB",
               note=f"mean {mean(talk.private) / _MB:.0f} MB"),
        figure("memory.small_budget_told", "the same: different sentences of the stack about what it had to give up",
               len(talk.sentences), "sentences", goal=">= 1",
               note=f"{talk.loads} loads, {talk.evictions} evictions; " + words),
    ]  # fmt: skip


def _short(sentence: str, most: int = 120) -> str:
    return sentence if len(sentence) <= most else sentence[: most - 1] + "…"


def _note(over: Excess, series: list[tuple[float, float]]) -> str:
    lasted = series[-1][0] - series[0][0]
    return f"over for {over.total_s:.1f} s of {lasted:.0f} s in all, at most {over.worst / _MB:.0f} MB"


if __name__ == "__main__":
    sys.exit(main(figures, "memory"))
