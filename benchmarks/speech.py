"""Ears and voice: how fast they are alone, and from a visitor's last word to the text and to the answer's first sound.

Run with `bbia bench speech`, or alone: `python -m benchmarks.speech [--quick]`.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, figure, main

ANSWER = "I see an apple, a croissant and a duck. They are all on the table in front of me."
Samples = NDArray[np.int16]


def median_s(call: Callable[[], Any], count: int) -> float:
    """Median duration of a call after a first one that is not counted [s]."""
    call()
    durations = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begun)
    return statistics.median(durations)


def engines(lines: list[Samples], count: int) -> list[Figure]:
    """The engines in this process, against the libraries' own ways."""
    from faster_whisper import WhisperModel

    from bbia_ros.residency.catalog import resolve
    from bbia_ros.speech.stt_whisper import WhisperEngine
    from bbia_ros.speech.tts_piper import PiperEngine
    from bbia_ros.speech.vad_silero import WINDOW, SileroVad
    from bbia_ros.speech.vocabulary import PROMPT

    seconds = sum(len(line) for line in lines) / 16_000
    folder = str(resolve("whisper-tiny", "stt"))
    ours = WhisperEngine(folder, prompt=PROMPT)
    rtf = median_s(lambda: [ours.transcribe(line) for line in lines], count) / seconds
    theirs = WhisperModel(folder, compute_type="int8", cpu_threads=2)
    floats = [line.astype(np.float32) / 32768 for line in lines]

    def plain() -> None:
        for audio in floats:
            list(theirs.transcribe(audio, beam_size=1, language="en")[0])

    plain_rtf = median_s(plain, count) / seconds
    vad = SileroVad(str(resolve("silero-vad", "vad")))
    window = lines[0][4000 : 4000 + WINDOW]
    per_window = median_s(lambda: [vad.probabilities(window) for _ in range(100)], count) / 100
    voice = PiperEngine(str(resolve("piper-joe", "tts")))
    first = median_s(lambda: next(iter(voice.synthesize(ANSWER))), count)
    whole = median_s(lambda: voice.speak(ANSWER), count)
    spoken = len(voice.speak(ANSWER)[1]) / 16_000
    return [
        figure("speech.stt_rtf", "speech to text, work per second of speech", rtf, "s/s", baseline=plain_rtf,
               note="baseline: WhisperModel.transcribe, same model and threads"),
        figure("speech.vad_ms", "voice detector, per window of 32 ms", 1000 * per_window, "ms"),
        figure("speech.tts_first_s", "text to first sound of two sentences", first, "s", baseline=whole,
               note="baseline: the whole text at once"),
        figure("speech.tts_rtf", "text to speech, work per second of speech", whole / spoken, "s/s"),
    ]  # fmt: skip


class Bench:
    """A speech node with its models in workers, in a room of its own."""

    def __init__(self) -> None:
        from rclpy.action import ActionClient

        from bbia_ros.action import Say
        from bbia_ros.msg import AudioChunk, SpeechActivity, Utterance
        from bbia_ros.ros import qos
        from bbia_ros.ros.testing import NodeRunner
        from bbia_ros.speech.node import SpeechNode
        from bbia_ros.speech.testing import Room

        self.runner = NodeRunner(SpeechNode)
        self.heard = self.runner.collect(Utterance, "speech/heard", qos.EVENT)
        self.sent = self.runner.collect(AudioChunk, "audio/speaker", qos.AUDIO)
        self.activity = self.runner.collect(SpeechActivity, "speech/activity", qos.STATE)
        self._say, self._goal = ActionClient(self.runner.probe, Say, "speech/say"), Say.Goal
        if not (self.runner.configure() and self.runner.activate()):
            raise SystemExit(f"the speech node does not start: {self.runner.node.faults()}")
        self.room = Room(self.runner)
        self._say.wait_for_server(10.0)

    def ask(self, line: Samples, answer: str) -> tuple[float, float]:
        """Says a line and has it answered at once: (last voiced sample to text, to first sound of the answer) [s]."""
        from bbia_ros.ros.testing import wait_until

        self.heard.clear()
        self.sent.clear()
        self.room.say(line)
        text = self.heard.wait(lambda m: m.final, 30.0)
        goal = self._say.send_goal_async(self._goal(text=answer))
        sound = self.sent.wait(lambda m: len(m.samples) > 0, 30.0)
        ended = self.room.voice_ended
        wait_until(lambda: goal.done(), 5.0, "the goal")
        result = goal.result().get_result_async()
        wait_until(result.done, 30.0, "the end of the answer")
        return _seconds(text.header.stamp) - ended, _seconds(sound.header.stamp) - ended

    def interrupt(self, line: Samples) -> float:
        """Says a line while the robot speaks: first voiced sample to the order to fall silent [s]."""
        self.sent.clear()
        self.heard.clear()
        self.activity.clear()
        self._say.send_goal_async(self._goal(text=ANSWER))
        self.activity.wait(lambda m: m.robot_speaking, 30.0)
        self.room.say(line)
        flush = self.sent.wait(lambda m: m.flush, 30.0)
        self.heard.wait(lambda m: m.final, 30.0)
        return _seconds(flush.header.stamp) - self.room.voice_began

    def close(self) -> None:
        """Ends everything."""
        self.room.close()
        self.runner.close()


def _seconds(stamp: Any) -> float:
    return float(stamp.sec) + float(stamp.nanosec) / 1e9


def figures(quick: bool) -> list[Figure]:
    """All figures of the ears and the voice."""
    from bbia_ros.speech.lines import read_wav, synthesize_lines
    from bbia_ros.speech.vocabulary import DEMO_LINES

    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    lines = [read_wav(path) for path in synthesize_lines(DEMO_LINES)]
    found = engines(lines, 3 if quick else 10)
    bench = Bench()
    try:
        cold = bench.ask(lines[0], "I see an apple.")
        rounds = lines[1:4] if quick else lines * 3
        asked = [bench.ask(line, "I see an apple.") for line in rounds]
        interrupted = [bench.interrupt(line) for line in (lines[:2] if quick else lines)]
    finally:
        bench.close()
    count = f"median of {len(asked)}"
    return [
        *found,
        figure("speech.heard_s", "visitor's last voiced sample to the final text",
               statistics.median(t for t, _ in asked), "s", note=count),
        figure("speech.answer_s", "visitor's last voiced sample to the first sound of an instant answer",
               statistics.median(a for _, a in asked), "s", goal="<= 1.5", note=count),
        figure("speech.answer_cold_s", "the same for the first line, while the models load", cold[1], "s"),
        figure("speech.barge_in_s", "visitor's first voiced sample to the order to fall silent",
               max(interrupted), "s", goal="<= 0.3", note=f"slowest of {len(interrupted)}"),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(figures, "speech"))
