"""The script of the visit: seven acts, each with what is expected of the robot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bbia_ros.action import Chat
from bbia_ros.demo.measure import (
    Finding,
    degrees,
    first_sound,
    median_pitch,
    nose_lift,
    object_errors,
    seconds,
    visitor_errors,
)
from bbia_ros.demo.memory import MemoryMeter, Sample
from bbia_ros.speech.vocabulary import DEMO_LINES
from bbia_ros.stage.acts import ActFailed, enter_mode, play_line, remove_visitor, walk_visitor
from bbia_ros.stage.node import Stage

LINES = dict(zip(("see", "moon", "apple", "sad", "praise", "night"), DEMO_LINES, strict=True))
"""What the visitor says."""

WALK_SPEED = math.radians(15.0)
WALK_FROM, WALK_TO = math.radians(30.0), math.radians(-30.0)
DISTANCE_M = 0.8
SLEEP_WORKERS = 1
"""Workers that stay in `sleep`: the simulator's physics."""
SIMULATOR = "simulator"


@dataclass
class Chapter:
    """A stretch of the play, for the report's time line.

    Attributes:
        title: what happens.
        start_s: ROS time [s].
    """

    title: str
    start_s: float


@dataclass
class Run:
    """Everything that the play found out, besides the stage's messages.

    Attributes:
        findings: expectations, in order.
        figures: id -> (value, unit), for benchmarks.
        chapters: the acts.
        latencies: line key -> seconds from its last voiced sample to the first sample of the answer.
        said: line key -> when it was played into the room, and for how long [s].
    """

    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, tuple[float, str]] = field(default_factory=dict)
    chapters: list[Chapter] = field(default_factory=list)
    latencies: dict[str, float] = field(default_factory=dict)
    said: dict[str, tuple[float, float]] = field(default_factory=dict)


