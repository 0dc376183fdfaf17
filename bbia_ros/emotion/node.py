"""The emotion node: what a person feels, by face and words, and what the robot feels about it."""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.type_support import check_for_type_support
from std_msgs.msg import Header

from bbia_ros.emotion.face import FaceEmotionReader
from bbia_ros.emotion.fusion import EmotionFusion, Source
from bbia_ros.emotion.mood import STRONG_STIMULI, Mood, MoodSettings
from bbia_ros.emotion.parameters import EmotionParameters
from bbia_ros.emotion.reading import EXPRESSED, EmotionReading
from bbia_ros.emotion.text_transformers import parse_labels
from bbia_ros.msg import DialogueTurn, Emotion, FaceArray, Utterance
from bbia_ros.resources import shared_folder
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.models import Engine
from bbia_ros.ros.process import run_alone
from bbia_ros.srv import Express

ENGINES = {
    "minilm": Engine("bbia_ros.emotion.text_minilm:MiniLmTextEmotion", "onnxruntime", "pip install onnxruntime"),
    "transformers": Engine(
        "bbia_ros.emotion.text_transformers:TransformersTextEmotion",
        "transformers",
        "make torch",
        nvidia=True,
        load_timeout_s=180.0,
    ),
}
MOOD_PERIOD_S = 0.5
"""How often the fading mood is looked at [s]."""

CONTAGION_S = 1.0
"""A face moves the mood at most this often [s]."""

FACE_GONE_S = 1.5
"""After this long without a face its reading is dropped [s]."""


