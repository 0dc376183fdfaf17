"""The speech node: audio/mic in, speech/heard out; speech/say in, audio/speaker out."""

from __future__ import annotations

import array
import sys
import time
import uuid
from concurrent.futures import Future
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time

from bbia_ros.action import Say
from bbia_ros.msg import AudioChunk, AudioPlayback, DialogueTurn, SpeechActivity, Utterance, Word
from bbia_ros.residency import ModelSlot
from bbia_ros.residency.errors import WorkerDied
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.models import ModelChoice
from bbia_ros.ros.process import run_alone
from bbia_ros.speech.loudness import LoudnessDetector
from bbia_ros.speech.microphone import AudioError, Microphone
from bbia_ros.speech.parameters import ENGINES, SpeechParameters, contradiction
from bbia_ros.speech.stt_whisper import Transcript
from bbia_ros.speech.transcription import HeardLine, Transcriber
from bbia_ros.speech.turns import TurnEvent, TurnSettings, TurnTaker, VoiceResumed, VoiceStarted
from bbia_ros.speech.voice import Outcome, Samples, SpeakerChunk, SpokenLine, Voice
from bbia_ros.speech.voices import language_of

MIC_DEPTH = 500
"""Chunks that may wait for the voice detector: 10 s of 20 ms."""
STT_DEPTH = 8
"""Pieces of turns that may wait for transcription, 9 s of audio each at most."""
QUIET_S = 2.0
"""A microphone that delivers nothing for so long is reported [s]."""
LOST_S = 0.5
"""A gap of this length ends a running turn [s]."""
CALL_S = {"vad": 5.0, "stt": 20.0, "tts": 20.0}
"""Longest time for one call of a model [s]."""
NICE = {"vad": 5, "stt": 12, "tts": 12}
"""Niceness of the workers: someone waits for each of them, and the chat model (15) must not be what they wait for."""