class Play:
    """Plays the visit on a running stack.

    Owns: nothing; it talks through the stage and notes into a Run.
    """

    def __init__(self, stage: Stage, memory: MemoryMeter, lines: dict[str, Path], note: Callable[[str], None]) -> None:
        """Prepares the play.

        Args:
            stage: the graph.
            memory: the stack's memory.
            lines: WAV file of each line of LINES.
            note: told what happens, for the live view.
        """
        self.stage, self.memory, self.lines, self.note = stage, memory, lines, note
        self.run = Run()
        self._before: Sample | None = None

    def perform(self) -> Run:
        """All acts. An act that cannot go on leaves a failed expectation, and the next one begins."""
        acts = (
            ("Warm-up in converse, then sleep", self.warm_up),
            ("Wakes up and looks around", self.wake),
            ("A visitor walks by", self.follow),
            ("What is on the table?", self.see),
            ("The moon", self.moon),
            ("Look at the apple", self.look),
            ("Sad news, kind words", self.feel),
            ("Good night", self.sleep),
        )
        for title, act in acts:
            self.run.chapters.append(Chapter(title, time.time()))
            self.note(title)
            try:
                act()
            except TimeoutError as error:
                self.expect(title, "the act is played to its end", str(error), False)
        return self.run

    # The acts ----------------------------------------------------------------------------------------------------

    def warm_up(self) -> None:
        """Everything is loaded once, so that what a first load leaves behind is not counted as a leak."""
        self.set_mode("converse", "up")
        answer = self.stage.act(Chat, "dialogue/chat", Chat.Goal(text="Say hello to our guests.", speak=True), 60.0)
        words = "no answer" if answer is None else answer.text or answer.message
        self.expect("warm-up", "the chat model answers", words, answer is not None and answer.ok)
        self.set_mode("sleep", "warm-up")
        self._before = self.memory.settled(SLEEP_WORKERS, 15.0)
        self.figure("memory.sleep_before_mb", self._before.total_bytes / 1e6, "MB")

    def wake(self) -> None:
        """Idle, then converse; an empty room holds no face."""
        self.set_mode("idle", "wake")
        awake = self.stage.wait(
            "head_pose", lambda m: abs(median_pitch([m])) < math.radians(12), 8.0, self.stage.now_ns()
        )
        self.expect("wake", "the head comes up", "it did" if awake else "it stays down", awake is not None)
        start, began = self.stage.now_ns(), time.monotonic()
        self.set_mode("converse", "wake")
        ready = self.stage.wait("manager/status", _has_loaded("objects", "faces", "vad"), 20.0, start)
        self.figure("operations.converse_ready_s", time.monotonic() - began, "s")
        self.expect("ready", "eyes and ears are loaded", "they are" if ready else "they are not", ready is not None)
        start = self.stage.now_ns()
        self.stage.wait("perception/faces", lambda _: False, 2.0, start)
        self.nobody("empty room before", start)

    def follow(self) -> None:
        """The visitor stands, walks from left to right; the gaze follows."""
        self.visitor(WALK_FROM, WALK_FROM)
        seen = self.stage.wait("perception/faces", lambda m: len(m.faces) > 0, 5.0, self.stage.now_ns())
        self.expect("sees", "the visitor's face is found", "found" if seen else "not found", seen is not None)
        self.pause(2.0)
        start = self.stage.now_ns()
        duration = self.visitor(WALK_FROM, WALK_TO)
        self.pause(duration)
        errors = visitor_errors(self.stage.since("driver/simulation_state", start))
        error = median(errors) if errors else math.nan
        self.figure("motion.follow_median_deg", math.degrees(error), "deg")
        self.expect(
            "follow", "gaze follows at 15 deg/s, median error at most 5 deg", degrees(error), error <= math.radians(5)
        )
        self.visitor(WALK_TO, 0.0)
        self.pause(2.0)

    def see(self) -> None:
        """The answer comes from the detections."""
        answer = self.ask("see")
        objects = self.stage.last("perception/objects")
        present = {d.label for d in objects.detections} if objects else set()
        named = sorted(label for label in present if label in answer.text.lower())
        seen = f"sees {', '.join(sorted(present))}; says: {answer.text}"
        passed = len(named) >= 2 and answer.source == "rule"
        self.expect("table", "names at least two things that perception sees", seen, passed)

    def moon(self) -> None:
        """A free question: streamed, and spoken while the rest is still being written."""
        start = self.stage.now_ns()
        answer = self.ask("moon")
        finals = [
            h
            for h in self.stage.history["dialogue/turns"]
            if h.stamp_ns >= start and h.message.id == answer.id and h.message.final
        ]
        spoken = first_sound(self.stage.since("audio/speaker", start))
        lead = 1e-9 * finals[0].stamp_ns - spoken if finals and spoken else math.nan
        self.expect(
            "chat",
            "the language model answers",
            f"{answer.source}: {answer.text}",
            answer.source == "chat" and len(answer.text) > 20,
        )
        self.expect(
            "stream", "the first sentence is spoken while the rest is written", f"{lead:.2f} s before the end", lead > 0
        )
        self.figure("dialogue.first_words_before_end_s", lead, "s")

    def look(self) -> None:
        """The gaze ends on the true apple."""
        start = self.stage.now_ns()
        self.say("apple")
        looking = self.stage.wait("motion/state", lambda m: m.following == "apple", 10.0, start)
        if looking is None:
            raise TimeoutError("the robot does not turn to the apple")
        self.pause(2.0)
        errors = object_errors(self.stage.since("driver/simulation_state", self.stage.now_ns() - 300_000_000), "apple")
        error = median(errors) if errors else math.nan
        self.figure("motion.look_at_error_deg", math.degrees(error), "deg")
        self.expect("apple", "gaze within 5 deg of the apple", degrees(error), error <= math.radians(5))
        self.hear("apple", start)
        self.stage.wait("motion/state", lambda m: m.following != "apple", 8.0, self.stage.now_ns())
        self.pause(1.5)

    def feel(self) -> None:
        """Words are read apart from the face; each is answered with its own posture."""
        lifts = {}
        for key, label, moods in (("sad", "sad", {"sad"}), ("praise", "happy", {"happy", "proud", "excited"})):
            start = self.stage.now_ns()
            self.say(key)
            read = self.stage.wait("emotion/user", lambda m: m.source == "text", 12.0, start)
            self.expect(f"reads {label}", f"the words read {label}", read.label if read else "nothing was read",
                        read is not None and read.label == label)  # fmt: skip
            mood = self.stage.wait("emotion/robot", _feels(moods), 5.0, start)
            last = self.stage.last("emotion/robot")
            self.expect(f"feels {label}", f"the robot's mood answers ({' or '.join(sorted(moods))})",
                        mood.label if mood else last.label if last else "none", mood is not None)  # fmt: skip
            self.hear(key, start)
            states = self.stage.since("driver/simulation_state", self.stage.now_ns() - 1_000_000_000)
            lifts[key] = nose_lift(states)
        seen = f"happy {degrees(lifts['praise'])}, sad {degrees(lifts['sad'])} above the straight look"
        passed = lifts["praise"] >= math.radians(1.0) and lifts["sad"] <= math.radians(-1.0)
        self.expect("posture", "happy holds the nose above the straight look, sad below it", seen, passed)

    def sleep(self) -> None:
        """Says good night; every model goes."""
        answer_start = self.stage.now_ns()
        self.say("night")
        answer = self.turn("night", answer_start)
        settled = self.stage.wait(
            "manager/status", lambda m: m.mode == "sleep" and m.target_mode == "sleep", 20.0, answer_start
        )
        self.expect("night", "says good night and goes to sleep", f"{answer.text} Mode: {self.mode()}",
                    "night" in answer.text.lower() and settled is not None)  # fmt: skip
        start = self.stage.now_ns()
        remove_visitor(self.stage)
        after = self.memory.settled(SLEEP_WORKERS, 15.0)
        self.expect(
            "workers", "every worker but the physics is gone", f"{after.workers} left", after.workers == SLEEP_WORKERS
        )
        self.figure("memory.sleep_after_mb", after.total_bytes / 1e6, "MB")
        if self._before is not None:
            grown = (after.total_bytes - self._before.total_bytes) / 1e6
            self.figure("memory.sleep_growth_mb", grown, "MB")
            self.expect(
                "memory",
                "total memory within 5 MB of before, or less",
                f"{grown:+.1f} MB of {after.total_bytes / 1e6:.0f}",
                grown <= 5.0,
            )
        self.nobody("asleep", start)

    # What the acts are made of -----------------------------------------------------------------------------------

    def ask(self, key: str) -> Any:
        """Says a line and waits until the answer has been spoken; the robot's final turn."""
        start = self.stage.now_ns()
        self.say(key)
        return self.hear(key, start)

    def say(self, key: str) -> None:
        """Plays a line into the room and waits until it is over."""
        duration_s = play_line(self.stage, self.lines[key])
        self.run.said[key] = (time.time(), duration_s)
        self.note(f"Visitor: {LINES[key]}")
        self.pause(duration_s)

    def turn(self, key: str, start_ns: int) -> Any:
        """The robot's final turn since a time, with the latency of its first sound noted."""
        final = self.stage.wait("dialogue/turns", lambda m: m.role == "robot" and m.final, 30.0, start_ns)
        heard = self.stage.wait("speech/heard", lambda m: m.final, 0.0, start_ns)
        self.expect(f"heard {key}", f"hears: {LINES[key]}", heard.text if heard else "nothing", heard is not None)
        if final is None:
            raise TimeoutError("the robot does not answer")
        self.stage.wait("audio/speaker", lambda m: len(m.samples) > 0, 10.0, start_ns)
        sound = first_sound(self.stage.since("audio/speaker", start_ns))
        if heard is not None and sound is not None:
            self.run.latencies[key] = sound - seconds(heard.end)
            self.figure(f"operations.answer_latency_{key}_s", self.run.latencies[key], "s")
        return final

    def hear(self, key: str, start_ns: int) -> Any:
        """The robot's final turn, once it has been spoken."""
        final = self.turn(key, start_ns)
        over = self.stage.wait(
            "audio/playback", lambda m: m.done and m.utterance_id == final.utterance_id, 30.0, start_ns
        )
        if over is None:
            raise TimeoutError(f"the answer was not spoken to its end: {final.text}")
        return final

    def set_mode(self, mode: str, key: str) -> None:
        """Changes the mode; a refusal is an expectation missed."""
        try:
            enter_mode(self.stage, mode)
        except ActFailed as error:
            self.expect(f"{key} {mode}", f"the stack enters {mode}", str(error), False)

    def mode(self) -> str:
        """The present mode."""
        status = self.stage.last("manager/status")
        return status.mode if status else "unknown"

    def visitor(self, start: float, end: float) -> float:
        """Puts the visitor on the stage, walking from one azimuth to the other [rad]; the walk's duration [s]."""
        return walk_visitor(self.stage, start, end, WALK_SPEED, DISTANCE_M)

    def nobody(self, key: str, start_ns: int) -> None:
        """No face was claimed since a time."""
        claimed = sum(len(m.faces) for m in self.stage.since("perception/faces", start_ns))
        self.expect(key, "no face is claimed while nobody is there", f"{claimed} faces", claimed == 0)

    def pause(self, duration_s: float) -> None:
        """Lets the play go on; a pause is part of the script."""
        time.sleep(duration_s)

    def expect(self, key: str, wanted: str, measured: str, passed: bool) -> None:
        """Notes an expectation."""
        self.run.findings.append(Finding(key, wanted, measured, passed))
        self.note(f"{'ok' if passed else 'MISSED'}: {wanted} - {measured}")

    def figure(self, key: str, value: float, unit: str) -> None:
        """Notes a figure."""
        self.run.figures[key] = (value, unit)


def _has_loaded(*tasks: str) -> Callable[[Any], bool]:
    def check(status: Any) -> bool:
        ready = {model.task for model in status.models if model.state in ("IDLE", "BUSY")}
        return ready >= set(tasks)

    return check


def _feels(labels: set[str]) -> Callable[[Any], bool]:
    return lambda emotion: emotion.label in labels