class EmotionNode(BbiaNode[EmotionParameters]):
    """Turns perception/faces and speech/heard into emotion/user and emotion/robot; answers emotion/express."""

    parameters_type = EmotionParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("emotion", context)

    # Lifecycle ---------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Checks the text model; makes publishers and the service."""
        p = self.params
        try:
            _check(p)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        self._models = self.choose_model(
            "text",
            p.text,
            task="text_emotion",
            engines=ENGINES,
            group="emotion",
            background=True,
            arguments=_engine_arguments(p),
        )
        for kind in (Utterance, DialogueTurn, FaceArray):
            check_for_type_support(kind)  # loading the first sensor message takes 0.15 s: not in activate
        self._user = self.make_publisher(Emotion, "emotion/user", qos.EVENT)
        self._robot = self.make_publisher(Emotion, "emotion/robot", qos.STATE)
        self.make_service(Express, "emotion/express", self._express)

    def activate(self) -> None:
        """Begins neutral and listens."""
        p = self.params
        now = time.monotonic()
        self._mood = Mood(_mood_settings(p), now)
        self._fusion = EmotionFusion(_sources(p))
        self._reader, self._face_id = FaceEmotionReader(p.face.window), 0
        self._face_read = self._face_seen = self._moved = -math.inf
        self._published: EmotionReading | None = None
        self._text = self.slot(self._models)
        self._prefetched = False
        self._reading = self.lane("text", self._read_text, depth=p.words.queue)
        self.make_subscription(FaceArray, "perception/faces", self._see_faces, qos.EVENT)
        self.make_subscription(Utterance, "speech/heard", self._hear, qos.EVENT)
        self.make_subscription(DialogueTurn, "dialogue/turns", self._follow_turn, qos.EVENT)
        self.make_timer(MOOD_PERIOD_S, self._publish_mood)
        self._publish_mood()

    def parameters_changed(self, new: EmotionParameters) -> None:
        """New settings of mood and fusion take effect at once and keep the present mood."""
        _check(new)
        if self.active:
            self._mood.settings = _mood_settings(new)
            self._fusion = EmotionFusion(_sources(new))

    # What comes in -----------------------------------------------------------------------------------------------

    def _see_faces(self, message: FaceArray) -> None:
        now = time.monotonic()
        face = next((face for face in message.faces if len(face.blendshapes)), None)
        if face is None or not self.params.face.enabled:
            if now - self._face_seen > FACE_GONE_S:
                self._fusion.forget("face")
            return
        self._face_seen = now
        if now - self._face_read < 1.0 / self.params.face.rate_hz:
            return
        self._face_read = now
        if face.track_id != self._face_id:
            self._face_id = face.track_id
            self._reader.reset()
        try:
            reading = self._reader.read(face.blendshapes)
        except ValueError as error:
            self.complain("blendshapes", f"perception/faces: {error}")
            return
        self._publish_user("face", reading, message.header, face.track_id)
        self._fuse("face", reading, message.header, now)
        self._catch(now)

    def _hear(self, message: Utterance) -> None:
        if message.final and message.text.strip():
            self._reading.offer((message.text, message.header))
        elif not self._prefetched and message.text.strip():
            self._prefetched = True
            self._text.prefetch()

    def _follow_turn(self, message: DialogueTurn) -> None:
        """Typed words come without an utterance; spoken ones are on speech/heard already."""
        if message.role == "user" and message.final and not message.utterance_id and message.text.strip():
            self._reading.offer((message.text, message.header))

    # Words (in the lane's thread) --------------------------------------------------------------------------------

    def _read_text(self, item: tuple[str, Header]) -> None:
        text, header = item
        started = time.monotonic()
        found: dict[str, Any] = self._text.call("read", text)
        self.figures.duration("text", time.monotonic() - started)
        self.post(lambda: self._take_words(found, header))

    def _take_words(self, found: dict[str, Any], header: Header) -> None:
        if not self.active:
            return
        now = time.monotonic()
        reading = EmotionReading(
            found["label"],
            found["intensity"],
            found["valence"],
            found["arousal"],
            found["confidence"],
            found["scores"],
        )
        self._publish_user("text", reading, header, 0)
        self._fuse("text", reading, header, now)
        self._react(reading, found["stimulus"], found["stimulus_confidence"], now)
        self._publish_mood()

    def _react(self, reading: EmotionReading, stimulus: str, certainty: float, now: float) -> None:
        words = self.params.words
        sure = reading.confidence >= words.minimum_confidence
        aimed = certainty >= words.stimulus_confidence
        if aimed and stimulus in STRONG_STIMULI and self._mood.react_to_stimulus(stimulus, now):
            return
        if sure and self._mood.react_to_user(reading, now):
            return
        if aimed:
            self._mood.react_to_stimulus(stimulus, now)

    # The robot's mood --------------------------------------------------------------------------------------------

    def _catch(self, now: float) -> None:
        """A face moves the mood a little; through the fusion, so that words said with a smile still count."""
        gain = self.params.mood.contagion
        if gain <= 0.0 or now - self._moved < CONTAGION_S:
            return
        fused = self._fusion.read(now)
        if fused is not None and fused.confidence >= 0.3:
            before = self._mood.read(now)
            if before.label == "neutral" or before.intensity < gain:
                self._moved = now
                self._mood.react_to_user(fused, now, gain)
                self._publish_mood()

    def _publish_mood(self) -> None:
        reading = self._mood.read(time.monotonic())
        last = self._published
        step = abs(last.intensity - reading.intensity) if last is not None else math.inf
        if last is not None and last.label == reading.label and step < self.params.mood.step:
            return
        self._published = reading
        self._robot.publish(_message("robot", reading, Header(stamp=self.now()), 0))

    def _express(self, request: Express.Request, response: Express.Response) -> Express.Response:
        response.ok = False
        if not self.active:
            response.message = "the emotion node is not active"
        elif request.label not in EXPRESSED:
            response.message = f"the robot cannot express '{request.label}': must be one of {', '.join(EXPRESSED)}"
        elif not 0.0 <= request.intensity <= 1.0:
            response.message = f"intensity is {request.intensity:g}: must lie in 0 to 1"
        elif not (math.isfinite(request.duration_s) and request.duration_s >= 0.0):
            response.message = f"duration_s is {request.duration_s:g}: must be 0 or more"
        else:
            self._mood.feel(request.label, request.intensity, time.monotonic(), request.duration_s)
            self._publish_mood()
            response.ok, response.message = True, f"feeling {request.label}"
        return response

    # What goes out -----------------------------------------------------------------------------------------------

    def _fuse(self, source: str, reading: EmotionReading, header: Header, now: float) -> None:
        self._fusion.take(source, reading, now)
        fused = self._fusion.read(now)
        if fused is not None:
            self._publish_user("fused", fused, header, self._face_id if source == "face" else 0)

    def _publish_user(self, source: str, reading: EmotionReading, header: Header, face: int) -> None:
        self.figures.tick(source)
        self._user.publish(_message(source, reading, header, face))


def _message(source: str, reading: EmotionReading, header: Header, face: int) -> Emotion:
    return Emotion(
        header=header,
        source=source,
        face_id=face,
        label=reading.label,
        intensity=reading.intensity,
        valence=reading.valence,
        arousal=reading.arousal,
        confidence=reading.confidence,
        labels=list(reading.scores),
        scores=list(reading.scores.values()),
    )


def _engine_arguments(p: EmotionParameters) -> dict[str, Any]:
    if p.text.engine == "transformers":
        return {"labels": list(p.words.labels)}
    return {"head": p.words.head or str(shared_folder("models") / "text_emotion" / "head.npz")}


def _check(p: EmotionParameters) -> None:
    """Raises ValueError for thresholds that contradict each other, and for labels that are mapped to no emotion."""
    parse_labels(p.words.labels)
    if p.mood.leave > p.mood.enter:
        raise ValueError(f"parameter 'mood.leave' is {p.mood.leave}, it must not exceed mood.enter, {p.mood.enter}")


def _mood_settings(p: EmotionParameters) -> MoodSettings:
    return MoodSettings(p.mood.decay_s, p.mood.enter, p.mood.leave, p.mood.margin)


def _sources(p: EmotionParameters) -> dict[str, Source]:
    return {"face": Source(p.face.trust, p.face.half_life_s), "text": Source(p.words.trust, p.words.half_life_s)}


def main() -> int:
    """Runs the emotion node alone."""
    return run_alone("emotion", EmotionNode)