class SpeechNode(BbiaNode[SpeechParameters]):
    """Ears and voice.

    Owns: turn-taking, the queue of utterances and the leases of three models. Four threads while active: microphone,
    stt, tts, loudspeaker.
    """

    parameters_type = SpeechParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("speech", context)

    def configure(self) -> None:
        """Checks the models and makes the topics and the action."""
        p = self.params
        if wrong := contradiction(p):
            raise ConfigurationError(wrong)
        self._choices = {"stt": self._stt_models(), "tts": self._tts_models()}
        if p.vad_enabled:
            self._choices["vad"] = self.choose_model("vad", p.vad, task="vad", engines=ENGINES["vad"], nice=NICE["vad"])
        self._heard = self.make_publisher(Utterance, "speech/heard", qos.EVENT)
        self._activity = self.make_publisher(SpeechActivity, "speech/activity", qos.STATE)
        # Also when inactive: the order to fall silent on deactivation must get out.
        self._speaker = self.make_publisher(AudioChunk, "audio/speaker", qos.AUDIO, always=True)
        self.make_action(Say, "speech/say", self._say, accept=self._refusal, cancel=self._cancel)

    def activate(self) -> None:
        """Opens ears and voice; models come when they are needed."""
        p = self.params
        self._models: dict[str, ModelSlot] = {name: self.slot(choice) for name, choice in self._choices.items()}
        self._session = uuid.uuid4().hex[:6]
        self._microphone, self._loudness = Microphone(), LoudnessDetector()
        self._turns = TurnTaker(TurnSettings(**vars(p.turns)))
        self._probability, self._clipped_at, self._heard_at = 0.0, float("-inf"), time.monotonic()
        self._lines: dict[str, tuple[SpokenLine, Any]] = {}
        self._shown = (False, "")
        self._transcriber = Transcriber(
            self._transcribe, self._publish_heard, lambda text: self.report_fault("stt", text), p.transcription.partials
        )
        self._voice = Voice(
            self._synthesize, self._send, self._publish_activity, lambda text: self.report_fault("tts", text),
            most_waiting=p.voice.most_waiting, lead_s=p.voice.lead_s, ahead_s=p.voice.ahead_s,
        )  # fmt: skip
        self._mic_lane = self.lane("microphone", self._on_chunk, depth=MIC_DEPTH)
        self._stt_lane = self.lane("stt", self._transcriber.handle, depth=STT_DEPTH)
        self._tts_lane = self.lane("tts", self._voice.make, depth=p.voice.most_waiting)
        self._play_lane = self.lane("loudspeaker", self._voice.play, depth=p.voice.most_waiting)
        self.make_subscription(AudioChunk, "audio/mic", self._on_mic, qos.AUDIO)
        self.make_subscription(AudioPlayback, "audio/playback", self._on_playback, qos.EVENT)
        self.make_subscription(DialogueTurn, "dialogue/turns", self._on_turn, qos.EVENT)
        self.make_timer(0.5, self._watch)

    def deactivate(self) -> None:
        """Falls silent and wakes the threads so that they end."""
        self._voice.close()

    def parameters_changed(self, new: SpeechParameters) -> None:
        """Turn-taking changes at the next turn; the rest at the next activation or at once."""
        if wrong := contradiction(new):
            raise ValueError(wrong)
        if self.active:
            self._turns.settings = TurnSettings(**vars(new.turns))

    # Models ------------------------------------------------------------------------------------------------------

    def _stt_models(self) -> ModelChoice:
        t = self.params.transcription
        arguments = {"language": t.language, "prompt": t.prompt, "beam_size": t.beam_size, "window_s": t.window_s}
        return self.choose_model(
            "stt",
            self.params.stt,
            task="stt",
            nice=NICE["stt"],
            engines=ENGINES["stt"],
            group="stt",
            arguments=arguments,
        )

    def _tts_models(self) -> ModelChoice:
        v, tts = self.params.voice, self.params.tts
        arguments = {"sample_rate": v.sample_rate, "length_scale": v.length_scale, "volume": v.volume}
        espeak = tts.engine == "espeak"
        return self.choose_model(
            "tts",
            tts,
            task="tts",
            nice=NICE["tts"],
            engines=ENGINES["tts"],
            arguments=arguments,
            resolve_model=not espeak,
        )

    def _transcribe(self, audio: Samples) -> Transcript:
        begun = time.monotonic()
        words = self.params.transcription.words
        transcript: Transcript = self._models["stt"].call("transcribe", audio, words=words, timeout_s=CALL_S["stt"])
        self.figures.duration("transcription", time.monotonic() - begun)
        return transcript

    def _synthesize(self, sentence: str) -> tuple[int, Samples]:
        begun = time.monotonic()
        rate, samples = self._models["tts"].call("speak", sentence, timeout_s=CALL_S["tts"])
        self.figures.duration("synthesis", time.monotonic() - begun)
        return int(rate), samples

    def _voice_probability(self, window: Samples) -> float:
        if not self.params.vad_enabled:
            return self._loudness.probabilities(window)[0]
        try:
            return float(self._models["vad"].call("probabilities", window, timeout_s=CALL_S["vad"])[0])
        except WorkerDied as error:
            self.report_fault("microphone", f"the voice detector failed ({error}); it is started again")
        return float(self._models["vad"].call("probabilities", window, timeout_s=CALL_S["vad"])[0])

    # Ears --------------------------------------------------------------------------------------------------------

    def _on_mic(self, message: AudioChunk) -> None:
        self._heard_at = time.monotonic()
        self._mic_lane.offer(message)

    def _on_chunk(self, message: AudioChunk) -> None:
        """In the microphone's thread."""
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        samples = np.frombuffer(message.samples, np.int16)
        try:
            chunk = self._microphone.accept(samples, stamp, message.sequence, message.sample_rate, message.channels)
        except AudioError as error:
            if error.kind in ("rate", "channels"):
                self.figures.count(f"refused audio {error.kind}")
                self.report_fault("audio", str(error))  # it lasts, and says so once
            else:
                self.complain(f"audio {error.kind}", str(error))
            return
        self.clear_fault("audio")
        self.figures.tick("audio chunks")
        self._note_quality(chunk.lost, chunk.clipped)
        if chunk.restarted or chunk.lost * 0.02 > LOST_S:
            self._handle(self._turns.close())
            self._forget_voice()
        for window in chunk.windows:
            self._probability = self._voice_probability(window)
            self._handle(self._turns.push(window, self._probability))
            self._barge_in()
            self._publish_activity()

    def _note_quality(self, lost: int, clipped: bool) -> None:
        if lost:
            self.complain("lost audio", f"{lost} chunks of audio/mic were lost")
        now = time.monotonic()
        if clipped:
            self._clipped_at = now
            self.report_fault("clipping", "audio/mic is clipped: lower the microphone's gain")
        elif now - self._clipped_at > QUIET_S:
            self.clear_fault("clipping")

    def _forget_voice(self) -> None:
        self._loudness.reset()
        if self.params.vad_enabled:
            self._models["vad"].call("reset", timeout_s=CALL_S["vad"])

    def _handle(self, events: list[TurnEvent]) -> None:
        for event in events:
            if isinstance(event, VoiceStarted):
                # Both load while the person speaks, one after the other: who is heard is likely to be answered. Where
                # there was no room for the ears, the voice must not take what is left.
                self._models["stt"].prefetch().add_done_callback(self._prefetch_voice)
            elif isinstance(event, VoiceResumed):
                self._transcriber.outdate(event.attempt)
            else:
                self._transcriber.outdate(event.piece.attempt - 1)  # what is newer holds all of what is older
                skipped = self._stt_lane.skipped
                self._stt_lane.offer(event)
                if self._stt_lane.skipped > skipped:
                    self.complain("late speech", "speech to text cannot keep up; a line that was heard is lost")

    def _barge_in(self) -> None:
        if self.params.barge_in and self._voice.speaking and self._turns.voiced_s >= self.params.barge_in_after_s:
            self._voice.interrupt()
            self.figures.count("barge-ins")

    def _publish_heard(self, line: HeardLine) -> None:
        """In the thread of speech to text."""
        start, end = self._microphone.time_ns(line.start), self._microphone.time_ns(line.end)
        origin = self._microphone.time_ns(0)
        message = Utterance(
            id=f"heard-{self._session}-{line.turn}",
            text=line.text,
            final=line.final,
            language=line.language,
            confidence=line.confidence,
            start=_time(start),
            end=_time(end),
        )
        message.words = [
            Word(
                text=word.text,
                start=_time(origin + round(word.start * 1e9)),
                end=_time(origin + round(word.end * 1e9)),
                probability=word.probability,
            )
            for word in line.words
        ]
        message.header.stamp = self.now()
        self._heard.publish(message)
        if line.final:
            now = self.get_clock().now().nanoseconds
            self.figures.duration("last voice to text", (now - end) / 1e9)
            self.figures.count("lines heard")

    def _watch(self) -> None:
        if time.monotonic() - self._heard_at > QUIET_S:
            self.report_fault(
                "silence", f"no audio: nothing has come on audio/mic for {QUIET_S:.0f} s; is the driver active?"
            )
        else:
            self.clear_fault("silence")
        if any(self._shown):
            self._publish_activity(again=True)

    def _publish_activity(self, again: bool = False) -> None:
        shown = (self._turns.speaking, self._voice.speaking)
        if shown == self._shown and not again:
            return
        self._shown = shown
        message = SpeechActivity(
            user_speaking=shown[0],
            robot_speaking=bool(shown[1]),
            voice_probability=self._probability,
            utterance_id=shown[1],
        )
        message.header.stamp = self.now()
        self._activity.publish(message)

    def _prefetch_voice(self, ears: Future[None]) -> None:
        if not ears.cancelled() and ears.exception() is None:
            self._models["tts"].prefetch()

    # Voice -------------------------------------------------------------------------------------------------------

    def _on_turn(self, message: DialogueTurn) -> None:
        """The first words of an answer that will be spoken: its first clause comes in a moment."""
        if message.role == "robot" and message.utterance_id and not message.final:
            self._models["tts"].preload()

    def _voice_language(self) -> str:
        spec = self._models["tts"].spec
        return language_of(self.params.tts.engine, str(spec.arguments["model"]))

    def _refusal(self, goal: Say.Goal) -> str | None:
        language = self._voice_language() if goal.language else ""
        if language != goal.language.split("-")[0].lower():
            return f"the voice speaks '{language}', not '{goal.language}'"
        return self._voice.refusal(goal.text, goal.utterance_id, emptied=goal.interrupt)

    async def _say(self, handle: Any) -> Say.Result:
        goal = handle.request
        if goal.interrupt:
            self._voice.interrupt()
        future = self.future()
        name = goal.utterance_id or f"said-{uuid.uuid4().hex[:8]}"
        line = SpokenLine(name, goal.text, lambda outcome: self.complete(future, outcome))
        self._lines[name] = (line, handle)
        self._voice.say(line)
        self._tts_lane.offer(line)
        self._play_lane.offer(line)
        outcome: Outcome = await future
        self._lines.pop(name, None)
        return Say.Result(
            ok=outcome.ok,
            message=outcome.message,
            utterance_id=name,
            duration_s=outcome.duration_s,
            spoken_s=outcome.spoken_s,
            interrupted=outcome.interrupted,
        )

    def _cancel(self, handle: Any) -> None:
        for line, owner in list(self._lines.values()):
            if owner is handle:
                self._voice.cancel(line)

    def _on_playback(self, message: AudioPlayback) -> None:
        self._voice.on_playback(message.utterance_id, message.position_s, message.done, message.flushed)
        entry = self._lines.get(message.utterance_id)
        if entry is not None:
            entry[1].publish_feedback(Say.Feedback(utterance_id=message.utterance_id, position_s=message.position_s))

    def _send(self, chunk: SpeakerChunk) -> None:
        message = AudioChunk(
            sequence=chunk.sequence,
            sample_rate=chunk.sample_rate,
            channels=1,
            utterance_id=chunk.utterance_id,
            flush=chunk.flush,
            last=chunk.last,
        )
        message.samples = array.array("h", chunk.samples.tobytes())
        message.header.stamp = self.now()
        message.header.frame_id = "loudspeaker"
        self._speaker.publish(message)


def _time(nanoseconds: int) -> Time:
    seconds, rest = divmod(max(0, nanoseconds), 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def main() -> int:
    """Runs the node alone."""
    return run_alone("speech", SpeechNode)


if __name__ == "__main__":
    sys.exit(main())
